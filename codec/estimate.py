"""What a residue will cost, guessed from its coefficients without quantising them (RFC 6386 §13, §14).

A coefficient c is either left out, at an error of c squared, or coded, which takes some bits for its being there, more
the larger it is, and an error that hardly depends on it. The cheaper of the two is min(c * c, base + slope * |c|), and
that is a sum in lanes. Costs are in squared coefficient units, as in ``trellis``.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.codec.forward import forward_four, forward_wht
else:
    from codec.forward import forward_four, forward_wht

__all__ = ["estimate_block", "estimate_luma"]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def estimate_block(
    coeffs: cython.p_short, c: cython.Py_ssize_t, n: cython.Py_ssize_t, base: cython.int, slope: cython.int
) -> cython.int:
    """Return what ``n`` coefficients will cost; ``slope`` is in 1/256."""
    total: cython.int = 0
    i: cython.Py_ssize_t
    x: cython.int
    for i in range(n):
        x = coeffs[c + i]
        x = x if x >= 0 else -x
        total += min(x * x, base + ((slope * x) >> 8))
    return total


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def estimate_luma(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    s_stride: cython.Py_ssize_t,
    pred: cython.p_uchar,
    p: cython.Py_ssize_t,
    p_stride: cython.Py_ssize_t,
    model: cython.p_int,
) -> cython.int:
    """Return what the luma of a macroblock will cost with Y2.

    ``model`` is base and slope of Y and of Y2. A Y2 coefficient is twice one of the other blocks.
    """
    coeffs = cython.declare(cython.short[400])
    r: cython.Py_ssize_t
    for r in range(4):
        forward_four(src, s, s + 8, s_stride, pred, p, p + 8, p_stride, coeffs, 64 * r, 64 * r + 32)
        s += 4 * s_stride
        p += 4 * p_stride
    forward_wht(coeffs, 0)
    return estimate_block(coeffs, 0, 256, model[0], model[1]) + (
        estimate_block(coeffs, 384, 16, model[2], model[3]) >> 2
    )
