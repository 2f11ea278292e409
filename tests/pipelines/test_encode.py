"""Whole films through plan, processes and join: no frame lost, equal pixels in every decoder, nothing left behind."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codec
from codec.ivf import read_ivf
from mu import Task
from pipelines import libvpx, quality
from pipelines.encode.job import Report, encode_file, measured
from pipelines.encode.plan import Chunk, Cutter, Plan, Settings
from pipelines.encode.worker import RawVideo, encode_chunk
from pipelines.errors import InputError, OutputError, PipelineError, SettingsError, TruncatedInput
from pipelines.media.packets import open_vp8
from pipelines.media.read import Reader
from pipelines.media.source import Colour, Source
from pipelines.stream import images
from tests.pipelines import clips

QUICK = Settings(chunk_frames=6, chain=3, cq=40, speed=5)


def encode(source: Path, target: Path, settings: Settings = QUICK, **more: Any) -> Report:
    return encode_file(str(source), str(target), settings, **{"workers": 2, **more})


def ours(path: Path) -> list[tuple[np.ndarray, ...]]:
    with open_vp8(str(path)) as stream:
        return [(image.y, image.u, image.v) for image in images(stream.frames)]


def same(a: list[tuple[np.ndarray, ...]], b: list[tuple[np.ndarray, ...]]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("ending", [".webm", ".mkv", ".ivf"])
def test_what_is_written_is_the_same_film_in_every_decoder(ending: str, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=40, size=(98, 66), options={"bf": "2"})
    target = tmp_path / f"out{ending}"
    report = encode(source, target)
    film = ours(target)
    assert [clips.number_in(planes[0]) for planes in film] == list(range(40))
    assert same(film, clips.decoded(target, "vp8"))
    assert same(film, clips.decoded(target, "libvpx"))
    read = clips.packets(target)
    assert [packet[0] for packet in read] == [Fraction(n, 25) for n in range(40)]
    assert [n for n, packet in enumerate(read) if packet[2]] == [0, 18, 36], "one key frame a chain"
    assert (report.frames, report.width, report.height, report.fps) == (40, 98, 66, 25.0)
    assert (report.chunks, report.chains, report.key_frames) == (7, 3, 3)
    assert report.bytes == target.stat().st_size
    assert report.kbps == pytest.approx(sum(len(packet[3]) for packet in read) * 8 / 1.6 / 1000, abs=0.001)
    assert set(report.cpu_s) == {"read", "encode", "decode", "rebase", "join"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mp4", target.name])
    assert report.warnings == []


def test_quality_is_near_that_of_libvpx_in_one_piece(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", codec="ffv1", frames=36, size=(192, 128))
    report = measured(
        encode(source, tmp_path / "out.webm", Settings(12, 3, 30, 4)), str(source), str(tmp_path / "out.webm")
    )
    with Reader(str(source)) as reader:
        raw = [b"".join(plane.tobytes() for plane in picture.planes) for picture in reader]
    alone = libvpx.encode(raw, libvpx.Settings(192, 128, Fraction(25), 30, 4))
    kbps = sum(len(packet.data) for packet in alone) * 8 / (36 / 25) / 1000
    decoded = images(packet.data for packet in alone)
    clip = quality.Comparison()
    for data, image in zip(raw, decoded, strict=True):
        original = codec.Image.from_bytes(192, 128, data)
        clip.add((original.y, original.u, original.v), (image.y, image.u, image.v))
    assert report.psnr_y is not None
    assert report.ssim_y is not None
    assert report.psnr_y == pytest.approx(clip.psnr_y, abs=1.5)
    assert report.kbps == pytest.approx(kbps, rel=0.35)
    assert 0.8 < report.ssim_y < 1


@pytest.mark.parametrize(
    ("frames", "settings", "chunks", "keys"),
    [
        (1, QUICK, 1, [0]),
        (5, QUICK, 1, [0]),
        (6, QUICK, 1, [0]),
        (7, QUICK, 2, [0]),
        (19, QUICK, 4, [0, 18]),
        (9, Settings(1, 4, 40, 5), 9, [0, 4, 8]),
        (9, Settings(3, 1, 40, 5), 3, [0, 3, 6]),
        (9, Settings(100, 16, 40, 5), 1, [0]),
    ],
)
def test_films_of_every_length(frames: int, settings: Settings, chunks: int, keys: list[int], tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.y4m", codec="wrapped_avframe", frames=frames, size=(64, 48))
    report = encode(source, tmp_path / "out.ivf", settings)
    assert (report.frames, report.chunks, report.key_frames) == (frames, chunks, len(keys))
    assert [n for n, packet in enumerate(clips.packets(tmp_path / "out.ivf")) if packet[2]] == keys
    film = ours(tmp_path / "out.ivf")
    assert [clips.number_in(planes[0]) for planes in film] == list(range(frames))
    assert same(film, clips.decoded(tmp_path / "out.ivf", "libvpx"))


@pytest.mark.parametrize("size", [(1, 1), (2, 16), (17, 15), (33, 49), (16, 130)])
def test_odd_and_tiny_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    raw = tmp_path / "in.y4m"
    chroma = ((size[0] + 1) // 2) * ((size[1] + 1) // 2)
    random = np.random.default_rng(3)
    with raw.open("wb") as file:
        file.write(f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 C420jpeg\n".encode())
        for _ in range(9):
            file.write(b"FRAME\n" + random.integers(16, 236, size[0] * size[1] + 2 * chroma, np.uint8).tobytes())
    encode(raw, tmp_path / "out.webm", Settings(3, 3, 20, 5))
    film = ours(tmp_path / "out.webm")
    assert len(film) == 9
    assert film[0][0].shape == size[::-1]
    assert same(film, clips.decoded(tmp_path / "out.webm", "libvpx"))
    assert same(film, clips.decoded(tmp_path / "out.webm", "vp8"))


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=30, sound=[("aac", 44100, "stereo")])
    files = []
    for workers in (1, 2, 5):
        target = tmp_path / f"{workers}.webm"
        encode(source, target, workers=workers)
        files.append(target.read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_both_ways_without_key_frames(frames: int, tmp_path: Path) -> None:
    """Chunks of 1, 2 and 7 frames, with a lead frame or the first one encoded anew: right in every decoder."""
    source = clips.make(tmp_path / "in.mp4", frames=15)
    sizes = []
    for way in ("lead", "reencode"):
        target = tmp_path / f"{way}.webm"
        report = encode(source, target, Settings(frames, 16, 30, 5, first_frame=way))
        film = ours(target)
        assert [clips.number_in(planes[0]) for planes in film] == list(range(15))
        assert same(film, clips.decoded(target, "libvpx"))
        assert same(film, clips.decoded(target, "vp8"))
        assert report.key_frames == 1
        sizes.append(report.bytes)
    assert sizes[0] != sizes[1]


def test_sound_stays_with_the_picture(tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mp4",
        frames=50,
        sound=[("aac", 44100, "stereo"), ("libopus", 48000, "mono")],
        options={"bf": "2"},
    )
    for name in ("out.webm", "out.mkv"):
        report = encode(source, tmp_path / name)
        assert report.frames == 50
        for track in (0, 1):
            assert clips.heard(tmp_path / name, track) == pytest.approx(clips.heard(source, track), abs=0.002)
        assert clips.packets(tmp_path / name)[0][0] == 0
    silent = encode(source, tmp_path / "silent.webm", sound=False)
    assert silent.bytes < report.bytes
    assert encode(source, tmp_path / "out.ivf").warnings == [
        "IVF holds no sound: it was left out; .webm and .mkv keep it"
    ]


def test_sound_and_picture_lie_side_by_side(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=100, sound=[("aac", 44100, "stereo")])
    encode(source, tmp_path / "out.webm")
    import av

    latest = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "out.webm")) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                latest[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(latest["video"] - latest["audio"]) < 0.3


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 1, 2, 10, 11, 40, 41, 43, 90, 500, 501, 520, 600]
    source = clips.make(tmp_path / "in.mp4", frames=len(times), times=times, time_base=Fraction(1, 100))
    for name in ("out.webm", "out.ivf"):
        encode(source, tmp_path / name)
        assert [packet[0] for packet in clips.packets(tmp_path / name)] == [Fraction(t, 100) for t in times]
    durations = [packet[1] for packet in clips.packets(tmp_path / "out.webm")][:-1]
    assert durations == [Fraction(b - a, 100) for a, b in pairwise(times)]


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.ts", frames=10, sound=[("aac", 48000, "stereo")])
    encode(source, tmp_path / "out.webm")
    first = clips.packets(source)[0][0]
    assert first > 0
    assert abs(clips.packets(tmp_path / "out.webm")[0][0] - first) <= Fraction(1, 1000)
    assert clips.heard(tmp_path / "out.webm") == pytest.approx(clips.heard(source), abs=0.002)


def test_pixels_that_are_not_square_and_a_turned_picture(tmp_path: Path) -> None:
    import av

    source = clips.make(
        tmp_path / "in.mp4", frames=4, size=(96, 64), aspect=Fraction(4, 3), rotation=(90, False, False)
    )
    report = encode(source, tmp_path / "out.webm")
    assert (report.width, report.height) == (64, 96)
    with av.open(str(tmp_path / "out.webm")) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(3, 4)
        assert next(container.decode(stream)).rotation == 0


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("in.mp4", b"", InputError, "empty"),
        ("in.mp4", b"words " * 100, InputError, "not a video"),
        ("none.mp4", None, InputError, "No such file"),
        ("cut.mkv", "cut", TruncatedInput, "cut off"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    name: str, content: bytes | str | None, error: type[PipelineError], says: str, tmp_path: Path
) -> None:
    source = tmp_path / name
    if content == "cut":
        clips.make(source, frames=60)
        source.write_bytes(source.read_bytes()[:-300])
    elif isinstance(content, bytes):
        source.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=says) as raised:
        encode(source, tmp_path / "out.webm")
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_is_not_overwritten_unasked(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=3)
    target = tmp_path / "out.webm"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        encode(source, target)
    assert target.read_bytes() == b"precious"
    encode(source, target, overwrite=True)
    assert len(ours(target)) == 3
    with pytest.raises(OutputError, match="is the input"):
        encode(target, target, overwrite=True)
    folder = tmp_path / "folder.webm"
    folder.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        encode(source, folder, overwrite=True)
    with pytest.raises(OutputError, match="No such file"):
        encode(source, tmp_path / "nowhere" / "out.webm")
    with pytest.raises(SettingsError, match=r"\.webm, \.mkv, \.ivf"):
        encode(source, tmp_path / "out.mp4")


@pytest.mark.parametrize("named", [False, True])
def test_an_output_that_appears_meanwhile_is_not_overwritten(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        monkeypatch.setattr("pipelines.encode.join._names_files_later", lambda folder: False)
    source = clips.make(tmp_path / "in.mp4", frames=3)
    target = tmp_path / "out.webm"
    with pytest.raises(OutputError, match="--overwrite"):
        encode(source, target, watch=lambda progress: target.write_bytes(b"precious"))
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.webm"]
    encode(source, target, overwrite=True)
    assert len(ours(target)) == 3
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask
    encode(source, tmp_path / "other.webm")
    assert (tmp_path / "other.webm").stat().st_mode == target.stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "other.webm", "out.webm"]


def test_progress_counts_every_stage_to_the_end(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=20)
    seen = []
    encode(source, tmp_path / "out.webm", watch=lambda progress: seen.append(dict(progress.done)))
    assert seen[-1] == pytest.approx(dict.fromkeys(("read", "encode", "decode", "rebase", "join"), 20.0))
    assert len(seen) > 4


def resident(root: int) -> int:
    """Bytes that a process and its descendants hold; shared pages count for each."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


class Peak:
    """The most memory that this process and its children hold within a context."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, resident(os.getpid()))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    peaks = []
    for frames in (40, 40, 240):  # the first is for what this process itself loads
        source = clips.make(tmp_path / f"{frames}.mp4", frames=frames, size=(320, 192), options={"preset": "ultrafast"})
        with Peak() as peak:
            encode(source, tmp_path / "out.webm", Settings(8, 4, 60, 5), overwrite=True, workers=1)
        peaks.append(peak.bytes)
    # 200 frames more are 18 MB more of raw video.
    assert peaks[2] < peaks[1] + 8e6


def chunk(**changes: Any) -> Chunk:
    source = Source("in", 64, 48, (1, 1), (1, 25), (25, 1), True, 100, Colour())
    return msgspec.structs.replace(next(Plan(source, QUICK).chunks(100)), **changes)


class World:
    """A context without processes: names and bytes."""

    def __init__(self, raw: bytes, messages: dict[tuple[str, str], bytes]) -> None:
        self.raw, self.messages = raw, messages
        self.stored: dict[str, bytes] = {}

    def fetch(self, name: str) -> memoryview:
        assert name.startswith("raw/")
        return memoryview(self.raw)

    def store(self, name: str, payload: bytes | memoryview) -> None:
        self.stored[name] = bytes(payload)

    def buffer(self, size: int) -> memoryview:
        raise NotImplementedError

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        self.messages[receiver, name] = bytes(payload)

    def receive(self, sender: str, name: str) -> memoryview:
        (key,) = (key for key in self.messages if key[1] == name)
        return memoryview(self.messages.pop(key))

    def add(self, tasks: Sequence[Task]) -> None:
        raise NotImplementedError

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        pass


def test_the_program_needs_nothing_but_a_context(tmp_path: Path) -> None:
    """Two chunks run by hand join into one stream, and a second run gives the same bytes."""
    with Reader(str(clips.make(tmp_path / "in.mp4", frames=12, size=(64, 48)))) as reader:
        raw = [codec.Image.from_planes(*picture.planes).raster for picture in reader]
        plan = Plan(reader.source, QUICK)
    results = []
    for _ in range(2):
        messages: dict[tuple[str, str], bytes] = {}
        stream: list[bytes] = []
        for part in plan.chunks(12):
            world = World(b"".join(raw[part.first - part.lead : part.first + part.frames]), messages)
            encode_chunk(world, part)
            _, frames = read_ivf(io.BytesIO(world.stored[part.result]))
            times, data = zip(*frames, strict=True)
            assert list(times) == list(range(part.first, part.first + part.frames))
            stream += data
        assert not messages
        results.append(stream)
    assert results[0] == results[1]
    assert [clips.number_in(image.y) for image in images(iter(results[0]))] == list(range(12))


@given(
    frames=st.integers(1, 500),
    chunk_frames=st.integers(1, 40),
    chain=st.integers(1, 20),
    scenes=st.sets(st.integers(1, 499)),
    first_frame=st.sampled_from(("lead", "reencode")),
)
def test_a_plan_covers_the_film_once(
    frames: int, chunk_frames: int, chain: int, scenes: set[int], first_frame: Literal["lead", "reencode"]
) -> None:
    source = Source("in", 64, 48, (1, 1), (1, 25), (25, 1), True, 0, Colour())
    settings = Settings(chunk_frames, chain, first_frame=first_frame)
    plan = Plan(source, settings)
    chunks = list(plan.chunks(frames, scenes))
    assert [n for c in chunks for n in range(c.first, c.first + c.frames)] == list(range(frames))
    assert [c.index for c in chunks] == list(range(len(chunks)))
    heads = [c.first for c in chunks if c.position == 0]
    assert scenes & set(range(frames)) <= set(heads)
    ends = {*scenes, frames}
    cutter = Cutter(settings)
    for c, following in pairwise([*chunks, None]):
        assert c.frames <= cutter.most_frames
        assert c.frames >= chunk_frames or c.first + c.frames in ends
        assert c.frames >= cutter.ahead or c.first in {0, *scenes}
        assert (c.next is None) == (following is None or following.position == 0)
        assert c.next is not None or c.position == chain - 1 or c.first + c.frames in ends
    for c in chunks:
        assert (c.previous is not None) == (c.position > 0)
        assert c.lead == (c.previous is not None and first_frame == "lead")
        if c.next is not None:
            assert chunks[c.next].previous == c.index
        if c.previous is not None:
            assert chunks[c.previous].next == c.index
            assert chunks[c.previous].chain == c.chain
    assert len({c.chain for c in chunks}) == len(heads)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(chunks[-1]), type=Chunk) == chunks[-1]


@pytest.mark.parametrize(
    "wrong", [{"chunk_frames": 0}, {"chain": 0}, {"cq": 64}, {"cq": -1}, {"speed": 6}, {"first_frame": "x"}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_raw_video_is_a_sequence_of_frames() -> None:
    video = RawVideo(memoryview(b"a" * 384 + b"b" * 384 + b"c" * 384), 5, 3)
    assert len(video) == 3
    assert bytes(video[1]) == b"b" * 384
    assert [bytes(frame)[:1] for frame in video] == [b"a", b"b", b"c"]
    assert video.image(2) == codec.Image(5, 3, b"c" * 384)
    assert len(video[1:]) == 2
    with pytest.raises(IndexError):
        video[3]


@pytest.mark.parametrize("name", ["small_flower_352x288_45f.y4m", "small_dashcam_320x176_60f.y4m"])
def test_real_clips(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "media" / name
    report = encode(source, tmp_path / "out.webm", Settings(12, 16, 28, 3))
    film = ours(tmp_path / "out.webm")
    assert len(film) == report.frames == int(name.split("_")[-1].split("f")[0])
    assert report.key_frames == 1
    assert same(film, clips.decoded(tmp_path / "out.webm", "libvpx"))
    assert same(film, clips.decoded(tmp_path / "out.webm", "vp8"))
    assert (measured(report, str(source), str(tmp_path / "out.webm")).psnr_y or 0) > 33


def test_the_clock_of_the_report(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=12)
    before = time.monotonic()
    report = encode(source, tmp_path / "out.webm")
    assert 0 < report.wall_s <= time.monotonic() - before + 0.01
    assert all(seconds >= 0 for seconds in report.cpu_s.values())
    assert report.cpu_s["encode"] > 0
