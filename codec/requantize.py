"""The pass of rebase over the macroblocks: predict, transform, quantise, reconstruct, count (RFC 6386 §13, §14).

One macroblock after the other, because each is predicted from the ones before it:

    decisions ---> prediction <--- references of the new state, macroblocks done
                       |
    source --------> residue ---> levels ---> + prediction ---> macroblock done
                                     |
                                     +---> tokens counted, skip noted

The levels of a macroblock are kept only if it has any, one after the other in ``levels``; ``eobs`` has an entry for
every macroblock. They are written when the whole frame has been counted and its probabilities are known.
"""

from __future__ import annotations

import cython

from codec.coefficient_tables import BANDS, COEFFICIENT_UPDATES, ZIGZAG
from codec.cost import LEVEL_TOKENS, MAX_LEVEL

if cython.compiled:
    from cython.cimports.codec.boolcoder import BoolWriter
    from cython.cimports.codec.canvas import Canvas
    from cython.cimports.codec.cost import bool_cost, fill_token_costs
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.forward import forward_block
    from cython.cimports.codec.probabilities import improve_coefficients
    from cython.cimports.codec.residue import transform_residue
    from cython.cimports.codec.tokens import above_of, left_of, skip_tokens, write_tokens
    from cython.cimports.codec.transform import add_residue, add_residue_chroma, idct_add
    from cython.cimports.codec.trellis import quantize_by_cost, quantize_by_dead_zone
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
else:
    from codec.boolcoder import BoolWriter
    from codec.canvas import Canvas
    from codec.cost import bool_cost, fill_token_costs
    from codec.decisions import Decisions
    from codec.forward import forward_block
    from codec.probabilities import improve_coefficients
    from codec.residue import transform_residue
    from codec.tokens import above_of, left_of, skip_tokens, write_tokens
    from codec.transform import add_residue, add_residue_chroma, idct_add
    from codec.trellis import quantize_by_cost, quantize_by_dead_zone

__all__ = ["Requantizer"]

B_PRED = cython.declare(cython.int, 4)
ZEROMV = cython.declare(cython.int, 7)
SPLITMV = cython.declare(cython.int, 9)

# Errors are squared Y2 coefficients times 4096; a Y2 coefficient is four times an orthonormal one, one of the other
# blocks twice, so theirs count four times as much. See ``policy`` for chroma.
ERROR_UNIT = cython.declare(cython.longlong, 4096)

_zigzag = cython.declare(cython.uchar[16])
_bands = cython.declare(cython.uchar[17])
_tokens = cython.declare(cython.uchar[2049])
for _i in range(16):
    _zigzag[_i] = ZIGZAG[_i]
for _i in range(17):
    _bands[_i] = BANDS[_i]
for _i in range(MAX_LEVEL + 1):
    _tokens[_i] = LEVEL_TOKENS[_i]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def count_block(
    counts: cython.p_uint,
    kind: cython.int,
    context: cython.int,
    levels: cython.p_short,
    c: cython.Py_ssize_t,
    eob: cython.int,
) -> cython.void:
    """Count the tokens of a block as ``counts[block type 4][band 8][context 3][token 12]``."""
    i: cython.int = 1 if kind == 0 else 0
    level: cython.int
    while i < eob:
        level = levels[c + _zigzag[i]]
        level = level if level >= 0 else -level
        counts[(kind * 24 + _bands[i] * 3 + context) * 12 + _tokens[level]] += 1
        context = min(level, 2)
        i += 1
    if i < 16:
        counts[(kind * 24 + _bands[i] * 3 + context) * 12] += 1


@cython.final
@cython.cclass
class Requantizer:
    """Makes a frame's macroblocks anew on a canvas.

    ``decisions`` is changed: its skips become those of the new frame. ``source`` is the raster of the image,
    ``factors`` six a segment (see ``quantization``), ``indices`` the quantizer index of each segment. ``rates`` are
    what 1/256 bit weighs, for inter and intra macroblocks of each segment, in the units of ``trellis``; ``chroma``
    what a chroma error weighs, in 1/16 of a luma error; ``least`` the sums of absolute differences below which a luma
    and a chroma block are taken as empty. ``dead_zone``: quantise as libvpx does, ``boosted`` with more of it for
    calm macroblocks; rates and ``least`` do not count then. ``probabilities`` are those that tokens are expected to
    cost.
    """

    def __init__(
        self,
        canvas: Canvas,
        decisions: Decisions,
        source: bytes,
        probabilities: bytes,
        prob_skip: int,
        factors: list[int],
        indices: list[int],
        rates: list[int],
        chroma: int,
        least: list[int],
        dead_zone: bool,
        boosted: bool,
    ) -> None:
        n: cython.Py_ssize_t = canvas.columns * canvas.rows
        size: cython.Py_ssize_t = 800 * (n + 1)
        probs: cython.p_uchar = probabilities
        self.canvas = canvas
        self.d = decisions
        self.source = source
        self.eobs = bytearray(25 * n)
        self.eob = self.eobs
        self.counts = bytearray(4 * 1152)
        contexts = bytearray(9 * canvas.columns)
        self.context = contexts
        costs = bytearray(2 * 1152)
        if cython.compiled:
            # Not cleared: the levels of a block are written before its end of block says that they are there.
            self.levels = PyBytes_FromStringAndSize(cython.NULL, size)
        else:
            self.levels = bytearray(size)
        packed = [_packed(4, factors), _packed(4, indices), _packed(8, rates), _packed(4, least)]
        self.held = (source, contexts, costs, packed)
        if cython.compiled:
            self.level = cython.cast(cython.p_short, cython.cast(cython.p_uchar, self.levels))
            self.count = cython.cast(cython.p_uint, cython.cast(cython.p_uchar, self.counts))
            self.cost = cython.cast(cython.p_ushort, cython.cast(cython.p_uchar, costs))
            self.factor = cython.cast(cython.p_int, cython.cast(cython.p_uchar, packed[0]))
            self.index = cython.cast(cython.p_int, cython.cast(cython.p_uchar, packed[1]))
            self.rate = cython.cast(cython.p_longlong, cython.cast(cython.p_uchar, packed[2]))
            self.least = cython.cast(cython.p_int, cython.cast(cython.p_uchar, packed[3]))
        else:
            self.level = memoryview(self.levels).cast("h")
            self.count = memoryview(self.counts).cast("I")
            self.cost = memoryview(costs).cast("H")
            self.factor, self.index, self.rate, self.least = factors, indices, rates, least
        fill_token_costs(probs, self.cost)
        self.chroma = chroma
        self.skip_cost = bool_cost(prob_skip, 1)
        self.coded_cost = bool_cost(prob_skip, 0)
        self.coded = 0
        self.price = 0
        self.dead_zone = dead_zone
        self.boosted = boosted

    def run(self) -> None:
        """Make all macroblocks; the canvas is left unfiltered."""
        left = cython.declare(cython.uchar[9])
        d: Decisions = self.d
        canvas: Canvas = self.canvas
        i: cython.int
        row: cython.Py_ssize_t
        column: cython.Py_ssize_t
        with cython.nogil:
            for row in range(canvas.rows):
                for i in range(9):
                    left[i] = 0
                for column in range(canvas.columns):
                    self.macroblock(d, canvas, column, row, left)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def macroblock(
        self, d: Decisions, canvas: Canvas, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar
    ) -> cython.void:
        """Make one macroblock."""
        canvas.predict(d, column, row)
        if d.y_mode[row * canvas.columns + column] == B_PRED:
            self.finish(d, canvas, column, row, left, self.by_blocks(d, canvas, column, row, left))
        else:
            self.finish(d, canvas, column, row, left, self.whole(d, canvas, column, row, left))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def finish(
        self,
        d: Decisions,
        canvas: Canvas,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        left: cython.p_uchar,
        coded: cython.int,
    ) -> cython.void:
        """Take a macroblock as it was quantised last: reconstruct what is not yet, count its tokens, go on."""
        at: cython.Py_ssize_t = row * canvas.columns + column
        mode: cython.int = d.y_mode[at]
        has_y2: cython.int = mode != B_PRED and mode != SPLITMV
        u: cython.Py_ssize_t = canvas.u + 8 * (row * canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + canvas.v - canvas.u
        c: cython.Py_ssize_t = 400 * self.coded
        f: cython.Py_ssize_t = 6 * d.segment[at]
        if coded:
            if mode == B_PRED:
                add_residue_chroma(
                    self.level, c, self.eob, 25 * at, self.factor, f, canvas.frame, u, v, canvas.uv_stride
                )
            else:
                add_residue(
                    self.level, c, self.eob, 25 * at, has_y2, self.factor, f,
                    canvas.frame, 16 * (row * canvas.y_stride + column), canvas.y_stride, u, v, canvas.uv_stride,
                )  # fmt: skip
            self.count_tokens(at, 9 * column, left, has_y2)
            self.coded += 1
        else:
            skip_tokens(self.context, 9 * column, left, has_y2)
        d.skip[at] = coded == 0
        canvas.settle(d, column, row, coded)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def whole(
        self,
        d: Decisions,
        canvas: Canvas,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        left: cython.p_uchar,
    ) -> cython.int:
        """Quantise a macroblock whose prediction stands on the canvas; return whether it is worth coding.

        ``price`` is then what it costs, told as the difference to its error if nothing is coded, with no bits at all.
        """
        coeffs = cython.declare(cython.short[400])
        context = cython.declare(cython.uchar[18])
        at: cython.Py_ssize_t = row * canvas.columns + column
        has_y2: cython.int = d.y_mode[at] != SPLITMV
        y: cython.Py_ssize_t = 16 * (row * canvas.y_stride + column)
        u: cython.Py_ssize_t = canvas.u + 8 * (row * canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + canvas.v - canvas.u
        segment: cython.Py_ssize_t = d.segment[at]
        i: cython.Py_ssize_t
        block: cython.Py_ssize_t
        kind: cython.int = 0 if has_y2 else 3
        some: cython.int = 0
        total: cython.longlong = 0
        rate: cython.longlong = self.rate[2 * segment + (d.reference[at] == 0)]
        done: cython.uint = transform_residue(
            self.source, canvas.frame, y, canvas.y_stride, u, v, canvas.uv_stride, has_y2, self.least, 2 * segment,
            coeffs,
        )  # fmt: skip
        for i in range(9):
            context[i] = self.context[9 * column + i]
            context[9 + i] = left[i]
        if has_y2:
            total = self.block(d, 24, 1, at, coeffs, context[8] + context[17], rate)
            some = self.eob[25 * at + 24]
        else:
            self.eob[25 * at + 24] = 0
        self.price = rate * self.skip_cost
        if (done & 0xFFFFFF) == 0 and some == 0:
            return 0
        for block in range(24):
            if block == 16:
                kind = 2
            i = context[above_of[block]] + context[9 + left_of[block]]
            if (done >> block) & 1:
                total += self.block(d, block, kind, at, coeffs, cython.cast(cython.int, i), rate)
            else:
                self.level[400 * self.coded + 16 * block] = 0
                self.eob[25 * at + block] = 0
                total += rate * self.cost[kind * 288 + (36 if kind == 0 else 0) + 12 * i]
            some |= self.eob[25 * at + block]
            context[above_of[block]] = context[9 + left_of[block]] = self.eob[25 * at + block] > 0
        total += rate * self.coded_cost
        if some == 0 or (not self.dead_zone and total >= self.price):
            return 0
        self.price = total
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def by_blocks(
        self,
        d: Decisions,
        canvas: Canvas,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        left: cython.p_uchar,
    ) -> cython.int:
        """Quantise a B_PRED macroblock, making its luma, whose blocks are predicted from each other, on the way.

        Return whether anything is coded.
        """
        coeffs = cython.declare(cython.short[400])
        context = cython.declare(cython.uchar[18])
        at: cython.Py_ssize_t = row * canvas.columns + column
        y: cython.Py_ssize_t = 16 * (row * canvas.y_stride + column)
        u: cython.Py_ssize_t = canvas.u + 8 * (row * canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + canvas.v - canvas.u
        segment: cython.Py_ssize_t = d.segment[at]
        f: cython.Py_ssize_t = 6 * segment
        c: cython.Py_ssize_t = 400 * self.coded
        e: cython.Py_ssize_t = 25 * at
        i: cython.Py_ssize_t
        block: cython.Py_ssize_t
        some: cython.int = 0
        rate: cython.longlong = self.rate[2 * segment + 1]
        for i in range(9):
            context[i] = self.context[9 * column + i]
            context[9 + i] = left[i]
        for block in range(24):
            if block < 16:
                canvas.predict_b(d.b_mode[16 * at + block], cython.cast(cython.int, block), column, row)
                i = y + (block >> 2) * 4 * canvas.y_stride + (block & 3) * 4
                forward_block(self.source, i, canvas.y_stride, canvas.frame, i, canvas.y_stride, coeffs, 16 * block)
            else:
                i = (u if block < 20 else v) + ((block >> 1) & 1) * 4 * canvas.uv_stride + (block & 1) * 4
                forward_block(self.source, i, canvas.uv_stride, canvas.frame, i, canvas.uv_stride, coeffs, 16 * block)
            self.block(
                d,
                block,
                3 if block < 16 else 2,
                at,
                coeffs,
                context[above_of[block]] + context[9 + left_of[block]],
                rate,
            )
            if self.eob[e + block] and block < 16:
                idct_add(
                    self.level, c + 16 * block, self.eob[e + block] == 1, self.factor[f], self.factor[f + 1],
                    canvas.frame, i, canvas.y_stride,
                )  # fmt: skip
            some |= self.eob[e + block]
            context[above_of[block]] = context[9 + left_of[block]] = self.eob[e + block] > 0
        self.eob[e + 24] = 0
        return some != 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def block(
        self,
        d: Decisions,
        block: cython.Py_ssize_t,
        kind: cython.int,
        at: cython.Py_ssize_t,
        coeffs: cython.p_short,
        context: cython.int,
        rate: cython.longlong,
    ) -> cython.longlong:
        """Quantise one block; return its cost."""
        segment: cython.Py_ssize_t = d.segment[at]
        f: cython.Py_ssize_t = 6 * segment + (2 if kind == 1 else 4 if kind == 2 else 0)
        c: cython.Py_ssize_t = 400 * self.coded + 16 * block
        weight: cython.longlong
        boost: cython.int = 0
        if self.dead_zone:
            if self.boosted and d.reference[at]:
                if d.y_mode[at] == ZEROMV:
                    boost = 6 if d.reference[at] == 1 else 12
                elif d.y_mode[at] != SPLITMV:
                    boost = 4
            quantize_by_dead_zone(
                coeffs, 16 * block, self.level, c, kind, self.factor[f], self.factor[f + 1], self.index[segment], boost,
                self.eob, 25 * at + block,
            )  # fmt: skip
            return 0
        weight = ERROR_UNIT if kind == 1 else (self.chroma * ERROR_UNIT) >> 2 if kind == 2 else 4 * ERROR_UNIT
        return quantize_by_cost(
            coeffs, 16 * block, self.level, c, kind, context, self.factor[f], self.factor[f + 1], self.cost, weight,
            rate, self.eob, 25 * at + block, )  # fmt: skip

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def count_tokens(
        self, at: cython.Py_ssize_t, a: cython.Py_ssize_t, left: cython.p_uchar, has_y2: cython.int
    ) -> cython.void:
        """Count the tokens of a macroblock, and leave the contexts as they do."""
        above: cython.p_uchar = self.context
        block: cython.Py_ssize_t
        kind: cython.int
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        for block in range(24 + has_y2):
            kind = 1 if block == 24 else 2 if block > 15 else 0 if has_y2 else 3
            i = a + above_of[block]
            k = left_of[block]
            count_block(
                self.count, kind, above[i] + left[k], self.level, 400 * self.coded + 16 * block,
                self.eob[25 * at + block],
            )  # fmt: skip
            above[i] = left[k] = self.eob[25 * at + block] > 0

    def improved(self, probabilities: bytes) -> bytes:
        """Return coefficient probabilities with those replaced whose update saves bits on these macroblocks."""
        new = bytearray(probabilities)
        probs: cython.p_uchar = new
        stay = COEFFICIENT_UPDATES
        odds: cython.p_uchar = stay
        improve_coefficients(probs, self.count, odds)
        return bytes(new)

    def write(self, writers: list, probabilities: bytes) -> None:
        """Write the tokens of all macroblocks, the rows by turns to the partitions (§9.5)."""
        left = cython.declare(cython.uchar[9])
        d: Decisions = self.d
        probs: cython.p_uchar = probabilities
        contexts = bytearray(9 * self.canvas.columns)
        above: cython.p_uchar = contexts
        writer: BoolWriter
        c: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        columns: cython.Py_ssize_t = self.canvas.columns
        row: cython.Py_ssize_t
        column: cython.Py_ssize_t
        i: cython.int
        has_y2: cython.int
        for row in range(self.canvas.rows):
            writer = writers[row % len(writers)]
            with cython.nogil:
                for i in range(9):
                    left[i] = 0
                for column in range(columns):
                    has_y2 = d.y_mode[at] != B_PRED and d.y_mode[at] != SPLITMV
                    if d.skip[at]:
                        skip_tokens(above, 9 * column, left, has_y2)
                    else:
                        write_tokens(writer, probs, above, 9 * column, left, has_y2, self.level, c, self.eob, 25 * at)
                        c += 400
                    at += 1


def _packed(size: int, values: list[int]) -> bytes:
    return b"".join(value.to_bytes(size, "little", signed=True) for value in values)
