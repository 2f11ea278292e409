"""Reading: every frame once and in order, at its time, upright and in limited-range 4:2:0, whatever the file."""

from __future__ import annotations

import dataclasses
import http.server
import os
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import codec
from pipelines.errors import InputError, TruncatedInput
from pipelines.media.jpeg import encode_jpeg
from pipelines.media.orientation import Orientation
from pipelines.media.read import Picture, Reader
from tests.pipelines import clips


def read(path: Path) -> tuple[Reader, list[Picture]]:
    with Reader(str(path)) as reader:
        return reader, list(reader)


def numbers(pictures: list[Picture]) -> list[int]:
    return [clips.number_in(picture.planes[0]) for picture in pictures]


B_FRAMES = {"bf": "3", "x264-params": "open-gop=1:keyint=12:min-keyint=4:bframes=3:b-adapt=0:scenecut=0"}

FILES: list[tuple[str, dict[str, Any]]] = [
    ("b-frames.mp4", {"options": B_FRAMES}),
    ("open-gop.mkv", {"options": B_FRAMES}),
    ("b-frames.ts", {"options": B_FRAMES}),
    ("intra.avi", {"codec": "mjpeg", "fmt": "yuvj420p"}),
    ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
    ("mpeg2.mpg", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    ("altref.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}, "frames": 60}),
    ("vp9.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}}),
    ("raw.y4m", {"codec": "wrapped_avframe"}),
    ("no-timestamps.h264", {"options": B_FRAMES}),
    ("ten-bit.mkv", {"codec": "ffv1", "fmt": "yuv420p10le"}),
    ("four-two-two.mkv", {"codec": "ffv1", "fmt": "yuv422p"}),
    ("four-four-four-12.mkv", {"codec": "ffv1", "fmt": "yuv444p12le"}),
    ("rgb.mkv", {"codec": "ffv1", "fmt": "bgr0"}),
    ("gray.mkv", {"codec": "ffv1", "fmt": "gray"}),
    ("odd.mkv", {"codec": "ffv1", "size": (97, 65)}),
    ("full-range.mp4", {"fmt": "yuvj420p", "full_range": True}),
    ("ntsc.mp4", {"rate": Fraction(30000, 1001)}),
]


@pytest.mark.parametrize(("name", "settings"), FILES, ids=[name for name, _ in FILES])
def test_every_frame_once_and_in_order(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    path = clips.make(tmp_path / name, **settings)
    reader, pictures = read(path)
    count, size = settings.get("frames", 40), settings.get("size", (96, 64))
    assert numbers(pictures) == list(range(count))
    assert (reader.source.width, reader.source.height) == size
    assert reader.damaged == 0
    times = [picture.pts * reader.source.seconds_a_tick for picture in pictures]
    rate = Fraction(settings.get("rate", 25))
    assert [round(float((time - times[0]) * rate), 1) for time in times] == list(range(count))
    assert reader.source.fps == pytest.approx(rate)


@pytest.mark.parametrize(
    "name", ["b-frames.mp4", "ten-bit.mkv", "four-two-two.mkv", "rgb.mkv", "full-range.mp4", "odd.mkv"]
)
def test_the_picture_is_the_one_that_was_put_in(name: str, tmp_path: Path) -> None:
    settings = dict(FILES)[name]
    _, pictures = read(clips.make(tmp_path / name, **settings, frames=3))
    for number, picture in enumerate(pictures):
        rgb = clips.picture(number, *settings.get("size", (96, 64)))
        true = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU601")
        luma = np.frombuffer(memoryview(true.planes[0]), np.uint8).reshape(-1, true.planes[0].line_size)[
            :, : rgb.shape[1]
        ]
        difference = np.abs(luma.astype(int) - picture.planes[0])
        assert difference.mean() < (3 if name.endswith("mp4") else 0.6)


def test_full_range_becomes_limited(tmp_path: Path) -> None:
    for name, settings in (("full.mkv", {"full_range": True}), ("gray.mkv", {"fmt": "gray"})):
        _, pictures = read(clips.make(tmp_path / name, codec="ffv1", **settings, frames=2))
        blocks = pictures[1].planes[0][4]
        # 235 and 20 of 255 in the picture's blocks.
        assert int(blocks.max()) == pytest.approx(16 + 235 * 219 / 255, abs=2)
        assert int(blocks[-1]) == pytest.approx(16 + 20 * 219 / 255, abs=2)
        assert all(abs(int(plane.mean()) - 128) < 40 for plane in pictures[1].planes[1:])


def test_yuv_keeps_its_matrix_and_the_source_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "hd.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        frame = av.VideoFrame(64, 48, "yuv420p")
        for value, plane in zip((81, 90, 240), frame.planes, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    reader, pictures = read(path)
    assert [int(plane[0, 0]) for plane in pictures[0].planes] == [81, 90, 240]
    colour = reader.source.colour
    assert (colour.matrix, colour.transfer, colour.primaries) == (1, 1, 1)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
def test_turned_and_mirrored_pictures_come_upright(turn: int, mirror: tuple[bool, bool], tmp_path: Path) -> None:
    size, aspect = (96, 64), Fraction(4, 3)
    path = clips.make(tmp_path / "a.mp4", frames=2, size=size, rotation=(turn, *mirror), aspect=aspect)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="gray")
    expected = np.rot90(stored, turn // 90)
    expected = expected[:, ::-1] if mirror[0] else expected
    expected = expected[::-1] if mirror[1] else expected
    reader, pictures = read(path)
    turned = turn in (90, 270)
    assert (reader.source.width, reader.source.height) == (size[::-1] if turned else size)
    assert Fraction(*reader.source.aspect) == (1 / aspect if turned else aspect)
    # "gray" stretches the range, which does not move pixels.
    assert np.corrcoef(pictures[0].planes[0].ravel(), expected.ravel())[0, 1] > 0.999


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 1, 2, 10, 11, 40, 41, 43, 90, 500]
    for name in ("vfr.mp4", "vfr.mkv"):
        path = clips.make(
            tmp_path / name, frames=len(times), times=times, time_base=Fraction(1, 100), options={"bf": "2"}
        )
        reader, pictures = read(path)
        assert numbers(pictures) == list(range(len(times)))
        assert [picture.pts * reader.source.seconds_a_tick for picture in pictures] == [Fraction(t, 100) for t in times]


def test_frames_of_one_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "same.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_mux_stream("mjpeg", rate=25, width=96, height=64)
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 96, 64, "yuvj420p", Fraction(1, 25)
        for number, time in enumerate([0, 0, 40, 40, 40, 80]):
            frame = av.VideoFrame.from_ndarray(clips.picture(number), format="rgb24").reformat(format="yuvj420p")
            frame.pts = number
            for packet in encoder.encode(frame):
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = time
                container.mux(packet)
    _, pictures = read(path)
    assert numbers(pictures) == [0, 1, 2, 3, 4, 5]
    times = [picture.pts for picture in pictures]
    assert times == sorted(set(times))


def test_an_edit_list_is_obeyed(tmp_path: Path) -> None:
    """FFmpeg writes one for B-frames; the first frame is at 0 and none is missing."""
    path = clips.make(tmp_path / "edit.mp4", options={"bf": "3"}, container_options={"use_editlist": "1"})
    _, pictures = read(path)
    assert pictures[0].pts == 0
    assert numbers(pictures) == list(range(40))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.mp4", {"container_options": {"movflags": "faststart"}}),
        ("a.mp4", {}),
        ("a.ts", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.flv", {"codec": "flv"}),
        ("a.ivf", {"codec": "libvpx"}),
        ("a.y4m", {"codec": "wrapped_avframe"}),
        ("sound.mkv", {"sound": [("aac", 48000, "stereo")], "seconds": 1.6}),
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.55, 0.9])
def test_a_file_that_was_cut_off_is_found_out(
    name: str, settings: dict[str, Any], share: float, tmp_path: Path
) -> None:
    path = clips.make(tmp_path / name, **settings)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share) + 5])
    with pytest.raises(InputError) as error:
        read(path)
    line = str(error.value)
    assert line.startswith(str(path))
    assert "\n" not in line


def test_a_raw_stream_that_ends_in_a_damaged_frame(tmp_path: Path) -> None:
    """It has no structure that could tell; FFmpeg notices only what it has to conceal."""
    path = clips.make(tmp_path / "a.h264")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.55)])
    with pytest.raises(TruncatedInput, match="in the middle of a frame"):
        read(path)


def test_a_whole_file_is_not_taken_for_a_cut_one(tmp_path: Path) -> None:
    short = {"sound": [("aac", 44100, "stereo")], "seconds": 1.0}
    long = {"sound": [("aac", 44100, "stereo")], "seconds": 4.0}
    for name in ("a.mp4", "a.mkv", "a.ts", "a.flv"):
        for sound in (short, long):
            codec = {"codec": "flv"} if name.endswith("flv") else {}
            assert len(read(clips.make(tmp_path / name, **codec, **sound))[1]) == 40


def test_damage_in_the_middle_is_passed_over_and_counted(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", codec="mjpeg", fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    stored = [packet[3] for packet in clips.packets(path)]
    for frame in (20, 21):
        start = data.index(stored[frame])
        data[start : start + 700] = bytes(700)
    path.write_bytes(data)
    reader, pictures = read(path)
    assert [n for n in numbers(pictures) if n not in (20, 21)] == [n for n in range(40) if n not in (20, 21)]
    assert reader.damaged == 2


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"this is a letter, not a film\n" * 50, "not a video"),
        (bytes(5000), "not a video"),
        (None, "No such file"),
        ("folder", "cannot be read"),
        ("sound", "holds no video, only sound"),
    ],
)
def test_what_is_no_video_is_refused_in_a_line(content: bytes | str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "sound":
        sound_only(path)
    with pytest.raises(InputError, match=says) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, TruncatedInput)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream: Any = container.add_stream("aac", rate=48000)
        frame = av.VideoFrame.from_ndarray(clips.picture(0, 64, 64), format="rgb24").reformat(format="yuvj420p")
        frame.pts = 0
        container.mux(cover.encode(frame))
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), "fltp", "stereo")
        sound.sample_rate = 48000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="holds no video, only sound"):
        read(path)


@pytest.mark.parametrize("size", [(96, 64), (97, 65), (16, 16), (1, 1), (2, 33), (50, 17)])
@pytest.mark.parametrize("turn", [0, 90, 180])
def test_a_raster_is_what_the_codec_makes_of_the_planes(size: tuple[int, int], turn: int, tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    random = np.random.default_rng(1)
    chroma = ((size[0] + 1) // 2) * ((size[1] + 1) // 2)
    raw = random.integers(16, 236, size[0] * size[1] + 2 * chroma, np.uint8).tobytes()
    path.write_bytes(f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 C420jpeg\nFRAME\n".encode() + raw)
    reader, pictures = read(path)
    turned = Orientation(turn == 90, flip_rows=turn > 0, flip_columns=turn == 180)
    picture = dataclasses.replace(pictures[0], orientation=turned)
    expected = codec.Image.from_planes(*picture.planes).raster
    if turn != 90:
        assert reader.source.frame_size == len(expected)
    target = bytearray(len(expected))
    with memoryview(target) as view:
        picture.write_raster(view)
    assert target == expected


@pytest.mark.parametrize(
    ("name", "frames", "rate"),
    [
        ("anim_bigbuckbunny_1280x720.mp4", 132, 25),
        ("natural_flower_960x540.mp4", 150, None),
        ("traffic_dashcam_960x540.mp4", 221, 25),
        ("traffic_parking_768x432.mp4", 377, 12.5),
        ("vp8_flower_960x540.webm", 150, None),
        ("small_flower_352x288_45f.y4m", 45, None),
        ("small_dashcam_320x176_60f.y4m", 60, None),
    ],
)
def test_real_clips(name: str, frames: int, rate: float | None, shared: Path) -> None:
    with Reader(str(shared / "media" / name)) as reader:
        assert sum(1 for _ in reader) == frames
        if rate:
            assert float(reader.source.fps) == rate


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
def test_pictures_keep_no_threads(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", codec="ffv1", fmt="yuv444p", frames=30)
    with Reader(str(path)) as reader:
        pictures = iter(reader)
        kept = [next(pictures)]
        before = len(os.listdir("/proc/self/task"))
        kept += pictures
        smaller = [encode_jpeg(picture.frame, 48, 32, 2) for picture in kept]
        assert len(smaller) == 30
        assert len(os.listdir("/proc/self/task")) <= before


@pytest.mark.parametrize(("name", "more"), [("a.y4m", {"codec": "wrapped_avframe"}), ("a.mkv", {})])
def test_a_film_at_an_address_is_read_to_its_end(name: str, more: dict[str, Any], tmp_path: Path) -> None:
    clips.make(tmp_path / name, frames=8, **more)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Reader(f"http://127.0.0.1:{server.server_port}/{name}") as reader:
            assert numbers(list(reader)) == [*range(8)]
        server.shutdown()
