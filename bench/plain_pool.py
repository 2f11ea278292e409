"""`fastslow encode` without mu: the same programs on `concurrent.futures`, as one would write it in an afternoon.

A process reads, a pool takes the chunks in the order of the film; raw video and states are files in memory, and who
waits for a state looks for its file. Nothing that goes wrong is dealt with.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import BinaryIO

import msgspec

from mu import Task
from pipelines.encode.join import Joiner
from pipelines.encode.plan import Chunk, Settings
from pipelines.encode.read import SOURCE, ChunkRead, Film, read_film
from pipelines.encode.sink import Piece
from pipelines.encode.worker import encode_chunk
from pipelines.media.others import Others
from pipelines.media.source import Source

__all__ = ["encode"]

_POLL_S = 0.002
_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class World:
    """A context of files; results go where `kept` says."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.kept: dict[str, bytes] = {}

    def fetch(self, name: str) -> memoryview:
        """A file."""
        return memoryview(self._path(name).read_bytes())

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """Raw video is for another process."""
        if name.startswith("raw/"):
            self._write(name, payload)
        else:
            self.kept[name] = bytes(payload)

    def buffer(self, size: int) -> memoryview:
        """Memory."""
        return memoryview(bytearray(size))

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        """A file."""
        self._write(f"{receiver}.{name}", payload)

    def receive(self, sender: str, name: str) -> memoryview:
        """Wait for the file; there is one sender."""
        path = self._path(f"{self.name}.{name}")
        while not path.exists():
            time.sleep(_POLL_S)
        payload = path.read_bytes()
        path.unlink()
        return memoryview(payload)

    def add(self, tasks: Sequence[Task]) -> None:
        """Nothing is added here."""
        raise NotImplementedError

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        """Nobody watches."""

    name = ""

    def _path(self, name: str) -> Path:
        return Path(self.folder, name.replace("/", "-"))

    def _write(self, name: str, payload: bytes | memoryview) -> None:
        part = self._path(name + ".part")
        part.write_bytes(payload)
        part.rename(self._path(name))


class ReadersWorld(World):
    """That of the process that reads."""

    def __init__(self, folder: str, queue: SimpleQueue[tuple[str, bytes]], room: Semaphore) -> None:
        super().__init__(folder)
        self._queue, self._room = queue, room

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """All but raw video goes to the process that joins."""
        super().store(name, payload)
        for kept in self.kept.items():
            self._queue.put(kept)
        self.kept.clear()

    def add(self, tasks: Sequence[Task]) -> None:
        """Wait until there is room."""
        self._room.acquire()


def _read(film: Film, folder: str, queue: SimpleQueue[tuple[str, bytes]], room: Semaphore) -> None:
    read_film(ReadersWorld(folder, queue, room), film)


def _encode(chunk: Chunk, folder: str) -> dict[str, bytes]:
    world = World(folder)
    world.name = chunk.name
    encode_chunk(world, chunk)
    world._path(chunk.source).unlink()
    return world.kept


def encode(source: str, file: BinaryIO, settings: Settings, workers: int) -> None:
    """Encode a film into an IVF."""
    joiner = Joiner(file, "ivf", lambda _: Others(None, None))
    unfinished = workers + (workers + 1) // 2
    context = multiprocessing.get_context("fork")
    queue: SimpleQueue[tuple[str, bytes]] = context.SimpleQueue()
    room = context.Semaphore(unfinished)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, ProcessPoolExecutor(unfinished, context) as pool:
        reader = context.Process(target=_read, args=(Film(source, settings), folder, queue, room))
        reader.start()
        begun: deque[tuple[ChunkRead, Future[dict[str, bytes]]]] = deque()
        last = False
        while not last or begun:
            if not last:
                name, payload = queue.get()
                if name == SOURCE:
                    joiner.begin(msgspec.msgpack.decode(payload, type=Source))
                    continue
                read = msgspec.msgpack.decode(payload, type=ChunkRead)
                future = pool.submit(_encode, read.chunk, folder)
                future.add_done_callback(lambda _: room.release())
                begun.append((read, future))
                last = read.last
            while begun and (last or begun[0][1].done()):
                read, future = begun.popleft()
                joiner.append(Piece(read.chunk, future.result(), read.times, read.durations))
        reader.join()
    joiner.finish()
