"""The loop filter of a frame that is already reconstructed: its level searched, then applied (RFC 6386 §9.6, §15).

The level that a frame brings along suits the references that it was made for. Here it is moved to where the luma of
some rows of macroblocks comes closest to the source.
"""

from __future__ import annotations

import cython

from codec.header import Header
from codec.symbols import B_PRED, SPLITMV, ZEROMV  # inlined

if cython.compiled:
    from cython.cimports.codec.canvas import Canvas
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.loopfilter import filter_row
else:
    from codec.canvas import Canvas
    from codec.decisions import Decisions
    from codec.loopfilter import filter_row

__all__ = ["apply_filter", "search_filter_level"]

MAX_LEVEL = cython.declare(cython.int, 63)
SAMPLED_ROWS = 3


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
    work: Canvas = canvas
    d: Decisions = decisions
    if work.rows < 2:
        return header.filter_level
    count = min(SAMPLED_ROWS, work.rows - 1)
    sampled = [1 + (2 * i + 1) * (work.rows - 1) // (2 * count) for i in range(count)]
    # What the levels of macroblocks are made of; see loopfilter.level_table.
    segmentation, deltas = header.segmentation, header.filter_deltas
    levels: list = list(segmentation.filter_levels) if header.segmentation_enabled else [0, 0, 0, 0]
    absolute: cython.int = header.segmentation_enabled and segmentation.absolute
    by_reference: tuple = deltas.references if header.filter_deltas_enabled else (0, 0, 0, 0)
    by_mode: tuple = deltas.modes if header.filter_deltas_enabled else (0, 0, 0, 0)
    simple: cython.int = header.simple_filter
    sharpness: cython.int = header.sharpness
    key: cython.int = header.key_frame
    changes = cython.declare(cython.int[12])
    i: cython.Py_ssize_t
    for i in range(4):
        changes[i] = levels[i]
        changes[4 + i] = by_reference[i]
        changes[8 + i] = by_mode[i]
    scratch = bytearray(768 * work.columns)
    line = bytearray(work.columns)
    src: cython.p_uchar = source
    to: cython.p_uchar = scratch
    level: cython.p_uchar = line
    errors: dict = {}
    row: cython.Py_ssize_t
    tried: cython.int
    total: cython.longlong
    best: int = header.filter_level
    step: int = reach >> 1
    while step:
        for candidate in (best, max(best - step, 1), min(best + step, MAX_LEVEL)):
            if candidate not in errors:
                tried = candidate
                total = 0
                for place in sampled:
                    row = place
                    with cython.nogil:
                        set_levels(d, work.columns, row, tried, absolute, changes, level)
                        total += row_error(work, src, to, level, row, simple, sharpness, key)
                errors[candidate] = total
        near = (best, max(best - step, 1), min(best + step, MAX_LEVEL))
        best = min(near, key=errors.__getitem__)
        step >>= 1
    return best


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def set_levels(
    d: Decisions,
    columns: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    base: cython.int,
    absolute: cython.int,
    changes: cython.p_int,
    levels: cython.p_uchar,
) -> cython.void:
    """Fill in the levels of a row of macroblocks; ``changes``: of 4 segments, 4 references, 4 kinds of modes."""
    at: cython.Py_ssize_t = row * columns
    i: cython.Py_ssize_t
    x: cython.int
    mode: cython.int
    low: cython.int = 0
    high: cython.int = MAX_LEVEL
    for i in range(columns):
        x = changes[d.segment[at + i]]
        x = min(max(x if absolute else base + x, low), high)
        mode = d.y_mode[at + i]
        x += changes[4 + d.reference[at + i]]
        if d.reference[at + i]:
            x += changes[9 if mode == ZEROMV else 11 if mode == SPLITMV else 10]
        elif mode == B_PRED:
            x += changes[8]
        levels[i] = min(max(x, low), high)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def row_error(
    work: Canvas,
    src: cython.p_uchar,
    to: cython.p_uchar,
    levels: cython.p_uchar,
    row: cython.Py_ssize_t,
    simple: cython.int,
    sharpness: cython.int,
    key: cython.int,
) -> cython.longlong:
    """Return the squared luma error of a row of macroblocks filtered, in ``to``, by ``levels``."""
    stride: cython.Py_ssize_t = work.y_stride
    start: cython.Py_ssize_t = 16 * (row - 1) * stride
    i: cython.Py_ssize_t
    total: cython.longlong = 0
    for i in range(8 * stride, 32 * stride):
        to[i] = work.frame[start + i]
    filter_row(to, work.columns, 2, 1, levels, 0, work.edges, work.columns * row, simple, sharpness, key)
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
