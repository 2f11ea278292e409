"""The process that reads the film: decodes it once, from its start to its end, and hands it on chunk by chunk.

One decoder and no seeking, so that no frame can be lost or doubled where chunks meet, whatever the file's key frames
and timestamps are like. It reads ahead only as far as it is told to.
"""

from __future__ import annotations

import mmap
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from pipelines.encode.local.channel import POPULATE, Channel, ChunkRead, Open, Opened, ReadMore, memory_file
from pipelines.encode.plan import Cutter, Settings, Stretch
from pipelines.encode.record import Span
from pipelines.media.read import Picture, Reader


def read_film(channel: Channel) -> None:
    """Do what the runner asks until the film is over. Raises InputError."""
    request, _ = channel.receive_as_child()
    assert isinstance(request, Open)
    with Reader(request.path) as reader:
        channel.send(Opened(reader.source))
        chunks = _Chunks(reader, request.settings)
        last = False
        while not last:
            more, _ = channel.receive_as_child()
            assert isinstance(more, ReadMore)
            file, message = chunks.next(more.done)
            channel.send(message, [file])
            last = message.last


class _Chunks:
    """Writes the film chunk by chunk; every chunk but a chain's first begins with the frame before it."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader, self._cutter = reader, Cutter(settings)
        self._pictures = _with_scenes(reader) if settings.scene_cuts else ((picture, False) for picture in reader)
        self._window = deque(islice(self._pictures, 1 + self._cutter.ahead))
        self._before = b""
        self._files: dict[int, int] = {}
        self._spare: list[int] = []
        self._spent = time.process_time()

    def next(self, done: list[int]) -> tuple[int, ChunkRead]:
        """The next chunk: a file, which stays this object's, and what to say of it. `done`: chunks no longer needed."""
        began = time.monotonic()
        self._spare += [self._files.pop(index) for index in done]
        size = self._reader.source.frame_size
        room = (1 + self._cutter.most_frames) * size
        file = self._spare.pop() if self._spare else memory_file(room)
        times: list[int] = []
        durations: list[int] = []
        stretch: Stretch | None = None
        with mmap.mmap(file, room, mmap.MAP_SHARED | POPULATE) as memory, memoryview(memory) as target:
            end = 0
            if self._cutter.lead:
                target[:size] = self._before
                end = size
            while stretch is None:
                picture, _ = self._window.popleft()
                with target[end : end + size] as place:
                    picture.write_raster(place)
                end += size
                times.append(picture.pts)
                durations.append(picture.duration)
                self._window.extend(islice(self._pictures, 1))
                stretch = self._cutter.take([begins for _, begins in self._window])
            self._before = bytes(target[end - size : end])
        self._files[stretch.index] = file
        before, self._spent = self._spent, time.process_time()
        last = not self._window
        span = Span("read", began, time.monotonic())
        return file, ChunkRead(stretch, times, durations, last, self._reader.damaged, self._spent - before, span)


def _with_scenes(reader: Reader) -> Iterator[tuple[Picture, bool]]:
    from pipelines.encode.cuts import marked  # here, since it brings numpy

    return marked(reader, lambda picture: picture.planes[0])
