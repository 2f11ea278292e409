"""A rebased frame's vectors, weighed again: its own fit the noise of references that are gone (RFC 6386 §16.3).

A macroblock keeps its reference. Where its prediction leaves something to gain, no motion, what its neighbours suggest,
and the vector to which the slopes of the prediction point stand beside the vectors that it came with. Squared errors
sort out most; what remains is weighed by a guess of what its luma will cost and by what it takes to say it.
Vectors are kept as such: how one is said, as a mode or as a difference, follows from neighbours that may have changed.
"""

from __future__ import annotations

import cython

from codec.header import Header
from codec.neighbours import clamp, settle, survey  # inlined
from codec.symbols import B_PRED, NEAR, NEAREST, NEARESTMV, NEARMV, NEWMV, SPLITMV, ZEROMV  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.distortion import sse
    from cython.cimports.codec.estimate import estimate_block
    from cython.cimports.codec.forward import forward_four, forward_wht
    from cython.cimports.codec.inter import predict_whole
    from cython.cimports.codec.prices import Prices
    from cython.cimports.codec.requantize import Requantizer
else:
    from codec.decisions import Decisions
    from codec.distortion import sse
    from codec.estimate import estimate_block
    from codec.forward import forward_four, forward_wht
    from codec.inter import predict_whole
    from codec.prices import Prices
    from codec.requantize import Requantizer

__all__ = ["Redecider", "redecider"]

FAR = cython.declare(cython.int, 0x3FFFFFFF)
# How far a vector can point: fifteen bits are what libvpx has for a component.
FARTHEST = cython.declare(cython.int, 16383)
IMPOSSIBLE = cython.declare(cython.int, 1 << 20)

# All found by BD-rate. What a bit weighs in comparisons, of what it weighs in the trellis: vectors are also what the
# macroblocks after this one begin from, and distortion is what frames after this one inherit.
BIT = 0.6
# The guess for a coefficient that is coded, in bits: once, and for each step of its factor.
CODED, STEP = 3, 1
# Below this error, in bits, a macroblock is not looked at unless its vector is written out.
WORTH = 20
# A candidate whose error is larger by this share, in halvings, is not guessed.
SLACK = cython.declare(cython.int, 2)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def slope_step(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    s_stride: cython.Py_ssize_t,
    pred: cython.p_uchar,
    p: cython.Py_ssize_t,
    p_stride: cython.Py_ssize_t,
    step: cython.p_int,
) -> cython.void:
    """Put the step (row, column) in quarter pixels at which the differences vanish if slopes go on into ``step``.

    The least squares of differences against the slopes of the prediction, down and across (Lucas and Kanade 1981).
    """
    there = cython.declare(cython.short[256])
    e = cython.declare(cython.short[224])
    gx = cython.declare(cython.short[224])
    gy = cython.declare(cython.short[224])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    xx: cython.int = 0
    yy: cython.int = 0
    xy: cython.int = 0
    ex: cython.int = 0
    ey: cython.int = 0
    det: cython.longlong
    down: cython.longlong
    right: cython.longlong
    for r in range(16):
        for k in range(16):
            there[16 * r + k] = pred[p + k]
        p += p_stride
    for r in range(14):
        s += s_stride
        for k in range(16):
            e[16 * r + k] = src[s + k] - there[16 * r + 16 + k]
    for k in range(224):
        gy[k] = there[k + 32] - there[k]
    for k in range(223):
        gx[k] = there[k + 17] - there[k + 15]
    for r in range(0, 224, 16):
        gx[r] = gx[r + 15] = 0
    for k in range(224):
        xx += gx[k] * gx[k]
        xy += gx[k] * gy[k]
        yy += gy[k] * gy[k]
        ex += gx[k] * e[k]
        ey += gy[k] * e[k]
    step[0] = step[1] = 0
    # Slopes are twice themselves and steps quarters: eight times the solution.
    det = cython.cast(cython.longlong, xx) * yy - cython.cast(cython.longlong, xy) * xy
    if det <= 0:
        return
    down = 8 * (cython.cast(cython.longlong, ey) * xx - cython.cast(cython.longlong, ex) * xy)
    right = 8 * (cython.cast(cython.longlong, ex) * yy - cython.cast(cython.longlong, ey) * xy)
    step[0] = rounded(down, det)
    step[1] = rounded(right, det)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def rounded(a: cython.longlong, b: cython.longlong) -> cython.int:
    """Return a / b rounded, but -3 to 3; b is positive."""
    sign: cython.int = 1
    n: cython.int = 0
    if a < 0:
        a = -a
        sign = -1
    while n < 3 and 2 * a > (2 * n + 1) * b:
        n += 1
    return sign * n


@cython.final
@cython.cclass
class Redecider:
    """Decides a frame's inter macroblocks again and has ``work`` make them all.

    For each segment: ``rates`` and ``coarse_rates`` are what a bit weighs, in 1/16, beside guesses and beside squared
    errors, ``gates`` the squared error below which little is to gain, ``models`` base and slope of ``estimate_block``
    for Y and Y2. ``rounds``: how often a vector may follow the slopes.
    """

    def __init__(
        self,
        work: Requantizer,
        prices: Prices,
        rates: list[int],
        coarse_rates: list[int],
        gates: list[int],
        models: list[int],
        rounds: int,
    ) -> None:
        self.work = work
        self.canvas = work.canvas
        self.d = work.d
        self.prices = prices
        i: cython.int
        if not cython.compiled:
            self.rates, self.gates, self.coarse = [0] * 4, [0] * 4, [0] * 4
            self.model, self.near, self.mode_price = [0] * 16, [0] * 12, [0] * 5
        for i in range(4):
            self.rates[i], self.coarse[i], self.gates[i] = rates[i], coarse_rates[i], gates[i]
        for i in range(16):
            self.model[i] = models[i]
        self.rounds = rounds

    def run(self) -> None:
        """Decide and make all macroblocks; the canvas is left unfiltered."""
        left = cython.declare(cython.uchar[9])
        i: cython.int
        row: cython.Py_ssize_t
        column: cython.Py_ssize_t
        with cython.nogil:
            for row in range(self.canvas.rows):
                for i in range(9):
                    left[i] = 0
                for column in range(self.canvas.columns):
                    self.macroblock(column, row, left)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def macroblock(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar) -> cython.void:
        """Decide and make one macroblock."""
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        self.canvas.predict(self.d, column, row)
        if self.d.reference[at] and self.decide(self.d, at, column, row):
            self.canvas.predict(self.d, column, row)
        if self.d.y_mode[at] == B_PRED:
            self.work.finish(
                self.d, self.canvas, column, row, left, self.work.by_blocks(self.d, self.canvas, column, row, left)
            )
        else:
            self.work.finish(
                self.d, self.canvas, column, row, left, self.work.whole(self.d, self.canvas, column, row, left)
            )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def decide(
        self, d: Decisions, at: cython.Py_ssize_t, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.int:
        """Decide a macroblock whose prediction as it was stands on the canvas; return whether that is to be changed."""
        near: cython.p_int = self.near
        mode: cython.int = d.y_mode[at]
        i: cython.int
        _round: cython.int
        price: cython.int
        stride: cython.Py_ssize_t = self.canvas.y_stride
        self.o = 16 * (row * stride + column)
        self.x = 16 * column
        self.y = 16 * row
        survey(d, at, column, row, self.prices.bias, near)
        settle(d, at, column, row, near)
        self.prices.inter_modes(near, self.mode_price)
        for i in range(3):
            clamp(d, column, row, near, i)
        self.best_row = d.vector[32 * at]
        self.best_column = d.vector[32 * at + 1]
        self.fresh = 0
        if mode == SPLITMV:
            price = self.mode_price[SPLITMV - NEARESTMV] + self.prices.split(d, at, column, row, near)
        else:
            price = self.say(self.best_row, self.best_column)
            mode = self.said
        self.rate = self.rates[d.segment[at]]
        self.error = sse(self.work.source, self.o, stride, self.canvas.frame, self.o, stride, 16, 16)
        if price >= IMPOSSIBLE:
            self.error = self.best = FAR
        elif mode < NEWMV and self.error < self.gates[d.segment[at]]:
            d.y_mode[at] = mode
            return 0
        else:
            self.best = -1
            self.kept_price = price
            self.error += (price * self.coarse[d.segment[at]]) >> 12
        self.attempt(d, at, 0, 0, SLACK)
        for i in range(1, 3):
            if near[2 * i] or near[2 * i + 1]:
                self.attempt(d, at, near[2 * i], near[2 * i + 1], SLACK)
        if d.y_mode[at] == SPLITMV and not self.fresh:
            return 0
        for _round in range(self.rounds):
            if self.error < self.gates[d.segment[at]] or not self.refine(d, at):
                break
        self.say(self.best_row, self.best_column)
        d.y_mode[at] = self.said
        if not self.fresh:
            return 0
        for i in range(32):
            d.vector[32 * at + i] = 0
        d.split_shape[at] = 0
        d.vector[32 * at] = self.best_row
        d.vector[32 * at + 1] = self.best_column
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def refine(self, d: Decisions, at: cython.Py_ssize_t) -> cython.int:
        """Try the vector to which the slopes of the prediction point; return whether that was better."""
        pixels = cython.declare(cython.uchar[256])
        step = cython.declare(cython.int[2])
        stride: cython.Py_ssize_t = self.canvas.y_stride
        if self.fresh:
            self.predict(d, at, self.best_row, self.best_column, pixels)
            slope_step(self.work.source, self.o, stride, pixels, 0, 16, step)
        else:
            slope_step(self.work.source, self.o, stride, self.canvas.frame, self.o, stride, step)
        step[0] += self.best_row
        step[1] += self.best_column
        if step[0] < -FARTHEST or step[0] > FARTHEST or step[1] < -FARTHEST or step[1] > FARTHEST:
            return 0
        return self.attempt(d, at, step[0], step[1], 31)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def say(self, y: cython.int, x: cython.int) -> cython.int:
        """Return what a vector costs said the cheapest way, which ``said`` becomes."""
        near: cython.p_int = self.near
        best: cython.int = self.mode_price[NEWMV - NEARESTMV] + self.prices.difference(y - near[0], x - near[1])
        self.said = NEWMV
        if y == near[2 * NEAREST] and x == near[2 * NEAREST + 1] and self.mode_price[0] < best:
            best = self.mode_price[0]
            self.said = NEARESTMV
        if y == near[2 * NEAR] and x == near[2 * NEAR + 1] and self.mode_price[1] < best:
            best = self.mode_price[1]
            self.said = NEARMV
        if y == 0 and x == 0 and self.mode_price[ZEROMV - NEARESTMV] < best:
            best = self.mode_price[ZEROMV - NEARESTMV]
            self.said = ZEROMV
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def predict(
        self, d: Decisions, at: cython.Py_ssize_t, row: cython.int, column: cython.int, pixels: cython.p_uchar
    ) -> cython.void:
        """Predict the luma by a vector."""
        which: cython.int = d.reference[at]
        predict_whole(
            pixels,
            self.canvas.last if which == 1 else self.canvas.golden if which == 2 else self.canvas.altref,
            16 * self.canvas.columns, 16 * self.canvas.rows, self.x, self.y, row, column, self.canvas.version,
        )  # fmt: skip

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def attempt(
        self, d: Decisions, at: cython.Py_ssize_t, row: cython.int, column: cython.int, slack: cython.int
    ) -> cython.int:
        """Take a vector if it is better than the best one so far; return whether it is."""
        pixels = cython.declare(cython.uchar[256])
        price: cython.int
        error: cython.int
        cost: cython.int
        if row == self.best_row and column == self.best_column and (self.fresh or d.y_mode[at] != SPLITMV):
            return 0
        price = self.say(row, column)
        if price >= IMPOSSIBLE:
            return 0
        cost = self.weigh(price)
        self.predict(d, at, row, column, pixels)
        error = sse(self.work.source, self.o, self.canvas.y_stride, pixels, 0, 16, 16, 16)
        error += (price * self.coarse[d.segment[at]]) >> 12
        if error > self.error + (self.error >> slack):
            return 0
        if self.best < 0:
            self.best = self.weigh(self.kept_price)
            self.best += self.guess(self.canvas.frame, self.o, self.canvas.y_stride, at)
        cost += self.guess(pixels, 0, 16, at)
        if cost >= self.best:
            return 0
        self.best = cost
        self.error = error
        self.best_row = row
        self.best_column = column
        self.fresh = 1
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def weigh(self, price: cython.int) -> cython.int:
        """Return what a price weighs in guesses."""
        return (price * self.rate) >> 12

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def guess(
        self, pixels: cython.p_uchar, p: cython.Py_ssize_t, stride: cython.Py_ssize_t, at: cython.Py_ssize_t
    ) -> cython.int:
        """Guess what the luma of a prediction will cost."""
        coeffs = cython.declare(cython.short[400])
        m: cython.Py_ssize_t = 4 * self.d.segment[at]
        o: cython.Py_ssize_t = self.o
        there: cython.Py_ssize_t = self.canvas.y_stride
        r: cython.Py_ssize_t
        for r in range(4):
            forward_four(self.work.source, o, o + 8, there, pixels, p, p + 8, stride, coeffs, 64 * r, 64 * r + 32)
            o += 4 * there
            p += 4 * stride
        forward_wht(coeffs, 0)
        # A Y2 coefficient is twice one of the other blocks.
        return estimate_block(coeffs, 0, 256, self.model[m], self.model[m + 1]) + (
            estimate_block(coeffs, 384, 16, self.model[m + 2], self.model[m + 3]) >> 2
        )


def redecider(work: Requantizer, header: Header, factors: list[int], weights: list[float], rounds: int) -> Redecider:
    """Return what decides and makes an interframe whose ``work`` is set up.

    ``factors``: six a segment (see ``quantization``); ``weights``: for each segment the squared pixel error that a bit
    is worth; ``rounds``: how often a vector may follow the slopes of its prediction.
    """
    models: list[int] = []
    for segment, weight in enumerate(weights):
        # A coefficient is twice, one of Y2 four times an orthonormal one.
        for factor, unit in ((factors[6 * segment + 1], 4), (factors[6 * segment + 3], 16)):
            models += [round(unit * weight * CODED + factor**2 / 12), round(256 * unit * weight * STEP / factor)]
    return Redecider(
        work,
        Prices(header),
        [max(round(16 * 4 * BIT * weight), 1) for weight in weights],
        [max(round(16 * BIT * weight), 1) for weight in weights],
        [round(WORTH * weight) for weight in weights],
        models,
        rounds,
    )
