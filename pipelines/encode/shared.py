"""The reading of a film shared among many tasks, none of which decodes all of it or stores a raw frame.

    read      opens the film, finds its key frames in its index, adds look/NNN and cut
    look/NNN  decodes a stretch of it: stores its times, its thumbnails, and what shows whether it fits to the next one
    cut       fetches all that, finds the scenes, adds chunk/NNN, which decode their own frames, and join

Each stretch is entered at a key frame. Whether the film goes on there as it would if all before had been decoded is
seen twice: whoever decodes the stretch before decodes some frames more, which must be the same, and nothing that FFmpeg
complains of may be in it. If anything is not as it should be, `cut` reads the film itself, from its start to its end,
as `read` does with short films and those without an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from mu import Context, argument
from mu import Task as MuTask
from pipelines.encode.fetched import fetched
from pipelines.encode.plan import Plan
from pipelines.encode.read import (
    CUT,
    ENCODE,
    INDEX,
    JOIN,
    LOOK,
    SOURCE,
    ChunkRead,
    Film,
    Sharing,
    beside,
    encoding,
    joining,
    of_one_reader,
    read_on,
)
from pipelines.errors import TruncatedInput
from pipelines.media.complete import missing_bytes
from pipelines.media.pieces import Piece, Unclean, key_frames
from pipelines.media.read import Picture, Reader
from pipelines.media.source import Entry, Footage, Place, Source

if TYPE_CHECKING:
    from pipelines.encode import cuts

_COMPARED = 4
"""Frames behind a key frame that are decoded from there and from the stretch before."""
_MOST_LOOKS = 4000
_MOST_ENTRIES = 10_000
"""They are in a task's argument."""
_FAR = "its key frames are too far apart"


class Edge(msgspec.Struct, frozen=True, array_like=True):
    """A frame next to a key frame."""

    pts: int
    duration: int
    digest: bytes


class Stretch(msgspec.Struct, frozen=True):
    """What was seen of the frames between two entries."""

    times: list[int]
    durations: list[int]
    thumbnails: list[bytes]
    """Values of 16 bits, row by row; none if nobody looks for scenes."""
    distances: list[float]
    """Of each from the one before; 0 for the first."""
    begins: list[Edge]
    """Its first frames."""
    goes_on: list[Edge]
    """The next stretch's first frames, decoded on from this one."""


class Looked(msgspec.Struct, frozen=True):
    """What a task saw."""

    stretches: list[Stretch]
    shape: tuple[int, int]
    """Rows and columns of a thumbnail."""
    unclean: str = ""
    """Why the film cannot be decoded piece by piece."""


class Look(msgspec.Struct, frozen=True):
    """What a task is to look at."""

    number: int
    footage: Footage
    entries: list[Entry | None]
    """Where its stretches begin; None: at the film's beginning."""
    until: Entry | None
    """Where the stretch after them begins; None: they end with the film."""
    scenes: bool
    """Whether thumbnails are wanted."""
    frames: int = 0
    """About how many the film has."""

    @property
    def result(self) -> str:
        """The name of what it sees (a MessagePack of `Looked`)."""
        return f"look/{self.number:06}"


class Seen(msgspec.Struct, frozen=True):
    """All that is to be put together."""

    film: Film
    footage: Footage
    looks: int
    entries: list[Entry | None]


_encode = msgspec.msgpack.Encoder().encode
_looked = msgspec.msgpack.Decoder(Looked).decode
_source = msgspec.msgpack.Decoder(Source).decode


def open_film(context: Context, film: Film) -> None:
    """Share the reading of a film, or do it if that is not worth it, or not possible. Raises InputError."""
    with Reader(film.path) as reader:
        source = reader.source
        context.store(SOURCE, _encode(source))
        if missing := missing_bytes(film.path, source.version):
            raise TruncatedInput(f"{film.path}: cut off: at least {missing} bytes are missing at its end")
        if tasks := beside(film, source):
            context.add(tasks)
        try:
            groups = _groups(source, film.sharing or Sharing(), film.settings.chunk_frames)
        except Unclean as error:
            film, groups = _by_one(film, str(error)), []
        if not groups:
            read_on(context, film, reader)
            return
        footage = Footage(film.path, source.version, *reader.stored, reader.orientation)
    looks = []
    for number, entries in enumerate(groups):
        until = groups[number + 1][0] if number + 1 < len(groups) else None
        looks.append(Look(number, footage, entries, until, film.settings.scene_cuts, source.frames))
    seen = Seen(film, footage, len(looks), [entry for group in groups for entry in group])
    context.add([*map(_looking, looks), _cutting(seen)])


def _looking(look: Look) -> MuTask:
    return MuTask(look.result, LOOK, argument(look), stores=(look.result,))


def _cutting(seen: Seen) -> MuTask:
    fetches = (SOURCE, *(f"look/{number:06}" for number in range(seen.looks)))
    stores = of_one_reader(seen.film)
    return MuTask("cut", CUT, argument(seen), fetches=fetches, stores=stores, adds=(ENCODE, JOIN), slot=False)


def _groups(source: Source, sharing: Sharing, least: int) -> list[list[Entry | None]]:
    """Where stretches of `least` frames begin, by the tasks that look at them; none if one task is to read it all.

    Raises Unclean for a long film that one task has to read.
    """
    if source.frames * source.frame_size < sharing.least_bytes:
        return []
    keys = key_frames(source.path, source.version)
    frames_a_tick = float(source.fps * source.seconds_a_tick)
    least = max(least, -(-source.frames // _MOST_ENTRIES))
    about = [round((key.time - keys[0].time) * frames_a_tick) for key in keys]
    most = max(sharing.look_bytes // source.frame_size, -(-source.frames // _MOST_LOOKS))
    groups: list[list[Entry | None]] = [[None]]
    group = last = 0
    for key, number in zip(keys, about, strict=True):
        if number - last < least:
            continue
        if number - last > sharing.longest_run:
            raise Unclean(_FAR)
        if number - group >= most:
            groups.append([])
            group = number
        groups[-1].append(key)
        last = number
    if source.frames - last > sharing.longest_run:
        raise Unclean(_FAR)
    return groups


def look_at(context: Context, look: Look) -> None:
    """Decode a stretch of the film and store what is seen of it."""
    stretches: list[Stretch] = []
    unclean, shape = "", (0, 0)
    following = [*look.entries[1:], look.until]
    try:
        watcher = _Watcher(context, look)
        for entry, until in zip(look.entries, following, strict=True):
            with Piece(look.footage) as film:  # a decoder that knows no more than that of a chunk will
                stretches.append(watcher.watch(film, entry, until))
            shape = watcher.shape
    except Unclean as error:
        unclean = str(error)
    context.store(look.result, _encode(Looked([] if unclean else stretches, shape, unclean)))


class _Watcher:
    """Looks at a stretch."""

    def __init__(self, context: Context, look: Look) -> None:
        self._context, self._scenes, self._frames = context, look.scenes, look.frames or None
        self._raster = memoryview(bytearray(look.footage.frame_size))
        self.shape = (0, 0)

    def watch(self, film: Piece, entry: Entry | None, until: Entry | None) -> Stretch:
        """Look at it, and a little beyond. Raises Unclean."""
        from pipelines.encode.cuts import seen  # here, since it brings numpy where nobody looks

        stretch = Stretch([], [], [], [], [], [])
        before = None
        for picture in film.pictures(entry, until):
            if film.edge is not None and picture.pts >= film.edge:
                stretch.goes_on.append(self._edge(picture))
                if len(stretch.goes_on) == _COMPARED:
                    break
                continue
            stretch.times.append(picture.pts)
            stretch.durations.append(picture.duration)
            if len(stretch.begins) < _COMPARED:
                stretch.begins.append(self._edge(picture))
            if self._scenes:
                one = seen(picture.planes[0], before)
                before, self.shape = one.thumbnail, one.thumbnail.shape
                stretch.thumbnails.append(before.astype("<u2").tobytes())
                stretch.distances.append(one.distance)
            self._context.progress("look", 1, self._frames)
        if until is not None and film.edge is None:
            raise Unclean("a key frame of its index is not where it should be")
        return stretch

    def _edge(self, picture: Picture) -> Edge:
        picture.write_raster(self._raster)
        return Edge(picture.pts, picture.duration, hashlib.blake2b(self._raster, digest_size=16).digest())


def cut_film(context: Context, seen: Seen) -> None:
    """Cut the film into chunks by what was seen of it, or read it from its start to its end. Raises InputError."""
    source, film = _source(context.fetch(SOURCE)), seen.film
    together = _Together()
    looked = fetched(context, [f"look/{number:06}" for number in range(seen.looks)])
    try:
        scenes = together.scenes(_looked(payload) for _, payload in looked)
    except Unclean as error:
        with Reader(film.path, seen.footage.version) as reader:
            read_on(context, _by_one(film, str(error)), reader)
        return
    index = list(_chunks(source, seen, together, scenes))
    context.store(INDEX, _encode(index))
    tasks = [encoding(read.chunk) for read in index]
    if film.joining:
        tasks.append(joining(film, film.joining, source, [read.chunk for read in index]))
    context.add(tasks)


def _by_one(film: Film, why: str) -> Film:
    return msgspec.structs.replace(film, remark=f"{film.path}: one worker read all of it, since {why}")


class _Together:
    """What was seen of all stretches, one after the other, and whether they make the film that one reader would see."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.durations: list[int] = []
        self.lengths: list[int] = []
        """How many frames each stretch has."""

    def scenes(self, looked: Iterable[Looked]) -> set[int]:
        """Go through them; the frames with which scenes begin. Raises Unclean if they do not make a film."""
        from pipelines.encode.cuts import beginnings  # here and below, since it brings numpy, which takes its time

        return {number for number, begins in enumerate(beginnings(self._frames(looked))) if begins}

    def _frames(self, looked: Iterable[Looked]) -> Iterator[cuts.Seen]:
        import numpy as np

        from pipelines.encode.cuts import Seen, distance

        before = None
        for stretch, shape in self._stretches(looked):
            for number, (data, apart) in enumerate(zip(stretch.thumbnails, stretch.distances, strict=True)):
                thumbnail = np.frombuffer(data, "<u2").reshape(shape).astype(np.int32)
                if number == 0 and before is not None:
                    apart = distance(before, thumbnail)
                yield Seen(thumbnail, apart)
                before = thumbnail

    def _stretches(self, looked: Iterable[Looked]) -> Iterator[tuple[Stretch, tuple[int, int]]]:
        shape: tuple[int, int] | None = None
        expected: list[Edge] | None = None
        for one in looked:
            if one.unclean:
                raise Unclean(one.unclean)
            if one.shape != (shape := shape or one.shape):
                raise Unclean("the size of its pictures changes")
            for stretch in one.stretches:
                if not stretch.times or (self.times and stretch.times[0] <= self.times[-1]):
                    raise Unclean("its frames come in another order than they are shown")
                if expected is not None:
                    compared = min(len(expected), len(stretch.begins))
                    if not compared or stretch.begins[:compared] != expected[:compared]:
                        raise Unclean("it cannot be decoded from its key frames on as it is from its start on")
                expected = stretch.goes_on
                self.times += stretch.times
                self.durations += stretch.durations
                self.lengths.append(len(stretch.times))
                yield stretch, shape


def _chunks(source: Source, seen: Seen, film: _Together, scenes: set[int]) -> Iterator[ChunkRead]:
    times = film.times
    entry_of = [entry for entry, length in zip(seen.entries, film.lengths, strict=True) for _ in range(length)]
    for chunk in Plan(source, seen.film.settings, seen.film.task).chunks(len(times), scenes):
        start, end = chunk.first - chunk.lead, chunk.first + chunk.frames
        place = Place(seen.footage, entry_of[start], times[start], times[end - 1])
        yield ChunkRead(
            msgspec.structs.replace(chunk, place=place),
            times[chunk.first : end],
            film.durations[chunk.first : end],
            last=end == len(times),
            damaged=0,
        )
