"""The program that reads the film: decodes it once, from its start to its end, and adds a task for each chunk.

One decoder and no seeking, so that no frame can be lost or doubled where chunks meet, whatever the file's key frames
and timestamps are like. It reads ahead only as far as the job's `ahead` lets it. Where many machines read a film, most
need not be read like that: see `shared`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from mu import Context, Edge, argument
from mu import Task as MuTask
from pipelines.encode.plan import PICTURES, STATE, Chunk, Cutter, Plan, Settings, Stretch, Task
from pipelines.media.read import Picture, Reader
from pipelines.media.source import Source

READ, ENCODE = "pipelines.encode.read:read_film", "pipelines.encode.worker:encode_chunk"
JOIN, BESIDE = "pipelines.encode.joined:join_film", "pipelines.encode.joined:read_beside"
OPEN, LOOK, CUT = (f"pipelines.encode.shared:{program}" for program in ("open_film", "look_at", "cut_film"))
SOURCE = "film/source"
"""The object that says what the file is."""
INDEX = "film/index"
"""The object that lists what was read (a MessagePack of `ChunkRead`s), where a task joins them."""
OTHERS = "film/others"
"""The object with sound and subtitles (see `pipelines.media.carried`), where a task joins them."""
REPORT = "film/report"
"""What that task says of what it made (a MessagePack of `pipelines.encode.job.Report`)."""
_encode = msgspec.msgpack.Encoder().encode


class Joining(msgspec.Struct, frozen=True):
    """What becomes of the chunks where a task joins them."""

    kind: str = "webm"
    """webm, matroska or ivf."""
    sound: bool = True
    subtitles: bool = True

    @property
    def result(self) -> str:
        """The name of the file that is made."""
        return f"film/encoded.{self.kind}"

    def others(self, source: Source) -> bool:
        """Whether anything of the film is joined besides the picture."""
        wanted = (self.sound and source.tracks) or (self.subtitles and source.subtitles)
        return self.kind != "ivf" and bool(wanted)


class Sharing(msgspec.Struct, frozen=True):
    """When and how the reading of a film is shared among tasks."""

    least_bytes: int = 512 << 20
    """A film of fewer bytes of raw frames is read by one task."""
    look_bytes: int = 256 << 20
    """A task looks at about so many bytes of raw frames."""
    longest_run: int = 2000
    """Frames: if key frames are farther apart, one task reads the film."""


class Film(msgspec.Struct, frozen=True):
    """What is to be read, and what is done with its chunks."""

    path: str
    """Of a file, or `s3://bucket/key`."""
    settings: Settings
    task: Task = Task()
    joining: Joining | None = None
    """How a task joins the chunks, if one does."""
    sharing: Sharing | None = None
    """How its reading is shared among tasks that have no memory in common; None: one task reads it."""
    remark: str = ""
    """What the report is to say of the reading."""


class ChunkRead(msgspec.Struct, frozen=True):
    """A chunk that was read."""

    chunk: Chunk
    times: list[int]
    """When each of its frames (not the lead frame) is shown, in the source's time base."""
    durations: list[int]
    """For how long, 0 where the file does not say."""
    last: bool
    damaged: int
    """Concealed errors in the file so far."""


def reading(film: Film) -> MuTask:
    """The task that reads a film, or begins to."""
    stores = (SOURCE, *of_one_reader(film))
    if film.sharing is not None:
        return MuTask("read", OPEN, argument(film), stores=stores, adds=(LOOK, CUT, ENCODE, JOIN, BESIDE), slot=False)
    adds = (ENCODE, *([JOIN, BESIDE] if film.joining else []))
    return MuTask("read", READ, argument(film), stores=stores, adds=adds, slot=False)


def of_one_reader(film: Film) -> tuple[str, ...]:
    """What a task stores that reads the whole film, besides SOURCE."""
    return ("raw/", INDEX if film.joining else "read/")


def beside(film: Film, source: Source) -> list[MuTask]:
    """The task that reads sound and subtitles, if they are wanted and there are any."""
    if film.joining is None or not film.joining.others(source):
        return []
    return [MuTask("others", BESIDE, argument(film), fetches=(SOURCE,), stores=(OTHERS,))]


def joining(film: Film, joining: Joining, source: Source, chunks: Sequence[Chunk]) -> MuTask:
    """The task that joins the chunks."""
    others = [OTHERS] if joining.others(source) else []
    fetches = (SOURCE, INDEX, *others, *(chunk.result for chunk in chunks))
    return MuTask("join", JOIN, argument(film), fetches=fetches, stores=(joining.result, REPORT))


def encoding(chunk: Chunk) -> MuTask:
    """The task of a chunk."""
    return MuTask(
        chunk.name,
        ENCODE,
        argument(chunk),
        fetches=(*([] if chunk.place else [chunk.source]), *chunk.inputs),
        stores=tuple(chunk.outputs),
        sends=_messages(chunk, chunk.next),
        receives=_messages(chunk, chunk.previous),
    )


def _messages(chunk: Chunk, other: int | None) -> tuple[Edge, ...]:
    return () if other is None else tuple(Edge(chunk.neighbour(other), name) for name in (*PICTURES, STATE))


def read_film(context: Context, film: Film) -> None:
    """Read a film and add a task for each chunk. Raises InputError."""
    with Reader(film.path) as reader:
        context.store(SOURCE, _encode(reader.source))
        if tasks := beside(film, reader.source):
            context.add(tasks)
        read_on(context, film, reader)


def read_on(context: Context, film: Film, reader: Reader) -> None:
    """Read a film that is open, and add a task for each chunk. Raises InputError."""
    index: list[ChunkRead] = []
    chunks = _Chunks(reader, film)
    last = False
    while not last:
        read = chunks.next(context)
        if film.joining:
            index.append(read)
        else:
            context.store(read.chunk.read, _encode(read))
        context.progress("read", len(read.times))
        context.add([encoding(read.chunk)])
        last = read.last
    if film.joining:
        context.store(INDEX, _encode(index))
        context.add([joining(film, film.joining, reader.source, [read.chunk for read in index])])


class _Chunks:
    """Stores the film chunk by chunk; every chunk but a chain's first may begin with the frame before it."""

    def __init__(self, reader: Reader, film: Film) -> None:
        self._reader, self._cutter = reader, Cutter(film.settings)
        self._plan = Plan(reader.source, film.settings, film.task)
        self._pictures = _with_scenes(reader) if film.settings.scene_cuts else ((picture, False) for picture in reader)
        self._window = deque(islice(self._pictures, 1 + self._cutter.ahead))
        self._before = b""

    def next(self, context: Context) -> ChunkRead:
        """Store the next chunk's raw video; what to say of it."""
        size = self._reader.source.frame_size
        times: list[int] = []
        durations: list[int] = []
        stretch: Stretch | None = None
        with context.buffer((1 + self._cutter.most_frames) * size) as target:
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
            chunk = self._plan.chunk(stretch)
            context.store(chunk.source, target[:end])
        return ChunkRead(chunk, times, durations, not self._window, self._reader.damaged)


def _with_scenes(reader: Reader) -> Iterator[tuple[Picture, bool]]:
    from pipelines.encode.cuts import marked  # here, since it brings numpy

    return marked(reader, lambda picture: picture.planes[0])
