"""A store in S3: an object for each, under a prefix; large ones go and come in parts, several at a time.

S3 checks the SHA-256 of what it is sent. Each object carries the digest of all of it (`mu.digest`) as metadata, and
what is read is checked by that.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from mu.digest import digest
from mu.errors import BackendError, JobError, Missing, Refused, TransferFailed
from mu.store.bucket import Bucket
from mu.store.names import LARGEST_OBJECT, check_name

__all__ = ["S3Store"]

_DIGEST = "x-amz-meta-blake2b"
_READ_PART = 8 << 20
"""Bytes; what is smaller comes with the first answer."""
_WRITE_WHOLE = 64 << 20
_WRITE_PART = 32 << 20
_AT_ONCE = 4
ATTEMPTS = 9
"""Of a request: 10 to 20 s of pauses, for as long as S3 may need to make room for thousands that begin at once."""
_READINGS = 3
"""How often an object is read anew whose bytes are not what its digest says."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PREFIX = re.compile(r"([A-Za-z0-9_=+.-]+/)*[A-Za-z0-9_=+.-]*\Z")


class S3Store:
    """The store in a bucket, under `prefix`. `at_once` is how many parts are on their way at a time."""

    def __init__(self, bucket: str | Bucket, prefix: str = "", *, at_once: int = _AT_ONCE) -> None:
        name = bucket if isinstance(bucket, str) else bucket.name
        prefix = prefix.strip("/")
        if not _BUCKET.match(name) or not _PREFIX.match(prefix) or ".." in prefix.split("/"):
            raise JobError(f"s3://{name}/{prefix} is no store: the bucket or the prefix cannot be called so")
        self.bucket = bucket if isinstance(bucket, Bucket) else Bucket(bucket, attempts=ATTEMPTS)
        self._prefix = f"{prefix}/" if prefix else ""
        self._at_once = at_once

    def read(self, name: str, largest: int = LARGEST_OBJECT, wanted: bytes | None = None) -> memoryview:
        """See `Store`."""
        for left in reversed(range(_READINGS)):
            payload, said = self._read(self._key(name), largest)
            said = said if wanted is None else wanted.hex()
            if said in ("", digest(payload).hex()):
                return payload
            if not left:
                raise TransferFailed(f"{self._place(name)}: other bytes came than were written, {_READINGS} times")
        raise AssertionError("the last reading returns or raises")

    def write(self, name: str, payload: bytes | memoryview, found: bytes | None = None) -> None:
        """See `Store`."""
        view = memoryview(payload).cast("B")
        if len(view) > LARGEST_OBJECT:
            raise Refused(f"{self._place(name)}: {len(view):,} bytes are more than the {LARGEST_OBJECT:,} of an object")
        headers = {_DIGEST: (found or digest(view)).hex()}
        if len(view) <= _WRITE_WHOLE:
            self.bucket.ask("PUT", self._key(name), headers=headers, body=view)
        else:
            self._write_in_parts(self._key(name), view, headers)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self.bucket.head(self._key(name)) is not None

    def holds(self, name: str, payload: bytes | memoryview) -> bool:
        """See `Store`; nothing but the object's headers comes."""
        headers = self.bucket.head(self._key(name)) or {}
        size = str(memoryview(payload).nbytes)
        return headers.get("content-length") == size and headers.get(_DIGEST) == digest(payload).hex()

    def size(self, name: str) -> int:
        """See `Store`."""
        headers = self.bucket.head(self._key(name))
        if headers is None:
            raise Missing(f"{self._place(name)}: is not there")
        return int(headers["content-length"])

    def list(self, prefix: str = "") -> Iterator[str]:
        """See `Store`."""
        for key in self.bucket.keys(self._prefix + prefix):
            yield key.removeprefix(self._prefix)

    def delete(self, name: str) -> None:
        """See `Store`."""
        self.bucket.delete(self._key(name))

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _place(self, name: str) -> str:
        return f"s3://{self.bucket.name}/{self._prefix}{name}"

    def _read(self, key: str, largest: int) -> tuple[memoryview, str]:
        """The object's bytes, and the digest that it carries, if it does."""
        try:
            first = self.bucket.ask("GET", key, headers=part_range(0, _READ_PART), largest=_READ_PART)
        except Refused:
            # An empty object has no range.
            headers = self.bucket.head(key)
            if headers is None or int(headers.get("content-length", "1")):
                raise
            return memoryview(b""), headers.get(_DIGEST, "")
        total = _total(first.headers.get("content-range", ""), len(first.body), first.status)
        wanted = first.headers.get(_DIGEST, "")
        if total > largest:
            raise Refused(f"s3://{self.bucket.name}/{key} is larger than the {largest:,} bytes that are read")
        if total <= len(first.body):
            return memoryview(first.body), wanted
        whole = memoryview(bytearray(total))
        whole[: len(first.body)] = first.body
        etag = {"if-match": first.headers["etag"]} if "etag" in first.headers else {}

        def part(start: int) -> None:
            stop = min(start + _READ_PART, total)
            self.bucket.ask("GET", key, headers=part_range(start, stop) | etag, into=whole[start:stop])

        side_by_side(part, range(len(first.body), total, _READ_PART), self._at_once)
        return whole.toreadonly(), wanted

    def _write_in_parts(self, key: str, view: memoryview, headers: dict[str, str]) -> None:
        told = self.bucket.ask("POST", key, query={"uploads": ""}, headers=headers).body.decode(errors="replace")
        found = re.search(r"<UploadId>(.+?)</UploadId>", told)
        if not found:
            raise TransferFailed(f"s3://{self.bucket.name}/{key}: S3 began no upload: {told:.200}")
        upload = {"uploadId": found[1]}
        etags: dict[int, str] = {}

        def part(start: int) -> None:
            number = start // _WRITE_PART + 1
            query = upload | {"partNumber": str(number)}
            answer = self.bucket.ask("PUT", key, query=query, body=view[start : start + _WRITE_PART])
            etags[number] = answer.headers.get("etag", "")

        try:
            side_by_side(part, range(0, len(view), _WRITE_PART), self._at_once)
            self._complete(key, upload, etags, headers[_DIGEST])
        except BaseException:
            with suppress(BackendError):
                self.bucket.ask("DELETE", key, query=upload, allow=(http.client.NOT_FOUND,))
            raise

    def _complete(self, key: str, upload: dict[str, str], etags: dict[int, str], wanted: str) -> None:
        pairs = (f"<PartNumber>{number}</PartNumber><ETag>{etags[number]}</ETag>" for number in sorted(etags))
        body = "".join(("<CompleteMultipartUpload>", *(f"<Part>{pair}</Part>" for pair in pairs)))
        try:
            answer = self.bucket.ask("POST", key, query=upload, body=f"{body}</CompleteMultipartUpload>".encode())
        except Missing:
            held = self.bucket.head(key)
            if held is None or held.get(_DIGEST) != wanted:  # else an earlier attempt did it, and its answer was lost
                raise
            return
        if b"<Error>" in answer.body:  # S3 may say so after it has begun with 200
            raise TransferFailed(f"s3://{self.bucket.name}/{key}: {answer.body.decode(errors='replace'):.300}")


def side_by_side(do: Callable[[int], None], starts: Iterable[int], at_once: int = _AT_ONCE) -> None:
    """Do it for every part, several at a time. Raises what the first of them that failed did."""
    from concurrent.futures import ThreadPoolExecutor  # here, since most objects need none

    with ThreadPoolExecutor(at_once, "s3") as pool:
        futures = [pool.submit(do, start) for start in starts]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def bucket_and_key(url: str) -> tuple[str, str]:
    """The parts of `s3://bucket/key`. Raises JobError for another kind of address."""
    name, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not _BUCKET.match(name) or not key:
        raise JobError(f"{url!r} is no object: it is s3://bucket/key")
    return name, key


def part_range(start: int, stop: int) -> dict[str, str]:
    """The header that asks for bytes from `start` to before `stop`."""
    return {"range": f"bytes={start}-{stop - 1}"}


def _total(content_range: str, got: int, status: int) -> int:
    """The bytes of the whole object, of which `got` came; a store that knows no ranges sends all of it."""
    if status != http.client.PARTIAL_CONTENT:
        return got
    found = re.fullmatch(r"bytes 0-(\d+)/(\d+)", content_range)
    if not found or int(found[1]) + 1 != got:
        raise TransferFailed(f"{content_range!r} is not the range that was asked for")
    return int(found[2])
