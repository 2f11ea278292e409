"""The loop filter, RFC 6386 §15: filter levels (§9.6, §15.1), the simple filter (§15.2), the normal filter (§15.3)."""

from collections.abc import Sequence

import cython

if cython.compiled:
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401

from codec.lanes import inner_lanes, outer_lanes, simple_lanes  # inlined

B_PRED, ZEROMV, SPLITMV = 4, 7, 9


def level_table(
    base: int,
    segmentation_enabled: bool,
    absolute: bool,
    segment_levels: Sequence[int],
    deltas_enabled: bool,
    ref_deltas: Sequence[int],
    mode_deltas: Sequence[int],
) -> bytes:
    """Filter level (0..63) of every kind of macroblock: 160 bytes indexed [segment * 40 + reference * 10 + y_mode].

    A frame whose base level is 0 is not filtered at all, whatever its segments say: the table is zeros then.
    """
    table = bytearray(160)
    if base == 0:
        return bytes(table)
    for segment in range(4):
        level = base
        if segmentation_enabled:
            level = segment_levels[segment] if absolute else base + segment_levels[segment]
            level = min(max(level, 0), 63)
        for reference in range(4):
            for mode in range(10):
                delta = 0
                if deltas_enabled:
                    delta = ref_deltas[reference]
                    if reference == 0:
                        delta += mode_deltas[0] if mode == B_PRED else 0
                    else:
                        delta += mode_deltas[1 if mode == ZEROMV else 3 if mode == SPLITMV else 2]
                table[segment * 40 + reference * 10 + mode] = min(max(level + delta, 0), 63)
    return bytes(table)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def first_inner(
    luma: cython.p_uchar,
    chroma: cython.p_uchar,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """inner_lanes over 16 lanes of luma and 16 of chroma."""
    e = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(8):
        for k in range(16):
            e[32 * r + k] = luma[16 * r + k]
        for k in range(16):
            e[32 * r + 16 + k] = chroma[16 * r + k]
    inner_lanes(e, 0, 32, edge_limit, interior, variance)
    for r in range(2, 6):
        for k in range(16):
            luma[16 * r + k] = e[32 * r + k]
        for k in range(16):
            chroma[16 * r + k] = e[32 * r + 16 + k]


# Vertical edges are filtered in columns, which means transposing. interleave is a perfect shuffle, that is a rotation
# of the bits of every byte's index: as many of them as there are bits in a row's length make columns of rows.


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def interleave(a: cython.p_uchar, b: cython.p_uchar, half: cython.Py_ssize_t) -> cython.void:
    """b becomes the two halves of a, a byte of each in turn."""
    k: cython.Py_ssize_t
    for k in range(half):
        b[2 * k] = a[k]
        b[2 * k + 1] = a[half + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def left_edge(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    ys: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    cs: cython.Py_ssize_t,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """Filter the edge between the macroblock at y, u, v and its left neighbour."""
    a = cython.declare(cython.uchar[256])
    b = cython.declare(cython.uchar[256])
    e = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(8):
        for k in range(8):
            a[16 * r + 2 * k] = frame[y + r * ys + k - 4]
            a[16 * r + 2 * k + 1] = frame[y + (r + 8) * ys + k - 4]
        for k in range(8):
            a[128 + 16 * r + 2 * k] = frame[u + r * cs + k - 4]
            a[128 + 16 * r + 2 * k + 1] = frame[v + r * cs + k - 4]
    interleave(a, b, 128)
    interleave(b, a, 128)
    interleave(a, b, 128)
    interleave(b, e, 128)
    outer_lanes(e, edge_limit, interior, variance)
    interleave(e, b, 128)
    interleave(b, a, 128)
    interleave(a, b, 128)
    for r in range(8):
        for k in range(8):
            frame[y + r * ys + k - 4] = b[8 * r + k]
        for k in range(8):
            frame[u + r * cs + k - 4] = b[64 + 8 * r + k]
        for k in range(8):
            frame[y + (r + 8) * ys + k - 4] = b[128 + 8 * r + k]
        for k in range(8):
            frame[v + r * cs + k - 4] = b[192 + 8 * r + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def top_edge(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    ys: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    cs: cython.Py_ssize_t,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """Filter the edge between the macroblock at y, u, v and the one above."""
    e = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(8):
        for k in range(16):
            e[32 * r + k] = frame[y + (r - 4) * ys + k]
        for k in range(8):
            e[32 * r + 16 + k] = frame[u + (r - 4) * cs + k]
        for k in range(8):
            e[32 * r + 24 + k] = frame[v + (r - 4) * cs + k]
    outer_lanes(e, edge_limit, interior, variance)
    for r in range(1, 7):
        for k in range(16):
            frame[y + (r - 4) * ys + k] = e[32 * r + k]
        for k in range(8):
            frame[u + (r - 4) * cs + k] = e[32 * r + 16 + k]
        for k in range(8):
            frame[v + (r - 4) * cs + k] = e[32 * r + 24 + k]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def take_columns(frame: cython.p_uchar, y: cython.Py_ssize_t, ys: cython.Py_ssize_t, e: cython.p_uchar) -> cython.void:
    """The 16 columns of a macroblock's luma, one after the other."""
    a = cython.declare(cython.uchar[256])
    b = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(8):
        for k in range(16):
            a[32 * r + 2 * k] = frame[y + r * ys + k]
            a[32 * r + 2 * k + 1] = frame[y + (r + 8) * ys + k]
    interleave(a, b, 128)
    interleave(b, a, 128)
    interleave(a, e, 128)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def put_columns(frame: cython.p_uchar, y: cython.Py_ssize_t, ys: cython.Py_ssize_t, e: cython.p_uchar) -> cython.void:
    """The way back of take_columns."""
    a = cython.declare(cython.uchar[256])
    b = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    interleave(e, a, 128)
    interleave(a, b, 128)
    interleave(b, a, 128)
    interleave(a, b, 128)
    for r in range(16):
        for k in range(16):
            frame[y + r * ys + k] = b[16 * r + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def inner_vertical(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    ys: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    cs: cython.Py_ssize_t,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """Filter the vertical edges between the subblocks of the macroblock at y, u, v."""
    e = cython.declare(cython.uchar[256])
    c = cython.declare(cython.uchar[128])
    d = cython.declare(cython.uchar[128])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    take_columns(frame, y, ys, e)
    for r in range(8):
        for k in range(8):
            c[16 * r + 2 * k] = frame[u + r * cs + k]
            c[16 * r + 2 * k + 1] = frame[v + r * cs + k]
    interleave(c, d, 64)
    interleave(d, c, 64)
    interleave(c, d, 64)
    first_inner(e, d, edge_limit, interior, variance)
    inner_lanes(e, 64, 16, edge_limit, interior, variance)
    inner_lanes(e, 128, 16, edge_limit, interior, variance)
    put_columns(frame, y, ys, e)
    interleave(d, c, 64)
    interleave(c, d, 64)
    interleave(d, c, 64)
    for r in range(8):
        for k in range(8):
            frame[u + r * cs + k] = c[8 * r + k]
        for k in range(8):
            frame[v + r * cs + k] = c[64 + 8 * r + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def inner_horizontal(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    ys: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    cs: cython.Py_ssize_t,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """Filter the horizontal edges between the subblocks of the macroblock at y, u, v."""
    a = cython.declare(cython.uchar[256])
    c = cython.declare(cython.uchar[128])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(16):
        for k in range(16):
            a[16 * r + k] = frame[y + r * ys + k]
    for r in range(8):
        for k in range(8):
            c[16 * r + k] = frame[u + r * cs + k]
        for k in range(8):
            c[16 * r + 8 + k] = frame[v + r * cs + k]
    first_inner(a, c, edge_limit, interior, variance)
    inner_lanes(a, 64, 16, edge_limit, interior, variance)
    inner_lanes(a, 128, 16, edge_limit, interior, variance)
    for r in range(1, 15):
        for k in range(16):
            frame[y + r * ys + k] = a[16 * r + k]
    for r in range(2, 6):
        for k in range(8):
            frame[u + r * cs + k] = c[16 * r + k]
        for k in range(8):
            frame[v + r * cs + k] = c[16 * r + 8 + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_simple(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    ys: cython.Py_ssize_t,
    left: cython.int,
    top: cython.int,
    inner: cython.int,
    outer_limit: cython.uchar,
    inner_limit: cython.uchar,
) -> cython.void:
    """The simple filter on the luma of one macroblock."""
    a = cython.declare(cython.uchar[64])
    b = cython.declare(cython.uchar[64])
    e = cython.declare(cython.uchar[256])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    if left:
        for r in range(8):
            for k in range(4):
                a[8 * r + 2 * k] = frame[y + r * ys + k - 2]
                a[8 * r + 2 * k + 1] = frame[y + (r + 8) * ys + k - 2]
        interleave(a, b, 32)
        interleave(b, a, 32)
        interleave(a, b, 32)
        simple_lanes(b, 0, outer_limit)
        interleave(b, a, 32)
        interleave(a, b, 32)
        for r in range(16):
            for k in range(4):
                frame[y + r * ys + k - 2] = b[4 * r + k]
    if inner:
        take_columns(frame, y, ys, e)
        for k in range(32, 224, 64):
            simple_lanes(e, k, inner_limit)
        put_columns(frame, y, ys, e)
    if top:
        for r in range(4):
            for k in range(16):
                a[16 * r + k] = frame[y + (r - 2) * ys + k]
        simple_lanes(a, 0, outer_limit)
        for r in range(1, 3):
            for k in range(16):
                frame[y + (r - 2) * ys + k] = a[16 * r + k]
    if inner:
        for r in range(16):
            for k in range(16):
                e[16 * r + k] = frame[y + r * ys + k]
        for k in range(32, 224, 64):
            simple_lanes(e, k, inner_limit)
        for r in range(3, 13):
            for k in range(16):
                frame[y + r * ys + k] = e[16 * r + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_rows(
    frame: cython.p_uchar,
    mbw: cython.Py_ssize_t,
    mbh: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    rows: cython.Py_ssize_t,
    levels: cython.p_uchar,
    l: cython.Py_ssize_t,
    inner: cython.p_uchar,
    i: cython.Py_ssize_t,
    simple: cython.int,
    sharpness: cython.int,
    key_frame: cython.int,
) -> cython.void:
    """Filter rows of macroblocks in place, from row on, and the last lines of the row above them.

    levels[l..] are the macroblocks' filter levels (0: left alone), inner[i..] whether their subblock edges count.
    Rows are filtered in pairs, the lower two macroblocks behind: each edge waits for the one before it, and two edges
    that do not wait for each other keep the processor busy.
    """
    # What is done to the macroblock in each of the two rows.
    y = cython.declare(cython.Py_ssize_t[2])
    u = cython.declare(cython.Py_ssize_t[2])
    interior = cython.declare(cython.uchar[2])
    variance = cython.declare(cython.uchar[2])
    big = cython.declare(cython.uchar[2])
    small = cython.declare(cython.uchar[2])
    left = cython.declare(cython.uchar[2])
    top = cython.declare(cython.uchar[2])
    parts = cython.declare(cython.uchar[2])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t
    col: cython.Py_ssize_t
    step: cython.Py_ssize_t
    ys: cython.Py_ssize_t = 16 * mbw
    cs: cython.Py_ssize_t = 8 * mbw
    plane: cython.Py_ssize_t = 64 * mbw * mbh
    level: cython.int
    limit: cython.int
    for r in range(0, rows, 2):
        n = 2 if r + 1 < rows else 1
        for step in range(mbw + 2 * n - 2):
            for k in range(n):
                col = step - 2 * k
                left[k] = col > 0
                top[k] = row + r + k > 0
                parts[k] = 0
                level = 0
                if 0 <= col < mbw:
                    level = levels[l + (r + k) * mbw + col]
                    parts[k] = inner[i + (r + k) * mbw + col]
                if level == 0:
                    left[k] = 0
                    top[k] = 0
                    parts[k] = 0
                limit = level
                if sharpness > 0:
                    limit = level >> (2 if sharpness > 4 else 1)
                    limit = min(limit, 9 - sharpness)
                if limit < 1:
                    limit = 1
                interior[k] = limit
                big[k] = 2 * (level + 2) + limit
                small[k] = 2 * level + limit
                variance[k] = (level >= 15) + (level >= 40) + (level >= 20 and not key_frame)
                y[k] = (row + r + k) * 16 * ys + col * 16
                u[k] = 4 * plane + (row + r + k) * 8 * cs + col * 8
            if simple:
                for k in range(n):
                    filter_simple(frame, y[k], ys, left[k], top[k], parts[k], big[k], small[k])
                continue
            for k in range(n):
                if left[k]:
                    left_edge(frame, y[k], ys, u[k], u[k] + plane, cs, big[k], interior[k], variance[k])
            for k in range(n):
                if parts[k]:
                    inner_vertical(frame, y[k], ys, u[k], u[k] + plane, cs, small[k], interior[k], variance[k])
            for k in range(n):
                if top[k]:
                    top_edge(frame, y[k], ys, u[k], u[k] + plane, cs, big[k], interior[k], variance[k])
            for k in range(n):
                if parts[k]:
                    inner_horizontal(frame, y[k], ys, u[k], u[k] + plane, cs, small[k], interior[k], variance[k])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_row(
    frame: cython.p_uchar,
    mbw: cython.Py_ssize_t,
    mbh: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    levels: cython.p_uchar,
    l: cython.Py_ssize_t,
    inner: cython.p_uchar,
    i: cython.Py_ssize_t,
    simple: cython.int,
    sharpness: cython.int,
    key_frame: cython.int,
) -> cython.void:
    """filter_rows for a single row."""
    filter_rows(frame, mbw, mbh, row, 1, levels, l, inner, i, simple, sharpness, key_frame)


def filter_frame(
    frame: bytearray, mbw: int, mbh: int, levels: bytes, inner: bytes, simple: bool, sharpness: int, key_frame: bool
) -> None:
    """Filter all rows of a raster in place: the kernel as tests and benchmarks call it."""
    w: cython.Py_ssize_t = mbw
    h: cython.Py_ssize_t = mbh
    s: cython.int = simple
    sharp: cython.int = sharpness
    key: cython.int = key_frame
    f: cython.p_uchar = frame
    l: cython.p_uchar = levels
    i: cython.p_uchar = inner
    with cython.nogil:
        filter_rows(f, w, h, 0, h, l, 0, i, 0, s, sharp, key)
