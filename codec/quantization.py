"""Quantizer indices and the factors that they stand for (RFC 6386 §9.6, §14.1)."""

from __future__ import annotations

__all__ = ["AC_FACTORS", "DC_FACTORS", "MAX_INDEX", "factors"]

MAX_INDEX = 127

# fmt: off
DC_FACTORS = (
    4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 13, 14, 15, 16, 17, 17,
    18, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 25, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 36, 37, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74,
    75, 76, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89,
    91, 93, 95, 96, 98, 100, 101, 102, 104, 106, 108, 110, 112, 114, 116, 118,
    122, 124, 126, 128, 130, 132, 134, 136, 138, 140, 143, 145, 148, 151, 154, 157,
)
AC_FACTORS = (
    4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
    52, 53, 54, 55, 56, 57, 58, 60, 62, 64, 66, 68, 70, 72, 74, 76,
    78, 80, 82, 84, 86, 88, 90, 92, 94, 96, 98, 100, 102, 104, 106, 108,
    110, 112, 114, 116, 119, 122, 125, 128, 131, 134, 137, 140, 143, 146, 149, 152,
    155, 158, 161, 164, 167, 170, 173, 177, 181, 185, 189, 193, 197, 201, 205, 209,
    213, 217, 221, 225, 229, 234, 239, 245, 249, 254, 259, 264, 269, 274, 279, 284,
)
# fmt: on


def factors(index: int, deltas: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int, int]:
    """Return the dequantisation factors that an index and a frame's deltas give.

    ``index`` is clamped to 0..127, and so is its sum with each delta. ``deltas`` are those of Y1 DC, Y2 DC,
    Y2 AC, chroma DC and chroma AC, in the order of the frame header; the factors come as Y1 DC, Y1 AC,
    Y2 DC, Y2 AC, chroma DC, chroma AC, with the limits of §14.1 applied (Y2 AC at least 8, chroma DC at most 132).
    """

    def at(table: tuple[int, ...], delta: int) -> int:
        return table[min(max(min(max(index, 0), MAX_INDEX) + delta, 0), MAX_INDEX)]

    y1_dc, y2_dc, y2_ac, uv_dc, uv_ac = deltas
    return (
        at(DC_FACTORS, y1_dc),
        at(AC_FACTORS, 0),
        at(DC_FACTORS, y2_dc) * 2,
        max(at(AC_FACTORS, y2_ac) * 155 // 100, 8),
        min(at(DC_FACTORS, uv_dc), 132),
        at(AC_FACTORS, uv_ac),
    )
