"""Strip shared libraries of any architecture: keep what a program header names, and nothing else.

The loader looks at program headers alone. Symbols for debuggers, and the section headers that lead to them, are what is
left over; `strip` of binutils handles only its own machine's files, and the objcopy that comes with zig does not copy.
ELF: System V ABI, "Object Files" (the two headers, and that a segment's offset and address agree modulo its alignment).
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian: what Lambda runs on
_SHARED = 3  # ET_DYN
_LARGEST_ALIGNMENT = 1 << 21  # x86-64's huge pages; arm64's are 64 KiB at most


def strip(data: bytes) -> bytes:
    """A shared library without what is not loaded; anything else comes back as it is.

    Segments keep their addresses and move up in the file. Raises ValueError for headers that contradict the file.
    """
    if not data.startswith(_MAGIC) or len(data) < _HEADER.size:
        return data
    ident, kind, machine, version, entry, table, _, flags, size, each, count, *_ = _HEADER.unpack_from(data)
    if kind != _SHARED or each != _SEGMENT.size:
        return data
    # Ranges of the file that stay: offset, end, alignment.
    kept = [(0, _HEADER.size, 1), (table, table + each * count, 8)]
    if kept[1][1] > len(data):
        raise ValueError("the table of program headers reaches beyond the end of the file")
    segments = [_SEGMENT.unpack_from(data, table + number * each) for number in range(count)]
    for number, (_, _, offset, _, _, length, _, alignment) in enumerate(segments):
        if offset + length > len(data):
            raise ValueError(f"segment {number} reaches beyond the end of the file")
        if alignment & (alignment - 1) or alignment > _LARGEST_ALIGNMENT:
            raise ValueError(f"segment {number} is aligned to {alignment}, which is no size of a page")
        if length:
            kept.append((offset, offset + length, max(alignment, 1)))
    out = bytearray()
    moves: list[tuple[int, int, int]] = []  # of a range: offset, end, how far it moves up
    for start, end, alignment in _merged(kept):
        gap = (start - len(out)) % alignment
        moves.append((start, end, start - len(out) - gap))
        out += bytes(gap) + data[start:end]

    def moved(offset: int) -> int:
        return next((offset - up for start, end, up in moves if start <= offset < end), 0)

    for number, (what, rights, offset, *rest) in enumerate(segments):
        # A segment of zeros alone still maps the page of the file at which it says it begins.
        place = moved(offset) if rest[2] else offset % max(rest[4], 1)
        out += bytes(max(0, place + 1 - len(out)))
        _SEGMENT.pack_into(out, moved(table) + number * each, what, rights, place, *rest)
    _HEADER.pack_into(out, 0, ident, kind, machine, version, entry, moved(table), 0, flags, size, each, count, 64, 0, 0)
    return bytes(out)


def _merged(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The ranges in order, those that touch or overlap as one, with the largest alignment of its parts."""
    merged: list[tuple[int, int, int]] = []
    for start, end, alignment in sorted(ranges):
        if merged and start <= merged[-1][1]:
            first, last, other = merged[-1]
            merged[-1] = (first, max(last, end), max(other, alignment))
        else:
            merged.append((start, end, alignment))
    return merged
