"""Modes, motion vectors, segments and skips of the macroblocks: read and written (RFC 6386 §10, §11, §16, §17).

``read_modes`` and ``write_modes`` go through the same syntax in the same order; both stand on the same trees,
contexts and search among the ``neighbours``.
"""

from __future__ import annotations

import cython

from codec import mode_tables
from codec.header import Header
from codec.neighbours import b_mode_beside, clamp, part_context, settle, survey, wrap  # inlined
from codec.symbols import (  # inlined
    B_PRED,
    MV_LONG,
    MV_LONG_BITS,
    MV_PROBS,
    MV_SHORT,
    MV_SIGN,
    NEAR,
    NEAREST,
    NEARESTMV,
    NEARMV,
    NEWMV,
    SPLITMV,
    WEIGHT,
    ZEROMV,
)
from codec.window import Window, bit, tree_bits  # inlined

if cython.compiled:
    from cython.cimports.codec.boolcoder import BoolReader, BoolWriter
    from cython.cimports.codec.decisions import Decisions
else:
    from codec.boolcoder import BoolReader, BoolWriter
    from codec.decisions import Decisions

__all__ = ["read_modes", "write_modes"]

key_y_mode_tree = mode_tables.KEY_Y_MODE_TREE
key_y_mode_probs = mode_tables.KEY_Y_MODE_PROBS
y_mode_tree = mode_tables.Y_MODE_TREE
uv_mode_tree = mode_tables.UV_MODE_TREE
key_uv_mode_probs = mode_tables.KEY_UV_MODE_PROBS
b_mode_tree = mode_tables.B_MODE_TREE
b_mode_probs = mode_tables.B_MODE_PROBS
key_b_mode_probs = mode_tables.KEY_B_MODE_PROBS
small_mv_tree = mode_tables.SMALL_MV_TREE
split_tree = mode_tables.SPLIT_TREE
split_probs = mode_tables.SPLIT_PROBS
split_parts = mode_tables.SPLIT_PARTS
split_first = mode_tables.SPLIT_FIRST
split_part = mode_tables.SPLIT_PART
split_mv_contexts = mode_tables.SPLIT_MV_CONTEXTS
mode_contexts = mode_tables.MODE_CONTEXTS


# --- reading ---


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def read_component(
    w: cython.pointer(Window), data: cython.p_uchar, probs: cython.p_uchar, p: cython.Py_ssize_t
) -> cython.int:
    """Read one component of a vector difference (§17.2)."""
    x: cython.int = 0
    i: cython.int
    if bit(w, data, probs[p]):
        for i in range(3):
            x += bit(w, data, probs[p + MV_LONG + i]) << i
        i = MV_LONG_BITS - 1
        while i > 3:
            x += bit(w, data, probs[p + MV_LONG + i]) << i
            i -= 1
        # Bit 3 is known to be set when no higher one is: else the number would have been short.
        if x <= 15 or bit(w, data, probs[p + MV_LONG + 3]):
            x += 8
    else:
        x = tree_bits(w, data, small_mv_tree, probs, p + MV_SHORT)
    if x and bit(w, data, probs[p + MV_SIGN]):
        x = -x
    return x


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_vector(
    w: Window, data: cython.p_uchar, near: cython.p_int, probs: cython.p_uchar, out: cython.p_int
) -> Window:
    """Read a vector as its difference from the best one (row, column) into ``out``."""
    component: cython.int
    for component in range(2):
        out[component] = wrap(near[component] + read_component(cython.address(w), data, probs, MV_PROBS * component))
    return w


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_split(
    w: Window,
    data: cython.p_uchar,
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    near: cython.p_int,
    probs: cython.p_uchar,
) -> Window:
    """Read the vectors of a SPLITMV macroblock, part by part."""
    window: cython.pointer(Window) = cython.address(w)
    around = cython.declare(cython.int[4])
    vector = cython.declare(cython.int[2])
    shape: cython.int = tree_bits(window, data, split_tree, split_probs, 0)
    part: cython.int
    block: cython.int
    context: cython.Py_ssize_t
    d.split_shape[at] = shape
    for part in range(split_parts[shape]):
        context = 3 * part_context(d, at, column, row, split_first[16 * shape + part], around)
        vector[0] = around[0]
        vector[1] = around[1]
        if bit(window, data, split_mv_contexts[context]):
            vector[0] = around[2]
            vector[1] = around[3]
            if bit(window, data, split_mv_contexts[context + 1]):
                vector[0] = vector[1] = 0
                if bit(window, data, split_mv_contexts[context + 2]):
                    w = read_vector(w, data, near, probs, vector)
        for block in range(16):
            if split_part[16 * shape + block] == part:
                d.vector[32 * at + 2 * block] = vector[0]
                d.vector[32 * at + 2 * block + 1] = vector[1]
    return w


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def read_inter(
    w: cython.pointer(Window),
    data: cython.p_uchar,
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    bias: cython.p_uchar,
    probs: cython.p_uchar,
) -> cython.void:
    """Read mode and vectors of a macroblock that is predicted from another frame (§16.3)."""
    near = cython.declare(cython.int[12])
    vector = cython.declare(cython.int[2])
    mode: cython.int = ZEROMV
    vector[0] = vector[1] = 0
    survey(d, at, column, row, bias, near)
    if bit(w, data, mode_contexts[4 * near[WEIGHT]]):
        settle(d, at, column, row, near)
        if not bit(w, data, mode_contexts[4 * near[WEIGHT + NEAREST] + 1]):
            mode = NEARESTMV
            clamp(d, column, row, near, NEAREST)
            vector[0] = near[2 * NEAREST]
            vector[1] = near[2 * NEAREST + 1]
        elif not bit(w, data, mode_contexts[4 * near[WEIGHT + NEAR] + 2]):
            mode = NEARMV
            clamp(d, column, row, near, NEAR)
            vector[0] = near[2 * NEAR]
            vector[1] = near[2 * NEAR + 1]
        else:
            clamp(d, column, row, near, 0)
            if bit(w, data, mode_contexts[4 * near[WEIGHT + 3] + 3]):
                d.y_mode[at] = SPLITMV
                w[0] = read_split(w[0], data, d, at, column, row, near, probs)
                return
            mode = NEWMV
            w[0] = read_vector(w[0], data, near, probs, vector)
    d.y_mode[at] = mode
    d.vector[32 * at] = vector[0]
    d.vector[32 * at + 1] = vector[1]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def read_key_intra(
    w: cython.pointer(Window),
    data: cython.p_uchar,
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
) -> cython.void:
    """Read the modes of a macroblock of a key frame (§11.2, §11.3)."""
    block: cython.int
    context: cython.Py_ssize_t
    d.y_mode[at] = tree_bits(w, data, key_y_mode_tree, key_y_mode_probs, 0)
    if d.y_mode[at] == B_PRED:
        for block in range(16):
            context = 10 * b_mode_beside(d, at, block, 1, row == 0)
            context = 9 * (context + b_mode_beside(d, at, block, 0, column == 0))
            d.b_mode[16 * at + block] = tree_bits(w, data, b_mode_tree, key_b_mode_probs, context)
    d.uv_mode[at] = tree_bits(w, data, uv_mode_tree, key_uv_mode_probs, 0)


def read_modes(reader: BoolReader, header: Header, d: Decisions) -> None:
    """Read the rest of the first partition (§19.3) into ``d``.

    ``d.segments`` must hold the map that applies where the frame sends none.
    """
    probabilities = header.probabilities
    y_probs: cython.p_uchar = probabilities.y_modes
    uv_probs: cython.p_uchar = probabilities.uv_modes
    mv_probs: cython.p_uchar = probabilities.vectors
    segment_probs = cython.declare(cython.int[3])
    bias = cython.declare(cython.uchar[4])
    segment_probs[0], segment_probs[1], segment_probs[2] = header.segment_probs
    bias[0] = bias[1] = 0
    bias[2] = header.golden_sign_bias
    bias[3] = header.altref_sign_bias
    key: cython.int = header.key_frame
    segments: cython.int = header.update_segment_map
    may_skip: cython.int = header.may_skip
    prob_skip: cython.int = header.prob_skip
    prob_intra: cython.int = header.prob_intra
    prob_last: cython.int = header.prob_last
    prob_golden: cython.int = header.prob_golden
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    block: cython.int
    data: cython.p_uchar = reader.data
    window = cython.declare(Window)
    window.pos = reader.pos
    window.end = reader.end
    window.value = reader.value
    window.range = reader.range
    window.count = reader.count
    w: cython.pointer(Window) = cython.address(window)
    with cython.nogil:
        for row in range(d.rows):
            for column in range(d.columns):
                if segments:
                    if bit(w, data, segment_probs[0]):
                        d.segment[at] = 2 + bit(w, data, segment_probs[2])
                    else:
                        d.segment[at] = bit(w, data, segment_probs[1])
                d.skip[at] = bit(w, data, prob_skip) if may_skip else 0
                if key:
                    read_key_intra(w, data, d, at, column, row)
                elif bit(w, data, prob_intra):
                    d.reference[at] = 2 + bit(w, data, prob_golden) if bit(w, data, prob_last) else 1
                    read_inter(w, data, d, at, column, row, bias, mv_probs)
                else:
                    d.y_mode[at] = tree_bits(w, data, y_mode_tree, y_probs, 0)
                    if d.y_mode[at] == B_PRED:
                        for block in range(16):
                            d.b_mode[16 * at + block] = tree_bits(w, data, b_mode_tree, b_mode_probs, 0)
                    d.uv_mode[at] = tree_bits(w, data, uv_mode_tree, uv_probs, 0)
                at += 1
            if (window.pos - window.end) * 8 > window.count:
                break
    reader.pos = window.pos
    reader.value = window.value
    reader.range = window.range
    reader.count = window.count


# --- writing ---


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_component(w: BoolWriter, probs: cython.p_uchar, p: cython.Py_ssize_t, value: cython.int) -> cython.void:
    """Write one component of a vector difference (§17.2), -1023 to 1023."""
    x: cython.int = -value if value < 0 else value
    i: cython.int
    w.write(probs[p], x > 7)
    if x > 7:
        for i in range(3):
            w.write(probs[p + MV_LONG + i], (x >> i) & 1)
        i = MV_LONG_BITS - 1
        while i > 3:
            w.write(probs[p + MV_LONG + i], (x >> i) & 1)
            i -= 1
        if x > 15:
            w.write(probs[p + MV_LONG + 3], (x >> 3) & 1)
    else:
        w.write_tree(small_mv_tree, probs, p + MV_SHORT, x)
    if x:
        w.write(probs[p + MV_SIGN], value < 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_split(
    w: BoolWriter,
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    near: cython.p_int,
    probs: cython.p_uchar,
) -> cython.void:
    """Write the vectors of a SPLITMV macroblock, each part as left, above, zero or new: the first that says it."""
    around = cython.declare(cython.int[4])
    shape: cython.int = d.split_shape[at]
    part: cython.int
    block: cython.int
    context: cython.Py_ssize_t
    y: cython.int
    x: cython.int
    w.write_tree(split_tree, split_probs, 0, shape)
    for part in range(split_parts[shape]):
        block = split_first[16 * shape + part]
        context = 3 * part_context(d, at, column, row, block, around)
        y = d.vector[32 * at + 2 * block]
        x = d.vector[32 * at + 2 * block + 1]
        if y == around[0] and x == around[1]:
            w.write(split_mv_contexts[context], 0)
            continue
        w.write(split_mv_contexts[context], 1)
        if y == around[2] and x == around[3]:
            w.write(split_mv_contexts[context + 1], 0)
            continue
        w.write(split_mv_contexts[context + 1], 1)
        if y == 0 and x == 0:
            w.write(split_mv_contexts[context + 2], 0)
            continue
        w.write(split_mv_contexts[context + 2], 1)
        write_component(w, probs, 0, wrap(y - near[0]))
        write_component(w, probs, MV_PROBS, wrap(x - near[1]))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_inter(
    w: BoolWriter,
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    bias: cython.p_uchar,
    probs: cython.p_uchar,
) -> cython.void:
    """Write mode and vectors of a macroblock that is predicted from another frame (§16.3)."""
    near = cython.declare(cython.int[12])
    mode: cython.int = d.y_mode[at]
    survey(d, at, column, row, bias, near)
    w.write(mode_contexts[4 * near[WEIGHT]], mode != ZEROMV)
    if mode == ZEROMV:
        return
    settle(d, at, column, row, near)
    w.write(mode_contexts[4 * near[WEIGHT + NEAREST] + 1], mode != NEARESTMV)
    if mode == NEARESTMV:
        return
    w.write(mode_contexts[4 * near[WEIGHT + NEAR] + 2], mode != NEARMV)
    if mode == NEARMV:
        return
    clamp(d, column, row, near, 0)
    w.write(mode_contexts[4 * near[WEIGHT + 3] + 3], mode == SPLITMV)
    if mode == SPLITMV:
        write_split(w, d, at, column, row, near, probs)
    else:
        write_component(w, probs, 0, wrap(d.vector[32 * at] - near[0]))
        write_component(w, probs, MV_PROBS, wrap(d.vector[32 * at + 1] - near[1]))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_key_intra(
    w: BoolWriter, d: Decisions, at: cython.Py_ssize_t, column: cython.Py_ssize_t, row: cython.Py_ssize_t
) -> cython.void:
    """Write the modes of a macroblock of a key frame (§11.2, §11.3)."""
    block: cython.int
    context: cython.Py_ssize_t
    w.write_tree(key_y_mode_tree, key_y_mode_probs, 0, d.y_mode[at])
    if d.y_mode[at] == B_PRED:
        for block in range(16):
            context = 10 * b_mode_beside(d, at, block, 1, row == 0)
            context = 9 * (context + b_mode_beside(d, at, block, 0, column == 0))
            w.write_tree(b_mode_tree, key_b_mode_probs, context, d.b_mode[16 * at + block])
    w.write_tree(uv_mode_tree, key_uv_mode_probs, 0, d.uv_mode[at])


def write_modes(writer: BoolWriter, header: Header, d: Decisions) -> None:
    """Write the macroblocks' part of the first partition (§19.3), the counterpart of ``read_modes``.

    NEARESTMV and NEARMV are written as modes: the vectors in ``d`` must be those that the neighbours give.
    """
    w: BoolWriter = writer
    probabilities = header.probabilities
    y_probs: cython.p_uchar = probabilities.y_modes
    uv_probs: cython.p_uchar = probabilities.uv_modes
    mv_probs: cython.p_uchar = probabilities.vectors
    segment_probs = cython.declare(cython.int[3])
    bias = cython.declare(cython.uchar[4])
    segment_probs[0], segment_probs[1], segment_probs[2] = header.segment_probs
    bias[0] = bias[1] = 0
    bias[2] = header.golden_sign_bias
    bias[3] = header.altref_sign_bias
    key: cython.int = header.key_frame
    segments: cython.int = header.update_segment_map
    may_skip: cython.int = header.may_skip
    prob_skip: cython.int = header.prob_skip
    prob_intra: cython.int = header.prob_intra
    prob_last: cython.int = header.prob_last
    prob_golden: cython.int = header.prob_golden
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    block: cython.int
    segment: cython.int
    with cython.nogil:
        for row in range(d.rows):
            for column in range(d.columns):
                if segments:
                    segment = d.segment[at]
                    w.write(segment_probs[0], segment > 1)
                    w.write(segment_probs[2 if segment > 1 else 1], segment & 1)
                if may_skip:
                    w.write(prob_skip, d.skip[at])
                if key:
                    write_key_intra(w, d, at, column, row)
                elif d.reference[at]:
                    w.write(prob_intra, 1)
                    w.write(prob_last, d.reference[at] > 1)
                    if d.reference[at] > 1:
                        w.write(prob_golden, d.reference[at] - 2)
                    write_inter(w, d, at, column, row, bias, mv_probs)
                else:
                    w.write(prob_intra, 0)
                    w.write_tree(y_mode_tree, y_probs, 0, d.y_mode[at])
                    if d.y_mode[at] == B_PRED:
                        for block in range(16):
                            w.write_tree(b_mode_tree, b_mode_probs, 0, d.b_mode[16 * at + block])
                    w.write_tree(uv_mode_tree, uv_probs, 0, d.uv_mode[at])
                at += 1
