"""The loop filter, RFC 6386 §15: filter levels (§9.6, §15.1), the simple filter (§15.2), the normal filter (§15.3)."""

from collections.abc import Sequence

import cython

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


# An edge is filtered as up to 32 independent lanes. e holds the eight pixels across the edge as rows of 32 lanes,
# p3 p2 p1 p0 | q0 q1 q2 q3: e[32 * k + lane].


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def saturate(x: cython.int) -> cython.int:
    """Clamp to a signed byte."""
    low: cython.int = -128
    high: cython.int = 127
    return min(max(x, low), high)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def distance(a: cython.int, b: cython.int) -> cython.int:
    """|a - b|."""
    return max(a, b) - min(a, b)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_lanes(
    e: cython.p_uchar, whole: cython.int, edge_limit: cython.int, interior: cython.int, variance: cython.int
) -> cython.void:
    """The normal filter over 32 lanes: whole 1 for an edge between macroblocks, 0 for one between subblocks."""
    k: cython.Py_ssize_t
    p2: cython.int
    p1: cython.int
    p0: cython.int
    q0: cython.int
    q1: cython.int
    q2: cython.int
    f: cython.int
    w: cython.int
    a: cython.int
    b: cython.int
    rough: cython.int
    for k in range(32):
        p2 = e[32 + k]
        p1 = e[64 + k]
        p0 = e[96 + k]
        q0 = e[128 + k]
        q1 = e[160 + k]
        q2 = e[192 + k]
        if (
            distance(e[k], p2) > interior
            or distance(p2, p1) > interior
            or distance(p1, p0) > interior
            or distance(q1, q0) > interior
            or distance(q2, q1) > interior
            or distance(e[224 + k], q2) > interior
            or distance(p0, q0) * 2 + (distance(p1, q1) >> 1) > edge_limit
        ):
            continue
        rough = 1 if distance(p1, p0) > variance or distance(q1, q0) > variance else 0
        p2 -= 128
        p1 -= 128
        p0 -= 128
        q0 -= 128
        q1 -= 128
        q2 -= 128
        f = saturate(p1 - q1)
        if rough or whole:
            f = saturate(f + 3 * (q0 - p0))
        else:
            f = saturate(3 * (q0 - p0))
        if whole and not rough:
            w = (27 * f + 63) >> 7
            e[128 + k] = saturate(q0 - w) + 128
            e[96 + k] = saturate(p0 + w) + 128
            w = (18 * f + 63) >> 7
            e[160 + k] = saturate(q1 - w) + 128
            e[64 + k] = saturate(p1 + w) + 128
            w = (9 * f + 63) >> 7
            e[192 + k] = saturate(q2 - w) + 128
            e[32 + k] = saturate(p2 + w) + 128
        else:
            a = saturate(f + 4) >> 3
            b = saturate(f + 3) >> 3
            e[128 + k] = saturate(q0 - a) + 128
            e[96 + k] = saturate(p0 + b) + 128
            if not rough:
                a = (a + 1) >> 1
                e[160 + k] = saturate(q1 - a) + 128
                e[64 + k] = saturate(p1 + a) + 128


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_edge(
    frame: cython.p_uchar,
    y: cython.Py_ssize_t,
    y_across: cython.Py_ssize_t,
    y_along: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    uv_across: cython.Py_ssize_t,
    uv_along: cython.Py_ssize_t,
    chroma: cython.int,
    whole: cython.int,
    edge_limit: cython.int,
    interior: cython.int,
    variance: cython.int,
) -> cython.void:
    """Filter 16 luma pixels along the edge before y and, with chroma, 8 each along those before u and v."""
    e = cython.declare(cython.uchar[256])
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    for k in range(8):
        for j in range(16):
            e[32 * k + j] = frame[y + (k - 4) * y_across + j * y_along]
        if chroma:
            for j in range(8):
                e[32 * k + 16 + j] = frame[u + (k - 4) * uv_across + j * uv_along]
                e[32 * k + 24 + j] = frame[v + (k - 4) * uv_across + j * uv_along]
        else:
            for j in range(16):
                e[32 * k + 16 + j] = 0
    filter_lanes(e, whole, edge_limit, interior, variance)
    for k in range(1, 7):
        for j in range(16):
            frame[y + (k - 4) * y_across + j * y_along] = e[32 * k + j]
        if chroma:
            for j in range(8):
                frame[u + (k - 4) * uv_across + j * uv_along] = e[32 * k + 16 + j]
                frame[v + (k - 4) * uv_across + j * uv_along] = e[32 * k + 24 + j]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def filter_edge_simple(
    frame: cython.p_uchar, y: cython.Py_ssize_t, across: cython.Py_ssize_t, along: cython.Py_ssize_t, limit: cython.int
) -> cython.void:
    """The simple filter over 16 luma pixels along the edge before y."""
    k: cython.Py_ssize_t
    o: cython.Py_ssize_t
    p1: cython.int
    p0: cython.int
    q0: cython.int
    q1: cython.int
    f: cython.int
    for k in range(16):
        o = y + k * along
        p1 = frame[o - 2 * across]
        p0 = frame[o - across]
        q0 = frame[o]
        q1 = frame[o + across]
        if distance(p0, q0) * 2 + (distance(p1, q1) >> 1) > limit:
            continue
        f = saturate(saturate(p1 - q1) + 3 * (q0 - p0))
        frame[o] = saturate(q0 - 128 - (saturate(f + 4) >> 3)) + 128
        frame[o - across] = saturate(p0 - 128 + (saturate(f + 3) >> 3)) + 128


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
    """Filter one row of macroblocks in place, and the last lines of the row above.

    levels[l + col] is the macroblock's filter level (0: left alone), inner[i + col] whether its subblock edges count.
    """
    col: cython.Py_ssize_t
    k: cython.Py_ssize_t
    y: cython.Py_ssize_t
    u: cython.Py_ssize_t
    v: cython.Py_ssize_t
    ys: cython.Py_ssize_t = 16 * mbw
    cs: cython.Py_ssize_t = 8 * mbw
    level: cython.int
    interior: cython.int
    variance: cython.int
    big: cython.int
    small: cython.int
    for col in range(mbw):
        level = levels[l + col]
        if level == 0:
            continue
        interior = level
        if sharpness > 0:
            interior = level >> (2 if sharpness > 4 else 1)
            interior = min(interior, 9 - sharpness)
        if interior < 1:
            interior = 1
        variance = 0
        if level >= 15:
            variance = 1
        if key_frame:
            if level >= 40:
                variance = 2
        elif level >= 40:
            variance = 3
        elif level >= 20:
            variance = 2
        big = 2 * (level + 2) + interior
        small = 2 * level + interior
        y = row * 16 * ys + col * 16
        u = 256 * mbw * mbh + row * 8 * cs + col * 8
        v = u + 64 * mbw * mbh
        if simple:
            if col > 0:
                filter_edge_simple(frame, y, 1, ys, big)
            if inner[i + col]:
                for k in range(4, 16, 4):
                    filter_edge_simple(frame, y + k, 1, ys, small)
            if row > 0:
                filter_edge_simple(frame, y, ys, 1, big)
            if inner[i + col]:
                for k in range(4, 16, 4):
                    filter_edge_simple(frame, y + k * ys, ys, 1, small)
        else:
            if col > 0:
                filter_edge(frame, y, 1, ys, u, v, 1, cs, 1, 1, big, interior, variance)
            if inner[i + col]:
                for k in range(4, 16, 4):
                    filter_edge(frame, y + k, 1, ys, u + 4, v + 4, 1, cs, k == 4, 0, small, interior, variance)
            if row > 0:
                filter_edge(frame, y, ys, 1, u, v, cs, 1, 1, 1, big, interior, variance)
            if inner[i + col]:
                for k in range(4, 16, 4):
                    filter_edge(
                        frame, y + k * ys, ys, 1, u + 4 * cs, v + 4 * cs, cs, 1, k == 4, 0, small, interior, variance
                    )


def filter_frame(
    frame: bytearray, mbw: int, mbh: int, levels: bytes, inner: bytes, simple: bool, sharpness: int, key_frame: bool
) -> None:
    """Filter all rows of a raster in place: the kernel as tests and benchmarks call it."""
    w: cython.Py_ssize_t = mbw
    h: cython.Py_ssize_t = mbh
    s: cython.int = simple
    sharp: cython.int = sharpness
    key: cython.int = key_frame
    row: cython.Py_ssize_t
    f: cython.p_uchar = frame
    l: cython.p_uchar = levels
    i: cython.p_uchar = inner
    with cython.nogil:
        for row in range(h):
            filter_row(f, w, h, row, l, row * w, i, row * w, s, sharp, key)
