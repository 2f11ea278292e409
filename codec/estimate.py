"""What a residue will cost, guessed from its coefficients without quantising them (RFC 6386 §13, §14).

A coefficient c is either left out, at an error of c squared, or coded, which takes some bits for its being there, more
the larger it is, and an error that hardly depends on it. The cheaper of the two is min(c * c, base + slope * |c|), and
that is a sum in lanes. Costs are in squared coefficient units, as in ``trellis``.
"""

from __future__ import annotations

import cython

__all__ = ["estimate_block"]


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
