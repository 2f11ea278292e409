"""The coefficients of a macroblock as tokens: read and written (RFC 6386 §13).

A macroblock has 25 blocks of 16 levels: 0-15 luma, 16-19 U, 20-23 V, 24 Y2; levels lie in raster order inside a
block. ``eobs`` counts, per block, the positions in coding order up to the last token (0: nothing is coded); luma
after Y2 begins at position 1. Contexts are 9 flags for what lies above and 9 for what lies left: luma 0-3,
U 4-5, V 6-7, Y2 8.
"""

from __future__ import annotations

import cython

from codec.coefficient_tables import BANDS, EXTRA_BITS, ZIGZAG
from codec.errors import CorruptStream
from codec.interval import Interval, put  # inlined
from codec.window import Window, bit, leading_zeros, signed  # inlined

if cython.compiled:
    from cython.cimports.codec.boolcoder import BoolWriter
else:
    from codec.boolcoder import BoolWriter

__all__ = ["TokenPartitions", "read_tokens", "skip_tokens", "write_tokens"]

# Strides of the probability table [block type][band][context][node]; that of a band is in ``band``.
TYPE = cython.declare(cython.int, 264)
CONTEXT = cython.declare(cython.int, 11)

zigzag = ZIGZAG
# Position in coding order -> where its band begins.
_BAND = bytes(33 * number for number in BANDS)
band = _BAND
# Category 0..5 at 16 * category: how many extra bits, then their probabilities.
_EXTRA_BITS = b"".join((bytes([len(bits)]) + bits).ljust(16, b"\0") for _, bits in EXTRA_BITS)
# The places of a block in the nine contexts.
_ABOVE = bytes([*[0, 1, 2, 3] * 4, *[4, 5] * 2, *[6, 7] * 2, 8])
_LEFT = bytes([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8])
extra_bits = _EXTRA_BITS
above_of = _ABOVE
left_of = _LEFT


@cython.final
@cython.cclass
class TokenPartitions:
    """The readers of a frame's 1, 2, 4 or 8 token partitions (§9.5), which take the rows of macroblocks in turn.

    Each is a window (see ``window``); they lie in arrays, for C code without the
    interpreter cannot hold a list of objects.
    """

    def __init__(self, data: bytes, start: int, log2: int) -> None:
        count: int = 1 << log2
        sizes: int = start
        if not cython.compiled:
            self.pos, self.end, self.value, self.range, self.count = ([0] * 8 for _ in range(5))
        self.owner = data  # keeps the bytes alive that ``data`` points into
        self.data = data
        self.mask = count - 1
        start += 3 * (count - 1)
        for i in range(count):
            size = len(data) - start
            if i < count - 1:
                size = int.from_bytes(data[sizes + 3 * i : sizes + 3 * i + 3], "little")
            if size <= 0 or start + size > len(data):
                raise CorruptStream(
                    f"token partition {i} of {count} does not fit the frame (§9.5)", min(start, len(data))
                )
            self.pos[i] = start
            start += size
            self.end[i] = start
            self.value[i] = 0
            self.range[i] = 255
            self.count[i] = -8

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def overrun(self) -> cython.int:
        """Return the number of the first partition that was read past its end, counted from 1; 0 for none."""
        i: cython.int
        for i in range(self.mask + 1):
            if (self.pos[i] - self.end[i]) * 8 > self.count[i]:
                return i + 1
        return 0

    def ends(self) -> list[int]:
        """Return the offsets at which the partitions end."""
        return [self.end[i] for i in range(self.mask + 1)]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_category(
    w: Window, data: cython.p_uchar, probs: cython.p_uchar, p: cython.Py_ssize_t, out: cython.p_int
) -> Window:
    """Read a magnitude of 5 or more into ``out`` (§13.2)."""
    window: cython.pointer(Window) = cython.address(w)
    category: cython.int
    value: cython.int = 0
    i: cython.int
    if not bit(window, data, probs[p + 6]):
        category = bit(window, data, probs[p + 7])
    else:
        category = bit(window, data, probs[p + 8])
        category = 2 + 2 * category + bit(window, data, probs[p + 9 + category])
    for i in range(extra_bits[16 * category]):
        value = 2 * value + bit(window, data, extra_bits[16 * category + 1 + i])
    # The smallest values of the categories are 5, 7, 11, 19, 35 and 67.
    out[0] = value + 3 + (2 << category)
    return w


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def read_block(
    w: cython.pointer(Window),
    data: cython.p_uchar,
    probs: cython.p_uchar,
    p: cython.Py_ssize_t,
    context: cython.int,
    first: cython.int,
    levels: cython.p_short,
    c: cython.Py_ssize_t,
) -> cython.int:
    """Read a block's tokens from position ``first`` on; return its eob, 0 when there is none (§13.3)."""
    i: cython.int = first
    value: cython.int
    large = cython.declare(cython.int[1])
    at: cython.Py_ssize_t = p + band[first] + CONTEXT * context
    if not bit(w, data, probs[at]):
        return 0
    while True:
        # After a zero the block cannot end, so the end is not asked for.
        while not bit(w, data, probs[at + 1]):
            i += 1
            if i == 16:
                return 16
            at = p + band[i]
        value = 1
        context = CONTEXT
        if bit(w, data, probs[at + 2]):
            context = 2 * CONTEXT
            if bit(w, data, probs[at + 3]):
                w[0] = read_category(w[0], data, probs, at, large)
                value = large[0]
            elif bit(w, data, probs[at + 4]):
                value = 3 + bit(w, data, probs[at + 5])
            else:
                value = 2
        levels[c + zigzag[i]] = signed(w, data, value)
        i += 1
        if i == 16:
            return 16
        at = p + band[i] + context
        if not bit(w, data, probs[at]):
            return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_tokens(
    partitions: TokenPartitions,
    which: cython.int,
    probs: cython.p_uchar,
    above: cython.p_uchar,
    a: cython.Py_ssize_t,
    left: cython.p_uchar,
    has_y2: cython.int,
    levels: cython.p_short,
    c: cython.Py_ssize_t,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
) -> cython.int:
    """Read a macroblock's tokens into ``levels``, which must be zero; return whether there is any."""
    data: cython.p_uchar = partitions.data
    w = cython.declare(Window)
    w.pos = partitions.pos[which]
    w.end = partitions.end[which]
    w.value = partitions.value[which]
    w.range = partitions.range[which]
    w.count = partitions.count[which]
    block: cython.int = 24 if has_y2 else 0
    first: cython.int = 0
    kind: cython.Py_ssize_t = TYPE if has_y2 else 3 * TYPE
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    eob: cython.int
    coded: cython.int = 0
    eobs[e + 24] = 0
    while True:
        i = a + above_of[block]
        k = left_of[block]
        eob = read_block(cython.address(w), data, probs, kind, above[i] + left[k], first, levels, c + 16 * block)
        above[i] = left[k] = eob > 0
        eobs[e + block] = eob
        coded |= eob
        block += 1
        if block == 25:  # after Y2 comes luma without its DC
            block = 0
            first = 1
            kind = 0
        elif block == 16:
            first = 0
            kind = 2 * TYPE
        elif block == 24:
            break
    partitions.pos[which] = w.pos
    partitions.value[which] = w.value
    partitions.range[which] = w.range
    partitions.count[which] = w.count
    return coded > 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def skip_tokens(above: cython.p_uchar, a: cython.Py_ssize_t, left: cython.p_uchar, has_y2: cython.int) -> cython.void:
    """Leave the contexts as a macroblock without coefficients does; Y2's stays unless it would have had one."""
    i: cython.int
    for i in range(8):
        above[a + i] = 0
        left[i] = 0
    if has_y2:
        above[a + 8] = 0
        left[8] = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_category(
    interval: Interval, data: cython.p_uchar, probs: cython.p_uchar, p: cython.Py_ssize_t, value: cython.int
) -> Interval:
    """Write a magnitude of 5 or more (§13.2); return the interval after it."""
    v: cython.pointer(Interval) = cython.address(interval)
    bits: cython.int
    i: cython.int
    # 5 and 6 are category 0, 7 to 10 category 1, then each is twice as wide.
    category: cython.int = min(30 - leading_zeros(cython.cast(cython.uint, value - 3)), 5)
    put(v, data, probs[p + 6], category > 1)
    if category < 2:
        put(v, data, probs[p + 7], category)
    else:
        put(v, data, probs[p + 8], category > 3)
        put(v, data, probs[p + 9 + (category > 3)], category & 1)
    value -= 3 + (2 << category)
    bits = extra_bits[16 * category]
    for i in range(bits):
        put(v, data, extra_bits[16 * category + 1 + i], (value >> (bits - 1 - i)) & 1)
    return interval


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def write_block(
    v: cython.pointer(Interval),
    data: cython.p_uchar,
    probs: cython.p_uchar,
    p: cython.Py_ssize_t,
    context: cython.int,
    first: cython.int,
    levels: cython.p_short,
    c: cython.Py_ssize_t,
    eob: cython.int,
) -> cython.void:
    """Write a block's tokens from position ``first`` on, the counterpart of ``read_block``."""
    i: cython.int = first
    value: cython.int
    size: cython.int
    at: cython.Py_ssize_t = p + band[first] + CONTEXT * context
    put(v, data, probs[at], eob > 0)
    while i < eob:
        value = levels[c + zigzag[i]]
        size = -value if value < 0 else value
        put(v, data, probs[at + 1], size > 0)
        i += 1
        if size == 0:
            at = p + band[i]
            continue
        put(v, data, probs[at + 2], size > 1)
        if size > 1:
            put(v, data, probs[at + 3], size > 4)
            if size > 4:
                v[0] = write_category(v[0], data, probs, at, size)
            else:
                put(v, data, probs[at + 4], size > 2)
                if size > 2:
                    put(v, data, probs[at + 5], size - 3)
        put(v, data, 128, value < 0)
        if i < 16:
            at = p + band[i] + CONTEXT * (2 if size > 1 else 1)
            put(v, data, probs[at], i < eob)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_tokens(
    writer: BoolWriter,
    probs: cython.p_uchar,
    above: cython.p_uchar,
    a: cython.Py_ssize_t,
    left: cython.p_uchar,
    has_y2: cython.int,
    levels: cython.p_short,
    c: cython.Py_ssize_t,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
) -> cython.void:
    """Write a macroblock's tokens; the last token of a block must not be a zero unless it is at position 15."""
    data: cython.p_uchar = writer.data
    v = cython.declare(Interval)
    v.low = writer.low
    v.range = writer.range
    v.pending = writer.pending
    v.pos = writer.pos
    v.end = writer.end
    v.full = writer.full
    block: cython.int = 24 if has_y2 else 0
    first: cython.int = 0
    kind: cython.Py_ssize_t = TYPE if has_y2 else 3 * TYPE
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    eob: cython.int
    while True:
        i = a + above_of[block]
        k = left_of[block]
        eob = eobs[e + block]
        write_block(cython.address(v), data, probs, kind, above[i] + left[k], first, levels, c + 16 * block, eob)
        above[i] = left[k] = eob > 0
        block += 1
        if block == 25:  # after Y2 comes luma without its DC
            block = 0
            first = 1
            kind = 0
        elif block == 16:
            first = 0
            kind = 2 * TYPE
        elif block == 24:
            break
    writer.low = v.low
    writer.range = v.range
    writer.pending = v.pending
    writer.pos = v.pos
    writer.full = v.full
