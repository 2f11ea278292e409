"""Sign requests to S3 and say as whom: AWS documents the signature as Signature Version 4.

boto3 does this and everything else, and importing it takes longer than all that a worker imports besides
(docs/decisions/0012-functions-read-s3-without-boto3.md).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from mu.errors import Refused, TransferFailed

__all__ = ["NOTHING", "Credentials", "Wallet", "signed"]

NOTHING = hashlib.sha256(b"").hexdigest()
"""The SHA-256 of a request without a body."""
_EARLY = 300  # seconds before credentials expire, when others are asked for
_PATIENCE = 5.0  # seconds


class Credentials(NamedTuple):
    """Who asks; `expires` is in seconds since 1970."""

    key: str
    secret: str
    token: str
    expires: float = float("inf")


def signed(
    method: str,
    host: str,
    path: str,
    region: str,
    who: Credentials,
    now: datetime,
    more: Mapping[str, str],
    query: Mapping[str, str] | None = None,
    sha256: str = NOTHING,
) -> dict[str, str]:
    """The headers of a signed request of `path` (quoted already), `more` among them; `sha256` is that of its body."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": sha256, "x-amz-date": stamp, **more}
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n{query_of(query or {})}\n{lines}\n{names}\n{sha256}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{who.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    what = f"AWS4-HMAC-SHA256 Credential={who.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": what}


def query_of(query: Mapping[str, str]) -> str:
    """What goes after the question mark, in the order that is signed."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


class Wallet:
    """Credentials: those in the environment, or (SnapStart, containers) those that its address of credentials gives."""

    def __init__(self) -> None:
        self._held: Credentials | None = None

    def forget(self) -> None:
        """They were refused: look for others at the next request."""
        self._held = None

    def __call__(self) -> Credentials:
        """Who asks now. Raises Refused where there are none."""
        held = self._held
        if held is None or time.time() > held.expires - _EARLY:
            if "AWS_ACCESS_KEY_ID" in os.environ:
                token = os.environ.get("AWS_SESSION_TOKEN", "")
                held = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], token)
            elif address := os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
                held = _fetched(address, os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
            else:
                raise Refused("the environment holds no credentials for S3: set AWS_ACCESS_KEY_ID and its like")
            self._held = held
        return held


def _fetched(address: str, token: str) -> Credentials:
    parts = urlsplit(address)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)) as connection:
        connection.request("GET", parts.path or "/", headers={"Authorization": token})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise TransferFailed(f"{address}: {answer.status} {answer.reason}")
        told = json.loads(answer.read(1 << 16))
    expires = datetime.fromisoformat(told["Expiration"].replace("Z", "+00:00")).timestamp()
    return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told["Token"], expires)
