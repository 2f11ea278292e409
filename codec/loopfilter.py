"""The loop filter, RFC 6386 §15: filter levels (§9.6, §15.1), the simple filter (§15.2), the normal filter (§15.3)."""

from collections.abc import Sequence

import cython

if cython.compiled:
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401

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


# An edge is filtered in independent lanes, one for each pixel along it. e holds the eight pixels across the edge,
# p3 p2 p1 p0 | q0 q1 q2 q3, as rows of n lanes: e[n * k + lane]. All arithmetic stays in bytes, with the saturation of
# the standard's signed clamps, so that a compiler makes one instruction of 16 or 32 lanes.


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def apart(a: cython.uchar, b: cython.uchar) -> cython.uchar:
    """|a - b|."""
    return max(a, b) - min(a, b)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def over(a: cython.uchar, limit: cython.uchar) -> cython.uchar:
    """By how much a exceeds the limit."""
    return max(a, limit) - limit


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def total(a: cython.uchar, b: cython.uchar) -> cython.uchar:
    """a + b, at most 255."""
    room: cython.uchar = 255 - b
    return min(a, room) + b


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def plus(a: cython.schar, b: cython.schar) -> cython.schar:
    """a + b as a signed byte, saturated."""
    low: cython.int = -128
    high: cython.int = 127
    return min(max(a + b, low), high)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def minus(a: cython.schar, b: cython.schar) -> cython.schar:
    """a - b as a signed byte, saturated."""
    low: cython.int = -128
    high: cython.int = 127
    return min(max(a - b, low), high)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def inner_lanes(
    e: cython.p_uchar,
    o: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    edge_limit: cython.uchar,
    interior: cython.uchar,
    variance: cython.uchar,
) -> cython.void:
    """The normal filter between subblocks over n lanes."""
    k: cython.Py_ssize_t
    p3: cython.uchar
    p2: cython.uchar
    p1: cython.uchar
    p0: cython.uchar
    q0: cython.uchar
    q1: cython.uchar
    q2: cython.uchar
    q3: cython.uchar
    near: cython.uchar
    far: cython.uchar
    across: cython.uchar
    smooth: cython.schar
    rough: cython.schar
    r0: cython.schar
    r1: cython.schar
    s0: cython.schar
    s1: cython.schar
    d: cython.schar
    f: cython.schar
    a: cython.schar
    b: cython.schar
    g: cython.uchar
    h: cython.uchar
    for k in range(n):
        p3 = e[o + k]
        p2 = e[o + n + k]
        p1 = e[o + 2 * n + k]
        p0 = e[o + 3 * n + k]
        q0 = e[o + 4 * n + k]
        q1 = e[o + 5 * n + k]
        q2 = e[o + 6 * n + k]
        q3 = e[o + 7 * n + k]
        near = max(apart(p1, p0), apart(q1, q0))
        far = max(max(apart(p3, p2), apart(p2, p1)), max(apart(q2, q1), apart(q3, q2)))
        across = apart(p0, q0)
        across = total(total(across, across), apart(p1, q1) >> 1)
        smooth = -1 if over(max(near, far), interior) | over(across, edge_limit) == 0 else 0
        rough = -1 if near > variance else 0
        r1 = p1 - 128
        r0 = p0 - 128
        s0 = q0 - 128
        s1 = q1 - 128
        d = minus(s0, r0)
        f = minus(r1, s1) & rough
        f = plus(plus(plus(f, d), d), d) & smooth
        g = f + 128
        h = total(g, 4) >> 3
        g = total(g, 3) >> 3
        a = h - 16
        b = g - 16
        e[o + 4 * n + k] = minus(s0, a) + 128
        e[o + 3 * n + k] = plus(r0, b) + 128
        h = (h + 17) >> 1
        a = (h - 16) & ~rough
        e[o + 5 * n + k] = minus(s1, a) + 128
        e[o + 2 * n + k] = plus(r1, a) + 128


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def outer_lanes(
    e: cython.p_uchar, edge_limit: cython.uchar, interior: cython.uchar, variance: cython.uchar
) -> cython.void:
    """The normal filter between macroblocks over 32 lanes."""
    k: cython.Py_ssize_t
    p3: cython.uchar
    p2: cython.uchar
    p1: cython.uchar
    p0: cython.uchar
    q0: cython.uchar
    q1: cython.uchar
    q2: cython.uchar
    q3: cython.uchar
    near: cython.uchar
    far: cython.uchar
    across: cython.uchar
    smooth: cython.schar
    rough: cython.schar
    r0: cython.schar
    r1: cython.schar
    r2: cython.schar
    s0: cython.schar
    s1: cython.schar
    s2: cython.schar
    d: cython.schar
    f: cython.schar
    a: cython.schar
    b: cython.schar
    g: cython.uchar
    h: cython.uchar
    t: cython.short
    # 9 f is more than a byte. Kept in arrays, it is 16 bits to the compiler and not 32.
    wide = cython.declare(cython.schar[32])
    ninth = cython.declare(cython.short[32])
    large = cython.declare(cython.schar[32])
    middle = cython.declare(cython.schar[32])
    small = cython.declare(cython.schar[32])
    for k in range(32):
        p3 = e[k]
        p2 = e[32 + k]
        p1 = e[64 + k]
        p0 = e[96 + k]
        q0 = e[128 + k]
        q1 = e[160 + k]
        q2 = e[192 + k]
        q3 = e[224 + k]
        near = max(apart(p1, p0), apart(q1, q0))
        far = max(max(apart(p3, p2), apart(p2, p1)), max(apart(q2, q1), apart(q3, q2)))
        across = apart(p0, q0)
        across = total(total(across, across), apart(p1, q1) >> 1)
        smooth = -1 if over(max(near, far), interior) | over(across, edge_limit) == 0 else 0
        rough = -1 if near > variance else 0
        r1 = p1 - 128
        r0 = p0 - 128
        s0 = q0 - 128
        s1 = q1 - 128
        d = minus(s0, r0)
        f = plus(plus(plus(minus(r1, s1), d), d), d) & smooth
        g = (f & rough) + 128
        h = total(g, 4) >> 3
        g = total(g, 3) >> 3
        a = h - 16
        b = g - 16
        e[128 + k] = minus(s0, a) + 128
        e[96 + k] = plus(r0, b) + 128
        wide[k] = f & ~rough
    for k in range(32):
        ninth[k] = wide[k] * 9
    for k in range(32):
        t = ninth[k] * 3 + 63
        large[k] = t >> 7
        t = ninth[k] * 2 + 63
        middle[k] = t >> 7
        t = ninth[k] + 63
        small[k] = t >> 7
    for k in range(32):
        s0 = e[128 + k] - 128
        e[128 + k] = minus(s0, large[k]) + 128
        r0 = e[96 + k] - 128
        e[96 + k] = plus(r0, large[k]) + 128
        s1 = e[160 + k] - 128
        e[160 + k] = minus(s1, middle[k]) + 128
        r1 = e[64 + k] - 128
        e[64 + k] = plus(r1, middle[k]) + 128
        s2 = e[192 + k] - 128
        e[192 + k] = minus(s2, small[k]) + 128
        r2 = e[32 + k] - 128
        e[32 + k] = plus(r2, small[k]) + 128


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
    a = cython.declare(cython.uchar[256])
    b = cython.declare(cython.uchar[256])
    c = cython.declare(cython.uchar[128])
    d = cython.declare(cython.uchar[128])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    for r in range(8):
        for k in range(16):
            a[32 * r + 2 * k] = frame[y + r * ys + k]
            a[32 * r + 2 * k + 1] = frame[y + (r + 8) * ys + k]
        for k in range(8):
            c[16 * r + 2 * k] = frame[u + r * cs + k]
            c[16 * r + 2 * k + 1] = frame[v + r * cs + k]
    interleave(a, b, 128)
    interleave(b, a, 128)
    interleave(a, b, 128)
    interleave(c, d, 64)
    interleave(d, c, 64)
    interleave(c, d, 64)
    first_inner(b, d, edge_limit, interior, variance)
    inner_lanes(b, 64, 16, edge_limit, interior, variance)
    inner_lanes(b, 128, 16, edge_limit, interior, variance)
    interleave(b, a, 128)
    interleave(a, b, 128)
    interleave(b, a, 128)
    interleave(a, b, 128)
    interleave(d, c, 64)
    interleave(c, d, 64)
    interleave(d, c, 64)
    for r in range(16):
        for k in range(16):
            frame[y + r * ys + k] = b[16 * r + k]
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
        if apart(p0, q0) * 2 + (apart(p1, q1) >> 1) > limit:
            continue
        f = minus(p1 - 128, q1 - 128)
        f = min(max(f + 3 * (q0 - p0), -128), 127)
        frame[o] = minus(q0 - 128, plus(f, 4) >> 3) + 128
        frame[o - across] = plus(p0 - 128, plus(f, 3) >> 3) + 128


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
                left_edge(frame, y, ys, u, v, cs, big, interior, variance)
            if inner[i + col]:
                inner_vertical(frame, y, ys, u, v, cs, small, interior, variance)
            if row > 0:
                top_edge(frame, y, ys, u, v, cs, big, interior, variance)
            if inner[i + col]:
                inner_horizontal(frame, y, ys, u, v, cs, small, interior, variance)


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
