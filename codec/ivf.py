"""IVF: the simplest container of VP8, a header of 32 bytes and 12 before each frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from codec.errors import CodecError

__all__ = ["CorruptContainer", "IvfHeader", "read_ivf", "write_frame", "write_header"]

_FILE = struct.Struct("<4sHH4sHHIIII")
_FRAME = struct.Struct("<IQ")
# Larger than any VP8 frame can usefully be, and small enough to be read without fear.
MAX_FRAME = 1 << 28
_PIECE = 1 << 20


class CorruptContainer(CodecError):
    """The bytes are not an IVF file of VP8, or it is cut short."""


@dataclass(frozen=True, slots=True)
class IvfHeader:
    """What an IVF file says of itself: size in pixels, time base in seconds a tick (``scale / rate``), frame count.

    The count is 0 where a writer did not know it; nothing here relies on it.
    """

    width: int
    height: int
    rate: int
    scale: int
    frames: int = 0


def read_ivf(file: BinaryIO) -> tuple[IvfHeader, Iterator[tuple[int, bytes]]]:
    """Read an IVF file: return its header and an iterator over (presentation time in ticks, frame).

    Raises CorruptContainer, the iterator too when a frame is cut short.
    """
    start = file.read(_FILE.size)
    if len(start) < _FILE.size or start[:4] != b"DKIF":
        raise CorruptContainer("this is not an IVF file: it does not begin with DKIF and 28 bytes more")
    _, version, size, fourcc, width, height, rate, scale, frames, _ = _FILE.unpack(start)
    if version != 0 or size < _FILE.size:
        raise CorruptContainer(f"this IVF file has version {version} and a header of {size} bytes, not 0 and 32")
    if fourcc != b"VP80":
        raise CorruptContainer(f"this IVF file holds {fourcc.decode('ascii', 'replace')}, not VP80")
    if len(file.read(size - _FILE.size)) < size - _FILE.size:
        raise CorruptContainer(f"this IVF file ends within its header of {size} bytes")
    return IvfHeader(width, height, rate, scale, frames), _frames(file)


def _frames(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while start := file.read(_FRAME.size):
        if len(start) < _FRAME.size:
            raise CorruptContainer(f"the IVF file ends within the header of frame {number}")
        size, pts = _FRAME.unpack(start)
        if size > MAX_FRAME:
            raise CorruptContainer(f"frame {number} of the IVF file claims {size} bytes")
        yield pts, _exactly(file, size, number)
        number += 1


def _exactly(file: BinaryIO, size: int, number: int) -> bytes:
    """Read in pieces, so that a claim alone takes no memory."""
    pieces = []
    left = size
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise CorruptContainer(f"the IVF file ends within frame {number}: {left} of {size} bytes are missing")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def write_header(file: BinaryIO, header: IvfHeader) -> None:
    """Write the header of an IVF file of VP8."""
    file.write(
        _FILE.pack(
            b"DKIF",
            0,
            _FILE.size,
            b"VP80",
            header.width,
            header.height,
            header.rate,
            header.scale,
            header.frames,
            0,
        )
    )


def write_frame(file: BinaryIO, pts: int, data: bytes) -> None:
    """Write one frame with its presentation time in ticks."""
    file.write(_FRAME.pack(len(data), pts))
    file.write(data)
