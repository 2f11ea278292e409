"""Clips for tests, made with PyAV: every picture carries its number, every sound clicks twice a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12
CLICK = 0.5  # seconds from one to the next


def picture(number: int, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """An RGB picture: its number in black and white blocks along the top, a moving texture below."""
    y, x = np.mgrid[0:height, 0:width]
    texture = np.random.default_rng(7).integers(0, 48, (height, width))
    rgb = np.stack([x * 2 + 3 * number, y * 3 - 2 * number, x + y + np.roll(texture, number, 1)], -1) & 255
    band, block = height // 4, width / BITS
    for bit in range(BITS):
        rgb[:band, round(bit * block) : round((bit + 1) * block)] = 235 if number >> bit & 1 else 20
    return rgb.astype(np.uint8)


def number_in(luma: NDArray[np.uint8]) -> int:
    """The number that a picture carries."""
    height, width = luma.shape
    block = width / BITS
    row = luma[height // 8]
    return sum(int(row[round((bit + 0.5) * block)] > 127) << bit for bit in range(BITS))


def make(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 40,
    size: tuple[int, int] = (96, 64),
    fmt: str = "yuv420p",
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    full_range: bool = False,
    sound: Sequence[tuple[str, int, str]] = (),
    seconds: float | None = None,
) -> Path:
    """Write a clip; `times` in `time_base` default to a constant rate, `sound` is (codec, rate, layout) a track."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, fmt
        stream.codec_context.time_base = time_base or 1 / Fraction(rate)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(*rotation)
        if full_range:
            stream.codec_context.color_range = 2
        tracks = [_sound_track(container, *track) for track in sound]
        audio: list[Iterable[Any]] = [_clicks(track, seconds or frames / float(rate)) for track in tracks]
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            if fmt not in ("rgb24", "gbrp", "bgr0"):
                frame = frame.reformat(format=fmt, dst_colorspace="ITU601", dst_color_range=2 if full_range else 1)
            elif fmt != "rgb24":
                frame = frame.reformat(format=fmt)
            frame.pts = times[number] if times else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        for track, samples in zip(tracks, audio, strict=True):
            for block in samples:
                container.mux(track.encode(block))
            container.mux(track.encode())
        container.mux(stream.encode())
    return path


def _sound_track(container: Any, codec: str, rate: int, layout: str) -> Any:
    options = {"strict": "experimental"} if codec == "vorbis" else {}
    track = container.add_stream(codec, rate=rate, options=options)
    track.layout = layout
    return track


def _clicks(track: Any, seconds: float) -> Iterable[av.AudioFrame]:
    rate, layout = track.rate, track.layout.name
    channels = track.layout.nb_channels
    wave = clicks(rate, seconds)
    resampler = av.AudioResampler(format=track.format, layout=layout, rate=rate)
    for start in range(0, len(wave), 1024):
        block = np.repeat(wave[start : start + 1024, None], channels, 1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from resampler.resample(frame)


def clicks(rate: int, seconds: float) -> NDArray[np.float32]:
    """Silence with a burst of 5 ms every half second, the first after 0.25 s."""
    wave = np.zeros(round(rate * seconds), np.float32)
    time = CLICK / 2
    while time < seconds - 0.05:
        wave[round(time * rate) : round((time + 0.005) * rate)] = 0.8
        time += CLICK
    return wave


def heard(path: Path, track: int = 0) -> list[float]:
    """When the clicks of a sound track begin, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        first: float | None = None
        parts = []
        for frame in [*container.decode(stream), None]:
            if first is None and frame is not None and frame.pts is not None and frame.time_base is not None:
                first = float(frame.pts * frame.time_base)
            parts += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    wave = np.abs(np.concatenate([np.zeros(1, np.float32), *parts]))
    starts = np.flatnonzero((wave[1:] > 0.2) & (wave[:-1] <= 0.2))
    apart = np.insert(np.diff(starts) > 4800, 0, True)
    return [(first or 0.0) + start / 48000 for start in starts[apart]]


def decoded(path: Path, decoder: str = "vp8") -> list[tuple[NDArray[np.uint8], ...]]:
    """The planes of every frame of a file, by one of FFmpeg's decoders ("vp8": its own, "libvpx")."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r")
        planes = []
        for packet in container.demux(stream):
            for frame in context.decode(packet if packet.size else None):
                planes.append(tuple(_plane(frame, which) for which in range(3)))
    return planes


def _plane(frame: Any, which: int) -> NDArray[np.uint8]:
    plane = frame.planes[which]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width].copy()


def packets(path: Path, kind: str = "video") -> list[Any]:
    """(time in seconds, duration in seconds, key frame, bytes) of every packet of the first track of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (
                packet.pts * packet.time_base,
                (packet.duration or 0) * packet.time_base,
                packet.is_keyframe,
                bytes(packet),
            )
            for packet in container.demux(stream)
            if packet.size
        ]
