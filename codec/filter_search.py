"""The loop filter of a frame that is already reconstructed: its level searched, then applied (RFC 6386 §9.6, §15).

The level that a frame brings along suits the references that it was made for. Here it is moved to where the luma of
some rows of macroblocks comes closest to the source.
"""

from __future__ import annotations

import cython

from codec.header import Header
from codec.loopfilter import level_table

if cython.compiled:
    from cython.cimports.codec.canvas import Canvas
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.loopfilter import filter_row
else:
    from codec.canvas import Canvas
    from codec.decisions import Decisions
    from codec.loopfilter import filter_row

__all__ = ["apply_filter", "search_filter_level"]

MAX_LEVEL = 63
SAMPLED_ROWS = 5


def apply_filter(canvas: Canvas, decisions: Decisions, header: Header) -> None:
    """Filter a whole reconstructed frame as its header says."""
    d: Decisions = decisions
    work: Canvas = canvas
    at: cython.Py_ssize_t
    row: cython.Py_ssize_t
    work.filter_by(header)
    with cython.nogil:
        for at in range(work.columns * work.rows):
            work.level[at] = work.kind_level[40 * d.segment[at] + 10 * d.reference[at] + d.y_mode[at]]
        for row in range(work.rows):
            work.finish_row(row)


def search_filter_level(canvas: Canvas, decisions: Decisions, source: bytes, header: Header, reach: int) -> int:
    """Return the loop-filter level, at most ``reach`` from the header's, that brings the frame closest to ``source``.

    Nothing is filtered yet, and nothing is by this. Level 0, no filter at all, is left to the encoder to choose.
    """
    columns: cython.Py_ssize_t = canvas.columns
    rows: cython.Py_ssize_t = canvas.rows
    if rows < 2:
        return header.filter_level
    count = min(SAMPLED_ROWS, rows - 1)
    sampled = [1 + (2 * i + 1) * (rows - 1) // (2 * count) for i in range(count)]
    scratch = bytearray(768 * columns)
    errors: dict[int, int] = {}

    def error(level: int) -> int:
        if level not in errors:
            table = _table(header, level)
            errors[level] = sum(_row_error(canvas, decisions, source, header, table, scratch, row) for row in sampled)
        return errors[level]

    best = header.filter_level
    step = reach >> 1
    while step:
        best = min((best, max(best - step, 1), min(best + step, MAX_LEVEL)), key=error)
        step >>= 1
    return best


def _table(header: Header, level: int) -> bytes:
    segmentation = header.segmentation
    deltas = header.filter_deltas
    return level_table(
        level,
        header.segmentation_enabled,
        segmentation.absolute,
        segmentation.filter_levels,
        header.filter_deltas_enabled,
        deltas.references,
        deltas.modes,
    )


def _row_error(
    canvas: Canvas, decisions: Decisions, source: bytes, header: Header, table: bytes, scratch: bytearray, row: int
) -> int:
    """Return the squared luma error of a row of macroblocks filtered, in ``scratch``, by the levels in ``table``."""
    work: Canvas = canvas
    d: Decisions = decisions
    src: cython.p_uchar = source
    to: cython.p_uchar = scratch
    kinds: cython.p_uchar = table
    levels = bytearray(work.columns)
    level: cython.p_uchar = levels
    stride: cython.Py_ssize_t = work.y_stride
    start: cython.Py_ssize_t = 16 * (cython.cast(cython.Py_ssize_t, row) - 1) * stride
    first: cython.Py_ssize_t = work.columns * row
    simple: cython.int = header.simple_filter
    sharpness: cython.int = header.sharpness
    key: cython.int = header.key_frame
    i: cython.Py_ssize_t
    total: cython.longlong = 0
    with cython.nogil:
        for i in range(8 * stride, 32 * stride):
            to[i] = work.frame[start + i]
        for i in range(work.columns):
            level[i] = kinds[40 * d.segment[first + i] + 10 * d.reference[first + i] + d.y_mode[first + i]]
        filter_row(to, work.columns, 2, 1, level, 0, work.edges, first, simple, sharpness, key)
        # The last lines would be changed again from the row below.
        for i in range(13, 28):
            total += line_error(src, start + i * stride, to, i * stride, stride)
    return total


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def line_error(
    a: cython.p_uchar, i: cython.Py_ssize_t, b: cython.p_uchar, k: cython.Py_ssize_t, n: cython.Py_ssize_t
) -> cython.int:
    """Return the squared error between two lines of pixels."""
    total: cython.int = 0
    d: cython.short
    x: cython.Py_ssize_t
    for x in range(n):
        d = a[i + x] - b[k + x]
        total += d * d
    return total
