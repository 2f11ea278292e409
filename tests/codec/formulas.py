"""What the pixel kernels compute, said once more as plainly as possible from RFC 6386, on numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.int64]

SIX_TAPS = [
    [0, 0, 128, 0, 0, 0],
    [0, -6, 123, 12, -1, 0],
    [2, -11, 108, 36, -8, 1],
    [0, -9, 93, 50, -6, 0],
    [3, -16, 77, 77, -16, 3],
    [0, -6, 50, 93, -9, 0],
    [1, -8, 36, 108, -11, 2],
    [0, -1, 12, 123, -6, 0],
]
BILINEAR = [[0, 0, 128 - 16 * k, 16 * k, 0, 0] for k in range(8)]


def planes(raster: bytes | bytearray, mbw: int, mbh: int) -> list[Pixels]:
    """Y, U and V of a raster, as integers."""
    flat, n = np.frombuffer(raster, np.uint8).astype(np.int64), 64 * mbw * mbh
    shapes = [(16 * mbh, 16 * mbw), (8 * mbh, 8 * mbw), (8 * mbh, 8 * mbw)]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, [4 * n, 5 * n]), shapes, strict=True)]


def raster(parts: Sequence[Pixels]) -> bytes:
    return b"".join(part.astype(np.uint8).tobytes() for part in parts)


# §18: inter prediction


def inter_block(plane: Pixels, x: int, y: int, fx: int, fy: int, size: int, taps: list[list[int]]) -> Pixels:
    rows = np.clip(np.arange(y - 2, y + size + 3), 0, plane.shape[0] - 1)
    cols = np.clip(np.arange(x - 2, x + size + 3), 0, plane.shape[1] - 1)
    area = plane[np.ix_(rows, cols)]
    across = sum(area[:, k : k + size] * taps[fx][k] for k in range(6))
    across = np.clip((across + 64) >> 7, 0, 255)
    down = sum(across[k : k + size] * taps[fy][k] for k in range(6))
    return np.clip((down + 64) >> 7, 0, 255)


def towards_zero(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)


def inter(ref: bytes, mbw: int, mbh: int, col: int, row: int, mvs: Pixels, split: int, version: int) -> list[Pixels]:
    """The prediction of one macroblock; mvs: 16 x (row, column)."""
    y, u, v = planes(ref, mbw, mbh)
    taps = BILINEAR if version else SIX_TAPS
    use = [0] * 16 if split == 0 else [b & 8 | (b & 3) >> 1 << 1 for b in range(16)] if split == 1 else list(range(16))
    luma, chroma = np.zeros((16, 16), np.int64), np.zeros((2, 8, 8), np.int64)
    for b in range(16):
        i, j = b // 4 * 4, b % 4 * 4
        r, c = (int(x) for x in mvs[use[b]])
        luma[i : i + 4, j : j + 4] = inter_block(
            y, 16 * col + j + (c >> 2), 16 * row + i + (r >> 2), 2 * (c & 3), 2 * (r & 3), 4, taps
        )
    for i in range(0, 8, 4):
        for j in range(0, 8, 4):
            corner = [use[2 * i + j // 2 + k] for k in (0, 1, 4, 5)]
            r, c = (int(sum(mvs[k][axis] for k in corner)) for axis in (0, 1))
            r, c = (towards_zero(s + (2 if s >= 0 else -2), 4) for s in (r, c))
            if version == 3:
                r, c = r & ~7, c & ~7
            for plane, out in ((u, chroma[0]), (v, chroma[1])):
                out[i : i + 4, j : j + 4] = inter_block(
                    plane, 8 * col + j + (c >> 3), 8 * row + i + (r >> 3), c & 7, r & 7, 4, taps
                )
    return [luma, *chroma]


# §15: the loop filter


def s8(x: int) -> int:
    return max(-128, min(127, x))


def u8(x: int) -> int:
    return s8(x) + 128


def common_adjust(use_outer: bool, line: Pixels) -> int:
    p1, p0, q0, q1 = (int(x) - 128 for x in line[2:6])
    a = s8((s8(p1 - q1) if use_outer else 0) + 3 * (q0 - p0))
    b = s8(a + 3) >> 3
    a = s8(a + 4) >> 3
    line[4], line[3] = u8(q0 - a), u8(p0 + b)
    return a


def simple_segment(line: Pixels, limit: int) -> None:
    p1, p0, q0, q1 = (int(x) for x in line[2:6])
    if abs(p0 - q0) * 2 + (abs(p1 - q1) >> 1) <= limit:
        common_adjust(True, line)


def normal_segment(line: Pixels, whole: bool, limit: int, interior: int, threshold: int) -> None:
    steps = np.abs(np.diff(line))
    inside = np.delete(steps, 3)
    if inside.max() > interior or steps[3] * 2 + (abs(line[2] - line[5]) >> 1) > limit:
        return
    high_variance = max(steps[2], steps[4]) > threshold
    if high_variance:
        common_adjust(True, line)
    elif whole:
        p2, p1, p0, q0, q1, q2 = (int(x) - 128 for x in line[1:7])
        w = s8(s8(p1 - q1) + 3 * (q0 - p0))
        a = s8((27 * w + 63) >> 7)
        line[4], line[3] = u8(q0 - a), u8(p0 + a)
        a = s8((18 * w + 63) >> 7)
        line[5], line[2] = u8(q1 - a), u8(p1 + a)
        a = s8((9 * w + 63) >> 7)
        line[6], line[1] = u8(q2 - a), u8(p2 + a)
    else:
        p1, q1 = int(line[2]) - 128, int(line[5]) - 128
        a = (common_adjust(False, line) + 1) >> 1
        line[5], line[2] = u8(q1 - a), u8(p1 + a)


def loop_filter(
    frame: bytes, mbw: int, mbh: int, levels: bytes, inner: bytes, simple: bool, sharpness: int, key: bool
) -> bytes:
    parts = planes(frame, mbw, mbh)
    for n in range(mbw * mbh):
        row, col, level = n // mbw, n % mbw, levels[n]
        if level == 0:
            continue
        interior = level
        if sharpness:
            interior = min(interior >> (2 if sharpness > 4 else 1), 9 - sharpness)
        interior = max(interior, 1)
        threshold = int(level >= 15) + int(level >= 40) if key else sum(level >= k for k in (15, 20, 40))
        for transpose in (True, False):
            for offset in (0, 4, 8, 12):
                whole = offset == 0
                if (whole and (col if transpose else row) == 0) or (not whole and not inner[n]):
                    continue
                limit = (2 * (level + 2) if whole else 2 * level) + interior
                for plane, size in zip(parts, (16, 8, 8), strict=True):
                    if offset >= size or (simple and size == 8):
                        continue
                    grid = plane.T if transpose else plane
                    top, left = (size * col, size * row) if transpose else (size * row, size * col)
                    for k in range(size):
                        line = grid[top + offset - 4 : top + offset + 4, left + k]
                        if simple:
                            simple_segment(line, limit)
                        else:
                            normal_segment(line, whole, limit, interior, threshold)
    return raster(parts)


# §14: transforms


def inverse_dct(block: Pixels) -> Pixels:
    def pass_(ip: Pixels) -> Pixels:
        a, b = ip[0] + ip[2], ip[0] - ip[2]
        c = (ip[1] * 35468 >> 16) - ip[3] - (ip[3] * 20091 >> 16)
        d = ip[1] + (ip[1] * 20091 >> 16) + (ip[3] * 35468 >> 16)
        return np.stack([a + d, b + c, b - c, a - d])

    return (pass_(pass_(block).T).T + 4) >> 3


def inverse_wht(block: Pixels) -> Pixels:
    h = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]])
    return (h.T @ block @ h + 3) >> 3


def residue(levels: Pixels, has_y2: bool, factors: Sequence[int]) -> list[Pixels]:
    """The residue of a macroblock from 25 x 16 levels: Y 16x16, U, V 8x8."""
    scale = [0] * 16 + [4] * 8 + [2]
    blocks = levels.astype(np.int64).copy()
    for b in range(25):
        blocks[b, 0] *= factors[scale[b]]
        blocks[b, 1:] *= factors[scale[b] + 1]
    if has_y2:
        blocks[:16, 0] = inverse_wht(blocks[24].reshape(4, 4)).reshape(16)
    out = [np.zeros((16, 16), np.int64), np.zeros((8, 8), np.int64), np.zeros((8, 8), np.int64)]
    for b in range(24):
        plane, k, wide = (0, b, 4) if b < 16 else (1, b - 16, 2) if b < 20 else (2, b - 20, 2)
        i, j = k // wide * 4, k % wide * 4
        out[plane][i : i + 4, j : j + 4] = inverse_dct(blocks[b].reshape(4, 4))
    return out


def forward_dct(d: Pixels) -> list[int]:
    """libvpx's forward DCT of a 4x4 residue."""
    rows = []
    for r in d.tolist():
        a, b, c, e = (r[0] + r[3]) * 8, (r[1] + r[2]) * 8, (r[1] - r[2]) * 8, (r[0] - r[3]) * 8
        rows.append([a + b, (c * 2217 + e * 5352 + 14500) >> 12, a - b, (e * 2217 - c * 5352 + 7500) >> 12])
    out = [0] * 16
    for k, (x0, x1, x2, x3) in enumerate(zip(*rows, strict=True)):
        a, b, c, e = x0 + x3, x1 + x2, x1 - x2, x0 - x3
        out[k], out[8 + k] = (a + b + 7) >> 4, (a - b + 7) >> 4
        out[4 + k] = ((c * 2217 + e * 5352 + 12000) >> 16) + (e != 0)
        out[12 + k] = (e * 2217 - c * 5352 + 51000) >> 16
    return out


def forward_wht(dcs: Sequence[int]) -> list[int]:
    """libvpx's forward WHT of the 16 DCs of Y."""
    rows = []
    for k in range(4):
        x0, x1, x2, x3 = dcs[4 * k : 4 * k + 4]
        a, d, c, b = (x0 + x2) * 4, (x1 + x3) * 4, (x1 - x3) * 4, (x0 - x2) * 4
        rows.append([a + d + (a != 0), b + c, b - c, a - d])
    out = [0] * 16
    for k, (x0, x1, x2, x3) in enumerate(zip(*rows, strict=True)):
        a, d, c, b = x0 + x2, x1 + x3, x1 - x3, x0 - x2
        for i, x in enumerate((a + d, b + c, b - c, a - d)):
            out[4 * i + k] = (x + (x < 0) + 3) >> 3
    return out


# §12: intra prediction


def intra_block(mode: int, size: int, edge: bytes, have_above: bool, have_left: bool) -> bytes:
    left, corner, above = edge[:size][::-1], edge[size], edge[size + 1 :]
    if mode == 0:
        seen = list(above) * have_above + list(left) * have_left
        dc = (sum(seen) + len(seen) // 2) // len(seen) if seen else 128
        return bytes([dc]) * size * size
    if mode == 1:
        return above * size
    if mode == 2:
        return b"".join(bytes([x]) * size for x in left)
    return bytes(max(0, min(255, x + a - corner)) for x in left for a in above)


# §12.3's figures as a recipe for each pixel, row by row. The edge runs L K J I X A B C D E F G H; "JK" is the mean of
# two neighbours, "JKL" the 1-2-1 mean of three.
SUBBLOCKS = {
    2: "XAB ABC BCD CDE " * 4,
    3: "XIJ " * 4 + "IJK " * 4 + "JKL " * 4 + "KLL " * 4,
    4: "ABC BCD CDE DEF BCD CDE DEF EFG CDE DEF EFG FGH DEF EFG FGH GHH",
    5: "IXA XAB ABC BCD JIX IXA XAB ABC KJI JIX IXA XAB LKJ KJI JIX IXA",
    6: "XA AB BC CD IXA XAB ABC BCD JIX XA AB BC KJI IXA XAB ABC",
    7: "AB BC CD DE ABC BCD CDE DEF BC CD DE EFG BCD CDE DEF FGH",
    8: "IX IXA XAB ABC JI JIX IX IXA KJ KJI JI JIX LK LKJ KJ KJI",
    9: "IJ IJK JK JKL JK JKL KL KLL KL KLL LL LL LL LL LL LL",
}


def intra_subblock(mode: int, edge: bytes) -> bytes:
    if mode == 0:
        return bytes([(sum(edge[:4]) + sum(edge[5:9]) + 4) >> 3]) * 16
    if mode == 1:
        return intra_block(3, 4, edge[:9], True, True)
    at = dict(zip("LKJIXABCDEFGH", edge, strict=True))
    out = []
    for recipe in SUBBLOCKS[mode].split():
        x = [at[k] for k in recipe]
        out.append((x[0] + x[1] + 1) >> 1 if len(x) == 2 else (x[0] + 2 * x[1] + x[2] + 2) >> 2)
    return bytes(out)


# Distances of blocks


def distance(measure: str, difference: Pixels) -> int:
    """How large the difference of two blocks is."""
    squares = int((difference**2).sum())
    if measure == "sad":
        return int(np.abs(difference).sum())
    if measure == "sse":
        return squares
    if measure == "variance":
        return squares - int(difference.sum()) ** 2 // difference.size
    hadamard = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]])
    h, w = difference.shape
    blocks = [difference[i : i + 4, j : j + 4] for i in range(0, h, 4) for j in range(0, w, 4)]
    return sum(int(np.abs(hadamard @ block @ hadamard.T).sum()) for block in blocks) // 2
