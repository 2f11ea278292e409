"""How much memory messages may take, and the chunks of it, which are used again and again."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Protocol

__all__ = ["CHUNK", "Memory"]

CHUNK = 1 << 18
"""Bytes of a message that are kept, written and sent on together: as many as a piece has."""
ARENA = 1 << 24
"""Bytes that are taken from the system at once, and kept."""


class Movable(Protocol):
    """What has parts that can be moved to the disk."""

    def move(self, number: int) -> None:
        """Do so with this part."""


class Memory:
    """Counts for all jobs of a server what their messages hold.

    Beyond `bound` bytes the oldest are moved to the disk; `full` says that this does not keep up, and that nobody
    should bring more.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.used = 0
        self.going = 0
        """Bytes that are being written to the disk, and free after that."""
        self._slack = max(bound // 4, 8 * CHUNK)
        self._free: list[memoryview] = []
        self._oldest: dict[tuple[Movable, int], None] = {}
        self._starved: dict[Callable[[], None], None] = {}

    @property
    def full(self) -> bool:
        """Whether so much is held that senders have to wait until the disk has taken some."""
        return self.used > self.bound + self._slack and (self.going > 0 or bool(self._oldest))

    def chunk(self) -> memoryview:
        """Memory for a part of a message; what it held before is still in it."""
        self.used += CHUNK
        if not self._free:
            arena = mmap.mmap(-1, ARENA, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            view = memoryview(arena)
            self._free = [view[at : at + CHUNK] for at in range(0, ARENA, CHUNK)][::-1]
        return self._free.pop()

    def give_back(self, chunk: memoryview) -> None:
        """Nobody looks at this chunk any more."""
        self._free.append(chunk)
        self.release(CHUNK)

    def take(self, size: int) -> None:
        """Count memory that is not in chunks."""
        self.used += size

    def release(self, size: int) -> None:
        """Count it no more."""
        self.used -= size
        if self._starved and not self.full:
            starved, self._starved = self._starved, {}
            for call in starved:
                call()

    def when_room(self, call: Callable[[], None]) -> None:
        """Call this once it is not full any more; once, however often that is asked for."""
        self._starved[call] = None

    def movable(self, part: Movable, number: int) -> None:
        """This could be moved to the disk."""
        self._oldest[part, number] = None
        self.check()

    def gone(self, part: Movable, number: int) -> None:
        """It could not any more."""
        self._oldest.pop((part, number), None)

    def check(self) -> None:
        """Move the oldest to the disk until what will be left is within the bound."""
        while self._oldest and self.used - self.going > self.bound:
            part, number = next(iter(self._oldest))
            del self._oldest[part, number]
            part.move(number)
