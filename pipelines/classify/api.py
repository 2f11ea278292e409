"""The deployed classifier: `POST /frames` over connections that are kept, by key or signed."""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from time import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, SSLError

from pipelines.classify.answers import Answer, Later, Picture, Refused, Rejected, printable
from pipelines.errors import SettingsError

__all__ = ["Api", "Sign"]

Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""From method, address, headers and body to the headers that also have the signature."""

_LARGEST_ANSWER = 1 << 20  # bytes
_TIMEOUT = urllib3.Timeout(connect=10.0, read=35.0)  # API Gateway answers within 29 s
_KEY_IS_WRONG = (401, 403)
_LATER = (408, 425, 429)


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Problem(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)
    message: str = ""  # API Gateway's own answers, where nobody changed them


_ANSWER = msgspec.json.Decoder(Answer)
_PROBLEM = msgspec.json.Decoder(_Problem)


class Api:
    """Asks the API at `url` (the stack's output FramesUrl); may be used by `parallel` threads at once.

    `key` goes into `x-api-key`; with `sign` requests are signed instead. `trusted` is a file of certificates to trust
    instead of the system's. `model` (NAME or NAME@VERSION) has it refuse if another one runs. Raises SettingsError for
    an address that is none, or over which the key would go in the clear.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        sign: Sign | None = None,
        trusted: str = "",
        top: int = 5,
        model: str = "",
        parallel: int = 1,
    ) -> None:
        _check(url, bool(key or sign))
        self.url = url
        self._address = url + "?" + urlencode({"top": top, **({"model": model} if model else {})})
        self._headers = {"User-Agent": f"fastslow/{version('fastslow')}", "Accept": "application/json"}
        if key:
            self._headers["x-api-key"] = key
        self._sign = sign
        self._pool = _pool(url, parallel, trusted)

    def __call__(self, picture: Picture) -> Answer:
        """Ask once; raises Refused, Rejected or Later."""
        headers: Mapping[str, str] = {**self._headers, "Content-Type": picture.kind}
        if self._sign is not None:
            headers = self._sign("POST", self._address, headers, picture.data)
        try:
            answer = self._pool.request(
                "POST",
                self._address,
                body=picture.data,
                headers=headers,
                timeout=_TIMEOUT,
                retries=False,  # `retry` does that, and an API that sends elsewhere with the key is none of ours
                preload_content=False,
            )
            try:
                body = answer.read(_LARGEST_ANSWER + 1, decode_content=True)
            finally:
                answer.drain_conn() if answer.length_remaining in (0, None) else answer.close()
                answer.release_conn()
        except SSLError as error:
            raise Refused(f"{self.url}: its certificate is not trusted: {printable(str(error))}") from error
        except HTTPError as error:
            raise Later(f"{self.url} does not answer: {printable(str(error))}") from error
        return self._read(answer.status, answer.headers.get("Retry-After", ""), body)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.clear()

    def _read(self, status: int, after: str, body: bytes) -> Answer:
        if status == 200:
            try:
                return _ANSWER.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refused(f"{self.url} answers, but not as a classifier: {printable(str(error))}") from error
        reason = _reason(status, body)
        if status in _KEY_IS_WRONG:
            what = "check the key (--api-key), sign (--iam) if it was deployed so"
            what += "" if self.url.endswith("/frames") else ", and give the whole address, which ends in /frames"
            raise Refused(f"{self.url} lets nobody in like this ({reason}); {what}")
        if status >= 500 or status in _LATER:
            raise Later(reason, _seconds(after))
        if status < 400 or (status == 404 and "unknown_model" not in reason) or status == 405:
            raise Refused(f"{self.url} is not where frames are posted: {reason}")
        raise Rejected(reason)


def _check(url: str, secret: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  raises if it is none
    except ValueError as error:
        raise SettingsError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise SettingsError(f"{url!r} is not the address of an API: give the stack's FramesUrl, https://.../v1/frames")
    if parts.scheme == "http" and secret and not _is_loopback(host):
        raise SettingsError(f"{url!r}: a key is sent over https alone, or to this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pool(url: str, parallel: int, trusted: str) -> urllib3.PoolManager:
    """Connections to the API, through the proxy that the environment names."""
    options: dict[str, Any] = {"maxsize": parallel, "block": True, "ca_certs": trusted or None}
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    try:
        if proxy and not _is_loopback(host) and not urllib.request.proxy_bypass(host):
            return urllib3.ProxyManager(proxy, **options)
        return urllib3.PoolManager(**options)
    except LocationParseError as error:
        raise SettingsError(f"the proxy that the environment names is no address: {error}") from error


def _reason(status: int, body: bytes) -> str:
    try:
        told = _PROBLEM.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Problem(message=body[:200].decode("utf-8", "replace"))
    text = ": ".join(filter(None, (told.error.code, told.error.message or told.message)))
    return printable(f"{status} {text}".strip())


def _seconds(after: str) -> float:
    """Retry-After in seconds: a number of them, or a date (RFC 9110 §10.2.3); 0 if it is neither."""
    if after.strip().isdecimal():
        return float(after.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
