"""The process that reads the film: decodes it once, from its start to its end, and hands it on chunk by chunk.

One decoder and no seeking, so that no frame can be lost or doubled where chunks meet, whatever the file's key frames
and timestamps are like. It reads ahead only as far as it is told to.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator

from pipelines.encode.local.channel import POPULATE, Channel, ChunkRead, Open, Opened, ReadMore, memory_file
from pipelines.encode.record import Span
from pipelines.media.read import Picture, Reader


def read_film(channel: Channel) -> None:
    """Do what the runner asks until the film is over. Raises InputError."""
    request, _ = channel.receive_as_child()
    assert isinstance(request, Open)
    with Reader(request.path) as reader:
        channel.send(Opened(reader.source))
        chunks = _Chunks(reader, request.chunk_frames, request.chain)
        last = False
        while not last:
            more, _ = channel.receive_as_child()
            assert isinstance(more, ReadMore)
            file, message = chunks.next(more.done)
            channel.send(message, [file])
            last = message.last


class _Chunks:
    """Cuts the film: every chunk but a chain's first begins with the frame before it."""

    def __init__(self, reader: Reader, chunk_frames: int, chain: int) -> None:
        self._reader, self._frames, self._chain = reader, chunk_frames, chain
        self._pictures: Iterator[Picture] = iter(reader)
        self._due = next(self._pictures)  # read ahead by one, to know which chunk is the last
        self._before = b""
        self._index = 0
        self._files: dict[int, int] = {}
        self._spare: list[int] = []
        self._spent = time.process_time()

    def next(self, done: list[int]) -> tuple[int, ChunkRead]:
        """The next chunk: a file, which stays this object's, and what to say of it. `done`: chunks no longer needed."""
        began = time.monotonic()
        self._spare += [self._files.pop(index) for index in done]
        size = self._reader.source.frame_size
        room = (1 + self._frames) * size
        file = self._files[self._index] = self._spare.pop() if self._spare else memory_file(room)
        lead = self._index % self._chain > 0
        times: list[int] = []
        durations: list[int] = []
        last = False
        with mmap.mmap(file, room, mmap.MAP_SHARED | POPULATE) as memory, memoryview(memory) as target:
            if lead:
                target[:size] = self._before
            while len(times) < self._frames and not last:
                start = (lead + len(times)) * size
                with target[start : start + size] as place:
                    self._due.write_raster(place)
                times.append(self._due.pts)
                durations.append(self._due.duration)
                following = next(self._pictures, None)
                last = following is None
                self._due = following or self._due
            end = (lead + len(times)) * size
            self._before = bytes(target[end - size : end])
        self._index += 1
        before, self._spent = self._spent, time.process_time()
        span = Span("read", began, time.monotonic())
        return file, ChunkRead(times, durations, last, self._reader.damaged, self._spent - before, span)
