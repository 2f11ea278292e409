"""The bool encoder's interval (RFC 6386 §7.3, §20.2): the one place where a boolean is written.

Inlined as ``window`` is, and for the same reason; the same rule about addresses holds.

``low`` is the lower end of the interval; its bits above the lowest eight, ``pending`` of them and a carry, wait to
be written to ``data[pos]``. What comes after ``end`` is dropped, and ``full`` tells.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.codec.intrinsics import leading_zeros
else:

    def leading_zeros(x: int) -> int:
        return 32 - x.bit_length()


__all__ = ["Interval", "drained", "put"]

Interval = cython.struct(
    low=cython.ulonglong,
    range=cython.uint,
    pending=cython.int,
    pos=cython.Py_ssize_t,
    end=cython.Py_ssize_t,
    full=cython.int,
)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def drained(v: Interval, data: cython.p_uchar) -> Interval:
    """Return the interval after every whole byte that waits was written."""
    i: cython.Py_ssize_t
    byte: cython.uint
    while v.pending >= 8:
        byte = cython.cast(cython.uint, v.low >> v.pending)
        v.low &= (cython.cast(cython.ulonglong, 1) << v.pending) - 1
        v.pending -= 8
        if v.pos == v.end:
            v.full = 1
            continue
        if byte > 255:  # a carry, into the bytes before
            i = v.pos - 1
            while i > 0 and data[i] == 255:
                data[i] = 0
                i -= 1
            data[i] = (data[i] + 1) & 255
        data[v.pos] = byte & 255
        v.pos += 1
    return v


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def put(v: cython.pointer(Interval), data: cython.p_uchar, prob: cython.uint, value: cython.int) -> cython.void:
    """Write one boolean; ``prob`` of 256 is the probability of 0."""
    split: cython.uint = 1 + (((v[0].range - 1) * prob) >> 8)
    shift: cython.int
    if value:
        v[0].low += split
        split = v[0].range - split
    shift = leading_zeros(split) - 24
    v[0].range = split << shift
    v[0].low <<= shift
    v[0].pending += shift
    if v[0].pending >= 40:
        v[0] = drained(v[0], data)
