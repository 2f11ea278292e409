"""Motion search: where in a reference a block of the picture is found (RFC 6386 §5, §18).

A search goes from a few good guesses by steps that are halved down to one pixel, then by halves and quarters of a
pixel with the filters that predict. It weighs the distance of the block found against the price of its vector.

References are searched in copies of their luma with a border, so that no position needs a test:

    BORDER pixels, the edge repeated
    +-----------------------------+
    | luma                        |  vectors lead REACH pixels out at most: a block beyond the edge repeats it anyway;
    +-----------------------------+  what is left of the border is for filters and parts of macroblocks
"""

from __future__ import annotations

import cython

from codec.interpolation import interpolate  # inlined

if cython.compiled:
    from cython.cimports.codec.distortion import sad, satd, sse
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401
    from cython.cimports.codec.prices import Prices
    from cython.cimports.libc.string import memcpy, memset
else:
    from codec.distortion import sad, satd, sse
    from codec.prices import Prices

__all__ = ["BORDER", "MotionSearch", "bordered", "search_all"]

BORDER = cython.declare(cython.int, 32)
REACH = cython.declare(cython.int, 16)

# The eight neighbours of a position, those beside it first: (row, column).
_around = cython.declare(cython.int[16])
for _i, _step in enumerate((-1, 0, 0, -1, 0, 1, 1, 0, -1, -1, -1, 1, 1, -1, 1, 1)):
    _around[_i] = _step


def bordered(raster: bytes, columns: int, rows: int) -> bytearray:
    """Return a raster's luma with BORDER pixels more on each side, the edges repeated."""
    width: cython.Py_ssize_t = 16 * columns
    height: cython.Py_ssize_t = 16 * rows
    stride: cython.Py_ssize_t = width + 2 * BORDER
    plane = bytearray(stride * (height + 2 * BORDER))
    p: cython.p_uchar = plane
    luma: cython.p_uchar = raster
    y: cython.Py_ssize_t
    o: cython.Py_ssize_t = BORDER * stride
    for y in range(height):
        if cython.compiled:
            memset(p + o, luma[y * width], BORDER)
            memcpy(p + o + BORDER, luma + y * width, width)
            memset(p + o + BORDER + width, luma[(y + 1) * width - 1], BORDER)
        else:
            row = raster[y * width : (y + 1) * width]
            plane[o : o + stride] = row[:1] * BORDER + row + row[-1:] * BORDER
        o += stride
    first, last = BORDER * stride, (BORDER + height - 1) * stride
    plane[:first] = plane[first : first + stride] * BORDER
    plane[last + stride :] = plane[last : last + stride] * BORDER
    return plane


@cython.final
@cython.cclass
class MotionSearch:
    """Finds blocks of a picture in the references of a frame.

    ``source`` is the picture's raster, ``references`` the rasters of last, golden and altref; those that are the same
    object are searched as one plane. ``prices`` are the frame's. ``first_step``: how many pixels the first steps are
    long, a power of two or 0 for none; ``rounds``: how many steps of half a pixel there may be, and of a quarter;
    ``measure``: of ``effort``, for guesses.
    """

    def __init__(
        self,
        source: bytes,
        columns: int,
        rows: int,
        references: tuple[bytes, bytes, bytes],
        prices: Prices,
        first_step: int = 4,
        rounds: int = 3,
        measure: int = 1,
    ) -> None:
        planes: dict[int, bytearray] = {}
        for raster in references:
            if id(raster) not in planes:
                planes[id(raster)] = bordered(raster, columns, rows)
        last, golden, altref = (planes[id(raster)] for raster in references)
        self.held = (source, last, golden, altref)
        self.source = source
        self.last = last
        self.golden = golden
        self.altref = altref
        self.columns = columns
        self.rows = rows
        self.stride = 16 * columns + 2 * BORDER
        self.prices = prices
        self.first_step = first_step
        self.rounds = rounds
        self.measure = measure

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(
        self,
        which: cython.int,
        x: cython.Py_ssize_t,
        y: cython.Py_ssize_t,
        w: cython.int,
        h: cython.int,
        starts: cython.p_int,
        n: cython.int,
        best: cython.p_int,
        rate: cython.int,
        fine_rate: cython.int,
        out: cython.p_int,
    ) -> cython.int:
        """Find the w x h pixels at (x, y) of the picture in a reference; return distance and price together.

        ``which``: last 1, golden 2, altref 3. ``starts``: ``n`` vectors to begin at, row and column of each; ``best``:
        the vector that a new one is coded from, clamped. Both are in quarter pixels. ``rate``: what a bit weighs in
        1/16 of an absolute difference (5.6 times the luma DC factor suits), ``fine_rate``: in 1/16 of a squared error
        (0.4 times the square of that factor). ``out``: row, column, squared error.
        """
        plane: cython.p_uchar = self.last if which == 1 else self.golden if which == 2 else self.altref
        bounds = cython.declare(cython.int[4])
        column: cython.int = cython.cast(cython.int, x >> 4)
        row: cython.int = cython.cast(cython.int, y >> 4)
        # In quarter pixels: row from, to, column from, to. Beyond 1023 from the best vector there is no code.
        bounds[0] = max(-64 * row - 4 * REACH, best[0] - 1020, -16000)
        bounds[1] = min(64 * (self.rows - 1 - row) + 4 * REACH, best[0] + 1020, 16000)
        bounds[2] = max(-64 * column - 4 * REACH, best[1] - 1020, -16000)
        bounds[3] = min(64 * (self.columns - 1 - column) + 4 * REACH, best[1] + 1020, 16000)
        self.whole_pixels(plane, x, y, w, h, starts, n, best, bounds, rate, out)
        return self.fractions(plane, x, y, w, h, best, bounds, fine_rate, out)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def price(self, best: cython.p_int, row: cython.int, column: cython.int) -> cython.int:
        """Return what a vector within its bounds costs."""
        return self.prices.vector[1023 + row - best[0]] + self.prices.vector[3071 + column - best[1]]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def whole_pixels(
        self,
        plane: cython.p_uchar,
        x: cython.Py_ssize_t,
        y: cython.Py_ssize_t,
        w: cython.int,
        h: cython.int,
        starts: cython.p_int,
        n: cython.int,
        best: cython.p_int,
        bounds: cython.p_int,
        rate: cython.int,
        out: cython.p_int,
    ) -> cython.int:
        """Search by absolute differences, whole pixels alone; ``out``: row, column in quarter pixels, distance."""
        source: cython.p_uchar = self.source
        s_stride: cython.Py_ssize_t = 16 * self.columns
        s: cython.Py_ssize_t = y * s_stride + x
        stride: cython.Py_ssize_t = self.stride
        o: cython.Py_ssize_t = (y + BORDER) * stride + x + BORDER
        # Whole pixels within the bounds.
        top: cython.int = (bounds[0] + 3) >> 2
        bottom: cython.int = bounds[1] >> 2
        left: cython.int = (bounds[2] + 3) >> 2
        right: cython.int = bounds[3] >> 2
        best_cost: cython.int = 0x7FFFFFFF
        row: cython.int = 0
        column: cython.int = 0
        centre_row: cython.int
        centre_column: cython.int
        distance: cython.int
        cost: cython.int
        step: cython.int = self.first_step
        i: cython.int
        r: cython.int
        c: cython.int
        left_to_do: cython.int
        for i in range(n):
            r = min(max((starts[2 * i] + 2) >> 2, top), bottom)
            c = min(max((starts[2 * i + 1] + 2) >> 2, left), right)
            if i and r == row and c == column:
                continue
            distance = sad(source, s, s_stride, plane, o + r * stride + c, stride, w, h)
            cost = distance + ((self.price(best, 4 * r, 4 * c) * rate) >> 12)
            if cost < best_cost:
                best_cost = cost
                out[2] = distance
                row = r
                column = c
        left_to_do = 24  # steps of one pixel
        while step > 0:
            centre_row = row
            centre_column = column
            for i in range(8 if step > 1 else 4):
                r = centre_row + step * _around[2 * i]
                c = centre_column + step * _around[2 * i + 1]
                if r < top or r > bottom or c < left or c > right:
                    continue
                cost = (self.price(best, 4 * r, 4 * c) * rate) >> 12
                if cost >= best_cost:
                    continue
                distance = sad(source, s, s_stride, plane, o + r * stride + c, stride, w, h)
                cost += distance
                if cost < best_cost:
                    best_cost = cost
                    out[2] = distance
                    row = r
                    column = c
            if step > 1:
                step >>= 1
            else:
                left_to_do -= 1
                if (row == centre_row and column == centre_column) or left_to_do == 0:
                    break
        out[0] = 4 * row
        out[1] = 4 * column
        return best_cost

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def distance(
        self,
        plane: cython.p_uchar,
        x: cython.Py_ssize_t,
        y: cython.Py_ssize_t,
        w: cython.int,
        h: cython.int,
        row: cython.int,
        column: cython.int,
        measure: cython.int,
    ) -> cython.int:
        """Return how far a block is from what a vector predicts, by a measure of ``effort``."""
        block = cython.declare(cython.uchar[256])
        s_stride: cython.Py_ssize_t = 16 * self.columns
        s: cython.Py_ssize_t = y * s_stride + x
        o: cython.Py_ssize_t = (y + BORDER + (row >> 2)) * self.stride + x + BORDER + (column >> 2)
        fy: cython.Py_ssize_t = 16 * (row & 3)
        fx: cython.Py_ssize_t = 16 * (column & 3)
        pixels: cython.p_uchar = plane
        stride: cython.Py_ssize_t = self.stride
        if fx or fy:
            if w == 16:
                interpolate(block, 0, 16, plane, o, stride, fx, fy, 16, h)
            elif w == 8:
                interpolate(block, 0, 16, plane, o, stride, fx, fy, 8, h)
            else:
                interpolate(block, 0, 16, plane, o, stride, fx, fy, 4, h)
            pixels = block
            o = 0
            stride = 16
        if measure:
            return satd(self.source, s, s_stride, pixels, o, stride, w, h)
        return sse(self.source, s, s_stride, pixels, o, stride, w, h)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def fractions(
        self,
        plane: cython.p_uchar,
        x: cython.Py_ssize_t,
        y: cython.Py_ssize_t,
        w: cython.int,
        h: cython.int,
        best: cython.p_int,
        bounds: cython.p_int,
        rate: cython.int,
        out: cython.p_int,
    ) -> cython.int:
        """Refine the vector in ``out`` by halves, then quarters of a pixel; return distance and price together."""
        beside = cython.declare(cython.int[4])
        row: cython.int = out[0]
        column: cython.int = out[1]
        step: cython.int = 2
        left_to_do: cython.int = self.rounds
        centre_row: cython.int
        centre_column: cython.int
        came_row: cython.int = 1 << 20
        came_column: cython.int = 0
        came_cost: cython.int = 0
        i: cython.int
        r: cython.int
        c: cython.int
        distance: cython.int = self.distance(plane, x, y, w, h, row, column, 0)
        cost: cython.int
        centre_cost: cython.int
        best_cost: cython.int = distance + ((self.price(best, row, column) * rate) >> 12)
        out[2] = distance
        while left_to_do:
            centre_row = row
            centre_column = column
            centre_cost = best_cost
            for i in range(5):
                if i < 4:
                    r = centre_row + step * _around[2 * i]
                    c = centre_column + step * _around[2 * i + 1]
                else:  # between the better ones of the four
                    r = centre_row + (step if beside[3] < beside[0] else -step)
                    c = centre_column + (step if beside[2] < beside[1] else -step)
                cost = 0x7FFFFFFF
                if r == came_row and c == came_column:
                    cost = came_cost
                elif bounds[0] <= r <= bounds[1] and bounds[2] <= c <= bounds[3]:
                    distance = self.distance(plane, x, y, w, h, r, c, 0)
                    cost = distance + ((self.price(best, r, c) * rate) >> 12)
                    if cost < best_cost:
                        best_cost = cost
                        out[2] = distance
                        row = r
                        column = c
                if i < 4:
                    beside[i] = cost
            left_to_do -= 1
            came_row = centre_row
            came_column = centre_column
            came_cost = centre_cost
            if left_to_do == 0 or (row == centre_row and column == centre_column):
                left_to_do = self.rounds if step == 2 else 0
                step = 1
                came_row = 1 << 20
        out[0] = row
        out[1] = column
        return best_cost


def search_all(search: MotionSearch, which: int, size: tuple[int, int], rate: int, fine_rate: int) -> list[int]:
    """Return row, column, distance and cost for each block of a size: the search as tests and benchmarks call it.

    Each block begins at zero and at the vectors found for the blocks to its left and above.
    """
    m: MotionSearch = search
    w: cython.int = size[0]
    h: cython.int = size[1]
    across: cython.Py_ssize_t = 16 * m.columns // size[0]
    n: cython.Py_ssize_t = across * (16 * m.rows // size[1])
    reference: cython.int = which
    a: cython.int = rate
    b: cython.int = fine_rate
    k: cython.Py_ssize_t
    starts = cython.declare(cython.int[6])
    out = cython.declare(cython.int[3])
    i: cython.int
    found: cython.p_int
    buffer = bytearray(16 * n)
    if cython.compiled:
        found = cython.cast(cython.p_int, cython.cast(cython.p_uchar, buffer))
    else:
        found = memoryview(buffer).cast("i")
    with cython.nogil:
        for k in range(n):
            for i in range(6):
                starts[i] = 0
            for i in range(2):
                if k % across:
                    starts[i] = found[4 * k - 4 + i]
                if k >= across:
                    starts[2 + i] = found[4 * (k - across) + i]
            found[4 * k + 3] = m.find(reference, k % across * w, k // across * h, w, h, starts, 3, starts, a, b, out)
            for i in range(3):
                found[4 * k + i] = out[i]
    return memoryview(buffer).cast("i").tolist()
