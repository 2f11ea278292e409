"""Objects and messages in memory that has no name (memfd): handed on as open files, nothing is copied.

When the last process that holds such a file is gone, however it went, so is the memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os

__all__ = ["SMALL", "Buffers", "memory_file", "memory_of", "read_only"]

SMALL = 1 << 15
"""Bytes: what is smaller is quicker copied than handed on."""

_POPULATE: int = getattr(mmap, "MAP_POPULATE", 0)
"""For mmap: all pages at once, which is quicker than one by one."""


def memory_file(size: int = 0) -> int:
    """A file in memory, or else on the disk, that has no name. Returns its descriptor."""
    try:
        file = os.memfd_create("fastslow")
    except (AttributeError, OSError):
        import tempfile

        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    if size:
        os.truncate(file, size)
    return file


def memory_of(payload: bytes | memoryview) -> int:
    """A file in memory that holds a payload. Returns its descriptor."""
    file = memory_file()
    view = memoryview(payload).cast("B")
    while len(view):
        view = view[os.write(file, view) :]
    return file


def read_only(file: int, size: int, start: int = 0) -> memoryview:
    """A part of such a file. It outlives the descriptor."""
    if not size:
        return memoryview(b"")
    view = memoryview(mmap.mmap(file, start + size, mmap.MAP_SHARED | _POPULATE, mmap.PROT_READ))
    return view[start:] if start else view


class Buffers:
    """Memory to fill and to hand on, which serves again when nobody reads any more what was in it.

    Memory that is given back and asked for anew is cleared page by page; that would cost more than filling it.
    """

    def __init__(self) -> None:
        self._maps: dict[int, tuple[mmap.mmap, int]] = {}
        """What is being filled, by the identity of its map: the map and its file."""
        self._rooms: dict[int, int] = {}
        """How large each file is."""
        self._lent: dict[str, int] = {}
        """Files by the objects that are in them."""
        self._spare: list[int] = []

    def take(self, size: int) -> memoryview:
        """Memory of this size, with anything in it."""
        file = next((file for file in self._spare if self._rooms[file] >= size), None)
        if file is None:
            file = memory_file(size)
            self._rooms[file] = size
        else:
            self._spare.remove(file)
        memory = mmap.mmap(file, size, mmap.MAP_SHARED | _POPULATE)
        self._maps[id(memory)] = memory, file
        return memoryview(memory)

    def lend(self, name: str, payload: memoryview) -> int | None:
        """The file of a payload that was written into such memory from its start; from now on it holds this object."""
        found = self._maps.get(id(payload.obj))
        if found is None or not payload.contiguous or _address(payload) != _address(memoryview(found[0])):
            return None
        del self._maps[id(payload.obj)]
        self._lent[name] = found[1]
        return found[1]

    def free(self, name: str) -> None:
        """Nobody reads this object any more."""
        if (file := self._lent.pop(name, None)) is not None:
            self._spare.append(file)

    def close(self) -> None:
        """Let go of all of it. Whoever was lent a file keeps it."""
        for file in self._rooms:
            os.close(file)
        self._rooms.clear()


def _address(memory: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
