"""An S3 bucket over HTTP: every request signed, tried again where that may help, and what comes checked.

The keys are S3's own, of any form; `mu.store.s3` keeps a job's objects in it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

from mu.errors import Missing, Refused, TransferFailed
from mu.store.signing import NOTHING, Wallet, query_of, signed

__all__ = ["Answer", "Bucket"]

PIECE = 1 << 18
"""Bytes that `stream` gives at a time."""
_LONGEST_PAUSE = 5.0  # seconds
_LARGEST_TEXT = 4 << 20  # bytes of an answer in XML; a thousand keys take less
_AGAIN = {408, 429, 500, 502, 503, 504}
_AGAIN_CODES = ("RequestTimeout", "BadDigest", "XAmzContentSHA256Mismatch", "SlowDown", "InternalError")
_IDLE = 8  # connections that are kept,
_STALE = 3.0  # for so many seconds: S3 closes those that say nothing


class Answer(NamedTuple):
    """What S3 said; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Unlucky(Exception):
    """This attempt failed, and another one may not."""


class Bucket:
    """The objects of a bucket, as the environment's credentials, region and endpoint let them be reached.

    A request is tried `attempts` times, with pauses from `pause` seconds on that double and are cut by chance;
    `patience` is how many seconds may go by without a byte. `wallet` and `region` are for credentials and regions that
    are named elsewhere. May be used by several threads. Every method raises Missing, Refused, or TransferFailed once
    every attempt has failed.
    """

    def __init__(
        self,
        name: str,
        *,
        attempts: int = 6,
        pause: float = 0.1,
        patience: float = 10.0,
        sleep: Callable[[float], object] = time.sleep,
        wallet: Wallet | None = None,
        region: str = "",
    ) -> None:
        self.name = name
        self._attempts, self._pause, self._patience, self._sleep = attempts, pause, patience, sleep
        regions = (region, os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION"), "us-east-1")
        self._region = next(each for each in regions if each)
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            parts = urlsplit(endpoint)
            self._scheme, self._host, self._folder = parts.scheme, parts.netloc, f"/{quote(name)}"
        else:
            ending = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
            self._scheme, self._host, self._folder = "https", f"{name}.s3.{self._region}.{ending}", ""
        self._wallet = wallet or Wallet()
        self._tls: ssl.SSLContext | None = None
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """Where the requests go."""
        return self._host

    def ask(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        into: memoryview | None = None,
        largest: int = _LARGEST_TEXT,
        allow: tuple[int, ...] = (),
    ) -> Answer:
        """One request; its answer if that is of the 200s or in `allow`. A body of 200s goes `into` memory if given."""
        sha256 = hashlib.sha256(body).hexdigest() if len(body) else NOTHING  # S3 refuses a body with another one
        for attempt in range(1, self._attempts + 1):
            try:
                return self._once(method, key, query or {}, headers or {}, body, sha256, into, largest, allow)
            except (OSError, http.client.HTTPException, _Unlucky) as error:
                if attempt == self._attempts:
                    told = str(error) if isinstance(error, _Unlucky) else f"{type(error).__name__} {error}"
                    raise TransferFailed(f"{self._place(key)}: {told}; tried {attempt} times") from error
            self._sleep(random.uniform(0.5, 1) * min(_LONGEST_PAUSE, self._pause * 2 ** (attempt - 1)))
        raise AssertionError("the last attempt returns or raises")

    def read(self, key: str, largest: int, unless: str = "") -> tuple[bytes, str] | None:
        """An object of at most `largest` bytes and its ETag; None if its ETag is `unless`."""
        headers = {"if-none-match": unless} if unless else {}
        answer = self.ask("GET", key, headers=headers, largest=largest, allow=(http.client.NOT_MODIFIED,))
        return None if answer.status == http.client.NOT_MODIFIED else (answer.body, answer.headers.get("etag", ""))

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece, in one attempt."""
        try:
            with closing(self._connect()) as connection:
                answer = self._send(connection, "GET", key, {}, {}, b"", NOTHING)
                self._judge(answer, key, ())
                while piece := answer.read(PIECE):
                    yield piece
                if answer.length:
                    raise _Unlucky(f"broke off, {answer.length:,} bytes before its end")
        except (OSError, http.client.HTTPException, _Unlucky) as error:
            told = str(error) if isinstance(error, _Unlucky) else f"{type(error).__name__} {error}"
            raise TransferFailed(f"{self._place(key)}: {told}") from error

    def head(self, key: str) -> Mapping[str, str] | None:
        """The headers of an object; None if there is none."""
        answer = self.ask("HEAD", key, allow=(http.client.NOT_FOUND,))
        return None if answer.status == http.client.NOT_FOUND else answer.headers

    def delete(self, key: str) -> None:
        """Delete an object; that there is none is no error."""
        self.ask("DELETE", key, allow=(http.client.NOT_FOUND,))

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin so, in S3's order."""
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        while True:
            text = self.ask("GET", "", query=query).body.decode(errors="replace")
            for key in re.findall(r"<Contents>.*?<Key>(.*?)</Key>", text, re.DOTALL):
                yield unquote_plus(key.replace("&amp;", "&"))
            token = re.search(r"<NextContinuationToken>(.*?)</NextContinuationToken>", text, re.DOTALL)
            if not token:
                return
            query["continuation-token"] = token[1].replace("&amp;", "&")

    def _once(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | memoryview,
        sha256: str,
        into: memoryview | None,
        largest: int,
        allow: tuple[int, ...],
    ) -> Answer:
        connection = self._connection()
        try:
            answer = self._send(connection, method, key, query, headers, body, sha256)
            self._judge(answer, key, allow)
            told = {name.lower(): value for name, value in answer.headers.items()}
            if into is not None and answer.status < 300:
                _fill(answer, into)
                data = b""
            else:
                data = answer.read(largest + 1)
                if len(data) > largest:
                    raise Refused(f"{self._place(key)} is larger than the {largest:,} bytes that are read")
                if answer.length:  # http.client takes a short body for an answer
                    raise _Unlucky(f"broke off, {answer.length:,} bytes before its end")
        except BaseException:
            connection.close()
            raise
        self._keep(connection, answer)
        return Answer(answer.status, told, data)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | memoryview,
        sha256: str,
    ) -> http.client.HTTPResponse:
        path = f"{self._folder}/{quote(key, safe='/-_.~')}"
        now = datetime.now(UTC)
        every = signed(method, self._host, path, self._region, self._wallet(), now, headers, query, sha256)
        whole = f"{path}?{query_of(query)}" if query else path
        connection.request(method, whole, body if len(body) or method in ("PUT", "POST") else None, every)
        return connection.getresponse()

    def _judge(self, answer: http.client.HTTPResponse, key: str, allow: tuple[int, ...]) -> None:
        """Return if the answer is one to read; raise what it means otherwise."""
        status = answer.status
        if status < 300 or status in allow:
            return
        told = f"{self._place(key)}: {status} {answer.reason}"
        if status == http.client.NOT_FOUND:
            raise Missing(told)
        text = answer.read(1000).decode(errors="replace")
        if status in _AGAIN or any(f"<Code>{code}</Code>" in text for code in _AGAIN_CODES):
            raise _Unlucky(f"{status} {answer.reason}")
        self._wallet.forget()
        raise Refused(f"{told}: {text}")

    def _place(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def _connection(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                since, connection = self._idle.pop()
                if time.monotonic() - since < _STALE:
                    return connection
                connection.close()
        return self._connect()

    def _keep(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        if not answer.isclosed():  # something of it is left
            connection.close()
            return
        with self._lock:
            if connection.sock is not None and len(self._idle) < _IDLE:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept for later."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._scheme == "http":
            return http.client.HTTPConnection(self._host, timeout=self._patience, blocksize=1 << 20)
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        return http.client.HTTPSConnection(self._host, timeout=self._patience, context=self._tls, blocksize=1 << 20)


def _fill(answer: http.client.HTTPResponse, into: memoryview) -> None:
    """Read a body that must fill the memory."""
    if answer.length != len(into):
        raise _Unlucky(f"{answer.length} bytes came where {len(into)} are")
    filled = 0
    while filled < len(into):
        count = answer.readinto(into[filled:])
        if not count:
            raise _Unlucky(f"broke off, {len(into) - filled:,} bytes before its end")
        filled += count
    answer.read()
