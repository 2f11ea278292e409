"""What the decisions of a macroblock cost in bits: the prices of modes and vectors (RFC 6386 §10, §11, §16, §17).

The peer of ``modes``: what that writes is priced here by the same probabilities, in 1/256 bit as in ``cost``. All
tables are filled once a frame, so that an encoder that weighs many decisions only adds.
"""

from __future__ import annotations

import cython

from codec.header import Header
from codec.neighbours import b_mode_beside, clamp, part_context, settle, survey, wrap  # inlined
from codec.symbols import (  # inlined
    B_PRED,
    MV_LONG,
    MV_LONG_BITS,
    MV_PROBS,
    MV_SHORT,
    MV_SIGN,
    NEAR,
    NEAREST,
    NEARESTMV,
    NEARMV,
    NEWMV,
    SPLITMV,
    WEIGHT,
    ZEROMV,
)

if cython.compiled:
    from cython.cimports.codec.cost import bool_cost
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.modes import (
        b_mode_probs,
        b_mode_tree,
        key_b_mode_probs,
        key_uv_mode_probs,
        key_y_mode_probs,
        key_y_mode_tree,
        mode_contexts,
        small_mv_tree,
        split_first,
        split_mv_contexts,
        split_parts,
        split_probs,
        split_tree,
        uv_mode_tree,
        y_mode_tree,
    )
else:
    from codec.cost import bool_cost
    from codec.decisions import Decisions
    from codec.modes import (
        b_mode_probs,
        b_mode_tree,
        key_b_mode_probs,
        key_uv_mode_probs,
        key_y_mode_probs,
        key_y_mode_tree,
        mode_contexts,
        small_mv_tree,
        split_first,
        split_mv_contexts,
        split_parts,
        split_probs,
        split_tree,
        uv_mode_tree,
        y_mode_tree,
    )

__all__ = ["MAX_DIFFERENCE", "Prices", "modes_price"]

MAX_DIFFERENCE = 1023
"""How far a vector's component can be from the best one's, in quarter pixels (§17.2)."""

# A component's prices: 2047 of them, and one so that the rows are even.
REACH = cython.declare(cython.int, 1023)
COMPONENT = cython.declare(cython.int, 2048)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def price_tree(
    tree: cython.p_uchar,
    probs: cython.p_uchar,
    p: cython.Py_ssize_t,
    values: cython.int,
    out: cython.p_int,
) -> cython.void:
    """Put what each of a tree's values costs into ``out``."""
    nodes = cython.declare(cython.int[20])
    i: cython.int
    bit: cython.int
    price: cython.int
    nodes[0] = 0
    for i in range(0, 2 * (values - 1), 2):
        for bit in range(2):
            price = nodes[i] + bool_cost(probs[p + (i >> 1)], bit)
            if tree[i + bit] < 128:
                nodes[tree[i + bit]] = price
            else:
                out[tree[i + bit] - 128] = price


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def price_component(probs: cython.p_uchar, p: cython.Py_ssize_t, out: cython.p_ushort, o: cython.int) -> cython.void:
    """Put what each difference of one component costs into ``out``; that of zero is at ``o`` (§17.2)."""
    short = cython.declare(cython.int[8])
    bits = cython.declare(cython.int[20])
    x: cython.int
    i: cython.int
    price: cython.int
    price_tree(small_mv_tree, probs, p + MV_SHORT, 8, short)
    for i in range(MV_LONG_BITS):
        bits[2 * i] = bool_cost(probs[p + MV_LONG + i], 0)
        bits[2 * i + 1] = bool_cost(probs[p + MV_LONG + i], 1)
    out[o] = bool_cost(probs[p], 0) + short[0]
    for x in range(1, REACH + 1):
        price = bool_cost(probs[p], x > 7)
        if x < 8:
            price += short[x]
        else:
            for i in range(MV_LONG_BITS):
                # Bit 3 of a number below 16 goes without saying: else it would have been short.
                if i != 3 or x > 15:
                    price += bits[2 * i + ((x >> i) & 1)]
        out[o + x] = price + bool_cost(probs[p + MV_SIGN], 0)
        out[o - x] = price + bool_cost(probs[p + MV_SIGN], 1)


@cython.final
@cython.cclass
class Prices:
    """What the decisions of a frame's macroblocks cost, in 1/256 bit, by the probabilities of its header.

    - ``skip[2]``, ``segment[4]``: nothing where the header says that they are not sent
    - ``reference[4]``: intra, last, golden, altref; nothing on a key frame
    - ``y_mode[5]``, ``uv_mode[4]``: of an intra macroblock
    - ``b_mode[100][10]``: by 10 times the mode above plus that to the left, which count on a key frame alone
    - ``shape[4]``: of SPLITMV; ``part[8][4]``: a part's vector as left, above, zero or new, by ``part_context``
    - ``inter_mode[6][4][2]``: the four branches of inter modes by their weights, see ``inter_modes``
    - ``vector[2][2048]``: a new vector's difference from the best one, its rows first; that of zero is at 1023
    """

    def __init__(self, header: Header) -> None:
        i: cython.int
        probabilities = header.probabilities
        y_probs: cython.p_uchar = probabilities.y_modes
        uv_probs: cython.p_uchar = probabilities.uv_modes
        vector_probs: cython.p_uchar = probabilities.vectors
        segment_probs = cython.declare(cython.uchar[3])
        b_modes, vectors = bytearray(2 * 1000), bytearray(2 * 2 * 2048)
        if cython.compiled:
            self.b_mode = cython.cast(cython.p_ushort, cython.cast(cython.p_uchar, b_modes))
            self.vector = cython.cast(cython.p_ushort, cython.cast(cython.p_uchar, vectors))
        else:
            self.b_mode, self.vector = memoryview(b_modes).cast("H"), memoryview(vectors).cast("H")
            self.skip, self.segment, self.reference, self.y_mode = [0] * 2, [0] * 4, [0] * 4, [0] * 5
            self.bias, self.uv_mode, self.shape, self.inter_mode, self.part = (
                [0] * 4,
                [0] * 4,
                [0] * 4,
                [0] * 48,
                [0] * 32,
            )
        self.held = (b_modes, vectors)
        self.key_frame = header.key_frame
        self.bias[0] = self.bias[1] = 0
        self.bias[2] = header.golden_sign_bias
        self.bias[3] = header.altref_sign_bias
        segment_probs[0], segment_probs[1], segment_probs[2] = header.segment_probs
        for i in range(2):
            self.skip[i] = bool_cost(header.prob_skip, i) if header.may_skip else 0
        for i in range(4):
            self.segment[i] = self.reference[i] = 0
            if header.update_segment_map:
                self.segment[i] = bool_cost(segment_probs[0], i >> 1) + bool_cost(segment_probs[1 + (i >> 1)], i & 1)
            if not header.key_frame:
                self.reference[i] = bool_cost(header.prob_intra, i > 0)
                self.reference[i] += bool_cost(header.prob_last, i > 1) if i > 0 else 0
                self.reference[i] += bool_cost(header.prob_golden, i > 2) if i > 1 else 0
        if header.key_frame:
            price_tree(key_y_mode_tree, key_y_mode_probs, 0, 5, self.y_mode)
            price_tree(uv_mode_tree, key_uv_mode_probs, 0, 4, self.uv_mode)
        else:
            price_tree(y_mode_tree, y_probs, 0, 5, self.y_mode)
            price_tree(uv_mode_tree, uv_probs, 0, 4, self.uv_mode)
        self.fill()
        price_component(vector_probs, 0, self.vector, REACH)
        price_component(vector_probs, MV_PROBS, self.vector, COMPONENT + REACH)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def fill(self) -> cython.void:
        """Fill what no header changes."""
        modes = cython.declare(cython.int[10])
        context: cython.Py_ssize_t
        i: cython.int
        price_tree(b_mode_tree, b_mode_probs, 0, 10, modes)
        for context in range(100):
            if self.key_frame:
                price_tree(b_mode_tree, key_b_mode_probs, 9 * context, 10, modes)
            for i in range(10):
                self.b_mode[10 * context + i] = modes[i]
        price_tree(split_tree, split_probs, 0, 4, self.shape)
        for i in range(24):
            self.inter_mode[2 * i] = bool_cost(mode_contexts[i], 0)
            self.inter_mode[2 * i + 1] = bool_cost(mode_contexts[i], 1)
        for i in range(8):
            self.part[4 * i] = bool_cost(split_mv_contexts[3 * i], 0)
            self.part[4 * i + 1] = bool_cost(split_mv_contexts[3 * i], 1) + bool_cost(split_mv_contexts[3 * i + 1], 0)
            self.part[4 * i + 2] = self.part[4 * i + 3] = bool_cost(split_mv_contexts[3 * i], 1) + bool_cost(
                split_mv_contexts[3 * i + 1], 1
            )
            self.part[4 * i + 2] += bool_cost(split_mv_contexts[3 * i + 2], 0)
            self.part[4 * i + 3] += bool_cost(split_mv_contexts[3 * i + 2], 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def inter_modes(self, near: cython.p_int, out: cython.p_int) -> cython.void:
        """Put the prices of NEARESTMV, NEARMV, ZEROMV, NEWMV, SPLITMV into ``out`` (at mode - 5), without vectors.

        ``near`` comes from ``survey`` and ``settle``.
        """
        price: cython.int
        a: cython.Py_ssize_t = 8 * near[WEIGHT]
        b: cython.Py_ssize_t = 8 * near[WEIGHT + NEAREST] + 2
        c: cython.Py_ssize_t = 8 * near[WEIGHT + NEAR] + 4
        e: cython.Py_ssize_t = 8 * near[WEIGHT + 3] + 6
        out[ZEROMV - NEARESTMV] = self.inter_mode[a]
        price = self.inter_mode[a + 1]
        out[0] = price + self.inter_mode[b]
        price += self.inter_mode[b + 1]
        out[NEARMV - NEARESTMV] = price + self.inter_mode[c]
        price += self.inter_mode[c + 1]
        out[NEWMV - NEARESTMV] = price + self.inter_mode[e]
        out[SPLITMV - NEARESTMV] = price + self.inter_mode[e + 1]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def difference(self, row: cython.int, column: cython.int) -> cython.int:
        """Return what a new vector costs by its difference from the best one; what cannot be said costs 2^20."""
        row = wrap(row)
        column = wrap(column)
        if row < -REACH or row > REACH or column < -REACH or column > REACH:
            return 1 << 20
        return self.vector[REACH + row] + self.vector[COMPONENT + REACH + column]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def split(
        self,
        d: Decisions,
        at: cython.Py_ssize_t,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        near: cython.p_int,
    ) -> cython.int:
        """Return what shape and vectors of a SPLITMV macroblock cost; ``near`` is settled, its best one clamped."""
        around = cython.declare(cython.int[4])
        shape: cython.int = d.split_shape[at]
        price: cython.int = self.shape[shape]
        part: cython.int
        block: cython.int
        context: cython.int
        y: cython.int
        x: cython.int
        for part in range(split_parts[shape]):
            block = split_first[16 * shape + part]
            context = 4 * part_context(d, at, column, row, block, around)
            y = d.vector[32 * at + 2 * block]
            x = d.vector[32 * at + 2 * block + 1]
            if y == around[0] and x == around[1]:
                price += self.part[context]
            elif y == around[2] and x == around[3]:
                price += self.part[context + 1]
            elif y == 0 and x == 0:
                price += self.part[context + 2]
            else:
                price += self.part[context + 3] + self.difference(y - near[0], x - near[1])
        return price

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def inter(
        self, d: Decisions, at: cython.Py_ssize_t, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.int:
        """Return what mode and vectors of an inter macroblock cost."""
        near = cython.declare(cython.int[12])
        modes = cython.declare(cython.int[5])
        mode: cython.int = d.y_mode[at]
        price: cython.int
        survey(d, at, column, row, self.bias, near)
        settle(d, at, column, row, near)
        self.inter_modes(near, modes)
        price = modes[mode - NEARESTMV]
        if mode < NEWMV:
            return price
        clamp(d, column, row, near, 0)
        if mode == SPLITMV:
            return price + self.split(d, at, column, row, near)
        return price + self.difference(d.vector[32 * at] - near[0], d.vector[32 * at + 1] - near[1])

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def intra(
        self, d: Decisions, at: cython.Py_ssize_t, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.int:
        """Return what the modes of an intra macroblock cost."""
        price: cython.int = self.y_mode[d.y_mode[at]] + self.uv_mode[d.uv_mode[at]]
        context: cython.Py_ssize_t = 0
        block: cython.int
        if d.y_mode[at] == B_PRED:
            for block in range(16):
                if self.key_frame:
                    context = 10 * b_mode_beside(d, at, block, 1, row == 0) + b_mode_beside(
                        d, at, block, 0, column == 0
                    )
                price += self.b_mode[10 * context + d.b_mode[16 * at + block]]
        return price

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def macroblock(self, d: Decisions, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.int:
        """Return what all decisions of a macroblock cost, after those before it."""
        at: cython.Py_ssize_t = row * d.columns + column
        price: cython.int = self.segment[d.segment[at]] + self.skip[d.skip[at]] + self.reference[d.reference[at]]
        if d.reference[at]:
            return price + self.inter(d, at, column, row)
        return price + self.intra(d, at, column, row)


def modes_price(header: Header, decisions: Decisions) -> int:
    """Return what ``modes.write_modes`` writes for a frame, in 1/256 bit."""
    prices: Prices = Prices(header)
    d: Decisions = decisions
    total: cython.longlong = 0
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    with cython.nogil:
        for row in range(d.rows):
            for column in range(d.columns):
                total += prices.macroblock(d, column, row)
    return total
