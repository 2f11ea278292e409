"""The boolean entropy coder: reader and writer (RFC 6386 §7, §20.2).

How a boolean is read is in ``window``, how it is written in ``interval``. Past its end a partition reads as zeros,
as in libvpx, and ``overrun`` tells.
"""

from __future__ import annotations

import cython

from codec.interval import Interval, drained, put  # inlined
from codec.window import Window, bit  # inlined

__all__ = ["BoolReader", "BoolWriter"]


@cython.final
@cython.cclass
class BoolReader:
    """Reads the booleans of one partition: ``data[start:end]``."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.owner = data  # keeps the bytes alive that ``data`` points into
        self.data = data
        self.pos = start
        self.end = end
        self.value = 0
        self.range = 255
        self.count = -8

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def read(self, prob: cython.int) -> cython.int:
        """Return one boolean; ``prob`` of 256 is the probability of 0."""
        w = cython.declare(Window)
        w.pos = self.pos
        w.end = self.end
        w.value = self.value
        w.range = self.range
        w.count = self.count
        value: cython.int = bit(cython.address(w), self.data, prob)
        self.pos = w.pos
        self.value = w.value
        self.range = w.range
        self.count = w.count
        return value

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def read_literal(self, bits: cython.int) -> cython.int:
        """Return an unsigned number, most significant bit first, each at even odds."""
        value: cython.int = 0
        while bits > 0:
            bits -= 1
            value = (value << 1) | self.read(128)
        return value

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def overrun(self) -> cython.int:
        """Tell whether more was read than the partition holds."""
        return (self.pos - self.end) * 8 > self.count

    def flag(self, prob: int = 128) -> int:
        """Return one boolean."""
        return self.read(prob)

    def literal(self, bits: int) -> int:
        """Return an unsigned number of ``bits`` bits."""
        return self.read_literal(bits)

    def updates(self, odds: bytes, old: bytes, width: int) -> bytes:
        """Return ``old`` with the probabilities that the stream sends anew (§13.4, §17.2).

        ``odds[i]`` is the probability that ``old[i]`` stays. A new one comes in ``width`` bits: 8, or 7 in
        which case it is doubled, and 1 stands for 0.
        """
        new: bytearray = bytearray(old)
        n: cython.Py_ssize_t = len(new)
        i: cython.Py_ssize_t
        p: cython.p_uchar = new
        o: cython.p_uchar = odds
        bits: cython.int = width
        value: cython.int
        for i in range(n):
            if self.read(o[i]):
                value = self.read_literal(bits)
                if bits == 7:
                    value = value << 1 if value else 1
                p[i] = value
        return bytes(new)

    def ended_early(self) -> bool:
        """Tell whether more was read than the partition holds."""
        return self.overrun() != 0

    def position(self) -> int:
        """Return the offset in ``data`` of the first byte that was not needed yet."""
        return min(self.pos, self.end)


@cython.final
@cython.cclass
class BoolWriter:
    """Writes booleans into a buffer of ``capacity`` bytes, and drops what comes after it is full.

    ``full`` tells of that: the caller starts again with more room.
    """

    def __init__(self, capacity: int) -> None:
        self.buffer = bytearray(capacity)
        self.data = self.buffer
        self.low = 0
        self.range = 255
        self.pending = 0
        self.pos = 0
        self.end = capacity
        self.full = False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def write(self, prob: cython.int, bit: cython.int) -> cython.void:
        """Write one boolean; ``prob`` of 256 is the probability of 0."""
        v: Interval = interval_of(self)
        put(cython.address(v), self.data, prob, bit)
        keep(self, v)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def write_literal(self, bits: cython.int, value: cython.int) -> cython.void:
        """Write an unsigned number, most significant bit first, each at even odds."""
        while bits > 0:
            bits -= 1
            self.write(128, (value >> bits) & 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def write_tree(
        self, tree: cython.p_uchar, probs: cython.p_uchar, p: cython.Py_ssize_t, value: cython.int
    ) -> cython.void:
        """Write the bits that lead to a leaf (§8.1). Trees are small: the way is found from the leaf up."""
        path: cython.uint = 1
        at: cython.int = 0
        node: cython.int
        while tree[at] != value + 128:
            at += 1
        path = (path << 1) | (at & 1)
        node = at & ~1
        while node:
            at = 0
            while tree[at] != node:
                at += 1
            path = (path << 1) | (at & 1)
            node = at & ~1
        while path > 1:
            self.write(probs[p + (node >> 1)], path & 1)
            node = tree[node + (path & 1)]
            path >>= 1

    def flag(self, value: int, prob: int = 128) -> None:
        """Write one boolean."""
        self.write(prob, value)

    def literal(self, bits: int, value: int) -> None:
        """Write an unsigned number in ``bits`` bits."""
        self.write_literal(bits, value)

    def updates(self, odds: bytes, old: bytes, new: bytes, width: int) -> None:
        """Write which probabilities change, and to what; the counterpart of ``BoolReader.updates``."""
        n: cython.Py_ssize_t = len(old)
        i: cython.Py_ssize_t
        o: cython.p_uchar = odds
        before: cython.p_uchar = old
        after: cython.p_uchar = new
        bits: cython.int = width
        for i in range(n):
            self.write(o[i], before[i] != after[i])
            if before[i] != after[i]:
                self.write_literal(bits, after[i] >> 1 if bits == 7 else after[i])

    def finish(self) -> bytes:
        """Return the partition: all that was written, and two bytes of zeros or a bit less.

        A decoder's window reaches eight bits past the last boolean, and FFmpeg's takes in sixteen at a time:
        with the padding neither thinks the partition cut short.
        """
        v: Interval = drained(interval_of(self), self.data)
        v.low <<= 24
        v.pending += 24
        keep(self, drained(v, self.data))
        return bytes(memoryview(self.buffer)[: self.pos])


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def interval_of(writer: BoolWriter) -> Interval:
    """Return a writer's interval by itself."""
    v = cython.declare(Interval)
    v.low = writer.low
    v.range = writer.range
    v.pending = writer.pending
    v.pos = writer.pos
    v.end = writer.end
    v.full = writer.full
    return v


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def keep(writer: BoolWriter, v: Interval) -> cython.void:
    """Put an interval back into its writer."""
    writer.low = v.low
    writer.range = v.range
    writer.pending = v.pending
    writer.pos = v.pos
    writer.full = v.full
