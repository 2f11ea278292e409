"""One copy of a message: its bytes in memory, on the disk, or both, while they come and after that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from mu.digest import digest
from mu.errors import ProtocolError
from mu.job import Key
from mu.server.disk import Disk, File, Place, tag_of
from mu.server.memory import CHUNK, Memory

__all__ = ["Message", "Reader"]


class Reader(Protocol):
    """Somebody who takes a message as it comes."""

    def more(self) -> None:
        """Bytes came, or the message is whole."""

    def cut_off(self) -> None:
        """What is not there comes no more."""


class Message:
    """The bytes that one run sends.

    A small message is one chunk that came whole; a large one has chunks of CHUNK bytes, filled one after the other.
    It holds them until it is let go of and nobody reads it any more.
    """

    __slots__ = (
        "_disk", "_file", "_going", "_memory", "_moving", "chunks", "digest", "gone", "have", "key", "place",
        "readers", "run", "safe", "size", "stored", "when_safe", "when_written", "written",
    )  # fmt: skip

    def __init__(self, memory: Memory, disk: Disk, key: Key, run: int, size: int) -> None:
        self.key, self.run, self.size = key, run, size
        self.have = 0
        self.digest: bytes | None = None
        """Of the whole message, once that is there."""
        self.chunks: list[memoryview | bytes | None] = []
        """None: on the disk only."""
        self.place: Place | None = None
        """Where it is on the disk, as far as it is."""
        self.written = 0
        """Bytes that are there."""
        self.safe = False
        """Whether all of it is there, and stays there."""
        self.gone = False
        """Whether it is not wanted, or nothing more of it comes."""
        self.stored = False
        """Whether its bytes lie in the job's store, and none are here."""
        self.readers: list[Reader] = []
        self.when_safe: Callable[[], None] | None = None
        self.when_written: Callable[[], None] | None = None
        self._memory, self._disk = memory, disk
        self._file: File | None = None
        self._going = 0
        """Bytes that are on the disk or on their way there."""
        self._moving: set[int] = set()
        """Chunks whose memory is free when they are written."""

    @classmethod
    def restored(cls, memory: Memory, disk: Disk, key: Key, digest: bytes, size: int, place: Place) -> Message:
        """A message that an earlier coordinator kept on the disk."""
        self = cls(memory, disk, key, 0, size)
        self.chunks = [None] * max(1, -(-size // CHUNK))
        self.have = self.written = self._going = size
        self.digest, self.place, self.safe = digest, place, True
        return self

    # Small messages

    def fill(self, payload: bytes, said: bytes) -> None:
        """All of a small message. Raises ProtocolError if the digest is another."""
        if digest(payload) != said:
            raise ProtocolError(f"{self.key.name} has not the digest that was said of it")
        self.chunks = [payload]
        self.have = len(payload)
        self.digest = said
        self._memory.take(len(payload))

    # Large messages

    def room(self) -> memoryview:
        """Where the next bytes go; not more than belong into this chunk."""
        number, used = divmod(self.have, CHUNK)
        if number == len(self.chunks):
            self.chunks.append(self._memory.chunk())
        chunk = self.chunks[number]
        assert isinstance(chunk, memoryview)
        return chunk[used:]

    def filled(self, size: int) -> bool:
        """So many bytes were put there; returns whether readers may have more."""
        self.have += size
        return not self.have % CHUNK or self.have == self.size

    def end(self, said: bytes) -> None:
        """The sender says that this was all. Raises ProtocolError if it was not.

        Its digest is for the receiver to check: doing so here would cost more than half of what relaying costs.
        """
        if self.have != self.size:
            raise ProtocolError(f"{self.key.name} ended after {self.have} of {self.size} bytes")
        self.digest = said

    def part(self, number: int) -> memoryview | None:
        """A chunk's bytes; None if they must be read from the disk. Raises IndexError if they are not there yet."""
        chunk = self.chunks[number]
        return None if chunk is None else memoryview(chunk)[: self.length(number)]

    def length(self, number: int) -> int:
        """How many bytes a chunk has."""
        return min(CHUNK, self.size - number * CHUNK) if self.size > CHUNK else self.size

    @property
    def ready(self) -> int:
        """How many bytes readers may have: full chunks."""
        return self.have if self.have == self.size else self.have - self.have % CHUNK

    async def read(self, number: int) -> bytes:
        """A chunk's bytes from the disk. Raises OSError and EOFError."""
        assert self.place is not None
        return await self._disk.read(self.place, number * CHUNK, self.length(number))

    # The disk

    def save(self, number: int) -> None:
        """Write a chunk, and all before it that are not on their way yet."""
        if self.size <= CHUNK and self.digest is not None:
            if self.place is None:
                self.place = self._disk.append(tag_of(self.key), self.chunks[0] or b"", partial(self._is_written, 0))
                self._going = self.size
            return
        if self._file is None:
            self._file = self._disk.file(tag_of(self.key))
            self.place = Place(self._file, 0)
        while self._going < min((number + 1) * CHUNK, self.have):
            at = self._going // CHUNK
            part = self.part(at)
            assert part is not None
            self._disk.write(self._file, self._going, part, None if self.gone else partial(self._is_written, at))
            self._going += len(part)
            if self._going == self.size:
                self._disk.finish(self._file, self._is_safe)

    def move(self, number: int) -> None:
        """Have a chunk on the disk only, because memory is short."""
        if self.gone or self.chunks[number] is None:
            return
        if self.written >= number * CHUNK + self.length(number):
            self._free(number)
            return
        self._moving.add(number)
        self._memory.going += self.length(number)
        self.save(number)

    @property
    def behind(self) -> int:
        """Bytes that wait to be written."""
        return self._going - self.written

    def _is_written(self, number: int) -> None:
        self.written = number * CHUNK + self.length(number)
        if number in self._moving:
            self._moving.discard(number)
            self._memory.going -= self.length(number)
            self._free(number)
        if self._file is None:
            self._is_safe()
        elif self.when_written is not None:
            self.when_written()

    def _is_safe(self) -> None:
        self.safe = True
        if self.when_safe is not None:
            self.when_safe()

    def _free(self, number: int) -> None:
        chunk = self.chunks[number] if number < len(self.chunks) else None
        if chunk is None:
            return
        self.chunks[number] = None
        self._memory.gone(self, number)
        if isinstance(chunk, memoryview):
            self._memory.give_back(chunk)
        else:
            self._memory.release(len(chunk))

    # The end

    def let_go(self) -> None:
        """It is not wanted any more; who reads it may read what is there."""
        self.gone = True
        if self.digest is None:
            for reader in list(self.readers):
                reader.cut_off()
        self.release()

    def release(self) -> None:
        """Give its memory and its file back if nobody needs them."""
        if self.gone and not self.readers:
            for number in range(len(self.chunks)):
                self._free(number)
            if self.place is not None:
                self._disk.forget(self.place.file)
                self.place = None
