"""The candidates for predicting a macroblock from other frames, and guesses of what they cost (RFC 6386 §16.3).

For each reference that is worth a look: no motion, the vectors that the neighbours suggest, and one that is searched.
A guess is the transformed difference from the source and the price of saying it, in the units of the difference.
"""

from __future__ import annotations

import cython

from codec.neighbours import clamp, settle, survey  # inlined
from codec.symbols import NEAR, NEAREST, NEARESTMV, NEARMV, NEWMV, SPLITMV, ZEROMV  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.prices import Prices
    from cython.cimports.codec.search import MotionSearch
else:
    from codec.decisions import Decisions
    from codec.prices import Prices
    from codec.search import MotionSearch

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from codec.weights import Weights

__all__ = ["InterChooser"]

FAR = cython.declare(cython.int, 0x7FFFFFFF)


@cython.final
@cython.cclass
class InterChooser:
    """Finds the candidates of a macroblock: ``n`` of them, in ``which`` reference, ``mode``, vector, price and guess.

    ``references``: which of last 1, golden 2 and altref 3 are looked at, the likeliest first. ``searched``: in how many
    of them a vector is searched. ``near`` and ``modes`` keep, for each reference, what the neighbours say and what the
    modes cost.
    """

    def __init__(
        self,
        d: Decisions,
        prices: Prices,
        search: MotionSearch,
        references: list,
        searched: int,
        weights: Weights,
    ) -> None:
        self.d = d
        self.prices = prices
        self.search = search
        self.count = len(references)
        self.searched = searched
        self.n = 0
        i: cython.int
        if not cython.compiled:
            self.references, self.rates, self.guess_rates = [0] * 3, [0] * 8, [0] * 4
            self.near, self.modes = [0] * 48, [0] * 20
            self.which, self.mode, self.row, self.column, self.price, self.guess = ([0] * 16 for _ in range(6))
        for i in range(len(references)):
            self.references[i] = references[i]
        for i in range(8):
            self.rates[i] = weights.search[i]
        for i in range(4):
            self.guess_rates[i] = weights.guess[i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def gather_known(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Begin a macroblock: collect the candidates that need no search."""
        i: cython.int
        self.n = 0
        for i in range(self.count):
            self.known(self.references[i], column, row)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def gather_new(self, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Add the candidates that are searched."""
        i: cython.int
        for i in range(min(self.count, self.searched)):
            self.new(self.references[i], column, row)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def known(self, which: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.int:
        """Add the candidates that need no search; return the best guess among them."""
        near = cython.declare(cython.int[12])
        modes = cython.declare(cython.int[5])
        at: cython.Py_ssize_t = row * self.d.columns + column
        price: cython.int = self.prices.reference[which]
        best: cython.int
        i: cython.int
        self.d.reference[at] = which
        survey(self.d, at, column, row, self.prices.bias, near)
        settle(self.d, at, column, row, near)
        self.prices.inter_modes(near, modes)
        for i in range(3):
            clamp(self.d, column, row, near, i)
        for i in range(12):
            self.near[12 * which + i] = near[i]
        for i in range(5):
            self.modes[5 * which + i] = modes[i]
        best = self.add(which, ZEROMV, 0, 0, price + modes[ZEROMV - NEARESTMV], column, row)
        i = 2 * NEAREST
        if near[i] or near[i + 1]:
            best = min(best, self.add(which, NEARESTMV, near[i], near[i + 1], price + modes[0], column, row))
        i = 2 * NEAR
        if (near[i] or near[i + 1]) and (near[i] != near[2 * NEAREST] or near[i + 1] != near[2 * NEAREST + 1]):
            best = min(best, self.add(which, NEARMV, near[i], near[i + 1], price + modes[1], column, row))
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def new(self, which: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.int:
        """Search a vector and add it, unless a mode says the same for less; return its guess."""
        starts = cython.declare(cython.int[16])
        out = cython.declare(cython.int[3])
        best = cython.declare(cython.int[2])
        at: cython.Py_ssize_t = row * self.d.columns + column
        segment: cython.Py_ssize_t = self.d.segment[at]
        other: cython.Py_ssize_t
        n: cython.int = 0
        i: cython.int
        price: cython.int
        best[0] = self.near[12 * which]
        best[1] = self.near[12 * which + 1]
        for i in range(3):
            starts[2 * n] = self.near[12 * which + 2 * i]
            starts[2 * n + 1] = self.near[12 * which + 2 * i + 1]
            n += 1
        starts[2 * n] = starts[2 * n + 1] = 0
        n += 1
        for i in range(3):  # left, above, above and to the right
            other = at - 1 if i == 0 else at - self.d.columns + (i - 1)
            if (i == 0 and column == 0) or (i > 0 and row == 0) or (i == 2 and column == self.d.columns - 1):
                continue
            if self.d.reference[other] == which:
                starts[2 * n] = self.d.vector[32 * other + (30 if self.d.y_mode[other] == SPLITMV else 0)]
                starts[2 * n + 1] = self.d.vector[32 * other + (31 if self.d.y_mode[other] == SPLITMV else 1)]
                n += 1
        self.search.find(
            which, 16 * column, 16 * row, 16, 16, starts, n, best, self.rates[2 * segment], self.rates[2 * segment + 1],
            out,
        )  # fmt: skip
        for i in range(self.n):
            if self.which[i] == which and self.row[i] == out[0] and self.column[i] == out[1]:
                return FAR
        price = self.prices.reference[which] + self.modes[5 * which + NEWMV - NEARESTMV]
        price += self.prices.difference(out[0] - best[0], out[1] - best[1])
        return self.add(which, NEWMV, out[0], out[1], price, column, row)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def price_new(
        self, which: cython.int, y: cython.int, x: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.int:
        """Return what a new vector costs; FAR if it leads too far out of the frame or cannot be said."""
        price: cython.int = self.prices.difference(y - self.near[12 * which], x - self.near[12 * which + 1])
        if y < -64 * (row + 1) or y > 64 * (self.d.rows - row) or price >= 1 << 20:
            return FAR
        if x < -64 * (column + 1) or x > 64 * (self.d.columns - column):
            return FAR
        return price + self.prices.reference[which] + self.modes[5 * which + NEWMV - NEARESTMV]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def price_of(self, price: cython.int, segment: cython.Py_ssize_t) -> cython.int:
        """Return a price in the units of guesses."""
        return (price * self.guess_rates[segment]) >> 12

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def add(
        self,
        which: cython.int,
        mode: cython.int,
        y: cython.int,
        x: cython.int,
        price: cython.int,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
    ) -> cython.int:
        """Add a candidate; return its guess."""
        segment: cython.Py_ssize_t = self.d.segment[row * self.d.columns + column]
        plane: cython.p_uchar = (
            self.search.last if which == 1 else self.search.golden if which == 2 else self.search.altref
        )
        guess: cython.int = self.price_of(price, segment)
        guess += self.search.distance(plane, 16 * column, 16 * row, 16, 16, y, x, self.search.measure)
        self.which[self.n] = which
        self.mode[self.n] = mode
        self.row[self.n] = y
        self.column[self.n] = x
        self.price[self.n] = price
        self.guess[self.n] = guess
        self.n += 1
        return guess

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def next(self) -> cython.int:
        """Return the candidate of the least guess that was not returned yet, -1 if there is none."""
        i: cython.int
        best: cython.int = -1
        for i in range(self.n):
            if self.guess[i] != FAR and (best < 0 or self.guess[i] < self.guess[best]):
                best = i
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def take(self, i: cython.int, at: cython.Py_ssize_t) -> cython.void:
        """Write a candidate into the decisions."""
        self.guess[i] = FAR
        self.d.reference[at] = self.which[i]
        self.d.y_mode[at] = self.mode[i]
        self.d.uv_mode[at] = 0
        self.d.vector[32 * at] = self.row[i]
        self.d.vector[32 * at + 1] = self.column[i]
