"""A film read by many tasks is the one that a single task reads: the same frames, times, scenes and chunks."""

from __future__ import annotations

import hashlib
import importlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import msgspec
import numpy as np
import pytest

import mu
from pipelines.encode import shared
from pipelines.encode.job import Report, encode_file
from pipelines.encode.joined import encoding_job, remote_limits
from pipelines.encode.plan import Settings
from pipelines.encode.read import INDEX, REPORT, SOURCE, ChunkRead, Film, Joining, Sharing, reading
from pipelines.encode.worker import _read
from pipelines.errors import InputError, PipelineError, TruncatedInput
from pipelines.media.pieces import Piece, Unclean, key_frames, pictures
from pipelines.media.read import Reader
from pipelines.media.source import Entry, Footage, Place
from tests.pipelines import clips
from tests.pipelines.test_cuts import scene

ALWAYS = Sharing(least_bytes=0, look_bytes=1)
SETTINGS = Settings(chunk_frames=6, chain=3)
_INTRA = 1


class Alone:
    """A `mu.Context` in which tasks run one after the other."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.added: list[mu.Task] = []

    def fetch(self, name: str) -> memoryview:
        return memoryview(self.objects[name])

    def store(self, name: str, payload: bytes | memoryview) -> None:
        self.objects[name] = bytes(payload)

    def buffer(self, size: int) -> memoryview:
        return memoryview(bytearray(size))

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        raise AssertionError("nothing is sent while a film is read")

    def receive(self, sender: str, name: str) -> memoryview:
        raise AssertionError("nothing is received while a film is read")

    def add(self, tasks: Sequence[mu.Task]) -> None:
        self.added += tasks

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        pass


class Read:
    """What came of a film that was read."""

    def __init__(self, path: Path, sharing: Sharing | None, settings: Settings = SETTINGS) -> None:
        context = Alone()
        film = Film(str(path), settings, joining=Joining(), sharing=sharing)
        context.add([reading(film)])
        self.programs: Counter[str] = Counter()
        self.joined = film
        while context.added:
            task = context.added.pop(0)
            module, _, name = task.program.partition(":")
            self.programs[name] += 1
            if name == "join_film":
                self.joined = msgspec.msgpack.decode(task.argument, type=Film)
            elif name != "encode_chunk":
                kind = {"look_at": shared.Look, "cut_film": shared.Seen}.get(name, Film)
                getattr(importlib.import_module(module), name)(
                    context, msgspec.msgpack.decode(task.argument, type=kind)
                )
        index = msgspec.msgpack.decode(context.objects[INDEX], type=list[ChunkRead])
        self.source = context.objects[SOURCE]
        self.raw = [hashlib.sha256(_read(context, read.chunk)).hexdigest() for read in index]
        self.places = [read.chunk.place for read in index]
        without = [msgspec.structs.replace(read.chunk, place=None) for read in index]
        self.index = [msgspec.structs.replace(read, chunk=chunk) for read, chunk in zip(index, without, strict=True)]

    @property
    def how(self) -> str:
        """How it was read."""
        if not self.programs["look_at"]:
            return "one task"
        return "fallback" if self.joined.remark else "shared"


def compared(path: Path, sharing: Sharing = ALWAYS, settings: Settings = SETTINGS) -> Read:
    """The film, read in both ways to the same end."""
    whole, many = Read(path, None, settings), Read(path, sharing, settings)
    assert many.index == whole.index
    assert many.raw == whole.raw
    assert many.source == whole.source
    assert all((place is None) == (many.how != "shared") for place in many.places)
    return many


GOP = "keyint=12:min-keyint=4:bframes=3:b-adapt=0:scenecut=0"
CLOSED = {"bf": "3", "x264-params": GOP}
OPEN = {"bf": "3", "x264-params": f"open-gop=1:{GOP}"}
HEVC = {"x265-params": "keyint=12:min-keyint=4:open-gop=1:bframes=3:scenecut=0:log-level=none"}
MPEG = {"bf": "2", "g": "12"}
VPX = {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}
UNEVEN = [n * 40 + n % 7 * 3 + (500 if n > 30 else 0) for n in range(60)]

FILMS: list[tuple[str, str, dict[str, Any]]] = [
    ("closed.mp4", "shared", {"options": CLOSED}),
    ("open.mp4", "shared", {"options": OPEN}),
    ("open.mov", "shared", {"options": OPEN}),
    ("open.mkv", "shared", {"options": OPEN}),
    ("hevc.mp4", "shared", {"codec": "libx265", "options": HEVC}),
    ("hevc.mkv", "shared", {"codec": "libx265", "options": HEVC}),
    ("av1.mp4", "shared", {"codec": "libsvtav1", "options": {"g": "12", "preset": "12"}}),
    ("vp8.webm", "shared", {"codec": "libvpx", "options": VPX}),
    ("vp9.webm", "shared", {"codec": "libvpx-vp9", "options": VPX}),
    ("mpeg4.avi", "shared", {"codec": "mpeg4", "options": MPEG}),
    ("mpeg4.mp4", "shared", {"codec": "mpeg4", "options": MPEG}),
    ("mpeg2.mkv", "shared", {"codec": "mpeg2video", "options": MPEG}),
    ("intra.avi", "shared", {"codec": "mjpeg", "fmt": "yuvj420p"}),
    ("turned.mp4", "shared", {"options": OPEN, "rotation": (90, False, False), "size": (96, 80)}),
    ("ten-bit.mp4", "shared", {"options": OPEN, "fmt": "yuv420p10le"}),
    ("full-range.mp4", "shared", {"options": CLOSED, "fmt": "yuvj420p", "full_range": True}),
    ("rgb.mkv", "shared", {"codec": "ffv1", "fmt": "bgr0"}),
    ("odd.mkv", "shared", {"codec": "ffv1", "size": (97, 65)}),
    ("uneven.mp4", "shared", {"options": CLOSED, "times": UNEVEN, "time_base": Fraction(1, 1000)}),
    ("uneven.mkv", "shared", {"options": OPEN, "times": UNEVEN, "time_base": Fraction(1, 1000)}),
    ("before-0.mp4", "shared", {"options": OPEN, "times": [n - 5 for n in range(60)]}),
    ("sound.mp4", "shared", {"options": OPEN, "sound": [("aac", 44100, "stereo")]}),
    ("refreshed.mp4", "fallback", {"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}}),
    ("refreshed.mkv", "fallback", {"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}}),
    ("one-key-frame.mp4", "shared", {"options": {"x264-params": "keyint=1000:scenecut=0"}}),
    ("fragments.mp4", "shared", {"options": OPEN, "container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("open.ts", "shared", {"options": OPEN}),
    ("mpeg2.ts", "shared", {"codec": "mpeg2video", "options": MPEG}),
    ("mpeg2.mpg", "one task", {"codec": "mpeg2video", "options": MPEG}),
    ("vp8.ivf", "one task", {"codec": "libvpx", "options": {"g": "12"}}),
    ("raw.y4m", "one task", {"codec": "wrapped_avframe"}),
]


@pytest.mark.parametrize(("name", "how", "settings"), FILMS, ids=[name for name, _, _ in FILMS])
def test_both_ways_give_the_same_film(name: str, how: str, settings: dict[str, Any], tmp_path: Path) -> None:
    read = compared(clips.make(tmp_path / name, **{"frames": 60, **settings}))
    assert read.how == how
    assert len(read.raw) >= 10
    if how == "shared":
        entries = {place.entry for place in read.places if place}
        assert read.programs["look_at"] >= len(entries) >= (1 if name.startswith("one-key-frame") else 4)


@pytest.mark.parametrize("name", ["faces_dev.mp4", "natural_flower_960x540.mp4", "vp8_flower_960x540.webm"])
def test_real_clips(name: str, shared: Path) -> None:
    sharing = Sharing(least_bytes=0, look_bytes=20 << 20)
    assert compared(shared / "media" / name, sharing, Settings()).how == "shared"


@pytest.mark.parametrize("first_frame", ["lead", "reencode"])
def test_scenes_and_lead_frames_are_the_same(first_frame: Any, tmp_path: Path) -> None:
    path = tmp_path / "cuts.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options=CLOSED)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(90):
            luma = scene((number >= 25) + (number >= 48), number)  # the second cut is on a key frame
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    read = compared(path, settings=Settings(chunk_frames=9, chain=4, first_frame=first_frame))
    assert read.how == "shared"
    assert {25, 48} <= {one.chunk.first for one in read.index if one.chunk.position == 0}
    without = compared(path, settings=Settings(chunk_frames=9, chain=4, first_frame=first_frame, scene_cuts=False))
    assert 25 not in {one.chunk.first for one in without.index}


def packets_of(path: Path) -> list[tuple[int, int, bool]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(packet.pos or 0, packet.size, packet.is_keyframe) for packet in container.demux(stream) if packet.size]


def test_a_damaged_film_is_read_by_one_task(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=60, options=CLOSED)
    data = bytearray(path.read_bytes())
    place, size, _ = packets_of(path)[26]
    data[place + 5 : place + size] = bytes(b ^ 0x5A for b in data[place + 5 : place + size])
    path.write_bytes(data)
    read = compared(path)
    assert read.how == "fallback"
    assert read.joined.remark.startswith(f"{path}: one worker read all of it, since ")


def outcome(path: Path, sharing: Sharing | None) -> Any:
    """What a reading comes to; None if that is an error."""
    try:
        read = Read(path, sharing)
    except InputError:
        return None
    return read.index, read.raw, read.source


def damaged(path: Path, seed: int) -> Path:
    """A copy of a film in which some bytes are others, or missing."""
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(data))
        many = chance.choice([1, 1, 4, 100, 188])
        if chance.random() < 0.2:
            del data[place : place + many]
        else:
            data[place : place + many] = chance.randbytes(len(data[place : place + many]))
    other = path.with_name(f"damaged{seed}{path.suffix}")
    other.write_bytes(data)
    return other


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
def test_damaged_films_come_to_the_same_in_both_ways(ending: str, tmp_path: Path) -> None:
    codec: dict[str, Any] = {"codec": "mpeg4", "options": MPEG} if ending == "avi" else {"options": OPEN}
    path = clips.make(tmp_path / f"a.{ending}", frames=60, **codec)
    for seed in range(8):
        other = damaged(path, seed)
        assert outcome(other, None) == outcome(other, ALWAYS), other


def test_a_damaged_key_frame_too(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=60, options=CLOSED)
    data = bytearray(path.read_bytes())
    place, size, _ = [packet for packet in packets_of(path) if packet[2]][2]
    data[place + size // 2 : place + size] = bytes(size - size // 2)
    path.write_bytes(data)
    assert compared(path).how == "fallback"


def marked_as_key_frames(path: Path, every: int) -> Path:
    """The same film, in which frames are said to be key frames that are none."""
    wrong = path.with_name(f"wrong{path.suffix}")
    with av.open(str(path)) as source, av.open(str(wrong), "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is not None:
                packet.is_keyframe = number % every == 0
                packet.stream = track
                target.mux(packet)
    return wrong


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_key_frames_that_are_none_are_noticed(ending: str, tmp_path: Path) -> None:
    options = {"x264-params": "keyint=1000:scenecut=0:bframes=0"}
    path = clips.make(tmp_path / f"a.{ending}", frames=60, options=options)
    assert compared(marked_as_key_frames(path, 7)).how == "fallback"


@pytest.mark.parametrize("later", [2, 6])
def test_frames_that_look_past_a_key_frame_are_noticed(later: int, tmp_path: Path) -> None:
    """Intra frames that are no barrier: what comes `later` is predicted from what was before them, too."""
    path = tmp_path / "a.mp4"
    chance = np.random.default_rng(1)
    small = [chance.integers(0, 256, (8, 12, 3), np.uint8) for _ in range(6)]
    scenes = [picture.repeat(16, 0).repeat(16, 1) for picture in small]
    options = {"x265-params": "keyint=1000:scenecut=0:bframes=0:ref=8:log-level=none"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for number in range(60):
            picture = scenes[number // 10].copy()
            if number >= 10 and number % 10 >= later:
                picture[:32] = scenes[number // 10 - 1][:32]  # a quarter of it is as it was before the cut
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = _INTRA if number % 10 == 0 else 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        intra = [number for number, frame in enumerate(container.decode(video=0)) if frame.pict_type == _INTRA]
    assert intra == list(range(0, 60, 10))
    assert compared(marked_as_key_frames(path, 10)).how == "fallback"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_film_that_was_cut_off_is_told(name: str, tmp_path: Path) -> None:
    moov_first = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = clips.make(tmp_path / name, frames=60, options=CLOSED, container_options=moov_first)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188 + 100])
    for sharing in (None, ALWAYS):
        with pytest.raises(TruncatedInput, match="cut off"):
            Read(path, sharing)


def test_short_films_and_far_key_frames_are_left_to_one_task(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=60, options=CLOSED)
    assert Read(path, Sharing()).how == "one task"
    assert Read(path, Sharing(least_bytes=0, look_bytes=1, longest_run=11)).how == "one task"
    assert Read(path, Sharing(least_bytes=0, look_bytes=1, longest_run=12)).how == "shared"
    assert Read(path, Sharing(least_bytes=0, look_bytes=24 * 384 * 24)).programs["look_at"] == 3


def test_a_film_of_many_key_frames_is_not_cut_at_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_MOST_ENTRIES", 3)
    path = clips.make(tmp_path / "a.avi", codec="mjpeg", fmt="yuvj420p", frames=60)
    assert len({place.entry for place in compared(path).places if place}) == 3


def test_a_job_of_many_readers_makes_the_same_file(tmp_path: Path) -> None:
    quick = Settings(chunk_frames=6, chain=3, cq=40, speed=5)
    path = clips.make(tmp_path / "in.mp4", frames=60, options=OPEN, sound=[("aac", 44100, "stereo")])
    expected = encode_file(str(path), str(tmp_path / "plain.webm"), quick, workers=2)
    limits = msgspec.structs.replace(remote_limits(3), straggler=None)
    result = mu.run(encoding_job(str(path), quick, Joining(), limits, ALWAYS), workers=2)
    assert any(name.startswith("look/") or name == INDEX for name in result.objects)
    assert not any(name.startswith("raw/") for name in result.objects)
    assert bytes(result.objects[Joining().result]) == (tmp_path / "plain.webm").read_bytes()
    report = msgspec.msgpack.decode(result.objects[REPORT], type=Report)
    assert report == msgspec.structs.replace(expected, wall_s=0.0, cpu_s={})


def test_the_report_says_that_one_worker_read_the_film(tmp_path: Path) -> None:
    quick = Settings(chunk_frames=6, chain=3, cq=40, speed=5)
    options = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
    path = clips.make(tmp_path / "in.mp4", frames=30, options=options)
    expected = encode_file(str(path), str(tmp_path / "plain.webm"), quick, workers=2)
    limits = msgspec.structs.replace(remote_limits(3), straggler=None)
    result = mu.run(encoding_job(str(path), quick, Joining(), limits, ALWAYS), workers=2)
    assert bytes(result.objects[Joining().result]) == (tmp_path / "plain.webm").read_bytes()
    report = msgspec.msgpack.decode(result.objects[REPORT], type=Report)
    assert report.warnings[0].startswith(f"{path}: one worker read all of it, since it cannot be decoded from its key")
    assert report == msgspec.structs.replace(expected, wall_s=0.0, cpu_s={}, warnings=report.warnings)


def footage_of(path: Path) -> Footage:
    with Reader(str(path)) as reader:
        return Footage(str(path), "", *reader.stored, reader.orientation)


def test_a_chunk_whose_frames_are_others_by_now_is_told(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=60, options=CLOSED)
    footage, keys = footage_of(path), key_frames(str(path))
    with Piece(footage) as film:
        times = [picture.pts for picture in film.pictures(keys[2])]
    assert len(list(pictures(Place(footage, keys[2], times[3], times[8]), 6))) == 6
    broken: list[Callable[[], Place]] = [
        lambda: Place(footage, keys[2], times[3], times[7]),
        lambda: Place(footage, keys[2], times[3] + 1, times[8]),
        lambda: Place(footage, keys[2], times[3], times[8] + 1),
        lambda: Place(footage, Entry(keys[2].time + 1), times[3], times[8]),
        lambda: Place(msgspec.structs.replace(footage, width=98), keys[2], times[3], times[8]),
    ]
    for place in broken:
        with pytest.raises(InputError, match="when it was looked at"):
            list(pictures(place(), 6))


def test_a_piece_goes_on_to_the_end_of_the_film(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=60, options=OPEN)
    with Reader(str(path)) as reader:
        whole = [(picture.pts, clips.number_in(picture.planes[0])) for picture in reader]
    keys = key_frames(str(path))
    for entry in (keys[3], None, keys[1], keys[4]):
        with Piece(footage_of(path)) as film:
            found = [(picture.pts, clips.number_in(picture.planes[0])) for picture in film.pictures(entry)]
        assert found == whole[-len(found) :]
        assert (len(found) == 60) == (entry is None)


def test_ffmpeg_is_heard_and_then_silent_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=60, options=CLOSED)
    data = bytearray(path.read_bytes())
    place, size, _ = packets_of(path)[26]
    data[place + 5 : place + size] = bytes(size - 5)
    path.write_bytes(data)
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    with Piece(footage_of(path)) as film, pytest.raises(Unclean, match="FFmpeg says that it is damaged"):
        list(film.pictures(None))
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before
    assert capfd.readouterr().err == ""
    assert issubclass(InputError, PipelineError)
    assert not issubclass(Unclean, PipelineError)
