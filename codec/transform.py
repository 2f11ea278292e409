"""Inverse transforms of residues, RFC 6386 §14 (factors §14.1, WHT §14.3, DCT §14.4, sum §14.5)."""

import cython

if cython.compiled:
    from cython.cimports.codec.inlining import ALWAYS_INLINE  # noqa: F401

# Everything here is modulo 2**16 between the steps, as in the 16-bit lanes of libvpx's SIMD code: no honest
# stream comes near the limits, and a hostile one gets the same pixels from both.


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def wrap(x: cython.int) -> cython.short:
    """x modulo 2**16, as a signed 16-bit number."""
    half: cython.int = 32768
    mask: cython.int = 65535
    return ((x + half) & mask) - half


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def cosine(x: cython.short) -> cython.short:
    """x * sqrt(2) * cos(pi / 8), as §14.4 rounds it."""
    c: cython.int = 20091
    return wrap(x + ((x * c) >> 16))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def sine(x: cython.short) -> cython.short:
    """x * sqrt(2) * sin(pi / 8), which is x * 35468 / 65536 with a factor that fits 16 bits."""
    c: cython.int = -30068
    return wrap(x + ((x * c) >> 16))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def turn(a: cython.p_short, b: cython.p_short) -> cython.void:
    """Transpose 4x4 numbers, as two perfect shuffles."""
    k: cython.Py_ssize_t
    c = cython.declare(cython.short[16])
    for k in range(8):
        c[2 * k] = a[k]
        c[2 * k + 1] = a[8 + k]
    for k in range(8):
        b[2 * k] = c[k]
        b[2 * k + 1] = c[8 + k]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def idct_columns(
    coeffs: cython.p_short, c: cython.Py_ssize_t, ac: cython.short, m: cython.p_short, o: cython.Py_ssize_t
) -> cython.void:
    """Dequantise a block and transform its columns."""
    k: cython.Py_ssize_t
    a: cython.short
    b: cython.short
    p: cython.short
    q: cython.short
    x: cython.short
    y: cython.short
    for k in range(4):
        x = wrap(coeffs[c + k] * ac)
        y = wrap(coeffs[c + 8 + k] * ac)
        a = wrap(x + y)
        b = wrap(x - y)
        x = wrap(coeffs[c + 4 + k] * ac)
        y = wrap(coeffs[c + 12 + k] * ac)
        p = wrap(sine(x) - cosine(y))
        q = wrap(cosine(x) + sine(y))
        m[o + k] = wrap(a + q)
        m[o + 4 + k] = wrap(b + p)
        m[o + 8 + k] = wrap(b - p)
        m[o + 12 + k] = wrap(a - q)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def add_square(
    x: cython.p_short, o: cython.Py_ssize_t, dst: cython.p_uchar, d: cython.Py_ssize_t, stride: cython.Py_ssize_t
) -> cython.void:
    """Add 4x4 numbers x[o..], 8 times as large as they should be, to pixels."""
    old = cython.declare(cython.uchar[16])
    new = cython.declare(cython.uchar[16])
    k: cython.Py_ssize_t
    v: cython.short
    low: cython.short = 0
    high: cython.short = 255
    for k in range(4):
        old[k] = dst[d + k]
        old[4 + k] = dst[d + stride + k]
        old[8 + k] = dst[d + 2 * stride + k]
        old[12 + k] = dst[d + 3 * stride + k]
    for k in range(16):
        v = (x[o + k] >> 3) + old[k]
        new[k] = min(max(v, low), high)
    for k in range(4):
        dst[d + k] = new[k]
    for k in range(4):
        dst[d + stride + k] = new[4 + k]
    for k in range(4):
        dst[d + 2 * stride + k] = new[8 + k]
    for k in range(4):
        dst[d + 3 * stride + k] = new[12 + k]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_blocks(
    coeffs: cython.p_short,
    c1: cython.Py_ssize_t,
    c2: cython.Py_ssize_t,
    dc1: cython.int,
    dc2: cython.int,
    ac: cython.int,
    dst: cython.p_uchar,
    d1: cython.Py_ssize_t,
    d2: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
) -> cython.void:
    """Add the inverse DCTs of two blocks, to one place once: dc1, dc2 are their DCs, ac the factor of the rest."""
    m = cython.declare(cython.short[32])
    t = cython.declare(cython.short[32])
    bias = cython.declare(cython.short[8])
    k: cython.Py_ssize_t
    x0: cython.short
    x1: cython.short
    x2: cython.short
    x3: cython.short
    a: cython.short
    b: cython.short
    p: cython.short
    q: cython.short
    idct_columns(coeffs, c1, ac, m, 0)
    idct_columns(coeffs, c2, ac, m, 16)
    a = wrap(dc1 - coeffs[c1] * ac + 4)
    b = wrap(dc2 - coeffs[c2] * ac + 4)
    for k in range(4):
        bias[k] = a
        bias[4 + k] = b
    for k in range(8):
        x0 = wrap(m[4 * k] + bias[k])
        x1 = m[4 * k + 1]
        x2 = m[4 * k + 2]
        x3 = m[4 * k + 3]
        a = wrap(x0 + x2)
        b = wrap(x0 - x2)
        p = wrap(sine(x1) - cosine(x3))
        q = wrap(cosine(x1) + sine(x3))
        t[4 * k] = wrap(a + q)
        t[4 * k + 1] = wrap(b + p)
        t[4 * k + 2] = wrap(b - p)
        t[4 * k + 3] = wrap(a - q)
    add_square(t, 0, dst, d1, stride)
    if d2 != d1:
        add_square(t, 16, dst, d2, stride)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_dc(dc: cython.int, dst: cython.p_uchar, d: cython.Py_ssize_t, stride: cython.Py_ssize_t) -> cython.void:
    """Add the inverse DCT of a block whose only coefficient is dc."""
    t = cython.declare(cython.short[16])
    k: cython.Py_ssize_t
    x: cython.short = wrap(dc + 4)
    for k in range(16):
        t[k] = x
    add_square(t, 0, dst, d, stride)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def idct_add(
    coeffs: cython.p_short,
    c: cython.Py_ssize_t,
    dc_only: cython.int,
    dc: cython.int,
    ac: cython.int,
    dst: cython.p_uchar,
    d: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
) -> cython.void:
    """Dequantise one block (factors dc and ac), transform it back and add it to dst; dc_only: the rest is zero."""
    if dc_only:
        add_dc(wrap(coeffs[c] * dc), dst, d, stride)
    else:
        add_blocks(coeffs, c, c, wrap(coeffs[c] * dc), 0, ac, dst, d, d, stride)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def iwht_columns(t: cython.p_short, m: cython.p_short) -> cython.void:
    """One pass of the inverse WHT, over the columns of t."""
    k: cython.Py_ssize_t
    a: cython.short
    b: cython.short
    p: cython.short
    q: cython.short
    for k in range(4):
        a = wrap(t[k] + t[12 + k])
        b = wrap(t[4 + k] + t[8 + k])
        p = wrap(t[4 + k] - t[8 + k])
        q = wrap(t[k] - t[12 + k])
        m[k] = wrap(a + b)
        m[4 + k] = wrap(p + q)
        m[8 + k] = wrap(a - b)
        m[12 + k] = wrap(q - p)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def inverse_wht(
    coeffs: cython.p_short, c: cython.Py_ssize_t, dc: cython.int, ac: cython.int, out: cython.p_short
) -> cython.void:
    """The DCs of the 16 Y blocks from the Y2 block, §14.3."""
    t = cython.declare(cython.short[16])
    m = cython.declare(cython.short[16])
    k: cython.Py_ssize_t
    for k in range(16):
        t[k] = wrap(coeffs[c + k] * ac)
    t[0] = wrap(coeffs[c] * dc)
    iwht_columns(t, m)
    turn(m, t)
    for k in range(4):
        t[k] = wrap(t[k] + 3)
    iwht_columns(t, m)
    turn(m, t)
    for k in range(16):
        out[k] = t[k] >> 3


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def add_dcs(dcs: cython.p_short, dst: cython.p_uchar, d: cython.Py_ssize_t, stride: cython.Py_ssize_t) -> cython.void:
    """Add the inverse DCTs of 16 blocks whose only coefficients are the dcs."""
    x = cython.declare(cython.short[16])
    more = cython.declare(cython.uchar[16])
    less = cython.declare(cython.uchar[16])
    plus = cython.declare(cython.uchar[64])
    minus = cython.declare(cython.uchar[64])
    row = cython.declare(cython.uchar[16])
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    v: cython.short
    a: cython.uchar
    b: cython.uchar
    low: cython.short = 0
    high: cython.short = 255
    for k in range(16):
        x[k] = wrap(dcs[k] + 4)
    for k in range(16):
        v = x[k] >> 3
        more[k] = min(max(v, low), high)
        v = -v
        less[k] = min(max(v, low), high)
    for k in range(16):
        a = more[k]
        plus[4 * k] = a
        plus[4 * k + 1] = a
        plus[4 * k + 2] = a
        plus[4 * k + 3] = a
    for k in range(16):
        a = less[k]
        minus[4 * k] = a
        minus[4 * k + 1] = a
        minus[4 * k + 2] = a
        minus[4 * k + 3] = a
    for r in range(16):
        for k in range(16):
            a = plus[16 * (r >> 2) + k]
            b = 255 - a
            a = min(dst[d + k], b) + a
            b = minus[16 * (r >> 2) + k]
            row[k] = max(a, b) - b
        for k in range(16):
            dst[d + k] = row[k]
        d += stride


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_residue_chroma(
    coeffs: cython.p_short,
    c: cython.Py_ssize_t,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
    factors: cython.p_int,
    f: cython.Py_ssize_t,
    dst: cython.p_uchar,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    uv_stride: cython.Py_ssize_t,
) -> cython.void:
    """Add the residue of the 8 chroma blocks; the arguments are those of add_residue."""
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    d: cython.Py_ssize_t
    some: cython.int = 0
    for b in range(16, 24):
        some |= eobs[e + b]
    if not some:
        return
    for b in range(16, 24):
        if eobs[e + b] == 0:
            continue
        k = b & 3
        d = (u if b < 20 else v) + (k >> 1) * 4 * uv_stride + (k & 1) * 4
        idct_add(coeffs, c + 16 * b, eobs[e + b] == 1, factors[f + 4], factors[f + 5], dst, d, uv_stride)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_residue(
    coeffs: cython.p_short,
    c: cython.Py_ssize_t,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
    has_y2: cython.int,
    factors: cython.p_int,
    f: cython.Py_ssize_t,
    dst: cython.p_uchar,
    y: cython.Py_ssize_t,
    y_stride: cython.Py_ssize_t,
    u: cython.Py_ssize_t,
    v: cython.Py_ssize_t,
    uv_stride: cython.Py_ssize_t,
) -> cython.void:
    """Add the residue of a macroblock to its prediction in dst (Y at y, U at u, V at v).

    coeffs[c..c+400] are the levels of 25 blocks, eobs[e..e+25] their ends, factors[f..f+6] the dequantisation factors.
    """
    dcs = cython.declare(cython.short[16])
    full = cython.declare(cython.uchar[17])
    b: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t = 0
    some: cython.int = 0
    o: cython.Py_ssize_t
    if has_y2:
        inverse_wht(coeffs, c + 384, factors[f + 2], factors[f + 3], dcs)
    else:
        for b in range(16):
            dcs[b] = wrap(coeffs[c + 16 * b] * factors[f])
    for b in range(16):
        full[n] = b
        n += eobs[e + b] > 1
    for k in range(0, n, 2):
        b = full[k]
        o = full[k + 1] if k + 1 < n else b
        add_blocks(
            coeffs, c + 16 * b, c + 16 * o, dcs[b], dcs[o], factors[f + 1], dst,
            y + (b >> 2) * 4 * y_stride + (b & 3) * 4, y + (o >> 2) * 4 * y_stride + (o & 3) * 4, y_stride,
        )  # fmt: skip
        dcs[b] = 0
        dcs[o] = 0
    for b in range(16):
        some |= dcs[b]
    if some:
        add_dcs(dcs, dst, y, y_stride)
    add_residue_chroma(coeffs, c, eobs, e, factors, f, dst, u, v, uv_stride)


def add_frame(dst: bytearray, mbw: int, mbh: int, levels: bytes, eobs: bytes, has_y2: bytes, factors: bytes) -> None:
    """Add the residue of every macroblock to a raster: the kernel as tests and benchmarks call it.

    levels: int16, 400 a macroblock; eobs: 25 a macroblock; has_y2: one a macroblock; factors: 6 of C's int for all.
    """
    w: cython.Py_ssize_t = mbw
    h: cython.Py_ssize_t = mbh
    k: cython.Py_ssize_t
    y: cython.Py_ssize_t
    u: cython.Py_ssize_t
    d: cython.p_uchar = dst
    e: cython.p_uchar = eobs
    t: cython.p_uchar = has_y2
    q: cython.p_short
    f: cython.p_int
    if cython.compiled:
        q = cython.cast(cython.p_short, cython.cast(cython.p_uchar, levels))
        f = cython.cast(cython.p_int, cython.cast(cython.p_uchar, factors))
    else:
        q = memoryview(levels).cast("h")
        f = memoryview(factors).cast("i")
    with cython.nogil:
        for k in range(w * h):
            y = (k // w) * 256 * w + k % w * 16
            u = 256 * w * h + (k // w) * 64 * w + k % w * 8
            add_residue(q, 400 * k, e, 25 * k, t[k], f, 0, d, y, 16 * w, u, u + 64 * w * h, 8 * w)
