"""An object of a bucket as an open file: read here and there in place, nothing of it on the disk."""

from __future__ import annotations

import http.client
import io
import os
from collections import OrderedDict
from dataclasses import dataclass

from mu.errors import Missing, Refused, TransferFailed
from mu.store.bucket import Bucket
from mu.store.s3 import bucket_and_key, part_range, side_by_side

__all__ = ["Ranged", "Replaced"]

_SMALLEST, _LARGEST = 1 << 18, 1 << 24
"""Bytes that a read asks for where it jumped to, and where it has gone on for long."""
_PART = 1 << 22
"""Bytes of a request; larger pieces come in several at a time."""
_KEPT = 3 * _LARGEST


class Replaced(Refused):
    """The object is not the one any more that was opened first."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of the object from `start` on."""

    start: int
    data: memoryview

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class Ranged(io.RawIOBase):
    """`s3://bucket/key`, open for reading. `version` is its ETag; one that is given must be the object's.

    What was read lately is kept (48 MB at most); who reads on and on gets larger and larger pieces. Reading raises
    TransferFailed where another try may help, Replaced, Missing or Refused, and what it raised once it raises again.
    For one thread at a time.
    """

    def __init__(self, url: str, version: str = "", bucket: Bucket | None = None) -> None:
        super().__init__()
        name, self._key = bucket_and_key(url)
        self.name = url
        self._bucket = bucket or Bucket(name)
        headers = self._bucket.head(self._key)
        if headers is None:
            raise Missing(f"{url}: is not there")
        self.size = int(headers["content-length"])
        self.version = headers.get("etag", "")
        if version not in ("", self.version):
            raise self._replaced()
        self._place = 0
        self._pieces: OrderedDict[int, _Piece] = OrderedDict()
        self._failure: Exception | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere; behind the end there is nothing to read."""
        place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence] + offset
        if place < 0:
            raise OSError(22, f"{self.name}: there is no byte {place}")
        self._place = place
        return place

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, or all that are left; fewer at the end alone."""
        wanted = self.size if size is None or size < 0 else size
        end = min(self.size, self._place + wanted)
        parts = []
        while self._place < end:
            piece = self._piece(self._place)
            parts.append(bytes(piece.data[self._place - piece.start : end - piece.start]))
            self._place += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]  # any buffer, in typeshed
        """Fill memory as far as there are bytes."""
        with memoryview(target).cast("B") as view:
            data = self.read(len(view))
            view[: len(data)] = data
        return len(data)

    def _piece(self, place: int) -> _Piece:
        """The piece with this byte."""
        before = None
        for start, piece in self._pieces.items():
            if piece.start <= place < piece.end:
                self._pieces.move_to_end(start)
                return piece
            if piece.end == place:
                before = piece
        size = _SMALLEST if before is None else min(_LARGEST, 2 * len(before.data))
        piece = self._read(place, min(self.size, place + size))
        self._pieces[place] = piece
        while sum(len(kept.data) for kept in self._pieces.values()) > _KEPT:
            self._pieces.popitem(last=False)
        return piece

    def _read(self, start: int, end: int) -> _Piece:
        if self._failure is not None:
            raise self._failure
        data = memoryview(bytearray(end - start))
        headers = {"if-match": self.version} if self.version else {}

        def part(begin: int) -> None:
            stop = min(begin + _PART, end)
            into, gone = data[begin - start : stop - start], (http.client.PRECONDITION_FAILED,)
            answer = self._bucket.ask(
                "GET", self._key, headers=headers | part_range(begin, stop), into=into, allow=gone
            )
            if answer.status in gone:
                raise self._replaced()
            if answer.headers.get("content-range", "").partition("/")[0] != f"bytes {begin}-{stop - 1}":
                raise TransferFailed(f"{self.name}: S3 sent another part of it than was asked for")

        try:
            if end - start <= _PART:
                part(start)
            else:
                side_by_side(part, range(start, end, _PART))
        except Exception as error:
            self._failure = error
            raise
        return _Piece(start, data.toreadonly())

    def _replaced(self) -> Replaced:
        return Replaced(f"{self.name}: was replaced by another object while it was read")
