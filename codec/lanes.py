"""The arithmetic of the loop filter, RFC 6386 §15.2 (simple) and §15.3 (normal), pasted into codec/loopfilter.py.

An edge is filtered in independent lanes, one for each pixel along it. e holds the eight pixels across the edge,
p3 p2 p1 p0 | q0 q1 q2 q3, as rows of n lanes: e[n * k + lane]. All arithmetic stays in bytes, with the saturation of
the standard's signed clamps, so that a compiler makes one instruction of 16 or 32 lanes.
"""

import cython

__all__ = ["inner_lanes", "outer_lanes", "simple_lanes"]


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
def smooth(
    p3: cython.uchar,
    p2: cython.uchar,
    p1: cython.uchar,
    p0: cython.uchar,
    q0: cython.uchar,
    q1: cython.uchar,
    q2: cython.uchar,
    q3: cython.uchar,
    edge_limit: cython.uchar,
    interior: cython.uchar,
) -> cython.schar:
    """-1 where the pixels differ little enough to be filtered, else 0."""
    p: cython.uchar = max(max(apart(p3, p2), apart(p2, p1)), apart(p1, p0))
    q: cython.uchar = max(max(apart(q3, q2), apart(q2, q1)), apart(q1, q0))
    across: cython.uchar = apart(p0, q0)
    across = total(total(across, across), apart(p1, q1) >> 1)
    return -1 if over(max(p, q), interior) | over(across, edge_limit) == 0 else 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def rough(
    p1: cython.uchar, p0: cython.uchar, q0: cython.uchar, q1: cython.uchar, variance: cython.uchar
) -> cython.schar:
    """-1 where there is an edge of the picture itself, of high variance, else 0."""
    return -1 if max(apart(p1, p0), apart(q1, q0)) > variance else 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def eighth(f: cython.schar, more: cython.uchar) -> cython.schar:
    """(f + more) >> 3, the sum saturated; unsigned bytes shift in fewer instructions than signed ones."""
    g: cython.uchar = f + 128
    g = total(g, more) >> 3
    return g - 16


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def slope(p1: cython.uchar, p0: cython.uchar, q0: cython.uchar, q1: cython.uchar, outer: cython.schar) -> cython.schar:
    """The filter's value, 3 * (q0 - p0), with p1 - q1 where outer is -1."""
    d: cython.schar = minus(q0 - 128, p0 - 128)
    f: cython.schar = minus(p1 - 128, q1 - 128) & outer
    return plus(plus(plus(f, d), d), d)


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
    """The normal filter between subblocks over n lanes, from e[o] on."""
    k: cython.Py_ssize_t
    p1: cython.uchar
    p0: cython.uchar
    q0: cython.uchar
    q1: cython.uchar
    f: cython.schar
    a: cython.schar
    h: cython.uchar
    edge: cython.schar
    for k in range(o, o + n):
        p1 = e[2 * n + k]
        p0 = e[3 * n + k]
        q0 = e[4 * n + k]
        q1 = e[5 * n + k]
        edge = rough(p1, p0, q0, q1, variance)
        f = smooth(e[k], e[n + k], p1, p0, q0, q1, e[6 * n + k], e[7 * n + k], edge_limit, interior)
        f = f & slope(p1, p0, q0, q1, edge)
        a = eighth(f, 4)
        e[4 * n + k] = minus(q0 - 128, a) + 128
        e[3 * n + k] = plus(p0 - 128, eighth(f, 3)) + 128
        h = a + 16
        h = (h + 17) >> 1
        a = (h - 16) & ~edge
        e[5 * n + k] = minus(q1 - 128, a) + 128
        e[2 * n + k] = plus(p1 - 128, a) + 128


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def outer_lanes(
    e: cython.p_uchar, edge_limit: cython.uchar, interior: cython.uchar, variance: cython.uchar
) -> cython.void:
    """The normal filter between macroblocks over 32 lanes."""
    k: cython.Py_ssize_t
    p1: cython.uchar
    p0: cython.uchar
    q0: cython.uchar
    q1: cython.uchar
    f: cython.schar
    edge: cython.schar
    t: cython.short
    # 9 f is more than a byte. Kept in an array, it is 16 bits to the compiler and not 32.
    wide = cython.declare(cython.schar[32])
    ninth = cython.declare(cython.short[32])
    large = cython.declare(cython.schar[32])
    middle = cython.declare(cython.schar[32])
    small = cython.declare(cython.schar[32])
    for k in range(32):
        p1 = e[64 + k]
        p0 = e[96 + k]
        q0 = e[128 + k]
        q1 = e[160 + k]
        edge = rough(p1, p0, q0, q1, variance)
        f = smooth(e[k], e[32 + k], p1, p0, q0, q1, e[192 + k], e[224 + k], edge_limit, interior)
        f = f & slope(p1, p0, q0, q1, -1)
        wide[k] = f & ~edge
        f = f & edge
        e[128 + k] = minus(q0 - 128, eighth(f, 4)) + 128
        e[96 + k] = plus(p0 - 128, eighth(f, 3)) + 128
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
        e[128 + k] = minus(e[128 + k] - 128, large[k]) + 128
        e[96 + k] = plus(e[96 + k] - 128, large[k]) + 128
        e[160 + k] = minus(e[160 + k] - 128, middle[k]) + 128
        e[64 + k] = plus(e[64 + k] - 128, middle[k]) + 128
        e[192 + k] = minus(e[192 + k] - 128, small[k]) + 128
        e[32 + k] = plus(e[32 + k] - 128, small[k]) + 128


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def simple_lanes(e: cython.p_uchar, o: cython.Py_ssize_t, limit: cython.uchar) -> cython.void:
    """The simple filter over 16 lanes; the rows of e[o..] are p1 p0 | q0 q1."""
    k: cython.Py_ssize_t
    p1: cython.uchar
    p0: cython.uchar
    q0: cython.uchar
    q1: cython.uchar
    f: cython.schar
    across: cython.uchar
    for k in range(o, o + 16):
        p1 = e[k]
        p0 = e[16 + k]
        q0 = e[32 + k]
        q1 = e[48 + k]
        across = apart(p0, q0)
        across = total(total(across, across), apart(p1, q1) >> 1)
        f = -1 if over(across, limit) == 0 else 0
        f = f & slope(p1, p0, q0, q1, -1)
        e[32 + k] = minus(q0 - 128, eighth(f, 4)) + 128
        e[16 + k] = plus(p0 - 128, eighth(f, 3)) + 128
