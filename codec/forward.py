"""Forward transforms of residues: the DCT and WHT that RFC 6386 §14 inverts, with libvpx's rounding."""

import cython

__all__ = ["forward_block", "forward_four", "forward_frame", "forward_residue", "forward_wht"]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def forward_block(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    s_stride: cython.Py_ssize_t,
    pred: cython.p_uchar,
    p: cython.Py_ssize_t,
    p_stride: cython.Py_ssize_t,
    out: cython.p_short,
    o: cython.Py_ssize_t,
) -> cython.void:
    """Forward DCT of src - pred for one 4x4 block, with libvpx's rounding (the standard leaves it to the encoder)."""
    t = cython.declare(cython.int[16])
    m = cython.declare(cython.int[16])
    k: cython.Py_ssize_t
    a: cython.int
    b: cython.int
    x: cython.int
    z: cython.int
    for k in range(16):
        t[k] = src[s + (k >> 2) * s_stride + (k & 3)] - pred[p + (k >> 2) * p_stride + (k & 3)]
    for k in range(4):
        a = (t[4 * k] + t[4 * k + 3]) * 8
        b = (t[4 * k + 1] + t[4 * k + 2]) * 8
        x = (t[4 * k + 1] - t[4 * k + 2]) * 8
        z = (t[4 * k] - t[4 * k + 3]) * 8
        m[4 * k] = a + b
        m[4 * k + 2] = a - b
        m[4 * k + 1] = (x * 2217 + z * 5352 + 14500) >> 12
        m[4 * k + 3] = (z * 2217 - x * 5352 + 7500) >> 12
    for k in range(4):
        a = m[k] + m[12 + k]
        b = m[4 + k] + m[8 + k]
        x = m[4 + k] - m[8 + k]
        z = m[k] - m[12 + k]
        out[o + k] = (a + b + 7) >> 4
        out[o + 8 + k] = (a - b + 7) >> 4
        out[o + 4 + k] = ((x * 2217 + z * 5352 + 12000) >> 16) + (1 if z != 0 else 0)
        out[o + 12 + k] = (z * 2217 - x * 5352 + 51000) >> 16


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def forward_four(
    src: cython.p_uchar,
    s: cython.Py_ssize_t,
    s_right: cython.Py_ssize_t,
    s_stride: cython.Py_ssize_t,
    pred: cython.p_uchar,
    p: cython.Py_ssize_t,
    p_right: cython.Py_ssize_t,
    p_stride: cython.Py_ssize_t,
    out: cython.p_short,
    o: cython.Py_ssize_t,
    o_right: cython.Py_ssize_t,
) -> cython.void:
    """``forward_block`` of four blocks at once, in lanes: two side by side at ``s``, two at ``s_right``.

    A lane is a row of a block in the first pass and a column of one in the second. Coefficients of the left two go
    to ``o`` and ``o + 16``, those of the right two to ``o_right`` and ``o_right + 16``.
    """
    d = cython.declare(cython.short[64])  # [row][block][column]
    t = cython.declare(cython.short[64])  # [column][row][block]
    m = cython.declare(cython.short[64])  # [frequency][row][block], then [row][frequency][block]
    q = cython.declare(cython.short[64])  # [frequency down][frequency across][block]
    k: cython.Py_ssize_t
    r: cython.Py_ssize_t
    b: cython.Py_ssize_t
    w: cython.short
    v: cython.short
    x: cython.int
    z: cython.int
    for r in range(4):
        for k in range(8):
            d[16 * r + k] = src[s + r * s_stride + k] - pred[p + r * p_stride + k]
        for k in range(8):
            d[16 * r + 8 + k] = src[s_right + r * s_stride + k] - pred[p_right + r * p_stride + k]
    for k in range(16):
        t[k] = d[4 * k]
        t[16 + k] = d[4 * k + 1]
        t[32 + k] = d[4 * k + 2]
        t[48 + k] = d[4 * k + 3]
    for k in range(16):
        w = (t[k] + t[48 + k]) * 8
        v = (t[16 + k] + t[32 + k]) * 8
        m[k] = w + v
        m[32 + k] = w - v
        x = (t[16 + k] - t[32 + k]) * 8
        z = (t[k] - t[48 + k]) * 8
        m[16 + k] = (x * 2217 + z * 5352 + 14500) >> 12
        m[48 + k] = (z * 2217 - x * 5352 + 7500) >> 12
    for r in range(4):
        for k in range(4):
            for b in range(4):
                t[16 * r + 4 * k + b] = m[16 * k + 4 * r + b]
    for k in range(16):
        w = t[k] + t[48 + k]
        v = t[16 + k] + t[32 + k]
        q[k] = (w + v + 7) >> 4
        q[32 + k] = (w - v + 7) >> 4
        x = t[16 + k] - t[32 + k]
        z = t[k] - t[48 + k]
        q[16 + k] = ((x * 2217 + z * 5352 + 12000) >> 16) + (z != 0)
        q[48 + k] = (z * 2217 - x * 5352 + 51000) >> 16
    for k in range(16):
        out[o + k] = q[4 * k]
        out[o + 16 + k] = q[4 * k + 1]
        out[o_right + k] = q[4 * k + 2]
        out[o_right + 16 + k] = q[4 * k + 3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def forward_wht(out: cython.p_short, o: cython.Py_ssize_t) -> cython.void:
    """Move the DCs of the 16 Y blocks into block 24: forward WHT with libvpx's rounding."""
    m = cython.declare(cython.int[16])
    k: cython.Py_ssize_t
    a: cython.int
    b: cython.int
    p: cython.int
    q: cython.int
    for k in range(4):
        a = (out[o + 64 * k] + out[o + 64 * k + 32]) * 4
        b = (out[o + 64 * k] - out[o + 64 * k + 32]) * 4
        p = (out[o + 64 * k + 16] - out[o + 64 * k + 48]) * 4
        q = (out[o + 64 * k + 16] + out[o + 64 * k + 48]) * 4
        m[4 * k] = a + q + (1 if a != 0 else 0)
        m[4 * k + 1] = b + p
        m[4 * k + 2] = b - p
        m[4 * k + 3] = a - q
    for k in range(16):
        out[o + 16 * k] = 0
    for k in range(4):
        a = m[k] + m[8 + k]
        b = m[k] - m[8 + k]
        p = m[4 + k] - m[12 + k]
        q = m[4 + k] + m[12 + k]
        out[o + 384 + k] = (a + q + (1 if a + q < 0 else 0) + 3) >> 3
        out[o + 388 + k] = (b + p + (1 if b + p < 0 else 0) + 3) >> 3
        out[o + 392 + k] = (b - p + (1 if b - p < 0 else 0) + 3) >> 3
        out[o + 396 + k] = (a - q + (1 if a - q < 0 else 0) + 3) >> 3


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def forward_residue(
    src: cython.p_uchar,
    sy: cython.Py_ssize_t,
    s_stride: cython.Py_ssize_t,
    su: cython.Py_ssize_t,
    sv: cython.Py_ssize_t,
    suv_stride: cython.Py_ssize_t,
    pred: cython.p_uchar,
    py: cython.Py_ssize_t,
    p_stride: cython.Py_ssize_t,
    pu: cython.Py_ssize_t,
    pv: cython.Py_ssize_t,
    puv_stride: cython.Py_ssize_t,
    has_y2: cython.int,
    out: cython.p_short,
    o: cython.Py_ssize_t,
) -> cython.void:
    """Coefficients of a macroblock's residue src - pred: 25 blocks of 16 at out[o].

    With has_y2 the Y blocks' DCs become block 24 and are zero themselves; without, block 24 is left alone.
    """
    r: cython.Py_ssize_t
    y: cython.Py_ssize_t = sy
    p: cython.Py_ssize_t = py
    for r in range(4):
        forward_four(src, y, y + 8, s_stride, pred, p, p + 8, p_stride, out, o + 64 * r, o + 64 * r + 32)
        y += 4 * s_stride
        p += 4 * p_stride
    forward_four(src, su, sv, suv_stride, pred, pu, pv, puv_stride, out, o + 256, o + 320)
    y = 4 * suv_stride
    p = 4 * puv_stride
    forward_four(src, su + y, sv + y, suv_stride, pred, pu + p, pv + p, puv_stride, out, o + 288, o + 352)
    if has_y2:
        forward_wht(out, o)


def forward_frame(src: bytes, pred: bytes, mbw: int, mbh: int, has_y2: bytes, out: bytearray) -> None:
    """Forward transforms of every macroblock's src - pred, the way back of add_frame (out: int16, 400 a macroblock)."""
    w: cython.Py_ssize_t = mbw
    h: cython.Py_ssize_t = mbh
    k: cython.Py_ssize_t
    y: cython.Py_ssize_t
    u: cython.Py_ssize_t
    v: cython.Py_ssize_t
    s: cython.p_uchar = src
    p: cython.p_uchar = pred
    t: cython.p_uchar = has_y2
    q: cython.p_short
    if cython.compiled:
        q = cython.cast(cython.p_short, cython.cast(cython.p_uchar, out))
    else:
        q = memoryview(out).cast("h")
    with cython.nogil:
        for k in range(w * h):
            y = (k // w) * 256 * w + k % w * 16
            u = 256 * w * h + (k // w) * 64 * w + k % w * 8
            v = u + 64 * w * h
            forward_residue(s, y, 16 * w, u, v, 8 * w, p, y, 16 * w, u, v, 8 * w, t[k], q, 400 * k)
