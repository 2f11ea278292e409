"""Messages on the disk: a thread writes, the loop goes on.

A large message has a file of its own, `<tag>-<process>-<number>.message`, where the tag is a digest of its key. Small
ones follow each other in segments, `<process>-<number>.segment`, each as a head (size, CRC-32, tag) and its bytes; a
segment goes when the last of its messages does. Of a job that must survive its coordinator everything is written as it
comes, and synced before it counts as kept.
"""

from __future__ import annotations

import asyncio
import os
import queue
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from mu.digest import digest
from mu.job import Key

__all__ = ["Disk", "Place", "tag_of"]

_RECORD = struct.Struct(">II16s")
_SEGMENT_BYTES = 1 << 26
_OPEN = 200
"""Most files that are kept open."""
Buffer = bytes | bytearray | memoryview


def tag_of(key: Key) -> bytes:
    """What a message is called on the disk."""
    return digest(msgspec.msgpack.encode(key))


@dataclass(eq=False, slots=True)
class File:
    """A file of the folder, of one message or many."""

    path: Path
    size: int = 0
    live: int = 0
    """How many messages in it are still wanted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where bytes of a message are."""

    file: File
    offset: int


@dataclass(slots=True)
class _Work:
    """For the thread: write (or only sync and close, or remove), then call."""

    file: File
    offset: int
    parts: tuple[Buffer, ...]
    done: Callable[[], None] | None
    close: bool = False
    remove: bool = False


class Disk:
    """Writes into and reads from a folder that is this process's alone.

    `failed` is called, in the loop, when the disk refuses something; nothing is written after that.
    """

    def __init__(
        self, folder: Path, loop: asyncio.AbstractEventLoop, failed: Callable[[OSError], None], *, sync: bool
    ) -> None:
        self.folder = folder
        self._loop, self._failed, self._sync = loop, failed, sync
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._segment: File | None = None
        self._count = 0
        self._thread: threading.Thread | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, tag: bytes) -> File:
        """A file for a large message."""
        self._count += 1
        return File(self.folder / f"{tag.hex()}-{os.getpid()}-{self._count}.message", live=1)

    def write(self, file: File, offset: int, data: Buffer, done: Callable[[], None] | None = None) -> None:
        """Write a part of a large message. `data` must not change before `done` is called."""
        self._do(_Work(file, offset, (data,), done))

    def finish(self, file: File, done: Callable[[], None]) -> None:
        """All of a large message is written: call when that is safe."""
        self._do(_Work(file, 0, (), done, close=True))

    def append(self, tag: bytes, payload: Buffer, done: Callable[[], None]) -> Place:
        """Write a small message."""
        segment = self._segment
        if segment is None or segment.size > _SEGMENT_BYTES:
            self._count += 1
            self._segment = File(self.folder / f"{os.getpid()}-{self._count}.segment")
            if segment is not None:
                self._reclaim(segment)
            segment = self._segment
        place = Place(segment, segment.size + _RECORD.size)
        self._do(_Work(segment, segment.size, (_RECORD.pack(len(payload), crc32(payload), tag), payload), done))
        segment.size += _RECORD.size + len(payload)
        segment.live += 1
        return place

    def forget(self, file: File) -> None:
        """A message in this file is not wanted any more."""
        file.live -= 1
        self._reclaim(file)

    def _reclaim(self, file: File) -> None:
        if not file.live and (file is not self._segment):
            self._do(_Work(file, 0, (), None, remove=True))

    async def read(self, place: Place, offset: int, size: int) -> bytes:
        """Bytes of a message. Raises OSError; EOFError where the file is too short."""
        return await self._loop.run_in_executor(None, _read, place.file.path, place.offset + offset, size)

    def close(self) -> None:
        """Wait until all is written."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def restore(self, wanted: Mapping[bytes, int]) -> dict[bytes, Place]:
        """Look for messages by their tags and sizes; what is not wanted is removed. Raises OSError."""
        found: dict[bytes, Place] = {}
        for path in sorted(self.folder.glob("*.message")):
            tag = bytes.fromhex(path.name.partition("-")[0])
            if tag in wanted and tag not in found and path.stat().st_size == wanted[tag]:
                found[tag] = Place(File(path, live=1), 0)
            else:
                path.unlink()
        for path in sorted(self.folder.glob("*.segment")):
            segment = File(path)
            for tag, offset, size in _records(path):
                if wanted.get(tag) == size and tag not in found:
                    found[tag] = Place(segment, offset)
                    segment.live += 1
            if not segment.live:
                path.unlink()
        return found

    def _do(self, work: _Work) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="messages to disk", daemon=True)
            self._thread.start()
        self._work.put(work)

    def _run(self) -> None:
        """The thread: takes all that waits, writes it, syncs once, and says so."""
        descriptors: dict[Path, int] = {}
        going = True
        while going:
            batch = [self._work.get()]
            while not self._work.empty():
                batch.append(self._work.get())
            going = None not in batch
            works = [work for work in batch if work is not None]
            try:
                self._write(works, descriptors)
            except OSError as error:
                self._say(lambda error=error: self._failed(error))  # type: ignore[misc]
                break
            calls = [work.done for work in works if work.done is not None]
            if calls:
                self._say(lambda calls=calls: [call() for call in calls])  # type: ignore[misc]
        for descriptor in descriptors.values():
            os.close(descriptor)

    def _write(self, works: list[_Work], descriptors: dict[Path, int]) -> None:
        touched = set()
        for work in works:
            path = work.file.path
            if work.remove:
                if path in descriptors:
                    os.close(descriptors.pop(path))
                touched.discard(path)
                path.unlink(missing_ok=True)
                continue
            if path not in descriptors:
                descriptors[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            offset = work.offset
            for part in work.parts:
                offset = _write_whole(descriptors[path], part, offset)
            if work.close or path.suffix == ".segment":
                touched.add(path)
        if self._sync and touched:
            for path in touched:
                os.fdatasync(descriptors[path])
            _sync_folder(self.folder)
        closing = [work.file.path for work in works if work.close] if len(descriptors) < _OPEN else list(descriptors)
        for path in closing:
            if path in descriptors:
                os.close(descriptors.pop(path))

    def _say(self, call: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _write_whole(descriptor: int, data: Buffer, offset: int) -> int:
    view = memoryview(data)
    while len(view):
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]
    return offset


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) < size:
        raise EOFError(f"{path} ends at {offset + len(data)}")
    return data


def _records(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Tags, offsets and sizes of a segment's messages, up to the first that is not whole."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            size, crc, tag = _RECORD.unpack(head)
            offset = file.tell()
            if offset + size > end or crc32(file.read(size)) != crc:
                return
            yield tag, offset, size
