"""The boolean entropy coder: reader and writer (RFC 6386 §7, §20.2).

How a boolean is read is in ``window``. Past its end a partition reads as zeros, as in libvpx, and ``overrun`` tells.
"""

from __future__ import annotations

import cython

from codec.window import Window, bit, leading_zeros  # inlined

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
        i: cython.int
        for i in range(bits):
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
    """Writes booleans into a buffer of ``capacity`` bytes.

    ``low`` is the lower bound of the coding interval; its bits above the lowest eight, ``pending`` of them and
    a carry, wait to be written. What comes after the buffer is full is dropped, and ``full`` tells: the caller
    starts again with more room.
    """

    def __init__(self, capacity: int) -> None:
        self.buffer = bytearray(capacity)
        self.data = self.buffer
        self.capacity = capacity
        self.pos = 0
        self.low = 0
        self.range = 255
        self.pending = 0
        self.full = False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def emit(self, byte: cython.uint) -> cython.void:
        """Append eight bits; a ninth is a carry into the bytes before."""
        data: cython.p_uchar = self.data
        i: cython.Py_ssize_t = self.pos - 1
        if self.pos == self.capacity:
            self.full = True
            return
        if byte > 255:
            while i >= 0 and data[i] == 255:
                data[i] = 0
                i -= 1
            data[i] += 1
        data[self.pos] = byte & 255
        self.pos += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def drain(self) -> cython.void:
        """Write every whole byte that waits."""
        while self.pending >= 8:
            self.emit(cython.cast(cython.uint, self.low >> self.pending))
            self.low &= (cython.cast(cython.ulonglong, 1) << self.pending) - 1
            self.pending -= 8

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def write(self, prob: cython.int, bit: cython.int) -> cython.void:
        """Write one boolean; ``prob`` of 256 is the probability of 0."""
        split: cython.uint = 1 + (((self.range - 1) * cython.cast(cython.uint, prob)) >> 8)
        if bit:
            self.low += split
            self.range -= split
        else:
            self.range = split
        shift: cython.int = leading_zeros(self.range) - 24
        self.range <<= shift
        self.low <<= shift
        self.pending += shift
        if self.pending >= 40:
            self.drain()

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
        self.drain()
        self.low <<= 24
        self.pending += 24
        self.drain()
        return bytes(self.buffer[: self.pos])
