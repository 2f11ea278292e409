"""The bool decoder's window (RFC 6386 §7.3): the one place where a boolean is read.

A module that reads many booleans says ``from codec.window import ...  # inlined``: codec/build.py then pastes
this file there, as C would include it, so that a call of ``bit`` costs nothing and the window stays in registers.
Only what is inlined takes the window by its address; all else takes and returns it whole.

``value`` holds the bytes taken in, from the top; ``count`` is how many of its bits are there beyond the eight
that the next decision needs, so it is time to refill when it is negative.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.codec.intrinsics import leading_zeros
else:

    def leading_zeros(x: int) -> int:  # noqa: D103  the C compiler's is documented there
        return 32 - x.bit_length()


__all__ = ["Window", "bit", "leading_zeros", "refilled", "signed", "tree_bits"]

Window = cython.struct(
    pos=cython.Py_ssize_t,
    end=cython.Py_ssize_t,
    value=cython.ulonglong,
    range=cython.uint,
    count=cython.int,
)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def refilled(w: Window, data: cython.p_uchar) -> Window:
    """Return the window with whole bytes taken in until it is full; past the end, as in libvpx, zeros."""
    shift: cython.int = 48 - w.count
    while shift >= 0:
        if w.pos < w.end:
            w.value |= cython.cast(cython.ulonglong, data[w.pos]) << shift
        w.pos += 1
        w.count += 8
        shift -= 8
    return w


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def bit(w: cython.pointer(Window), data: cython.p_uchar, prob: cython.uint) -> cython.int:
    """Read one boolean; ``prob`` of 256 is the probability of 0."""
    split: cython.uint = 1 + (((w[0].range - 1) * prob) >> 8)
    if w[0].count < 0:
        w[0] = refilled(w[0], data)
    bound: cython.ulonglong = cython.cast(cython.ulonglong, split) << 56
    shift: cython.int
    if w[0].value >= bound:
        w[0].range -= split
        w[0].value -= bound
        shift = leading_zeros(w[0].range) - 24
        w[0].range <<= shift
        w[0].value <<= shift
        w[0].count -= shift
        return 1
    shift = leading_zeros(split) - 24
    w[0].range = split << shift
    w[0].value <<= shift
    w[0].count -= shift
    return 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def signed(w: cython.pointer(Window), data: cython.p_uchar, size: cython.int) -> cython.int:
    """Read a sign, a boolean at even odds, and return ``size`` with it: without a branch, for none could be predicted.

    The range is never 255 here, which it is before the first boolean alone; so both halves are scaled by one bit.
    """
    if w[0].count < 0:
        w[0] = refilled(w[0], data)
    split: cython.uint = (w[0].range + 1) >> 1
    bound: cython.ulonglong = cython.cast(cython.ulonglong, split) << 56
    minus: cython.uint = w[0].value >= bound
    w[0].range = (w[0].range + 1 - minus) & 254
    w[0].value = (w[0].value - bound * minus) << 1
    w[0].count -= 1
    return size - 2 * size * cython.cast(cython.int, minus)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def tree_bits(
    w: cython.pointer(Window),
    data: cython.p_uchar,
    tree: cython.p_uchar,
    probs: cython.p_uchar,
    p: cython.Py_ssize_t,
) -> cython.int:
    """Return the leaf that the bits lead to (§8.1); see ``mode_tables`` for a tree's form."""
    node: cython.int = 0
    while node < 128:
        node = tree[node + bit(w, data, probs[p + (node >> 1)])]
    return node - 128
