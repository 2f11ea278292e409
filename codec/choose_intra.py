"""The choice of intra modes, by what they cost in bits and error (RFC 6386 §11, §12).

Whole blocks are predicted on the canvas. Subblocks are predicted from each other, so each is chosen, quantised and
reconstructed before the next: when all 16 are done, so is the luma of the macroblock.
"""

from __future__ import annotations

import cython

from codec.neighbours import b_mode_beside  # inlined
from codec.symbols import B_PRED  # inlined

if cython.compiled:
    from cython.cimports.codec.estimate import estimate_block
    from cython.cimports.codec.forward import forward_four
    from cython.cimports.codec.intra import predict_subblock
    from cython.cimports.codec.prices import Prices
    from cython.cimports.codec.requantize import Requantizer
    from cython.cimports.codec.tokens import above_of, left_of
    from cython.cimports.codec.transform import idct_add
    from cython.cimports.codec.trellis import quantize_by_cost
else:
    from codec.estimate import estimate_block
    from codec.forward import forward_four
    from codec.intra import predict_subblock
    from codec.prices import Prices
    from codec.requantize import Requantizer
    from codec.tokens import above_of, left_of
    from codec.transform import idct_add
    from codec.trellis import quantize_by_cost

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from codec.weights import Weights

__all__ = ["IntraChooser"]

# What an error of one squared coefficient weighs (see ``requantize``).
LUMA = cython.declare(cython.longlong, 4 * 4096)


@cython.final
@cython.cclass
class IntraChooser:
    """Chooses the intra modes of macroblocks; costs are in the units of ``Requantizer``.

    ``b_tried``: how many modes of a subblock are quantised, of the ten that are estimated. ``model`` is, for each
    segment, base and slope of ``estimate``.
    """

    def __init__(self, work: Requantizer, prices: Prices, weights: Weights, b_tried: int) -> None:
        self.canvas = work.canvas
        self.d = work.d
        self.work = work
        self.prices = prices
        self.b_tried = b_tried
        self.coded = 0
        i: cython.int
        if not cython.compiled:
            self.model = [0] * 8
        for i in range(8):
            self.model[i] = weights.model[i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def chroma(
        self, mode: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar
    ) -> cython.longlong:
        """Predict chroma and quantise what is left; return the cost, set ``coded`` to whether anything is coded."""
        coeffs = cython.declare(cython.short[128])
        context = cython.declare(cython.uchar[18])
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        segment: cython.Py_ssize_t = self.d.segment[at]
        stride: cython.Py_ssize_t = self.canvas.uv_stride
        u: cython.Py_ssize_t = self.canvas.u + 8 * (row * stride + column)
        v: cython.Py_ssize_t = u + self.canvas.v - self.canvas.u
        e: cython.Py_ssize_t = 25 * at
        rate: cython.longlong = self.work.rate[2 * segment + 1]
        weight: cython.longlong = (self.work.chroma * LUMA) >> 4
        total: cython.longlong = rate * self.prices.uv_mode[mode]
        error: cython.longlong = 0
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        block: cython.Py_ssize_t
        x: cython.int
        self.coded = 0
        self.canvas.predict_plane(mode, u, stride, 8, column, row)
        self.canvas.predict_plane(mode, v, stride, 8, column, row)
        for i in range(2):
            k = 4 * i * stride
            forward_four(
                self.work.source,
                u + k,
                v + k,
                stride,
                self.canvas.frame,
                u + k,
                v + k,
                stride,
                coeffs,
                32 * i,
                64 + 32 * i,
            )
        for i in range(128):
            x = coeffs[i]
            error += x * x
        for i in range(9):
            context[i] = self.work.context[9 * column + i]
            context[9 + i] = left[i]
        for block in range(16, 24):
            i = above_of[block]
            k = 9 + left_of[block]
            total += quantize_by_cost(
                coeffs,
                16 * (block - 16),
                self.work.level,
                400 * self.work.coded + 16 * block,
                2,
                context[i] + context[k],
                self.work.factor[6 * segment + 4],
                self.work.factor[6 * segment + 5],
                self.work.cost,
                weight,
                rate,
                self.work.eob,
                e + block,
            )
            context[i] = context[k] = self.work.eob[e + block] > 0
            self.coded |= self.work.eob[e + block]
        return total + error * weight

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def choose_chroma(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar) -> cython.longlong:
        """Choose the chroma mode; return its cost."""
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        best: cython.longlong = self.chroma(0, column, row, left)
        cost: cython.longlong
        mode: cython.int
        self.d.uv_mode[at] = 0
        for mode in range(1, 4):
            cost = self.chroma(mode, column, row, left)
            if cost < best:
                best = cost
                self.d.uv_mode[at] = mode
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def subblocks(
        self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar, bound: cython.longlong
    ) -> cython.longlong:
        """Choose and make the luma of a B_PRED macroblock, then its chroma by the mode that is set; return the cost.

        Given up where the cost exceeds ``bound``: it is returned as it stands then.
        """
        context = cython.declare(cython.uchar[18])
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        rate: cython.longlong = self.work.rate[2 * self.d.segment[at] + 1]
        total: cython.longlong = rate * (self.prices.y_mode[B_PRED] + self.prices.reference[0] + self.work.coded_cost)
        coded: cython.int = 0
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        block: cython.int
        self.d.y_mode[at] = B_PRED
        self.d.reference[at] = 0
        for i in range(9):
            context[i] = self.work.context[9 * column + i]
            context[9 + i] = left[i]
        for block in range(16):
            i = above_of[block]
            k = 9 + left_of[block]
            total += self.subblock(block, column, row, context[i] + context[k])
            if total >= bound:
                return total
            context[i] = context[k] = self.work.eob[25 * at + block] > 0
            coded |= self.work.eob[25 * at + block]
        self.work.eob[25 * at + 24] = 0
        total += self.chroma(self.d.uv_mode[at], column, row, left)
        self.coded |= coded
        return total

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def subblock(
        self, block: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t, context: cython.int
    ) -> cython.longlong:
        """Choose, quantise and reconstruct one luma subblock; return its cost."""
        edge = cython.declare(cython.uchar[13])
        four = cython.declare(cython.uchar[64])  # the source, side by side with itself
        preds = cython.declare(cython.uchar[192])  # by all modes side by side, and room for two more
        coeffs = cython.declare(cython.short[192])
        levels = cython.declare(cython.short[16])
        eob = cython.declare(cython.uchar[1])
        guesses = cython.declare(cython.longlong[10])
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        stride: cython.Py_ssize_t = self.canvas.y_stride
        y: cython.Py_ssize_t = (16 * row + 4 * (block >> 2)) * stride + 16 * column + 4 * (block & 3)
        segment: cython.Py_ssize_t = self.d.segment[at]
        rate: cython.longlong = self.work.rate[2 * segment + 1]
        c: cython.Py_ssize_t = 400 * self.work.coded + 16 * block
        e: cython.Py_ssize_t = 25 * at + block
        f: cython.Py_ssize_t = 6 * segment
        prices: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        mode: cython.int
        best_mode: cython.int = 0
        _tried: cython.int
        x: cython.int
        error: cython.longlong
        cost: cython.longlong
        best: cython.longlong = -1
        far: cython.longlong = cython.cast(cython.longlong, 1) << 60
        if self.prices.key_frame:
            prices = 100 * b_mode_beside(self.d, at, block, 1, row == 0) + 10 * b_mode_beside(
                self.d, at, block, 0, column == 0
            )
        self.canvas.edge_b(block, column, row, edge)
        for mode in range(10):
            predict_subblock(mode, preds, 4 * mode, 48, edge, 0)
        for i in range(4):
            for k in range(8):
                preds[48 * i + 40 + k] = 0
            for k in range(16):
                four[16 * i + k] = self.work.source[y + i * stride + (k & 3)]
        for i in range(3):
            forward_four(four, 0, 8, 16, preds, 16 * i, 16 * i + 8, 48, coeffs, 64 * i, 64 * i + 32)
        for mode in range(10):
            error = estimate_block(coeffs, 16 * mode, 16, self.model[2 * segment], self.model[2 * segment + 1])
            guesses[mode] = LUMA * error + rate * self.prices.b_mode[prices + mode]
        for _tried in range(self.b_tried):
            mode = 0
            for x in range(1, 10):
                if guesses[x] < guesses[mode]:
                    mode = x
            guesses[mode] = far
            error = 0
            for i in range(16):
                x = coeffs[16 * mode + i]
                error += x * x
            cost = quantize_by_cost(
                coeffs,
                16 * mode,
                levels,
                0,
                3,
                context,
                self.work.factor[f],
                self.work.factor[f + 1],
                self.work.cost,
                LUMA,
                rate,
                eob,
                0,
            )
            cost += LUMA * error + rate * self.prices.b_mode[prices + mode]
            if best < 0 or cost < best:
                best = cost
                best_mode = mode
                self.work.eob[e] = eob[0]
                for i in range(16):
                    self.work.level[c + i] = levels[i]
        self.d.b_mode[16 * at + block] = best_mode
        for i in range(4):
            for k in range(4):
                self.canvas.frame[y + i * stride + k] = preds[48 * i + 4 * best_mode + k]
        if self.work.eob[e]:
            idct_add(
                self.work.level,
                c,
                self.work.eob[e] == 1,
                self.work.factor[f],
                self.work.factor[f + 1],
                self.canvas.frame,
                y,
                stride,
            )
        return best
