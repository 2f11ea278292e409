"""Sound: copied or made to Opus, whole, at its time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipelines.media.audio import SoundFile, SoundReader
from pipelines.media.carried import carried, carry
from pipelines.media.matroska import Video, Writer
from pipelines.media.matroska_head import Sound
from pipelines.media.others import Steps
from pipelines.media.read import Reader
from tests.pipelines import clips

KINDS = [
    ("a.mp4", "aac", 44100, "stereo"),
    ("a.mkv", "flac", 48000, "mono"),
    ("a.mkv", "pcm_s16le", 22050, "stereo"),
    ("a.mkv", "pcm_s24le", 96000, "stereo"),
    ("a.mkv", "ac3", 48000, "5.1(side)"),
    ("a.mp4", "libmp3lame", 44100, "stereo"),
    ("a.ts", "mp2", 32000, "stereo"),
    ("a.mkv", "aac", 48000, "7.1"),
    ("a.webm", "libopus", 48000, "stereo"),
    ("a.mkv", "libopus", 48000, "5.1"),
    ("a.mkv", "vorbis", 44100, "stereo"),
]


def through(path: Path, target: Path, *, by_bytes: bool = False) -> SoundReader:
    """Write the sound of a file, asked for second by second, into another; straight, or carried there as bytes."""
    with Reader(str(path)) as reader:
        source = reader.source
    steps: Steps[Sound] = SoundFile(str(path), source.tracks)
    if by_bytes:
        data = carry(steps, None)
        steps.close()
        heard, shown = carried(data)
        assert heard is not None
        assert shown is None
        steps = heard
    sound = SoundReader(steps)
    with target.open("wb") as file:
        writer = Writer(file, "matroska", Video(source.width, source.height), sound.sounds)
        shift = max(Fraction(0), -sound.start())
        assert shift < Fraction(1, 1000)
        for second in range(2):
            for block in sound.until(Fraction(second)):
                writer.write(block)
        for block in sound.rest():
            writer.write(block)
        writer.finish()
    sound.close()
    return sound


@pytest.mark.parametrize(("name", "codec", "rate", "layout"), KINDS, ids=[f"{k[1]}-{k[3]}" for k in KINDS])
def test_sound_is_the_same_that_is_carried_as_bytes(
    name: str, codec: str, rate: int, layout: str, tmp_path: Path
) -> None:
    video = {"codec": "libvpx"} if name.endswith("webm") else {}
    path = clips.make(tmp_path / name, frames=75, sound=[(codec, rate, layout)] * 2, **video)
    data = bytearray(path.read_bytes())
    for damaged, place in ((False, 0), (True, len(data) * 3 // 4)):
        if damaged:
            data[place : place + 40] = bytes(40)
            path.write_bytes(data)
        straight, by_bytes = (through(path, tmp_path / f"{way}.mkv", by_bytes=way) for way in (False, True))
        assert (tmp_path / "True.mkv").read_bytes() == (tmp_path / "False.mkv").read_bytes()
        assert by_bytes.damaged == straight.damaged


@pytest.mark.parametrize(("name", "codec", "rate", "layout"), KINDS, ids=[f"{k[1]}-{k[3]}" for k in KINDS])
def test_clicks_stay_where_they_are(name: str, codec: str, rate: int, layout: str, tmp_path: Path) -> None:
    video = {"codec": "libvpx"} if name.endswith("webm") else {}
    path = clips.make(tmp_path / name, frames=75, sound=[(codec, rate, layout)], **video)
    target = tmp_path / "out.mkv"
    sound = through(path, target)
    before, after = clips.heard(path), clips.heard(target)
    assert len(before) == 6
    assert after == pytest.approx(before, abs=0.002)
    assert sound.damaged == 0
    with av.open(str(target)) as container:
        track = container.streams.audio[0]
        copied = codec in ("vorbis", "libopus")
        assert track.codec_context.codec.canonical_name == ("vorbis" if codec == "vorbis" else "opus")
        assert track.codec_context.channels == len(av.AudioLayout(layout).channels)
    if copied:
        assert [p[3] for p in clips.packets(target, "audio")] == [p[3] for p in clips.packets(path, "audio")]


def test_the_length_is_kept_to_the_sample(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=25, sound=[("pcm_s16le", 48000, "mono")], seconds=1.23456)
    through(path, tmp_path / "out.mkv")
    lengths = []
    for file in (path, tmp_path / "out.mkv"):
        with av.open(str(file)) as container:
            lengths.append(sum(frame.samples for frame in container.decode(audio=0)))
    assert lengths[0] == lengths[1] == round(48000 * 1.23456)


def after_blocks(tmp_path: Path, blocks: list[tuple[float, int]]) -> list[float]:
    """What is heard of sound that comes in blocks (start in seconds, samples), each beginning with a click."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track: Any = container.add_stream("pcm_s16le", rate=48000)
        track.layout = "mono"
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts = 0
        container.mux(video.encode(frame))
        for start, samples in blocks:
            wave = np.zeros((1, samples), np.int16)
            wave[:, :240] = 26000
            sound = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, round(start * 48000), Fraction(1, 48000)
            for packet in track.encode(sound):
                container.mux(packet)
        container.mux(video.encode())
    through(path, tmp_path / "out.mkv")
    return clips.heard(tmp_path / "out.mkv")


def test_a_hole_becomes_silence(tmp_path: Path) -> None:
    assert after_blocks(tmp_path, [(0.25, 9600), (0.75, 9600), (2.5, 9600)]) == pytest.approx(
        [0.25, 0.75, 2.5], abs=0.002
    )


def test_an_overlap_is_cut(tmp_path: Path) -> None:
    heard = after_blocks(tmp_path, [(0.25, 48000), (1.0, 24000), (1.5, 24000)])
    assert heard[0] == pytest.approx(0.25, abs=0.002)
    assert heard[-1] == pytest.approx(1.5, abs=0.002)


def test_small_unevenness_is_left_alone(tmp_path: Path) -> None:
    blocks = [(number * 0.2 + (0.01 if number % 2 else 0), 9600) for number in range(10)]
    assert after_blocks(tmp_path, blocks) == pytest.approx([number * 0.2 for number in range(10)], abs=0.002)


def test_all_tracks_are_kept_with_their_names(tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "a.mkv",
        frames=50,
        sound=[("aac", 44100, "stereo"), ("libopus", 48000, "mono"), ("flac", 48000, "mono")],
    )
    sound = through(path, tmp_path / "out.mkv")
    assert [described.channels for described in sound.sounds] == [2, 1, 1]
    for track in range(3):
        assert clips.heard(tmp_path / "out.mkv", track) == pytest.approx(clips.heard(path, track), abs=0.002)


def test_blocks_come_in_order_whatever_the_file(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=100, sound=[("aac", 44100, "stereo"), ("flac", 48000, "mono")])
    with Reader(str(path)) as reader:
        sound = SoundReader(SoundFile(str(path), reader.source.tracks))
    times = [block.time for second in range(6) for block in sound.until(Fraction(second))]
    times += [block.time for block in sound.rest()]
    assert times == sorted(times)
    assert len(times) > 300
    sound.close()


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=75, sound=[("ac3", 48000, "stereo")])
    data = bytearray(path.read_bytes())
    stored = [packet[3] for packet in clips.packets(path, "audio")]
    start = data.index(stored[10])
    data[start : start + len(stored[10])] = bytes(len(stored[10]))
    path.write_bytes(data)
    sound = through(path, tmp_path / "out.mkv")
    assert sound.damaged == 1
    assert clips.heard(tmp_path / "out.mkv")[-1] == pytest.approx(2.75, abs=0.002)
