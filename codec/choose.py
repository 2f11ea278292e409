"""The choice of every macroblock's decisions by rate and distortion, and its making (RFC 6386 §11, §16).

    candidates --> estimate --> the best few: predict, quantise, weigh --> the best one is made

A candidate that is weighed is predicted and quantised where the macroblock will stand; the best so far is kept aside,
so that nothing is computed twice. Cost is what the macroblock's error and its bits weigh together, in the units of
``Requantizer``.
"""

from __future__ import annotations

import cython

from codec.symbols import NEWMV  # inlined

if cython.compiled:
    from cython.cimports.codec.choose_intra import IntraChooser
    from cython.cimports.codec.choose_split import SplitChooser
    from cython.cimports.codec.cost import bool_cost
    from cython.cimports.codec.distortion import satd, sse, variance
    from cython.cimports.codec.prices import Prices
    from cython.cimports.codec.requantize import Requantizer
else:
    from codec.choose_intra import IntraChooser
    from codec.choose_split import SplitChooser
    from codec.cost import bool_cost
    from codec.distortion import satd, sse, variance
    from codec.prices import Prices
    from codec.requantize import Requantizer

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from typing import Any

    from codec.effort import Pace
    from codec.weights import Weights

__all__ = ["Chooser"]

FAR = cython.declare(cython.int, 0x7FFFFFFF)


@cython.final
@cython.cclass
class Chooser:
    """Chooses and makes the macroblocks of a frame.

    ``inter`` is None on a key frame. Of a candidate that is not B_PRED, what was quantised last stands where the
    macroblock will be; ``fresh`` says that this is the best so far, else that one is put aside.
    """

    def __init__(self, work: Requantizer, prices: Prices, inter: Any, weights: Weights, pace: Pace) -> None:
        self.canvas = work.canvas
        self.d = work.d
        self.work = work
        self.prices = prices
        self.intra = IntraChooser(work, prices, weights, pace.subblocks)
        self.inter = inter
        self.splits = inter is not None and pace.shapes > 0
        split: Any = SplitChooser(inter, pace.shapes) if self.splits else None
        self.split = split
        self.inter_tried = pace.inter
        self.whole_tried = pace.whole
        self.measure = pace.measure
        self.intra_limit = pace.intra_limit
        self.b_limit = pace.b_limit
        self.split_limit = pace.split_limit
        self.search_limit = pace.search_limit
        self.stop_limit = pace.stop_limit
        self.refined = pace.refined
        self.best = 0
        self.coded = self.fresh = 0
        pixels, levels, flat = bytearray(384), bytearray(800), bytes(16)
        self.held = (pixels, levels, flat)
        self.pixels = pixels
        self.flat = flat
        if cython.compiled:
            self.levels = cython.cast(cython.p_short, cython.cast(cython.p_uchar, levels))
        else:
            self.levels = memoryview(levels).cast("h")
            self.taken = [0] * 5
            self.eobs, self.modes, self.vectors, self.guess_rate = [0] * 25, [0] * 4, [0] * 32, [0] * 4
        for i in range(5):
            self.taken[i] = 0
        for i in range(4):
            self.guess_rate[i] = weights.guess[i]

    def run(self) -> None:
        """Choose and make all macroblocks; the canvas is left unfiltered."""
        left = cython.declare(cython.uchar[9])
        i: cython.int
        row: cython.Py_ssize_t
        column: cython.Py_ssize_t
        with cython.nogil:
            for row in range(self.canvas.rows):
                for i in range(9):
                    left[i] = 0
                self.adapt()
                for column in range(self.canvas.columns):
                    self.choose(column, row, left)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def choose(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar) -> cython.void:
        """Choose and make one macroblock."""
        guess: cython.int = FAR
        self.best = cython.cast(cython.longlong, 1) << 60
        self.fresh = 0
        self.alone = 1
        self.settled = 1
        if not self.prices.key_frame:
            guess = self.choose_inter(column, row, left)
        if guess == FAR or self.coded:
            self.choose_intra(column, row, left, guess)
        if not self.fresh:
            self.restore(column, row)
        self.work.finish(self.d, self.canvas, column, row, left, self.coded)
        self.taken[self.d.reference[row * self.canvas.columns + column]] += 1
        self.taken[4] += self.coded == 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def adapt(self) -> cython.void:
        """Price references and skips by what was chosen so far, and by what is usual where that is not much yet."""
        taken: cython.p_int = self.taken
        inter: cython.int = taken[1] + taken[2] + taken[3]
        n: cython.int = inter + taken[0]
        skip: cython.int = 256 * (n - taken[4] + 16) // (n + 32)
        intra: cython.int = 256 * (taken[0] + 2) // (n + 32)
        last: cython.int = 256 * (taken[1] + 28) // (inter + 32)
        golden: cython.int = 256 * (taken[2] + 4) // (taken[2] + taken[3] + 8)
        low: cython.int = 1
        high: cython.int = 255
        skip = min(max(skip, low), high)
        intra = min(max(intra, low), high)
        last = min(max(last, low), high)
        golden = min(max(golden, low), high)
        self.work.coded_cost = bool_cost(skip, 0)
        self.work.skip_cost = bool_cost(skip, 1)
        if self.prices.key_frame:
            return
        self.prices.reference[0] = bool_cost(intra, 0)
        self.prices.reference[1] = bool_cost(intra, 1) + bool_cost(last, 0)
        self.prices.reference[2] = bool_cost(intra, 1) + bool_cost(last, 1) + bool_cost(golden, 0)
        self.prices.reference[3] = bool_cost(intra, 1) + bool_cost(last, 1) + bool_cost(golden, 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def choose_inter(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar) -> cython.int:
        """Weigh the best predictions from other frames; return the best guess."""
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        i: cython.int
        segment: cython.Py_ssize_t = self.d.segment[at]
        guess: cython.int
        which: cython.int
        y: cython.int
        x: cython.int
        searched: cython.int
        _tried: cython.int
        self.inter.gather_known(column, row)
        i = self.inter.next()
        searched = self.inter.guess[i] > self.search_limit * self.guess_rate[segment]
        if searched:
            self.inter.gather_new(column, row)
            i = self.inter.next()
        guess = self.inter.guess[i]
        which = self.inter.which[i]
        y = self.inter.row[i]
        x = self.inter.column[i]
        self.inter.take(i, at)
        self.attempt(column, row, left, self.inter.price[i])
        if self.inter_tried == 1 or (not self.coded and guess <= self.stop_limit * self.guess_rate[segment]):
            return guess
        if not searched:
            self.inter.gather_new(column, row)
        for _tried in range(1, self.inter_tried):
            i = self.inter.next()
            if i < 0:
                break
            if self.inter.guess[i] < guess:
                guess = self.inter.guess[i]
                which = self.inter.which[i]
                y = self.inter.row[i]
                x = self.inter.column[i]
            self.inter.take(i, at)
            self.attempt(column, row, left, self.inter.price[i])
        if self.refined and self.coded:
            self.refine(column, row, left)
        if self.splits and self.coded and guess > self.split_limit * self.guess_rate[segment]:
            i = self.split.choose(which, y, x, column, row)
            if i < guess + (guess >> 4):
                self.attempt(column, row, left, self.split.price)
            else:
                self.stash(column, row)  # for its decisions are to be restored
        return guess

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def refine(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar) -> cython.void:
        """Weigh the vectors a quarter of a pixel around the best one, and around the best of them."""
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        which: cython.int = self.modes[2]
        _round: cython.int
        i: cython.int
        y: cython.int
        x: cython.int
        centre_y: cython.int
        centre_x: cython.int
        price: cython.int
        for _round in range(self.refined):
            centre_y = self.vectors[0]
            centre_x = self.vectors[1]
            for i in range(9):
                y = centre_y + i // 3 - 1
                x = centre_x + i % 3 - 1
                price = self.inter.price_new(which, y, x, column, row)
                if i == 4 or price == FAR:
                    continue
                self.d.reference[at] = which
                self.d.y_mode[at] = NEWMV
                self.d.uv_mode[at] = 0
                self.d.vector[32 * at] = y
                self.d.vector[32 * at + 1] = x
                self.attempt(column, row, left, price)
            if self.vectors[0] == centre_y and self.vectors[1] == centre_x:
                return

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def choose_intra(
        self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar, bound: cython.int
    ) -> cython.void:
        """Weigh the intra modes if their guesses come near ``bound``."""
        guesses = cython.declare(cython.int[4])
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        segment: cython.Py_ssize_t = self.d.segment[at]
        stride: cython.Py_ssize_t = self.canvas.y_stride
        y: cython.Py_ssize_t = 16 * (row * stride + column)
        cost: cython.longlong
        least: cython.int = FAR
        mode: cython.int
        i: cython.int
        _tried: cython.int
        # No DC_PRED is nearer than the mean of the source itself.
        far: cython.int = 0 if self.measure else variance(self.work.source, y, stride, self.flat, 0, 0, 16, 16)
        if bound < FAR and far >> 1 > bound:
            return
        self.stash(column, row)
        for mode in range(4):
            self.canvas.predict_plane(mode, y, stride, 16, column, row)
            if self.measure:
                guesses[mode] = satd(self.work.source, y, stride, self.canvas.frame, y, stride, 16, 16)
            else:
                guesses[mode] = sse(self.work.source, y, stride, self.canvas.frame, y, stride, 16, 16)
            guesses[mode] += ((self.prices.reference[0] + self.prices.y_mode[mode]) * self.guess_rate[segment]) >> 12
            least = min(least, guesses[mode])
            if mode == 0 and bound < FAR and least > 2 * bound:
                return
        if bound < FAR and 16 * least > bound * self.intra_limit:
            return
        self.d.reference[at] = 0
        for i in range(32):
            self.d.vector[32 * at + i] = 0
        self.intra.choose_chroma(column, row, left)
        for _tried in range(self.whole_tried):
            mode = 0
            for i in range(1, 4):
                if guesses[i] < guesses[mode]:
                    mode = i
            if bound < FAR and 16 * guesses[mode] > bound * self.intra_limit:
                break
            guesses[mode] = FAR
            self.d.y_mode[at] = mode
            self.attempt(
                column, row, left, self.prices.reference[0] + self.prices.y_mode[mode]
                + self.prices.uv_mode[self.d.uv_mode[at]],
            )  # fmt: skip
        if bound < FAR and 16 * least > bound * self.b_limit:
            return
        self.stash(column, row)
        cost = self.intra.subblocks(column, row, left, self.best)
        if cost < self.best:
            self.best = cost
            self.coded = self.intra.coded
            self.fresh = 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def error(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.longlong:
        """Return what the error of the macroblock as it stands on the canvas weighs."""
        src: cython.p_uchar = self.work.source
        dst: cython.p_uchar = self.canvas.frame
        y: cython.Py_ssize_t = 16 * (row * self.canvas.y_stride + column)
        u: cython.Py_ssize_t = self.canvas.u + 8 * (row * self.canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + self.canvas.v - self.canvas.u
        luma: cython.longlong = sse(src, y, self.canvas.y_stride, dst, y, self.canvas.y_stride, 16, 16)
        chroma: cython.longlong = sse(src, u, self.canvas.uv_stride, dst, u, self.canvas.uv_stride, 8, 8)
        chroma += sse(src, v, self.canvas.uv_stride, dst, v, self.canvas.uv_stride, 8, 8)
        return 4096 * (16 * luma + self.work.chroma * chroma)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def attempt(
        self, column: cython.Py_ssize_t, row: cython.Py_ssize_t, left: cython.p_uchar, price: cython.int
    ) -> cython.void:
        """Weigh the decisions as they are, which take ``price`` bits of 1/256, but not those of B_PRED."""
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        rate: cython.longlong = self.work.rate[2 * self.d.segment[at] + (self.d.reference[at] == 0)]
        cost: cython.longlong
        coded: cython.int
        i: cython.Py_ssize_t
        self.stash(column, row)
        self.canvas.predict(self.d, column, row)
        coded = self.work.whole(self.d, self.canvas, column, row, left)
        cost = self.work.price + rate * price
        self.settled = not self.alone
        if self.settled:
            cost += self.error(column, row)
        if self.alone or cost < self.best:
            self.alone = 0
            self.best = cost
            self.coded = coded
            self.fresh = 1
            self.modes[0] = self.d.y_mode[at]
            self.modes[1] = self.d.uv_mode[at]
            self.modes[2] = self.d.reference[at]
            self.modes[3] = self.d.split_shape[at]
            for i in range(32):
                self.vectors[i] = self.d.vector[32 * at + i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def stash(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Put the best macroblock so far aside, if it stands where the next one is to be tried."""
        frame: cython.p_uchar = self.canvas.frame
        pixels: cython.p_uchar = self.pixels
        levels: cython.p_short = self.levels
        new: cython.p_short = self.work.level
        eob: cython.p_uchar = self.work.eob
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        c: cython.Py_ssize_t = 400 * self.work.coded
        y: cython.Py_ssize_t = 16 * (row * self.canvas.y_stride + column)
        u: cython.Py_ssize_t = self.canvas.u + 8 * (row * self.canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + self.canvas.v - self.canvas.u
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        if not self.fresh:
            return
        self.fresh = 0
        if not self.settled:  # the first one has been alone so far
            self.settled = 1
            self.best += self.error(column, row)
        for i in range(16):
            for k in range(16):
                pixels[16 * i + k] = frame[y + k]
            y += self.canvas.y_stride
        for i in range(8):
            for k in range(8):
                pixels[256 + 8 * i + k] = frame[u + k]
                pixels[320 + 8 * i + k] = frame[v + k]
            u += self.canvas.uv_stride
            v += self.canvas.uv_stride
        if self.coded:
            for i in range(400):
                levels[i] = new[c + i]
            for i in range(25):
                self.eobs[i] = eob[25 * at + i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def restore(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Bring back what was put aside."""
        frame: cython.p_uchar = self.canvas.frame
        pixels: cython.p_uchar = self.pixels
        levels: cython.p_short = self.levels
        new: cython.p_short = self.work.level
        eob: cython.p_uchar = self.work.eob
        at: cython.Py_ssize_t = row * self.canvas.columns + column
        c: cython.Py_ssize_t = 400 * self.work.coded
        y: cython.Py_ssize_t = 16 * (row * self.canvas.y_stride + column)
        u: cython.Py_ssize_t = self.canvas.u + 8 * (row * self.canvas.uv_stride + column)
        v: cython.Py_ssize_t = u + self.canvas.v - self.canvas.u
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        self.d.y_mode[at] = self.modes[0]
        self.d.uv_mode[at] = self.modes[1]
        self.d.reference[at] = self.modes[2]
        self.d.split_shape[at] = self.modes[3]
        for i in range(32):
            self.d.vector[32 * at + i] = self.vectors[i]
        for i in range(16):
            for k in range(16):
                frame[y + k] = pixels[16 * i + k]
            y += self.canvas.y_stride
        for i in range(8):
            for k in range(8):
                frame[u + k] = pixels[256 + 8 * i + k]
                frame[v + k] = pixels[320 + 8 * i + k]
            u += self.canvas.uv_stride
            v += self.canvas.uv_stride
        if self.coded:
            for i in range(400):
                new[c + i] = levels[i]
            for i in range(25):
                eob[25 * at + i] = self.eobs[i]
