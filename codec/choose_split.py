"""The choice of a macroblock's parts and their vectors (RFC 6386 §16.3).

Quarters are searched first. Halves are tried with the vectors of the quarters that they are made of, so that they take
no search of their own; sixteenths are searched from the vector of the quarter that they lie in.
"""

from __future__ import annotations

import cython

from codec.neighbours import part_context  # inlined
from codec.symbols import NEARESTMV, SPLITMV  # inlined

if cython.compiled:
    from cython.cimports.codec.choose_inter import InterChooser
    from cython.cimports.codec.modes import split_first, split_part, split_parts
else:
    from codec.choose_inter import InterChooser
    from codec.modes import split_first, split_part, split_parts

__all__ = ["SplitChooser"]

FAR = cython.declare(cython.int, 0x7FFFFFFF)
REACH = cython.declare(cython.int, 64)  # how far out of the frame a macroblock may be taken from, in quarter pixels


@cython.final
@cython.cclass
class SplitChooser:
    """Finds the best parts of a macroblock by guesses as in ``choose_inter``, whose ``near`` must stand.

    ``shapes``: 3 without sixteenths, 4 with them.
    """

    def __init__(self, inter: InterChooser, shapes: int) -> None:
        self.inter = inter
        self.d = inter.d
        self.prices = inter.prices
        self.search = inter.search
        self.shapes = shapes
        self.n = 0
        self.price = 0
        if not cython.compiled:
            self.tried, self.quarters, self.vectors = [0] * 40, [0] * 8, [0] * 32

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def choose(
        self, which: cython.int, y: cython.int, x: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.int:
        """Write the best shape and vectors into the decisions, their price into ``price``; return the guess.

        ``y`` and ``x``: the best vector of the whole macroblock.
        """
        at: cython.Py_ssize_t = row * self.d.columns + column
        near = cython.declare(cython.int[12])
        best: cython.int = FAR
        best_shape: cython.int = 2
        guess: cython.int
        shape: cython.int
        i: cython.int
        k: cython.int
        self.d.reference[at] = which
        self.d.y_mode[at] = SPLITMV
        self.d.uv_mode[at] = 0
        self.find_quarters(which, y, x, column, row)
        for i in range(3):
            shape = 2 - i
            guess = self.shape(shape, which, y, x, column, row, best)
            if guess < best:
                best = guess
                best_shape = shape
                for k in range(32):
                    self.vectors[k] = self.d.vector[32 * at + k]
        if self.shapes > 3 and best_shape == 2:
            guess = self.shape(3, which, y, x, column, row, best)
            if guess < best:
                best = guess
                best_shape = 3
                for k in range(32):
                    self.vectors[k] = self.d.vector[32 * at + k]
        self.d.split_shape[at] = best_shape
        for k in range(32):
            self.d.vector[32 * at + k] = self.vectors[k]
        for k in range(12):
            near[k] = self.inter.near[12 * which + k]
        self.price = self.prices.reference[which] + self.inter.modes[5 * which + SPLITMV - NEARESTMV]
        self.price += self.prices.split(self.d, at, column, row, near)
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find_quarters(
        self, which: cython.int, y: cython.int, x: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.void:
        """Search a vector for each quarter."""
        starts = cython.declare(cython.int[8])
        out = cython.declare(cython.int[3])
        best = cython.declare(cython.int[2])
        segment: cython.Py_ssize_t = self.d.segment[row * self.d.columns + column]
        step: cython.int = self.search.first_step
        part: cython.int
        n: cython.int
        best[0] = self.inter.near[12 * which]
        best[1] = self.inter.near[12 * which + 1]
        self.search.first_step = 2
        for part in range(4):
            starts[0] = y
            starts[1] = x
            n = 1
            if part & 1:
                starts[2 * n] = self.quarters[2 * part - 2]
                starts[2 * n + 1] = self.quarters[2 * part - 1]
                n += 1
            if part & 2:
                starts[2 * n] = self.quarters[2 * part - 4]
                starts[2 * n + 1] = self.quarters[2 * part - 3]
                n += 1
            self.search.find(
                which,
                16 * column + 8 * (part & 1),
                16 * row + 8 * (part >> 1),
                8,
                8,
                starts,
                n,
                best,
                self.inter.rates[2 * segment],
                self.inter.rates[2 * segment + 1],
                out,
            )
            self.quarters[2 * part] = out[0]
            self.quarters[2 * part + 1] = out[1]
        self.search.first_step = step

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def shape(
        self,
        shape: cython.int,
        which: cython.int,
        y: cython.int,
        x: cython.int,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        bound: cython.int,
    ) -> cython.int:
        """Choose the vectors of all parts of a shape; return the guess, FAR where it exceeds ``bound``."""
        around = cython.declare(cython.int[4])
        starts = cython.declare(cython.int[8])
        out = cython.declare(cython.int[3])
        best = cython.declare(cython.int[2])
        at: cython.Py_ssize_t = row * self.d.columns + column
        segment: cython.Py_ssize_t = self.d.segment[at]
        step: cython.int = self.search.first_step
        part: cython.int
        block: cython.int
        quarter: cython.int
        context: cython.int
        total: cython.int = self.inter.price_of(
            self.prices.reference[which] + self.inter.modes[5 * which + SPLITMV - NEARESTMV] + self.prices.shape[shape],
            segment,
        )
        best[0] = self.inter.near[12 * which]
        best[1] = self.inter.near[12 * which + 1]
        for part in range(split_parts[shape]):
            block = split_first[16 * shape + part]
            context = part_context(self.d, at, column, row, block, around)
            self.n = 0
            self.add(around[0], around[1], column, row)
            self.add(around[2], around[3], column, row)
            self.add(y, x, column, row)
            quarter = 2 * ((block >> 3) * 2 + ((block >> 1) & 1))
            self.add(self.quarters[quarter], self.quarters[quarter + 1], column, row)
            if shape < 2:
                quarter += 2 if shape == 0 else 4
                self.add(self.quarters[quarter], self.quarters[quarter + 1], column, row)
            elif shape == 3:
                starts[0] = self.quarters[quarter]
                starts[1] = self.quarters[quarter + 1]
                self.search.first_step = 0
                self.search.find(
                    which,
                    16 * column + 4 * (block & 3),
                    16 * row + 4 * (block >> 2),
                    4,
                    4,
                    starts,
                    1,
                    best,
                    self.inter.rates[2 * segment],
                    self.inter.rates[2 * segment + 1],
                    out,
                )
                self.search.first_step = step
                self.add(out[0], out[1], column, row)
            total += self.part(shape, part, which, context, around, column, row)
            if total >= bound:
                return FAR
        return total

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def part(
        self,
        shape: cython.int,
        part: cython.int,
        which: cython.int,
        context: cython.int,
        around: cython.p_int,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
    ) -> cython.int:
        """Take the best of the vectors in ``tried`` for a part; return its guess."""
        at: cython.Py_ssize_t = row * self.d.columns + column
        segment: cython.Py_ssize_t = self.d.segment[at]
        block: cython.int = split_first[16 * shape + part]
        w: cython.int = 16 if shape == 0 else 8 if shape < 3 else 4
        h: cython.int = 16 if shape == 1 else 8 if shape < 3 else 4
        plane: cython.p_uchar = (
            self.search.last if which == 1 else self.search.golden if which == 2 else self.search.altref
        )
        best: cython.int = FAR
        chosen: cython.int = 0
        price: cython.int
        guess: cython.int
        i: cython.int
        y: cython.int
        x: cython.int
        for i in range(self.n):
            y = self.tried[2 * i]
            x = self.tried[2 * i + 1]
            if y == around[0] and x == around[1]:
                price = self.prices.part[4 * context]
            elif y == around[2] and x == around[3]:
                price = self.prices.part[4 * context + 1]
            elif y == 0 and x == 0:
                price = self.prices.part[4 * context + 2]
            else:
                price = self.prices.part[4 * context + 3]
                price += self.prices.difference(y - self.inter.near[12 * which], x - self.inter.near[12 * which + 1])
            guess = self.inter.price_of(price, segment)
            if guess >= best:
                continue
            guess += self.search.distance(
                plane, 16 * column + 4 * (block & 3), 16 * row + 4 * (block >> 2), w, h, y, x, self.search.measure
            )
            if guess < best:
                best = guess
                chosen = i
        y = self.tried[2 * chosen]
        x = self.tried[2 * chosen + 1]
        for i in range(16):
            if split_part[16 * shape + i] == part:
                self.d.vector[32 * at + 2 * i] = y
                self.d.vector[32 * at + 2 * i + 1] = x
        return best

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def add(self, y: cython.int, x: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Add a vector to those that are tried, unless it is among them or leads too far out of the frame."""
        i: cython.int
        if y < -64 * row - REACH or y > 64 * (self.d.rows - 1 - row) + REACH:
            return
        if x < -64 * column - REACH or x > 64 * (self.d.columns - 1 - column) + REACH:
            return
        for i in range(self.n):
            if self.tried[2 * i] == y and self.tried[2 * i + 1] == x:
                return
        self.tried[2 * self.n] = y
        self.tried[2 * self.n + 1] = x
        self.n += 1
