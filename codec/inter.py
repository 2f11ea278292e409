"""Inter prediction, RFC 6386 §18: chroma vectors (§5, §18.4), six-tap and bilinear interpolation (§18.3)."""

import cython

if cython.compiled:
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401

from codec.interpolation import copy_across, copy_down, filter_across, filter_down, interpolate, taps  # inlined


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def interpolate_chroma(
    dst: cython.p_uchar,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    o_stride: cython.Py_ssize_t,
    src: cython.p_uchar,
    su: cython.Py_ssize_t,
    sv: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    fx: cython.Py_ssize_t,
    fy: cython.Py_ssize_t,
    w: cython.Py_ssize_t,
    h: cython.Py_ssize_t,
) -> cython.void:
    """U and V together, interleaved: w x h pixels of each. Odd eighths have but four taps."""
    pairs = cython.declare(cython.uchar[416])
    lines = cython.declare(cython.ushort[208])
    out = cython.declare(cython.uchar[128])
    apart = cython.declare(cython.uchar[128])
    r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    six_down: cython.int = taps[fy] != 0
    above: cython.Py_ssize_t = 0
    rows: cython.Py_ssize_t = h
    if fy:
        above = 2 if six_down else 1
        rows = h + 5 if six_down else h + 3
    su -= above * stride + 2
    sv -= above * stride + 2
    for r in range(rows):
        for j in range(w + 8):
            pairs[32 * r + 2 * j] = src[su + j]
            pairs[32 * r + 2 * j + 1] = src[sv + j]
        su += stride
        sv += stride
    if fx == 0:
        copy_across(pairs, 4, 32, rows, 2 * w, lines)
    elif taps[fx]:
        filter_across(pairs, 4, 32, 2, fx, 1, rows, 2 * w, lines)
    else:
        filter_across(pairs, 4, 32, 2, fx, 0, rows, 2 * w, lines)
    if fy == 0:
        copy_down(lines, 0, h, 2 * w, out, 0, 2 * w)
    elif six_down:
        filter_down(lines, 32, fy, 1, h, 2 * w, out, 0, 2 * w)
    else:
        filter_down(lines, 16, fy, 0, h, 2 * w, out, 0, 2 * w)
    for j in range(w * h):
        apart[j] = out[2 * j]
        apart[w * h + j] = out[2 * j + 1]
    copy(dst, u, o_stride, apart, 0, w, h, w)
    copy(dst, v, o_stride, apart, w * h, w, h, w)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def copy(
    dst: cython.p_uchar,
    o: cython.Py_ssize_t,
    o_stride: cython.Py_ssize_t,
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    rows: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
) -> cython.void:
    """Copy rows of n bytes, each by way of scratch, because dst might be src for all the compiler knows."""
    row = cython.declare(cython.uchar[16])
    _r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    for _r in range(rows):
        for j in range(n):
            row[j] = src[s + j]
        for j in range(n):
            dst[o + j] = row[j]
        s += stride
        o += o_stride


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def cut_patch(
    patch: cython.p_uchar,
    p: cython.Py_ssize_t,
    ref: cython.p_uchar,
    plane: cython.Py_ssize_t,
    width: cython.Py_ssize_t,
    height: cython.Py_ssize_t,
    x: cython.Py_ssize_t,
    y: cython.Py_ssize_t,
    rows: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Copy what a block reads from (x, y) on, up to 32 pixels to the right, when it leaves its plane; return where.

    Outside a plane its edge repeats. The copy's rows of 96 bytes are 32 times the left edge, 32 pixels, 32 times the
    right edge; what is further out looks alike.
    """
    row = cython.declare(cython.uchar[32])
    r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    s: cython.Py_ssize_t
    a: cython.uchar
    b: cython.uchar
    n: cython.Py_ssize_t = min(width, 32)
    first: cython.Py_ssize_t = 0
    left: cython.Py_ssize_t = -32
    x = min(max(x, left), width)
    left = min(max(x, first), width - n)
    for r in range(rows):
        s = plane + min(max(y + r, first), height - 1) * width
        a = ref[s]
        b = ref[s + width - 1]
        for j in range(32):
            patch[p + j] = a
        if n == 32:
            for j in range(32):
                row[j] = ref[s + left + j]
            for j in range(32):
                patch[p + 32 + j] = row[j]
        else:
            for j in range(n):
                patch[p + 32 + j] = ref[s + j]
        for j in range(32):
            patch[p + 32 + n + j] = b
        p += 96
    return p - 96 * rows + 32 + x - left


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def fraction(v: cython.Py_ssize_t, kind: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Offset of the taps for v eighths of a pixel, 0 for none; kind: 0 six-tap, 64 bilinear."""
    return (v & 7) * 8 + kind if v & 7 else 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def predict_luma(
    dst: cython.p_uchar,
    ref: cython.p_uchar,
    width: cython.Py_ssize_t,
    height: cython.Py_ssize_t,
    x: cython.Py_ssize_t,
    y: cython.Py_ssize_t,
    mvs: cython.p_short,
    m: cython.Py_ssize_t,
    kind: cython.Py_ssize_t,
    w: cython.Py_ssize_t,
    h: cython.Py_ssize_t,
) -> cython.void:
    """Predict w x h pixels of luma at (x, y) by the vector at mvs[m]."""
    patch = cython.declare(cython.uchar[2016])
    n: cython.Py_ssize_t = 16 if w == 16 else 8
    fy: cython.Py_ssize_t = fraction(2 * mvs[m], kind)
    fx: cython.Py_ssize_t = fraction(2 * mvs[m + 1], kind)
    o: cython.Py_ssize_t = y * width + x
    s: cython.Py_ssize_t
    src: cython.p_uchar = ref
    stride: cython.Py_ssize_t = width
    reach: cython.Py_ssize_t = 3 if fx or fy else 0
    y += mvs[m] >> 2
    x += mvs[m + 1] >> 2
    s = y * width + x
    if x < reach or y < reach or x + n + reach > width or y + h + reach > height:
        s = cut_patch(patch, 0, ref, 0, width, height, x - 2, y - 2, h + 5) + 194
        src = patch
        stride = 96
    if reach:
        interpolate(dst, o, width, src, s, stride, fx, fy, w, h)
    else:
        copy(dst, o, width, src, s, stride, h, w)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def predict_chroma(
    dst: cython.p_uchar,
    ref: cython.p_uchar,
    width: cython.Py_ssize_t,
    height: cython.Py_ssize_t,
    x: cython.Py_ssize_t,
    y: cython.Py_ssize_t,
    mv_row: cython.Py_ssize_t,
    mv_col: cython.Py_ssize_t,
    kind: cython.Py_ssize_t,
    w: cython.Py_ssize_t,
    h: cython.Py_ssize_t,
) -> cython.void:
    """Predict w x h pixels of both U and V at (x, y) by a vector in eighths of their pixels."""
    patch = cython.declare(cython.uchar[2496])
    fy: cython.Py_ssize_t = fraction(mv_row, kind)
    fx: cython.Py_ssize_t = fraction(mv_col, kind)
    plane: cython.Py_ssize_t = width * height
    o: cython.Py_ssize_t = 4 * plane + y * width + x
    su: cython.Py_ssize_t
    sv: cython.Py_ssize_t
    src: cython.p_uchar = ref
    stride: cython.Py_ssize_t = width
    reach: cython.Py_ssize_t = 6 if fx or fy else 0
    y += mv_row >> 3
    x += mv_col >> 3
    su = 4 * plane + y * width + x
    sv = su + plane
    if x < reach or y < reach or x + w + reach > width or y + h + reach > height:
        su = cut_patch(patch, 0, ref, 4 * plane, width, height, x - 2, y - 2, h + 5) + 194
        sv = cut_patch(patch, 1248, ref, 5 * plane, width, height, x - 2, y - 2, h + 5) + 194
        src = patch
        stride = 96
    if reach:
        interpolate_chroma(dst, o, o + plane, width, src, su, sv, stride, fx, fy, w, h)
    else:
        copy(dst, o, width, src, su, stride, h, w)
        copy(dst, o + plane, width, src, sv, stride, h, w)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def same(mvs: cython.p_short, a: cython.Py_ssize_t, b: cython.Py_ssize_t) -> cython.int:
    """Whether the vectors at mvs[a] and mvs[b] are the same."""
    return mvs[a] == mvs[b] and mvs[a + 1] == mvs[b + 1]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_whole(
    dst: cython.p_uchar,
    ref: cython.p_uchar,
    width: cython.Py_ssize_t,
    height: cython.Py_ssize_t,
    x: cython.Py_ssize_t,
    y: cython.Py_ssize_t,
    row: cython.int,
    column: cython.int,
    version: cython.int,
) -> cython.void:
    """Predict the luma of the macroblock at (x, y) into 16 x 16 pixels of its own."""
    patch = cython.declare(cython.uchar[2016])
    kind: cython.Py_ssize_t = 64 if version else 0
    fy: cython.Py_ssize_t = fraction(2 * row, kind)
    fx: cython.Py_ssize_t = fraction(2 * column, kind)
    s: cython.Py_ssize_t
    src: cython.p_uchar = ref
    stride: cython.Py_ssize_t = width
    reach: cython.Py_ssize_t = 3 if fx or fy else 0
    y += row >> 2
    x += column >> 2
    s = y * width + x
    if x < reach or y < reach or x + 16 + reach > width or y + 16 + reach > height:
        s = cut_patch(patch, 0, ref, 0, width, height, x - 2, y - 2, 21) + 194
        src = patch
        stride = 96
    if reach:
        interpolate(dst, 0, 16, src, s, stride, fx, fy, 16, 16)
    else:
        copy(dst, 0, 16, src, s, stride, 16, 16)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_parts(
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
    """predict_inter for a macroblock with more than one vector."""
    k: cython.Py_ssize_t
    b: cython.Py_ssize_t
    i: cython.Py_ssize_t
    x: cython.Py_ssize_t
    y: cython.Py_ssize_t
    down: cython.Py_ssize_t
    right: cython.Py_ssize_t
    width: cython.Py_ssize_t = 16 * mbw
    height: cython.Py_ssize_t = 16 * mbh
    kind: cython.Py_ssize_t = 64 if version else 0
    whole: cython.Py_ssize_t = -8 if version == 3 else -1
    rows: cython.int = split == 1 and same(mvs, m, m + 4) and same(mvs, m + 16, m + 20)
    for k in range(4):
        y = 16 * row + 8 * (k >> 1)
        x = 16 * col + 8 * (k & 1)
        b = m + 16 * (k >> 1) + 4 * (k & 1)  # the vectors of a quarter are at b, b + 2, b + 8, b + 10
        if rows:  # parts of 16x8
            if k & 1:
                continue
            predict_luma(dst, ref, width, height, x, y, mvs, b, kind, 16, 8)
        elif split == 1 or (same(mvs, b, b + 2) and same(mvs, b, b + 8) and same(mvs, b, b + 10)):
            predict_luma(dst, ref, width, height, x, y, mvs, b, kind, 8, 8)
        else:
            for i in range(b, b + 16, 8):
                if same(mvs, i, i + 2):
                    predict_luma(dst, ref, width, height, x, y, mvs, i, kind, 8, 4)
                else:
                    predict_luma(dst, ref, width, height, x, y, mvs, i, kind, 4, 4)
                    predict_luma(dst, ref, width, height, x + 4, y, mvs, i + 2, kind, 4, 4)
                y += 4
            y -= 8
        y >>= 1
        x >>= 1
        down = mvs[b]
        right = mvs[b + 1]
        if split == 2:  # four vectors are averaged, halves away from zero
            down += mvs[b + 2] + mvs[b + 8] + mvs[b + 10]
            right += mvs[b + 3] + mvs[b + 9] + mvs[b + 11]
            down = (down + 2) >> 2 if down >= 0 else -((2 - down) >> 2)
            right = (right + 2) >> 2 if right >= 0 else -((2 - right) >> 2)
        down &= whole
        right &= whole
        if rows:
            predict_chroma(dst, ref, width >> 1, height >> 1, x, y, down, right, kind, 8, 4)
        else:
            predict_chroma(dst, ref, width >> 1, height >> 1, x, y, down, right, kind, 4, 4)


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
    kind: cython.Py_ssize_t = 64 if version else 0
    whole: cython.Py_ssize_t = -8 if version == 3 else -1
    if split:
        predict_parts(dst, ref, mbw, mbh, col, row, mvs, m, split, version)
        return
    predict_luma(dst, ref, 16 * mbw, 16 * mbh, 16 * col, 16 * row, mvs, m, kind, 16, 16)
    # A luma vector in quarter pixels is a chroma vector in eighths.
    predict_chroma(dst, ref, 8 * mbw, 8 * mbh, 8 * col, 8 * row, mvs[m] & whole, mvs[m + 1] & whole, kind, 8, 8)


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
