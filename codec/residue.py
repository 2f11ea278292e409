"""What is left of a macroblock after its prediction: measured first, transformed where that is worth it (RFC 6386 §14).

Most blocks of most frames need no residue. The sum of their absolute differences says so at a small part of the cost
of the transform, and their plain sum is all that Y2 needs to know. Source and prediction are rasters of one layout.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.codec.forward import forward_four, forward_wht
else:
    from codec.forward import forward_four, forward_wht


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def measure_luma(
    src: cython.p_uchar,
    dst: cython.p_uchar,
    y: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    sums: cython.p_short,
    sads: cython.p_short,
) -> cython.void:
    """Put the sum and the sum of absolutes of the differences of each of the 16 luma blocks into an array."""
    plain = cython.declare(cython.short[64])
    absolute = cython.declare(cython.short[64])
    d: cython.short
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    b: cython.Py_ssize_t
    o: cython.Py_ssize_t
    for b in range(4):
        for k in range(16):
            plain[16 * b + k] = 0
            absolute[16 * b + k] = 0
        for r in range(4):
            o = y + (4 * b + r) * stride
            for k in range(16):
                d = src[o + k] - dst[o + k]
                plain[16 * b + k] += d
                absolute[16 * b + k] += d if d >= 0 else -d
    for k in range(16):
        sums[k] = plain[4 * k] + plain[4 * k + 1] + plain[4 * k + 2] + plain[4 * k + 3]
        sads[k] = absolute[4 * k] + absolute[4 * k + 1] + absolute[4 * k + 2] + absolute[4 * k + 3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def measure_chroma(
    src: cython.p_uchar,
    dst: cython.p_uchar,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    sads: cython.p_short,
) -> cython.void:
    """Put the sums of absolute differences of the chroma blocks into an array, line by line: U U V V, U U V V."""
    absolute = cython.declare(cython.short[32])
    one = cython.declare(cython.uchar[16])
    other = cython.declare(cython.uchar[16])
    d: cython.short
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    b: cython.Py_ssize_t
    o: cython.Py_ssize_t
    for b in range(2):
        for k in range(16):
            absolute[16 * b + k] = 0
        for r in range(4):
            o = (4 * b + r) * stride
            for k in range(8):
                one[k] = src[u + o + k]
                one[8 + k] = src[v + o + k]
                other[k] = dst[u + o + k]
                other[8 + k] = dst[v + o + k]
            for k in range(16):
                d = one[k] - other[k]
                absolute[16 * b + k] += d if d >= 0 else -d
    for k in range(8):
        sads[k] = absolute[4 * k] + absolute[4 * k + 1] + absolute[4 * k + 2] + absolute[4 * k + 3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def transform_residue(
    src: cython.p_uchar,
    dst: cython.p_uchar,
    y: cython.Py_ssize_t,
    y_stride: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    uv_stride: cython.Py_ssize_t,
    has_y2: cython.int,
    least: cython.p_int,
    l: cython.Py_ssize_t,
    coeffs: cython.p_short,
) -> cython.uint:
    """Transform the blocks of a macroblock that differ enough from their prediction; return them as a set of bits.

    ``least[l]`` and ``least[l + 1]`` are the sums of absolute differences from which on a luma and a chroma block is
    transformed. With ``has_y2`` block 24 is always made and in the set. The DCs of luma stay in place.
    """
    sums = cython.declare(cython.short[16])
    sads = cython.declare(cython.short[16])
    chroma = cython.declare(cython.short[8])
    done: cython.uint = 0
    group: cython.uint
    k: cython.Py_ssize_t
    b: cython.Py_ssize_t
    o: cython.Py_ssize_t
    measure_luma(src, dst, y, y_stride, sums, sads)
    measure_chroma(src, dst, u, v, uv_stride, chroma)
    # Four blocks that share their lines are transformed together or not at all; the DCs are wanted in any case.
    for b in range(0, 16, 4):
        group = 0
        for k in range(4):
            group |= cython.cast(cython.uint, sads[b + k] >= least[l]) << k
            coeffs[16 * (b + k)] = (8 * sums[b + k] + 7) >> 4
        if group:
            o = y + b * y_stride
            forward_four(src, o, o + 8, y_stride, dst, o, o + 8, y_stride, coeffs, 16 * b, 16 * b + 32)
        done |= group << b
    for b in range(2):
        group = 0
        for k in range(2):
            group |= cython.cast(cython.uint, chroma[4 * b + k] >= least[l + 1]) << (16 + 2 * b + k)
            group |= cython.cast(cython.uint, chroma[4 * b + 2 + k] >= least[l + 1]) << (20 + 2 * b + k)
        if group:
            o = 4 * b * uv_stride
            k = 256 + 32 * b
            forward_four(src, u + o, v + o, uv_stride, dst, u + o, v + o, uv_stride, coeffs, k, k + 64)
        done |= group
    if has_y2:
        done |= cython.cast(cython.uint, 1) << 24
        for b in range(16):
            sums[b] = coeffs[16 * b]
        forward_wht(coeffs, 0)
        for b in range(16):
            coeffs[16 * b] = sums[b]
    return done
