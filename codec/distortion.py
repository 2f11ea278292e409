"""How far two blocks of pixels are apart: sums of absolute differences, of squares, of transformed differences.

All take blocks of 16x16, 16x8, 8x16, 8x8 or 4x4 (w x h) pixels, at ``a[i]`` and at ``b[j]`` with a stride each. Widths
are constants where the work is done, so that the compiler makes vectors of a row.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401

__all__ = ["MEASURES", "distances", "sad", "satd", "sse", "variance"]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def absolutes(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Sum absolute differences."""
    total: cython.int = 0
    difference: cython.int
    _row: cython.int
    x: cython.int
    for _row in range(h):
        for x in range(w):
            difference = a[i + x] - b[j + x]
            total += difference if difference >= 0 else -difference
        i += a_stride
        j += b_stride
    return total


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def squares(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Sum squared differences."""
    total: cython.int = 0
    difference: cython.int
    _row: cython.int
    x: cython.int
    for _row in range(h):
        for x in range(w):
            difference = a[i + x] - b[j + x]
            total += difference * difference
        i += a_stride
        j += b_stride
    return total


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def spread(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
    shift: cython.int,
) -> cython.int:
    """Sum the squares of what differences differ from their mean; 1 << shift is w * h."""
    total: cython.int = 0
    straight: cython.int = 0
    difference: cython.int
    _row: cython.int
    x: cython.int
    for _row in range(h):
        for x in range(w):
            difference = a[i + x] - b[j + x]
            straight += difference
            total += difference * difference
        i += a_stride
        j += b_stride
    if straight < 0:
        straight = -straight
    # A sum of 256 differences is below 2^16: as an unsigned square it fits 32 bits.
    return total - cython.cast(
        cython.int, (cython.cast(cython.uint, straight) * cython.cast(cython.uint, straight)) >> shift
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def transformed(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Sum the absolute values of the 4x4 Hadamard transforms of the differences, halved.

    Columns of four rows are transformed first, sixteen or as many as there are at once, then what lies side by side.
    Of the last step no sums are needed: |p + r| + |p - r| is twice the larger of |p| and |r|.
    """
    d = cython.declare(cython.short[256])
    t = cython.declare(cython.short[64])
    sums = cython.declare(cython.ushort[16])
    row: cython.int
    x: cython.int
    o: cython.int
    p: cython.short
    q: cython.short
    r: cython.short
    s: cython.short
    total: cython.int = 0
    for row in range(h):
        for x in range(w):
            d[w * row + x] = a[i + x] - b[j + x]
        i += a_stride
        j += b_stride
    for x in range(w):
        sums[x] = 0
    for row in range(0, h, 4):
        o = w * row
        for x in range(w):
            p = d[o + x] + d[o + w + x]
            q = d[o + x] - d[o + w + x]
            r = d[o + 2 * w + x] + d[o + 3 * w + x]
            s = d[o + 2 * w + x] - d[o + 3 * w + x]
            t[x] = p + r
            t[w + x] = p - r
            t[2 * w + x] = q + s
            t[3 * w + x] = q - s
        # At most 8 numbers below 4096 come into each of the sums.
        for x in range(w):
            p = t[4 * x] + t[4 * x + 1]
            q = t[4 * x] - t[4 * x + 1]
            r = t[4 * x + 2] + t[4 * x + 3]
            s = t[4 * x + 2] - t[4 * x + 3]
            p = p if p >= 0 else -p
            q = q if q >= 0 else -q
            r = r if r >= 0 else -r
            s = s if s >= 0 else -s
            sums[x] += max(p, r) + max(q, s)
    for x in range(w):
        total += sums[x]
    return total


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def sad(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Return the sum of absolute differences."""
    if w == 16:
        if h == 16:
            return absolutes(a, i, a_stride, b, j, b_stride, 16, 16)
        return absolutes(a, i, a_stride, b, j, b_stride, 16, 8)
    if w == 8:
        if h == 8:
            return absolutes(a, i, a_stride, b, j, b_stride, 8, 8)
        return absolutes(a, i, a_stride, b, j, b_stride, 8, 16)
    return absolutes(a, i, a_stride, b, j, b_stride, 4, 4)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def sse(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Return the sum of squared differences."""
    if w == 16:
        if h == 16:
            return squares(a, i, a_stride, b, j, b_stride, 16, 16)
        return squares(a, i, a_stride, b, j, b_stride, 16, 8)
    if w == 8:
        if h == 8:
            return squares(a, i, a_stride, b, j, b_stride, 8, 8)
        return squares(a, i, a_stride, b, j, b_stride, 8, 16)
    return squares(a, i, a_stride, b, j, b_stride, 4, 4)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def variance(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Return the sum of squared differences that remains when the mean difference is taken off."""
    if w == 16:
        if h == 16:
            return spread(a, i, a_stride, b, j, b_stride, 16, 16, 8)
        return spread(a, i, a_stride, b, j, b_stride, 16, 8, 7)
    if w == 8:
        if h == 8:
            return spread(a, i, a_stride, b, j, b_stride, 8, 8, 6)
        return spread(a, i, a_stride, b, j, b_stride, 8, 16, 7)
    return spread(a, i, a_stride, b, j, b_stride, 4, 4, 4)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def satd(
    a: cython.p_uchar,
    i: cython.Py_ssize_t,
    a_stride: cython.Py_ssize_t,
    b: cython.p_uchar,
    j: cython.Py_ssize_t,
    b_stride: cython.Py_ssize_t,
    w: cython.int,
    h: cython.int,
) -> cython.int:
    """Return half the sum of the absolute 4x4 Hadamard transforms of the differences."""
    if w == 16:
        if h == 16:
            return transformed(a, i, a_stride, b, j, b_stride, 16, 16)
        return transformed(a, i, a_stride, b, j, b_stride, 16, 8)
    if w == 8:
        if h == 8:
            return transformed(a, i, a_stride, b, j, b_stride, 8, 8)
        return transformed(a, i, a_stride, b, j, b_stride, 8, 16)
    return transformed(a, i, a_stride, b, j, b_stride, 4, 4)


MEASURES = ("sad", "sse", "variance", "satd")


def distances(measure: str, a: bytes, b: bytes, width: int, height: int, size: tuple[int, int]) -> list[int]:
    """Return the measure of each whole block of two planes: the kernels as tests and benchmarks call them."""
    kind: cython.int = MEASURES.index(measure)
    one: cython.p_uchar = a
    other: cython.p_uchar = b
    stride: cython.Py_ssize_t = width
    w: cython.int = size[0]
    h: cython.int = size[1]
    across: cython.Py_ssize_t = width // size[0]
    n: cython.Py_ssize_t = across * (height // size[1])
    k: cython.Py_ssize_t
    o: cython.Py_ssize_t
    found: cython.p_int
    buffer = bytearray(4 * n)
    if cython.compiled:
        found = cython.cast(cython.p_int, cython.cast(cython.p_uchar, buffer))
    else:
        found = memoryview(buffer).cast("i")
    with cython.nogil:
        for k in range(n):
            o = k // across * h * stride + k % across * w
            if kind == 0:
                found[k] = sad(one, o, stride, other, o, stride, w, h)
            elif kind == 1:
                found[k] = sse(one, o, stride, other, o, stride, w, h)
            elif kind == 2:
                found[k] = variance(one, o, stride, other, o, stride, w, h)
            else:
                found[k] = satd(one, o, stride, other, o, stride, w, h)
    return memoryview(buffer).cast("i").tolist()
