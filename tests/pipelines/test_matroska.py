"""What the muxer writes, as FFmpeg reads it: times, durations, key frames, shapes of pixels, colour, sound's delay."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.media.matroska import VIDEO, Block, Writer
from pipelines.media.matroska_head import Sound, Video, display_size
from pipelines.media.source import Colour, Label
from tests.pipelines import clips

OPUS_HEAD = b"OpusHead\1\2" + struct.pack("<HIHB", 312, 48000, 0, 0)


def stream(tmp_path: Path, frames: int = 30, size: tuple[int, int] = (96, 64)) -> list[bytes]:
    path = clips.make(tmp_path / "a.ivf", codec="libvpx", frames=frames, size=size, options={"g": "10"})
    return [packet[3] for packet in clips.packets(path)]


def is_key(data: bytes) -> bool:
    return not data[0] & 1


def write(path: Path, blocks: list[Block], video: Video, sounds: tuple[Sound, ...] = (), kind: str = "webm") -> Path:
    with path.open("wb") as file:
        writer = Writer(file, kind, video, list(sounds))
        for block in blocks:
            writer.write(block)
        writer.finish()
    return path


@pytest.mark.parametrize("kind", ["webm", "matroska"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(120), Fraction(1, 3)])
def test_a_constant_rate(rate: Fraction, kind: str, tmp_path: Path) -> None:
    frames = stream(tmp_path)
    blocks = [Block(VIDEO, n / rate, data, is_key(data), 1 / rate) for n, data in enumerate(frames)]
    path = write(tmp_path / "b.webm", blocks, Video(96, 64, constant_rate=rate), kind=kind)
    read = clips.packets(path)
    assert [packet[3] for packet in read] == frames
    assert [packet[2] for packet in read] == [is_key(data) for data in frames]
    for number, (time, duration, _, _) in enumerate(read):
        assert abs(time - number / rate) <= Fraction(1, 2000)
        assert abs(duration - 1 / rate) <= Fraction(1, 1000)
    with av.open(str(path)) as container:
        assert container.format.name == "matroska,webm"
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(float(rate), rel=1e-4)
        assert (container.duration or 0) / av.time_base == pytest.approx(float(30 / rate), abs=0.001)
        assert container.streams.video[0].sample_aspect_ratio == 1


def test_a_variable_rate_keeps_every_duration(tmp_path: Path) -> None:
    frames = stream(tmp_path, 6)
    times = [0, 40, 47, 1000, 9000, 9001, 12345]
    blocks = [
        Block(VIDEO, Fraction(times[n], 1000), data, is_key(data), Fraction(times[n + 1] - times[n], 1000))
        for n, data in enumerate(frames)
    ]
    read = clips.packets(write(tmp_path / "b.mkv", blocks, Video(96, 64), kind="matroska"))
    assert [packet[0] * 1000 for packet in read] == times[:6]
    assert [packet[1] * 1000 for packet in read] == [b - a for a, b in pairwise(times)]
    assert [packet[2] for packet in read] == [is_key(data) for data in frames]


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((720, 576), Fraction(16, 11), (1060, 583)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((96, 64), Fraction(1, 2), (48, 64)),
        ((97, 65), Fraction(10, 11), (88, 65)),
    ],
)
def test_the_shape_of_a_pixel(size: tuple[int, int], aspect: Fraction, shown: tuple[int, int], tmp_path: Path) -> None:
    assert display_size(*size, aspect) == shown
    frames = stream(tmp_path, 2, (96, 64))
    path = write(tmp_path / "b.webm", [Block(VIDEO, Fraction(0), frames[0])], Video(*size, aspect))
    with av.open(str(path)) as container:
        read = container.streams.video[0].sample_aspect_ratio
    assert float(read or 0) == pytest.approx(float(aspect), rel=0.005)


def test_colour_is_told(tmp_path: Path) -> None:
    frames = stream(tmp_path, 2)
    video = Video(96, 64, colour=Colour(matrix=1, transfer=13, primaries=9))
    path = write(tmp_path / "b.webm", [Block(VIDEO, Fraction(0), frames[0])], video)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        told = (context.colorspace, context.color_trc, context.color_primaries, context.color_range)
    assert [int(value) for value in told] == [1, 13, 9, 1]


def test_every_key_frame_can_be_sought(tmp_path: Path) -> None:
    frames = stream(tmp_path, 60)
    blocks = [Block(VIDEO, Fraction(n), data, is_key(data), Fraction(1)) for n, data in enumerate(frames)]
    path = write(tmp_path / "b.webm", blocks, Video(96, 64, constant_rate=Fraction(1)))
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        for second in (0, 9, 10, 25, 59):
            container.seek(second * 1000, stream=video)
            packet = next(container.demux(video))
            assert packet.is_keyframe
            assert packet.pts == second // 10 * 10_000


def elements(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """(identifier, start of the content, end of it) of the elements that lie side by side."""
    found = []
    while start < end:
        length = 9 - data[start].bit_length()
        identifier = int.from_bytes(data[start : start + length], "big")
        start += length
        length = 9 - data[start].bit_length()
        size = int.from_bytes(data[start : start + length], "big") & ((1 << 7 * length) - 1)
        start += length
        found.append((identifier, start, start + size))
        start += size
    assert start == end
    return found


def children(data: bytes, parent: tuple[int, int, int], identifier: int) -> list[tuple[int, int, int]]:
    return [element for element in elements(data, *parent[1:]) if element[0] == identifier]


def value(data: bytes, parent: tuple[int, int, int], identifier: int) -> int:
    (element,) = children(data, parent, identifier)
    return int.from_bytes(data[element[1] : element[2]], "big")


def test_every_place_that_is_told_is_the_right_one(tmp_path: Path) -> None:
    frames = stream(tmp_path, 60)
    blocks = [Block(VIDEO, Fraction(n, 5), data, is_key(data), Fraction(1, 5)) for n, data in enumerate(frames)]
    data = write(tmp_path / "b.webm", blocks, Video(96, 64)).read_bytes()
    header, segment = elements(data, 0, len(data))
    assert (header[0], segment[0]) == (0x1A45DFA3, 0x18538067)
    parts = elements(data, *segment[1:])
    starts = {}
    place = segment[1]
    for part in parts:
        starts[place] = part
        place = part[2]
    (seek_head,) = children(data, segment, 0x114D9B74)
    for seek in children(data, seek_head, 0x4DBB):
        assert starts[segment[1] + value(data, seek, 0x53AC)][0] == value(data, seek, 0x53AB)
    (cues,) = children(data, segment, 0x1C53BB6B)
    points = children(data, cues, 0xBB)
    assert [value(data, point, 0xB3) for point in points] == [n * 2000 for n in range(6)]
    for point in points:
        (position,) = children(data, point, 0xB7)
        cluster = starts[segment[1] + value(data, position, 0xF1)]
        assert cluster[0] == 0x1F43B675
        at = cluster[1] + value(data, position, 0xF0)
        block = elements(data, at, cluster[2])[0]
        assert block[0] in (0xA0, 0xA3)
        assert value(data, cluster, 0xE7) == value(data, point, 0xB3), "a key frame begins a cluster"


def test_a_file_is_the_same_every_time(tmp_path: Path) -> None:
    blocks = [Block(VIDEO, Fraction(n, 25), data, is_key(data)) for n, data in enumerate(stream(tmp_path))]
    one, two = (write(tmp_path / name, blocks, Video(96, 64)).read_bytes() for name in ("b.webm", "c.webm"))
    assert one == two


def test_sound_is_described(tmp_path: Path) -> None:
    sound = Sound("opus", OPUS_HEAD, 48000, 2, Fraction(312, 48000), Label("deu", "Ton", default=True))
    packet = bytes([0xFC, 0xFF, 0xFE])
    blocks = [
        Block(VIDEO, Fraction(0), stream(tmp_path, 2)[0]),
        Block(VIDEO + 1, Fraction(-312, 48000), packet, duration=Fraction(1, 50)),
        Block(VIDEO + 1, Fraction(960 - 312, 48000), packet, duration=Fraction(1, 50), discard=Fraction(1, 100)),
    ]
    path = write(tmp_path / "b.webm", blocks, Video(96, 64), (sound,))
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        assert track.codec_context.codec.canonical_name == "opus"
        assert (track.language, track.metadata["title"]) == ("deu", "Ton")
        assert bytes(track.codec_context.extradata or b"") == OPUS_HEAD
        samples = sum(frame.samples for frame in container.decode(track))
    assert samples == 2 * 960 - 312 - 480
    assert [float(packet[0]) for packet in clips.packets(path, "audio")] == pytest.approx([-0.007, 0.013], abs=0.0011)


@given(
    times=st.lists(st.integers(0, 200_000), min_size=1, max_size=40).map(sorted),
    sizes=st.lists(st.integers(0, 70_000), min_size=40, max_size=40),
    keys=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_any_blocks_come_back(times: list[int], sizes: list[int], keys: list[bool]) -> None:
    file = io.BytesIO()
    writer = Writer(file, "matroska", Video(64, 48), [])
    for time, size, key in zip(times, sizes, keys, strict=False):
        data = (b"\x10" if key else b"\x11") + bytes(size + 9)  # FFmpeg looks for itself whether VP8 is a key frame
        writer.write(Block(VIDEO, Fraction(time, 1000), data, key, Fraction(1, 25)))
    writer.finish()
    file.seek(0)
    with av.open(file) as container:
        read = [(p.pts, p.size, p.is_keyframe) for p in container.demux() if p.size]
    assert read == [(t, size + 10, key) for t, size, key in zip(times, sizes, keys, strict=False)]
