"""The two passes of sub-pixel interpolation, RFC 6386 §18.3, pasted into what predicts and what searches.

A block is predicted in two passes, through `lines`: rows of 16 numbers of 16 bits that hold pixels. A pass whose
fraction is zero only copies. The sum of a filter is offset by 64 (128 times that, before the shift) and so never
negative: it fits 16 unsigned bits, which are twice as many lanes as 32.
"""

import cython

__all__ = ["copy_across", "copy_down", "filter_across", "filter_down", "interpolate", "taps"]

# Taps for pixels -2..3 around the position, by eighths of a pixel; they sum to 128. The second half is bilinear.
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
BILINEAR = tuple((0, 0, 128 - 16 * k, 16 * k, 0, 0) for k in range(8))

taps = cython.declare(cython.short[128])
if not cython.compiled:
    taps = [0] * 128
for _k in range(128):
    taps[_k] = ((SIX_TAPS + BILINEAR)[_k >> 3] + (64, 0))[_k & 7]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def filter_across(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    step: cython.Py_ssize_t,
    f: cython.Py_ssize_t,
    six: cython.int,
    rows: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    lines: cython.p_ushort,
) -> cython.void:
    """First pass: n pixels of each row, filtered with taps[f..] over pixels that are step bytes apart."""
    r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    o: cython.Py_ssize_t
    t: cython.ushort
    x: cython.short
    low: cython.short = 0
    high: cython.short = 255
    offset: cython.short = taps[f + 6]
    h: cython.short = 128 * taps[f + 6] + 64
    a: cython.short = taps[f]
    b: cython.short = taps[f + 1]
    c: cython.short = taps[f + 2]
    d: cython.short = taps[f + 3]
    e: cython.short = taps[f + 4]
    g: cython.short = taps[f + 5]
    for r in range(rows):
        o = s + r * stride
        for j in range(n):
            t = src[o + j - step] * b + src[o + j] * c + src[o + j + step] * d + src[o + j + 2 * step] * e + h
            if six:
                t = (t + src[o + j - 2 * step] * a + src[o + j + 3 * step] * g) & 65535
            x = (t >> 7) - offset
            lines[16 * r + j] = min(max(x, low), high)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def copy_across(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    rows: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    lines: cython.p_ushort,
) -> cython.void:
    """First pass without a fraction."""
    r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    for r in range(rows):
        for j in range(n):
            lines[16 * r + j] = src[s + r * stride + j]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def filter_down(
    lines: cython.p_ushort,
    l: cython.Py_ssize_t,
    f: cython.Py_ssize_t,
    six: cython.int,
    rows: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    dst: cython.p_uchar,
    o: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
) -> cython.void:
    """Second pass: rows of n pixels, filtered with taps[f..]; the first is at lines[l]."""
    _r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    t: cython.ushort
    x: cython.short
    low: cython.short = 0
    high: cython.short = 255
    offset: cython.short = taps[f + 6]
    h: cython.short = 128 * taps[f + 6] + 64
    a: cython.short = taps[f]
    b: cython.short = taps[f + 1]
    c: cython.short = taps[f + 2]
    d: cython.short = taps[f + 3]
    e: cython.short = taps[f + 4]
    g: cython.short = taps[f + 5]
    for _r in range(rows):
        for j in range(n):
            t = lines[l - 16 + j] * b + lines[l + j] * c + lines[l + 16 + j] * d + lines[l + 32 + j] * e + h
            if six:
                t = (t + lines[l - 32 + j] * a + lines[l + 48 + j] * g) & 65535
            x = (t >> 7) - offset
            dst[o + j] = min(max(x, low), high)
        l += 16
        o += stride


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def copy_down(
    lines: cython.p_ushort,
    l: cython.Py_ssize_t,
    rows: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    dst: cython.p_uchar,
    o: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
) -> cython.void:
    """Second pass without a fraction."""
    r: cython.Py_ssize_t
    j: cython.Py_ssize_t
    for r in range(rows):
        for j in range(n):
            dst[o + r * stride + j] = lines[l + 16 * r + j]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def interpolate(
    dst: cython.p_uchar,
    o: cython.Py_ssize_t,
    o_stride: cython.Py_ssize_t,
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    fx: cython.Py_ssize_t,
    fy: cython.Py_ssize_t,
    w: cython.Py_ssize_t,
    h: cython.Py_ssize_t,
) -> cython.void:
    """Luma: w x h pixels; fx and fy are the taps' offsets."""
    lines = cython.declare(cython.ushort[336])
    n: cython.Py_ssize_t = 16 if w == 16 else 8  # fewer lanes than 8 are no faster
    above: cython.Py_ssize_t = 2 if fy else 0
    rows: cython.Py_ssize_t = h + 5 if fy else h
    s -= above * stride
    if fx:
        filter_across(src, s, stride, 1, fx, 1, rows, n, lines)
    else:
        copy_across(src, s, stride, rows, n, lines)
    if fy:
        filter_down(lines, 32, fy, 1, h, w, dst, o, o_stride)
    else:
        copy_down(lines, 0, h, w, dst, o, o_stride)
