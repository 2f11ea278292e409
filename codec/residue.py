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
def measure_rows(
    src: cython.p_uchar,
    dst: cython.p_uchar,
    y: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    sums: cython.p_int,
    sads: cython.p_int,
    b: cython.Py_ssize_t,
) -> cython.void:
    """Put the sum and the sum of absolutes of the differences of four luma blocks side by side at ``b``."""
    plain = cython.declare(cython.short[16])
    absolute = cython.declare(cython.short[16])
    d: cython.short
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    o: cython.Py_ssize_t
    for k in range(16):
        plain[k] = 0
        absolute[k] = 0
    for r in range(4):
        o = y + r * stride
        for k in range(16):
            d = src[o + k] - dst[o + k]
            plain[k] += d
            absolute[k] += d if d >= 0 else -d
    for k in range(4):
        sums[b + k] = plain[4 * k] + plain[4 * k + 1] + plain[4 * k + 2] + plain[4 * k + 3]
        sads[b + k] = absolute[4 * k] + absolute[4 * k + 1] + absolute[4 * k + 2] + absolute[4 * k + 3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def measure_chroma(
    src: cython.p_uchar,
    dst: cython.p_uchar,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    sads: cython.p_int,
    b: cython.Py_ssize_t,
) -> cython.void:
    """Put the sums of absolute differences of two U blocks side by side at ``b``, of V blocks at ``b + 4``."""
    absolute = cython.declare(cython.short[16])
    one = cython.declare(cython.uchar[16])
    other = cython.declare(cython.uchar[16])
    d: cython.short
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for k in range(16):
        absolute[k] = 0
    for r in range(4):
        for k in range(8):
            one[k] = src[u + r * stride + k]
            one[8 + k] = src[v + r * stride + k]
            other[k] = dst[u + r * stride + k]
            other[8 + k] = dst[v + r * stride + k]
        for k in range(16):
            d = one[k] - other[k]
            absolute[k] += d if d >= 0 else -d
    for k in range(2):
        sads[b + k] = absolute[4 * k] + absolute[4 * k + 1] + absolute[4 * k + 2] + absolute[4 * k + 3]
        sads[b + 4 + k] = absolute[8 + 4 * k] + absolute[9 + 4 * k] + absolute[10 + 4 * k] + absolute[11 + 4 * k]


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
    sums = cython.declare(cython.int[16])
    sads = cython.declare(cython.int[24])
    done: cython.uint = 0
    group: cython.uint
    first: cython.Py_ssize_t
    k: cython.Py_ssize_t
    b: cython.Py_ssize_t
    o: cython.Py_ssize_t
    for b in range(4):
        measure_rows(src, dst, y + 4 * b * y_stride, y_stride, sums, sads, 4 * b)
    measure_chroma(src, dst, u, v, uv_stride, sads, 16)
    measure_chroma(src, dst, u + 4 * uv_stride, v + 4 * uv_stride, uv_stride, sads, 18)
    # Four blocks that share their lines are transformed together or not at all; the DCs are wanted in any case.
    for b in range(0, 24, 4):
        group = 0
        if b < 16:
            for k in range(4):
                group |= cython.cast(cython.uint, sads[b + k] >= least[l]) << k
                coeffs[16 * (b + k)] = (8 * sums[b + k] + 7) >> 4
            if group:
                o = y + b * y_stride
                forward_four(src, o, o + 8, y_stride, dst, o, o + 8, y_stride, coeffs, 16 * b, 16 * b + 32)
            done |= group << b
        else:
            # U and V: two blocks of each.
            first = 16 + ((b - 16) >> 1)
            for k in range(2):
                group |= cython.cast(cython.uint, sads[first + k] >= least[l + 1]) << k
                group |= cython.cast(cython.uint, sads[first + 4 + k] >= least[l + 1]) << (4 + k)
            if group:
                o = (b - 16) * uv_stride
                forward_four(
                    src, u + o, v + o, uv_stride, dst, u + o, v + o, uv_stride, coeffs, 16 * first, 16 * first + 64
                )
            done |= group << first
    if has_y2:
        done |= cython.cast(cython.uint, 1) << 24
        for b in range(16):
            sums[b] = coeffs[16 * b]
        forward_wht(coeffs, 0)
        for b in range(16):
            coeffs[16 * b] = sums[b]
    return done
