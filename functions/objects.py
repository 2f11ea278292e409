"""Read objects of one S3 bucket, with requests signed here.

boto3 does this and everything else, and importing it takes longer than all that the classifier imports besides
(docs/decisions/0012-functions-read-s3-without-boto3.md). AWS documents the signature as Signature Version 4.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from functions.errors import Missing, Refused, TransferError

__all__ = ["Credentials", "Objects", "signed"]

_PATIENCE = 5.0  # seconds without a byte
_ATTEMPTS = 3
_PAUSE = 0.05  # seconds before the second attempt; each later one waits twice as long
_PIECE = 1 << 18
_NOTHING = hashlib.sha256(b"").hexdigest()
_EARLY = 300  # seconds before credentials expire, when others are asked for


class Credentials(NamedTuple):
    """Who asks; `expires` is in seconds since 1970."""

    key: str
    secret: str
    token: str
    expires: float = float("inf")


def signed(
    host: str, path: str, region: str, who: Credentials, now: datetime, more: Mapping[str, str]
) -> dict[str, str]:
    """The headers of a signed GET of `path` (quoted already), `more` among them."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": stamp, **more}
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{path}\n\n{lines}\n{names}\n{_NOTHING}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{who.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    what = f"AWS4-HMAC-SHA256 Credential={who.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": what}


class Objects:
    """The objects of a bucket, as the environment's credentials, region and endpoint let them be read."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            parts = urlsplit(endpoint)
            self._scheme, self._host, self._folder = parts.scheme, parts.netloc, f"/{quote(bucket)}"
        else:
            ending = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
            self._scheme, self._host, self._folder = "https", f"{bucket}.s3.{self._region}.{ending}", ""
        self._who: Credentials | None = None
        self._tls: ssl.SSLContext | None = None

    def read(self, key: str, largest: int, unless: str = "") -> tuple[bytes, str] | None:
        """An object of at most `largest` bytes and its ETag; None if its ETag is `unless`.

        Raises Missing, Refused, or TransferError once every attempt has failed.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with closing(self._connection()) as connection:
                    answer = self._ask(connection, key, {"if-none-match": unless} if unless else {})
                    if answer.status == http.client.NOT_MODIFIED:
                        return None
                    data = answer.read(largest + 1)
                    if len(data) > largest:
                        raise Refused(f"{self.bucket}/{key} is larger than the {largest:,} bytes that are read")
                    if answer.length:  # http.client takes a short body for an answer
                        raise TransferError(f"{self.bucket}/{key} broke off, {answer.length:,} bytes before its end")
                    return data, answer.headers.get("ETag", "")
            except (OSError, http.client.HTTPException) as error:
                if attempt == _ATTEMPTS:
                    raise TransferError(f"{self.bucket}/{key}: {type(error).__name__} {error}") from error
            except TransferError:
                if attempt == _ATTEMPTS:
                    raise
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece, in one attempt; raises Missing, Refused or TransferError."""
        try:
            with closing(self._connection()) as connection:
                answer = self._ask(connection, key, {})
                while piece := answer.read(_PIECE):
                    yield piece
                if answer.length:
                    raise TransferError(f"{self.bucket}/{key} broke off, {answer.length:,} bytes before its end")
        except (OSError, http.client.HTTPException) as error:
            raise TransferError(f"{self.bucket}/{key}: {type(error).__name__} {error}") from error

    def _ask(
        self, connection: http.client.HTTPConnection, key: str, more: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        path = f"{self._folder}/{quote(key, safe='/-_.~')}"
        connection.request(
            "GET", path, headers=signed(self._host, path, self._region, self._credentials(), datetime.now(UTC), more)
        )
        answer = connection.getresponse()
        status = answer.status
        if status in (http.client.OK, http.client.NOT_MODIFIED):
            return answer
        told = f"{self.bucket}/{key}: {status} {answer.reason}"
        if status == http.client.NOT_FOUND:
            raise Missing(told)
        if status in (
            http.client.BAD_REQUEST,
            http.client.UNAUTHORIZED,
            http.client.FORBIDDEN,
            http.client.MOVED_PERMANENTLY,
        ):
            self._who = None
            raise Refused(f"{told}: {answer.read(500).decode(errors='replace')}")
        raise TransferError(told)

    def _connection(self) -> http.client.HTTPConnection:
        if self._scheme == "http":
            return http.client.HTTPConnection(self._host, timeout=_PATIENCE)
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        return http.client.HTTPSConnection(self._host, timeout=_PATIENCE, context=self._tls)

    def _credentials(self) -> Credentials:
        """Those in the environment, or (SnapStart) those that its address of credentials gives."""
        if self._who is None or time.time() > self._who.expires - _EARLY:
            if "AWS_ACCESS_KEY_ID" in os.environ:
                token = os.environ.get("AWS_SESSION_TOKEN", "")
                self._who = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], token)
            elif address := os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
                self._who = _fetched(address, os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
            else:
                raise Refused("the environment holds no credentials")
        return self._who


def _fetched(address: str, token: str) -> Credentials:
    parts = urlsplit(address)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)) as connection:
        connection.request("GET", parts.path or "/", headers={"Authorization": token})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise TransferError(f"{address}: {answer.status} {answer.reason}")
        told = json.loads(answer.read(1 << 16))
    expires = datetime.fromisoformat(told["Expiration"].replace("Z", "+00:00")).timestamp()
    return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told["Token"], expires)
