"""Whether a file is as long as its own structure says: what is missing at the end of one that was cut off.

FFmpeg reads such files without a word as far as they go. Formats without such a structure (raw streams, MPEG program
streams) only show it by a damaged last frame.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from pipelines.media.in_place import is_object, open_bytes

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_TS_PACKET = 188


def missing_bytes(path: str, version: str = "") -> int:
    """How many bytes at least the file, or the object, lacks at its end; 0 also where that cannot be told."""
    if not is_object(path) and not os.path.isfile(path):
        return 0
    with open_bytes(path, version) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(_TS_PACKET + 1)
        if head[:4] == _EBML:
            end = _matroska(file)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _boxes(file, size)
        elif head[:4] == b"RIFF":
            end = _riff(file, size)
        elif len(head) > _TS_PACKET and head[0] == head[_TS_PACKET] == 0x47:
            end = -(-size // _TS_PACKET) * _TS_PACKET
        else:
            end = size
    return max(0, end - size)


def _matroska(file: BinaryIO) -> int:
    """The end of the segment; RFC 9559, RFC 8794 §5."""
    file.seek(0)
    for _ in range(4):
        identifier = _number(file, keep_marker=True)
        size = _number(file)
        if identifier is None or size is None or size < 0:
            return 0
        if identifier == _SEGMENT:
            return file.tell() + size
        file.seek(size, os.SEEK_CUR)
    return 0


def _number(file: BinaryIO, keep_marker: bool = False) -> int | None:
    """An EBML number of variable length; None at the end of the file, -1 for "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(first + rest, "big")
    if keep_marker:
        return value
    marker = 1 << 7 * length
    value &= marker - 1
    return -1 if value == marker - 1 else value


def _boxes(file: BinaryIO, size: int) -> int:
    """The end of the last box; ISO/IEC 14496-12 §4.2."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = struct.unpack_from(">I", head)[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack_from(">Q", head, 8)[0]
        if length < 8:
            return size  # 0: to the end of the file; less: not a box, and not a cut
        place += length
    return place


def _riff(file: BinaryIO, size: int) -> int:
    """The end of the last RIFF list; AVI has several when it is long."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or not length:
            return size
        place += 8 + length + length % 2
    return place
