"""Intra prediction, RFC 6386 §12: whole blocks of luma or chroma (§12.2) and 4x4 subblocks (§12.3)."""

import cython

# Modes of a block (§8.2) and of a subblock (§11.2), numbered as in the stream's trees.
DC_PRED, V_PRED, H_PRED, TM_PRED = range(4)
B_DC, B_TM, B_VE, B_HE, B_LD, B_RD, B_VR, B_VL, B_HD, B_HU = range(10)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_block(
    mode: cython.int,
    dst: cython.p_uchar,
    d: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    size: cython.int,
    above: cython.p_uchar,
    a: cython.Py_ssize_t,
    left: cython.p_uchar,
    l: cython.Py_ssize_t,
    have_above: cython.int,
    have_left: cython.int,
) -> cython.void:
    """Predict a square of size (16 or 8) pixels from the row above (corner at above[a - 1]) and the column left.

    Outside the frame the caller supplies 127 above and 129 left; only DC_PRED looks at have_above and have_left.
    """
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    low: cython.int = 0
    high: cython.int = 255
    x: cython.int
    shift: cython.int
    row = cython.declare(cython.uchar[16])
    if mode == 3:  # TM_PRED
        for r in range(size):
            x = left[l + r] - above[a - 1]
            for k in range(size):
                dst[d + r * stride + k] = min(max(above[a + k] + x, low), high)
        return
    if mode == 2:  # H_PRED
        for r in range(size):
            for k in range(size):
                dst[d + r * stride + k] = left[l + r]
        return
    if mode == 1:  # V_PRED
        for k in range(size):
            row[k] = above[a + k]
    else:
        shift = 3 if size == 8 else 4  # log2 of the pixels of one edge
        x = 0
        if have_above:
            for k in range(size):
                x += above[a + k]
        if have_left:
            for k in range(size):
                x += left[l + k]
        if have_above and have_left:
            shift += 1
        x = (x + (1 << (shift - 1))) >> shift if have_above or have_left else 128
        for k in range(size):
            row[k] = x
    for r in range(size):
        for k in range(size):
            dst[d + r * stride + k] = row[k]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def mean3(edge: cython.p_uchar, k: cython.Py_ssize_t) -> cython.int:
    """Weighted mean (1, 2, 1) of three neighbours along the edge, centred at k."""
    return (edge[k - 1] + 2 * edge[k] + edge[k + 1] + 2) >> 2


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def mean2(edge: cython.p_uchar, k: cython.Py_ssize_t) -> cython.int:
    """Mean of two neighbours along the edge."""
    return (edge[k] + edge[k + 1] + 1) >> 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def predict_subblock(
    mode: cython.int,
    dst: cython.p_uchar,
    d: cython.Py_ssize_t,
    stride: cython.Py_ssize_t,
    edge: cython.p_uchar,
    e: cython.Py_ssize_t,
) -> cython.void:
    """Predict 4x4 pixels from edge[e..e+12]: the left column from the bottom up, the corner, 8 pixels above.

    e+4 | e+5 e+6 e+7 e+8 | e+9 ... e+12
    ----+-----------------+-------------
    e+3 |
    e+2 |
    e+1 |
    e   |
    """
    r: cython.Py_ssize_t
    k: cython.Py_ssize_t
    x: cython.int
    low: cython.int = 0
    high: cython.int = 255
    # A diagonal mode draws a line of means along the edge and copies shifted pieces of it into the rows.
    line = cython.declare(cython.uchar[16])
    if mode == 0:  # B_DC
        x = 4
        for k in range(4):
            x += edge[e + k] + edge[e + 5 + k]
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = x >> 3
    elif mode == 1:  # B_TM
        for r in range(4):
            x = edge[e + 3 - r] - edge[e + 4]
            for k in range(4):
                dst[d + r * stride + k] = min(max(edge[e + 5 + k] + x, low), high)
    elif mode == 2:  # B_VE
        for k in range(4):
            line[k] = mean3(edge, e + 5 + k)
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = line[k]
    elif mode == 3:  # B_HE
        for r in range(4):
            x = mean3(edge, e + 3 - r) if r < 3 else (edge[e + 1] + 3 * edge[e] + 2) >> 2
            for k in range(4):
                dst[d + r * stride + k] = x
    elif mode == 4:  # B_LD
        for k in range(6):
            line[k] = mean3(edge, e + 6 + k)
        line[6] = (edge[e + 11] + 3 * edge[e + 12] + 2) >> 2
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = line[r + k]
    elif mode == 5:  # B_RD
        for k in range(7):
            line[k] = mean3(edge, e + 1 + k)
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = line[3 - r + k]
    elif mode == 6:  # B_VR: rows 0 and 2 are means of two, 1 and 3 of three
        for k in range(4):
            line[k + 1] = mean2(edge, e + 4 + k)
            line[k + 9] = mean3(edge, e + 4 + k)
        line[0] = mean3(edge, e + 3)
        line[8] = mean3(edge, e + 2)
        for k in range(4):
            dst[d + k] = line[1 + k]
            dst[d + stride + k] = line[9 + k]
            dst[d + 2 * stride + k] = line[k]
            dst[d + 3 * stride + k] = line[8 + k]
    elif mode == 7:  # B_VL: the two last pixels of the right column break the pattern
        for k in range(4):
            line[k] = mean2(edge, e + 5 + k)
            line[k + 8] = mean3(edge, e + 6 + k)
        line[4] = mean3(edge, e + 10)
        line[12] = mean3(edge, e + 11)
        for k in range(4):
            dst[d + k] = line[k]
            dst[d + stride + k] = line[8 + k]
            dst[d + 2 * stride + k] = line[1 + k]
            dst[d + 3 * stride + k] = line[9 + k]
    elif mode == 8:  # B_HD: pairs of (mean of two, mean of three) climbing the edge
        for k in range(4):
            line[2 * k] = mean2(edge, e + k)
            line[2 * k + 1] = mean3(edge, e + 1 + k)
        line[8] = mean3(edge, e + 5)
        line[9] = mean3(edge, e + 6)
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = line[6 - 2 * r + k]
    else:  # B_HU: the same downwards, then the bottom pixel repeated
        for k in range(3):
            line[2 * k] = mean2(edge, e + 2 - k)
        line[1] = mean3(edge, e + 2)
        line[3] = mean3(edge, e + 1)
        line[5] = (edge[e + 1] + 3 * edge[e] + 2) >> 2
        for k in range(6, 10):
            line[k] = edge[e]
        for r in range(4):
            for k in range(4):
                dst[d + r * stride + k] = line[2 * r + k]


def predict(mode: int, size: int, edge: bytes, have_above: bool = True, have_left: bool = True) -> bytes:
    """Predict one square: the kernels as tests call them.

    edge: the left column from the bottom up, the corner, the row above (of 8 pixels when size is 4: a subblock).
    """
    d: cython.p_uchar
    e: cython.p_uchar = edge
    l: cython.p_uchar
    out = bytearray(size * size)
    left = bytes(reversed(edge[:size]))
    d = out
    l = left
    if size == 4:
        predict_subblock(mode, d, 0, 4, e, 0)
    else:
        predict_block(mode, d, 0, size, size, e, size + 1, l, 0, have_above, have_left)
    return bytes(out)
