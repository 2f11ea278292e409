"""The VP8 frames of a file as they are stored: IVF is read by the codec's own reader, everything else by FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from typing import BinaryIO

from codec.ivf import CorruptContainer, read_ivf
from pipelines.errors import InputError


@dataclass(frozen=True, slots=True)
class Stored:
    """A VP8 stream: what its container says of it, and its frames."""

    rate: Fraction
    """Frames a second, as far as the first two frames or the container tell."""
    frames: Iterator[bytes]


@contextmanager
def open_vp8(path: str) -> Iterator[Stored]:
    """Open a file with VP8 in it. Raises InputError, the iterator too."""
    if _is_ivf(path):
        with open(path, "rb") as file:
            yield _ivf(path, file)
    else:
        yield from _ffmpeg(path)


def _is_ivf(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"DKIF"
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _ivf(path: str, file: BinaryIO) -> Stored:
    try:
        header, frames = read_ivf(file)
        first = list(islice(frames, 2))
    except CorruptContainer as error:
        raise InputError(f"{path}: {error}") from error
    step = first[1][0] - first[0][0] if len(first) == 2 else 1
    rate = Fraction(header.rate or 25, (header.scale or 1) * max(1, step))
    return Stored(rate, _named(path, (data for _, data in chain(first, frames))))


def _named(path: str, frames: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from frames
    except CorruptContainer as error:
        raise InputError(f"{path}: {error}") from error


def _ffmpeg(path: str) -> Iterator[Stored]:
    from pipelines.media.read import demuxed, open_container  # here, since IVF needs no FFmpeg

    with open_container(path) as container:
        stream = next((s for s in container.streams.video if s.codec_context and s.codec_context.name == "vp8"), None)
        if stream is None:
            found = ", ".join(s.codec_context.name for s in container.streams.video if s.codec_context) or "none"
            raise InputError(f"{path}: holds no VP8 (its video: {found})")
        packets = demuxed(container, [stream], path)
        frames = (bytes(packet) for packet in packets if packet.size or packet.dts is not None)
        yield Stored(Fraction(stream.average_rate or 25), frames)
