"""Results that wait for those before them in the film: in memory up to a bound, beyond it in a file without a name.

While one chunk takes long, those of other chains go on and are done: nothing holds them back, for the processors have
nothing better to do. What they made is small beside the film, but a film may be long.
"""

from __future__ import annotations

import tempfile
from io import FileIO
from types import TracebackType
from typing import Self

from pipelines.errors import OutputError

__all__ = ["Held"]

BOUND = 64 << 20
"""Bytes in memory."""


class Held:
    """Objects by name, each of which is put in and taken out once. Raises OutputError if the disk takes no more."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._here: dict[str, bytes] = {}
        self._there: dict[str, tuple[int, int]] = {}
        """Where each is in the file: its place and its size."""
        self._file: FileIO | None = None
        self.memory = 0
        """Bytes that are held in memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._here or name in self._there

    def put(self, name: str, payload: memoryview) -> None:
        """Hold an object; a copy of it."""
        size = len(payload)
        if self.memory + size <= self._bound:
            self._here[name] = bytes(payload)
            self.memory += size
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="fastslow-", buffering=0)  # noqa: SIM115  closed at the end
            if not self._there:
                self._file.truncate(0)
            at = self._file.seek(0, 2)
            while len(payload):
                payload = payload[self._file.write(payload) :]
        except OSError as error:
            told = f"{tempfile.gettempdir()} has no room for chunks that wait for one before them: {error.strerror}"
            raise OutputError(f"{told}; TMPDIR names another folder") from error
        self._there[name] = at, size

    def take(self, name: str) -> bytes:
        """Give an object back, and hold it no longer. Raises KeyError."""
        if name in self._here:
            payload = self._here.pop(name)
            self.memory -= len(payload)
            return payload
        at, size = self._there.pop(name)
        assert self._file is not None
        self._file.seek(at)
        filled = bytearray(size)
        with memoryview(filled) as left:
            done = 0
            while done < size:
                done += self._file.readinto(left[done:])
        return bytes(filled)
