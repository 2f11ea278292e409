"""What the macroblocks around one say about it: candidate vectors and contexts (RFC 6386 §11.3, §16.3).

Inlined as ``window`` is, by all that reads, writes, counts or prices modes.

``near`` is four candidate vectors (row, column) and then their four weights. The first candidate begins as the zero
vector and ends as the best one.
"""

from __future__ import annotations

import cython

from codec.symbols import B_PRED, NEAR, NEAREST, SPLITMV, WEIGHT  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
else:
    from codec.decisions import Decisions

__all__ = ["b_mode_beside", "beside", "clamp", "part_context", "settle", "survey", "wrap"]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def survey(
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    bias: cython.p_uchar,
    near: cython.p_int,
) -> cython.void:
    """Collect the vectors of the macroblocks above, left and above left, with their weights.

    ``bias`` holds the sign biases of the references 0..3: a vector into a frame of the other sign is inverted.
    """
    i: cython.int
    found: cython.int = 0
    weight: cython.int
    other: cython.Py_ssize_t
    y: cython.int
    x: cython.int
    for i in range(12):
        near[i] = 0
    for i in range(3):
        if (i != 1 and row == 0) or (i != 0 and column == 0):
            continue
        other = at - (d.columns if i != 1 else 0) - (1 if i != 0 else 0)
        if d.reference[other] == 0:
            continue
        weight = 2 if i < 2 else 1
        y = d.vector[32 * other]
        x = d.vector[32 * other + 1]
        if d.y_mode[other] == SPLITMV:  # the last subblock stands for all
            y = d.vector[32 * other + 30]
            x = d.vector[32 * other + 31]
        if y == 0 and x == 0:
            near[WEIGHT] += weight
            continue
        if bias[d.reference[other]] != bias[d.reference[at]]:
            y = wrap(-y)
            x = wrap(-x)
        if found == 0 or y != near[2 * found] or x != near[2 * found + 1]:
            found += 1
            near[2 * found] = y
            near[2 * found + 1] = x
        near[WEIGHT + found] += weight


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def settle(
    d: Decisions, at: cython.Py_ssize_t, column: cython.Py_ssize_t, row: cython.Py_ssize_t, near: cython.p_int
) -> cython.void:
    """Order the candidates: nearest, near, best (in the place of zero); the last weight becomes that of SPLITMV."""
    swap: cython.int
    i: cython.int
    # Three different vectors in sequence, the third equal to the first: it strengthens the first.
    if near[WEIGHT + 3] and near[6] == near[2] and near[7] == near[3]:
        near[WEIGHT + NEAREST] += 1
    near[WEIGHT + 3] = 0
    if row > 0 and d.y_mode[at - d.columns] == SPLITMV:
        near[WEIGHT + 3] += 2
    if column > 0 and d.y_mode[at - 1] == SPLITMV:
        near[WEIGHT + 3] += 2
    if row > 0 and column > 0 and d.y_mode[at - d.columns - 1] == SPLITMV:
        near[WEIGHT + 3] += 1
    if near[WEIGHT + NEAR] > near[WEIGHT + NEAREST]:
        swap = near[WEIGHT + NEAR]
        near[WEIGHT + NEAR] = near[WEIGHT + NEAREST]
        near[WEIGHT + NEAREST] = swap
        for i in range(2):
            swap = near[2 * NEAR + i]
            near[2 * NEAR + i] = near[2 * NEAREST + i]
            near[2 * NEAREST + i] = swap
    if near[WEIGHT + NEAREST] >= near[WEIGHT]:
        near[0] = near[2]
        near[1] = near[3]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def clamp(
    d: Decisions, column: cython.Py_ssize_t, row: cython.Py_ssize_t, near: cython.p_int, which: cython.int
) -> cython.void:
    """Keep a candidate from pointing more than a macroblock out of the frame."""
    top: cython.int = -64 * cython.cast(cython.int, row + 1)
    left: cython.int = -64 * cython.cast(cython.int, column + 1)
    bottom: cython.int = 64 * cython.cast(cython.int, d.rows - row)
    right: cython.int = 64 * cython.cast(cython.int, d.columns - column)
    near[2 * which] = min(max(near[2 * which], top), bottom)
    near[2 * which + 1] = min(max(near[2 * which + 1], left), right)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def beside(
    d: Decisions, at: cython.Py_ssize_t, block: cython.int, above: cython.int, edge: cython.int
) -> cython.Py_ssize_t:
    """Return where in ``d.vector`` the vector left of a subblock is (or above it); -1 outside of the frame."""
    other: cython.Py_ssize_t
    if above:
        if block >= 4:
            return 32 * at + 2 * (block - 4)
        other = at - d.columns
        block += 12
    else:
        if block & 3:
            return 32 * at + 2 * (block - 1)
        other = at - 1
        block += 3
    if edge:
        return -1
    return 32 * other + (2 * block if d.y_mode[other] == SPLITMV else 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def part_context(
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    block: cython.int,
    around: cython.p_int,
) -> cython.int:
    """Put the vectors left of and above a subblock into ``around``; return their row of ``split_mv_contexts``."""
    left: cython.Py_ssize_t = beside(d, at, block, 0, column == 0)
    above: cython.Py_ssize_t = beside(d, at, block, 1, row == 0)
    around[0] = d.vector[left] if left >= 0 else 0
    around[1] = d.vector[left + 1] if left >= 0 else 0
    around[2] = d.vector[above] if above >= 0 else 0
    around[3] = d.vector[above + 1] if above >= 0 else 0
    return (
        4 * (around[2] == 0 and around[3] == 0)
        + 2 * (around[0] == 0 and around[1] == 0)
        + (around[0] == around[2] and around[1] == around[3])
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def b_mode_beside(
    d: Decisions, at: cython.Py_ssize_t, block: cython.int, above: cython.int, edge: cython.int
) -> cython.int:
    """Return the subblock mode above a subblock, or left of it, as context on a key frame (§11.3)."""
    other: cython.Py_ssize_t
    mode: cython.int
    if above:
        if block >= 4:
            return d.b_mode[16 * at + block - 4]
        other = at - d.columns
        block += 12
    else:
        if block & 3:
            return d.b_mode[16 * at + block - 1]
        other = at - 1
        block += 3
    if edge:
        return 0
    mode = d.y_mode[other]
    if mode == B_PRED:
        return d.b_mode[16 * other + block]
    # V_PRED is B_VE, H_PRED is B_HE, TM_PRED is B_TM, everything else B_DC.
    return 0 if mode == 0 or mode > 3 else (mode + 1 if mode < 3 else 1)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def wrap(x: cython.int) -> cython.int:
    """Keep a vector component in the fifteen bits that libvpx has for it."""
    return ((x + 16384) & 32767) - 16384
