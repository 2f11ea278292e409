"""The frame under construction: prediction of its macroblocks and the loop filter behind them (RFC 6386 §12, §15, §18).

Intra prediction wants its neighbours unfiltered, the next frame wants all filtered. So rows of macroblocks are filtered
when a row below them stands: nothing reads their unfiltered pixels any more, and they are still in the cache. Two at
once, since the filter is faster on pairs:

    row - 3   filtered, but for its last three lines
    row - 2   filtered now, together with those three lines
    row - 1   filtered now, but for its last three lines
    row       just reconstructed, unfiltered
"""

from __future__ import annotations

import cython

from codec.symbols import B_PRED, SPLITMV  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.inter import predict_inter
    from cython.cimports.codec.intra import predict_block, predict_subblock
    from cython.cimports.codec.loopfilter import filter_rows
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
else:
    from codec.decisions import Decisions
    from codec.inter import predict_inter
    from codec.intra import predict_block, predict_subblock
    from codec.loopfilter import filter_rows

from codec.header import Header
from codec.loopfilter import level_table

__all__ = ["Canvas"]


# §12.2, §12.3: what intra prediction finds above the frame and left of it.
ABOVE_FRAME = cython.declare(cython.int, 127)
LEFT_OF_FRAME = cython.declare(cython.int, 129)


@cython.final
@cython.cclass
class Canvas:
    """A raster that is being filled, macroblock by macroblock in raster order.

    ``references`` are the rasters of last, golden and altref, or None on a key frame. For each macroblock:
    ``predict`` (or ``predict_b`` block by block), add the residue, ``settle``; after each row ``finish_row``.
    """

    def __init__(self, columns: int, rows: int, header: Header, references: tuple | None) -> None:
        n: cython.Py_ssize_t = columns * rows
        self.columns = columns
        self.rows = rows
        if cython.compiled:
            # Uninitialised: every pixel is written before anything reads it, and nobody has seen the object yet.
            self.raster = PyBytes_FromStringAndSize(cython.NULL, 384 * n)
        else:
            self.raster = bytearray(384 * n)
        self.frame = self.raster
        self.held = references
        if references is not None:
            last, golden, altref = references
            self.last = last
            self.golden = golden
            self.altref = altref
        self.y_stride = 16 * columns
        self.uv_stride = 8 * columns
        self.u = 256 * n
        self.v = 320 * n
        self.version = header.version
        self.key_frame = header.key_frame
        self.levels = bytearray(n)
        self.inner = bytearray(n)
        self.level = self.levels
        self.edges = self.inner
        self.filter_by(header)

    def filter_by(self, header: Header) -> None:
        """Take the loop filter's settings from a header."""
        segmentation = header.segmentation
        deltas = header.filter_deltas
        self.levels_by_kind = level_table(
            header.filter_level,
            header.segmentation_enabled,
            segmentation.absolute,
            segmentation.filter_levels,
            header.filter_deltas_enabled,
            deltas.references,
            deltas.modes,
        )
        self.kind_level = self.levels_by_kind
        self.filtered = header.filter_level != 0
        self.simple = header.simple_filter
        self.sharpness = header.sharpness

    def finished(self) -> bytes:
        """Return the raster, complete and filtered."""
        if cython.compiled:
            return self.raster
        return bytes(self.raster)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def predict(self, d: Decisions, column: cython.Py_ssize_t, row: cython.Py_ssize_t) -> cython.void:
        """Predict a macroblock, all but the luma of B_PRED."""
        at: cython.Py_ssize_t = row * self.columns + column
        mode: cython.int = d.y_mode[at]
        split: cython.int = 0
        which: cython.int = d.reference[at]
        uv: cython.Py_ssize_t = 8 * (row * self.uv_stride + column)
        if which:
            if mode == SPLITMV:
                split = 2 if d.split_shape[at] == 3 else 1
            predict_inter(
                self.frame,
                self.last if which == 1 else (self.golden if which == 2 else self.altref),
                self.columns,
                self.rows,
                column,
                row,
                d.vector,
                32 * at,
                split,
                self.version,
            )
            return
        if mode != B_PRED:
            self.predict_plane(mode, 16 * (row * self.y_stride + column), self.y_stride, 16, column, row)
        self.predict_plane(d.uv_mode[at], self.u + uv, self.uv_stride, 8, column, row)
        self.predict_plane(d.uv_mode[at], self.v + uv, self.uv_stride, 8, column, row)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def predict_plane(
        self,
        mode: cython.int,
        start: cython.Py_ssize_t,
        stride: cython.Py_ssize_t,
        size: cython.int,
        column: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
    ) -> cython.void:
        """Predict a whole block of one plane from its neighbours (§12.2)."""
        above = cython.declare(cython.uchar[17])
        left = cython.declare(cython.uchar[16])
        i: cython.int
        frame: cython.p_uchar = self.frame
        for i in range(size):
            above[i + 1] = frame[start - stride + i] if row > 0 else ABOVE_FRAME
            left[i] = frame[start + i * stride - 1] if column > 0 else LEFT_OF_FRAME
        above[0] = LEFT_OF_FRAME
        if row == 0:
            above[0] = ABOVE_FRAME
        elif column > 0:
            above[0] = frame[start - stride - 1]
        predict_block(mode, frame, start, stride, size, above, 1, left, 0, row > 0, column > 0)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def predict_b(
        self, mode: cython.int, block: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t
    ) -> cython.void:
        """Predict one luma subblock (§12.3)."""
        edge = cython.declare(cython.uchar[13])
        start: cython.Py_ssize_t = (16 * row + 4 * (block >> 2)) * self.y_stride + 16 * column + 4 * (block & 3)
        self.edge_b(block, column, row, edge)
        predict_subblock(mode, self.frame, start, self.y_stride, edge, 0)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def edge_b(
        self, block: cython.int, column: cython.Py_ssize_t, row: cython.Py_ssize_t, edge: cython.p_uchar
    ) -> cython.void:
        """Collect what a luma subblock is predicted from: left, corner, above, in the order of predict_subblock.

        What lies above and to the right of the subblocks at the right edge, in all four rows of them, is the
        last line of the macroblock above and to the right; right of the frame, that line's last pixel.
        """
        frame: cython.p_uchar = self.frame
        stride: cython.Py_ssize_t = self.y_stride
        y: cython.Py_ssize_t = 16 * row + 4 * (block >> 2)
        x: cython.Py_ssize_t = 16 * column + 4 * (block & 3)
        start: cython.Py_ssize_t = y * stride + x
        right: cython.Py_ssize_t = start - stride + 4
        i: cython.int
        for i in range(4):
            edge[i] = frame[start + (3 - i) * stride - 1] if x > 0 else LEFT_OF_FRAME
            edge[5 + i] = frame[start - stride + i] if y > 0 else ABOVE_FRAME
        edge[4] = LEFT_OF_FRAME
        if y == 0:
            edge[4] = ABOVE_FRAME
        elif x > 0:
            edge[4] = frame[start - stride - 1]
        if block & 3 == 3:
            right = (16 * row - 1) * stride + x + 4
        for i in range(4):
            if y == 0 or (row == 0 and block & 3 == 3):
                edge[9 + i] = ABOVE_FRAME
            elif x + 4 == stride:
                edge[9 + i] = frame[right - 1]
            else:
                edge[9 + i] = frame[right + i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def settle(self, d: Decisions, column: cython.Py_ssize_t, row: cython.Py_ssize_t, coded: cython.int) -> cython.void:
        """Note how a reconstructed macroblock is to be filtered (§15.1); ``coded``: it has coefficients."""
        at: cython.Py_ssize_t = row * self.columns + column
        mode: cython.int = d.y_mode[at]
        self.level[at] = self.kind_level[40 * d.segment[at] + 10 * d.reference[at] + mode]
        self.edges[at] = coded or mode == B_PRED or mode == SPLITMV

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def finish_row(self, row: cython.Py_ssize_t) -> cython.void:
        """Filter what a reconstructed row leaves ready, in pairs of rows; after the last row all that is left."""
        first: cython.Py_ssize_t = row - 2
        rows: cython.Py_ssize_t = 2
        if row == self.rows - 1:
            first = max(row - 1, 0) & ~1
            rows = self.rows - first
        elif row < 2 or row & 1:
            return
        if self.filtered:
            filter_rows(
                self.frame,
                self.columns,
                self.rows,
                first,
                rows,
                self.level,
                first * self.columns,
                self.edges,
                first * self.columns,
                self.simple,
                self.sharpness,
                self.key_frame,
            )
