"""Inter prediction, RFC 6386 §18: chroma vectors (§5, §18.4), six-tap and bilinear interpolation (§18.3)."""

import cython

# Taps for pixels -2..3 around the position, by eighths of a pixel; they sum to 128.
SIX_TAPS = (
    (0, 0, 128, 0, 0, 0),
    (0, -6, 123, 12, -1, 0),
    (2, -11, 108, 36, -8, 1),
    (0, -9, 93, 50, -6, 0),
    (3, -16, 77, 77, -16, 3),
    (0, -6, 50, 93, -9, 0),
    (1, -8, 36, 108, -11, 2),
    (0, -1, 12, 123, -6, 0),
)

taps = cython.declare(cython.int[48])
if not cython.compiled:
    taps = [0] * 48
for _k in range(48):
    taps[_k] = SIX_TAPS[_k // 6][_k % 6]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_area(
    dst: cython.p_uchar,
    d: cython.Py_ssize_t,
    ref: cython.p_uchar,
    plane: cython.Py_ssize_t,
    width: cython.Py_ssize_t,
    height: cython.Py_ssize_t,
    x: cython.Py_ssize_t,
    y: cython.Py_ssize_t,
    fx: cython.int,
    fy: cython.int,
    w: cython.Py_ssize_t,
    h: cython.Py_ssize_t,
    bilinear: cython.int,
) -> cython.void:
    """Predict w x h pixels from (x + fx/8, y + fy/8) of a plane of width x height pixels; dst has its stride."""
    patch = cython.declare(cython.uchar[441])
    lines = cython.declare(cython.uchar[336])
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    s: cython.Py_ssize_t
    t: cython.int
    f: cython.Py_ssize_t
    low: cython.int = 0
    high: cython.int = 255
    last: cython.Py_ssize_t = 0
    for k in range(h + 5):
        s = plane + min(max(y + k - 2, last), height - 1) * width
        if x >= 2 and x + w + 3 <= width:
            for j in range(w + 5):
                patch[21 * k + j] = ref[s + x + j - 2]
        else:
            for j in range(w + 5):
                patch[21 * k + j] = ref[s + min(max(x + j - 2, last), width - 1)]
    if fx == 0:
        for k in range(h + 5):
            for j in range(w):
                lines[16 * k + j] = patch[21 * k + j + 2]
    elif bilinear:
        for k in range(h + 5):
            for j in range(w):
                s = 21 * k + j + 2
                lines[16 * k + j] = (patch[s] * (128 - 16 * fx) + patch[s + 1] * (16 * fx) + 64) >> 7
    else:
        f = 6 * fx
        for k in range(h + 5):
            for j in range(w):
                s = 21 * k + j
                t = (
                    patch[s] * taps[f]
                    + patch[s + 1] * taps[f + 1]
                    + patch[s + 2] * taps[f + 2]
                    + patch[s + 3] * taps[f + 3]
                    + patch[s + 4] * taps[f + 4]
                    + patch[s + 5] * taps[f + 5]
                    + 64
                ) >> 7
                lines[16 * k + j] = min(max(t, low), high)
    if fy == 0:
        for k in range(h):
            for j in range(w):
                dst[d + k * width + j] = lines[16 * k + 32 + j]
    elif bilinear:
        for k in range(h):
            for j in range(w):
                s = 16 * k + 32 + j
                dst[d + k * width + j] = (lines[s] * (128 - 16 * fy) + lines[s + 16] * (16 * fy) + 64) >> 7
    else:
        f = 6 * fy
        for k in range(h):
            for j in range(w):
                s = 16 * k + j
                t = (
                    lines[s] * taps[f]
                    + lines[s + 16] * taps[f + 1]
                    + lines[s + 32] * taps[f + 2]
                    + lines[s + 48] * taps[f + 3]
                    + lines[s + 64] * taps[f + 4]
                    + lines[s + 80] * taps[f + 5]
                    + 64
                ) >> 7
                dst[d + k * width + j] = min(max(t, low), high)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_inter(
    dst: cython.p_uchar,
    ref: cython.p_uchar,
    mbw: cython.Py_ssize_t,
    mbh: cython.Py_ssize_t,
    col: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    mvs: cython.p_short,
    m: cython.Py_ssize_t,
    split: cython.int,
    version: cython.int,
) -> cython.void:
    """Predict macroblock (row, col) of raster dst from raster ref, both of mbw x mbh macroblocks.

    mvs[m + 2 * b] and mvs[m + 2 * b + 1] are the row and column of subblock b's vector in quarter pixels.
    split: 0 one vector for all, 1 one for each 8x8 quarter (subblocks 0, 2, 8, 10), 2 one for each subblock.
    version (§9.1): 0 six-tap, 1 and 2 bilinear, 3 bilinear with chroma at whole pixels.
    """
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    x: cython.int
    y: cython.int
    plane: cython.Py_ssize_t
    shift: cython.Py_ssize_t = split  # log2 of the parts in a row
    size: cython.Py_ssize_t
    width: cython.Py_ssize_t = 16 * mbw
    height: cython.Py_ssize_t = 16 * mbh
    bilinear: cython.int = version != 0
    size = 16 >> shift
    for k in range(1 << (2 * shift)):
        i = (k >> shift) * size
        j = (k & ((1 << shift) - 1)) * size
        b = m + 2 * (i + (j >> 2))
        y = mvs[b]
        x = mvs[b + 1]
        predict_area(
            dst, (16 * row + i) * width + 16 * col + j, ref, 0, width, height,
            16 * col + j + (x >> 2), 16 * row + i + (y >> 2), 2 * (x & 3), 2 * (y & 3), size, size, bilinear,
        )  # fmt: skip
    width >>= 1
    height >>= 1
    shift = 1 if split else 0
    size = 8 >> shift
    for k in range(1 << (2 * shift)):
        i = (k >> shift) * size
        j = (k & shift) * size
        # A luma vector in quarter pixels is a chroma vector in eighths; four are averaged, halves away from zero.
        b = m + 2 * (2 * i + (j >> 1))
        y = mvs[b]
        x = mvs[b + 1]
        if split == 2:
            y += mvs[b + 2] + mvs[b + 8] + mvs[b + 10]
            x += mvs[b + 3] + mvs[b + 9] + mvs[b + 11]
            y = (y + 2) >> 2 if y >= 0 else -((2 - y) >> 2)
            x = (x + 2) >> 2 if x >= 0 else -((2 - x) >> 2)
        if version == 3:
            y &= -8
            x &= -8
        plane = 4 * width * height
        predict_area(
            dst, plane + (8 * row + i) * width + 8 * col + j, ref, plane, width, height,
            8 * col + j + (x >> 3), 8 * row + i + (y >> 3), x & 7, y & 7, size, size, bilinear,
        )  # fmt: skip
        plane += width * height
        predict_area(
            dst, plane + (8 * row + i) * width + 8 * col + j, ref, plane, width, height,
            8 * col + j + (x >> 3), 8 * row + i + (y >> 3), x & 7, y & 7, size, size, bilinear,
        )  # fmt: skip


def predict_frame(dst: bytearray, ref: bytes, mbw: int, mbh: int, vectors: bytes, splits: bytes, version: int) -> None:
    """Predict every macroblock of a raster from another: the kernel as tests and benchmarks call it.

    vectors: int16 (row, column) of 16 subblocks of every macroblock; splits: a byte for each macroblock.
    """
    w: cython.Py_ssize_t = mbw
    h: cython.Py_ssize_t = mbh
    v: cython.int = version
    k: cython.Py_ssize_t
    d: cython.p_uchar = dst
    r: cython.p_uchar = ref
    s: cython.p_uchar = splits
    mvs: cython.p_short
    if cython.compiled:
        mvs = cython.cast(cython.p_short, cython.cast(cython.p_uchar, vectors))
    else:
        mvs = memoryview(vectors).cast("h")
    with cython.nogil:
        for k in range(w * h):
            predict_inter(d, r, w, h, k % w, k // w, mvs, 32 * k, s[k], v)
