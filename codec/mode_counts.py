"""How often a frame's modes and vectors take each branch, to choose their probabilities by (RFC 6386 §16.2, §17.2)."""

from __future__ import annotations

from dataclasses import dataclass

import cython

from codec.neighbours import clamp, part_context, settle, survey, wrap  # inlined
from codec.symbols import NEWMV  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.modes import (
        small_mv_tree,
        split_first,
        split_parts,
    )
else:
    from codec.decisions import Decisions
    from codec.modes import small_mv_tree, split_first, split_parts

__all__ = ["ModeCounts", "count_modes"]

Pairs = list[tuple[int, int]]


# Places in the counts: 4 references, 5 luma modes, 4 chroma modes, skips, then the branches of vectors.
Y_MODES = cython.declare(cython.int, 4)
UV_MODES = cython.declare(cython.int, 9)
SKIPS = cython.declare(cython.int, 13)
VECTORS = cython.declare(cython.int, 14)


@dataclass(frozen=True)
class ModeCounts:
    """What ``count_modes`` counts: the macroblocks of each reference, those without coefficients, and pairs of
    (zeros, ones) at each node of the mode trees and of the 2 x 19 probabilities of vectors."""

    references: list[int]
    skips: int
    y_modes: Pairs
    uv_modes: Pairs
    vectors: Pairs


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def count_component(counts: cython.p_uint, p: cython.Py_ssize_t, value: cython.int) -> cython.void:
    """Count the branches of one component of a vector difference (§17.2)."""
    x: cython.int = -value if value < 0 else value
    i: cython.int
    node: cython.int = 0
    bit: cython.int
    counts[p + (x > 7)] += 1
    if x > 7:
        for i in range(10):
            if i != 3 or x > 15:
                counts[p + 2 * (9 + i) + ((x >> i) & 1)] += 1
    else:
        # The three bits of a short number, the highest first, lead through the tree (§17.2).
        for i in range(3):
            bit = (x >> (2 - i)) & 1
            counts[p + 2 * (2 + (node >> 1)) + bit] += 1
            node = small_mv_tree[node + bit]
    if x:
        counts[p + 2 + (value < 0)] += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def count_vectors(
    d: Decisions,
    at: cython.Py_ssize_t,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    bias: cython.p_uchar,
    counts: cython.p_uint,
) -> cython.void:
    """Count the branches of the vectors that a NEWMV or SPLITMV macroblock writes out."""
    near = cython.declare(cython.int[12])
    around = cython.declare(cython.int[4])
    part: cython.int
    block: cython.int
    y: cython.int
    x: cython.int
    survey(d, at, column, row, bias, near)
    settle(d, at, column, row, near)
    clamp(d, column, row, near, 0)
    if d.y_mode[at] == NEWMV:
        count_component(counts, VECTORS, wrap(d.vector[32 * at] - near[0]))
        count_component(counts, VECTORS + 38, wrap(d.vector[32 * at + 1] - near[1]))
        return
    for part in range(split_parts[d.split_shape[at]]):
        block = split_first[16 * d.split_shape[at] + part]
        part_context(d, at, column, row, block, around)
        y = d.vector[32 * at + 2 * block]
        x = d.vector[32 * at + 2 * block + 1]
        if (y == around[0] and x == around[1]) or (y == around[2] and x == around[3]) or (y == 0 and x == 0):
            continue
        count_component(counts, VECTORS, wrap(y - near[0]))
        count_component(counts, VECTORS + 38, wrap(x - near[1]))


def count_modes(decisions: Decisions, golden_bias: bool, altref_bias: bool) -> ModeCounts:
    """Count the branches that an interframe's modes and vectors take, as ``modes.write_modes`` writes them."""
    d: Decisions = decisions
    counts = cython.declare(cython.uint[90])
    bias = cython.declare(cython.uchar[4])
    i: cython.int
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    bias[0] = bias[1] = 0
    bias[2] = golden_bias
    bias[3] = altref_bias
    with cython.nogil:
        for i in range(90):
            counts[i] = 0
        for row in range(d.rows):
            for column in range(d.columns):
                counts[d.reference[at]] += 1
                counts[SKIPS] += d.skip[at]
                if d.reference[at] == 0:
                    counts[Y_MODES + d.y_mode[at]] += 1
                    counts[UV_MODES + d.uv_mode[at]] += 1
                elif d.y_mode[at] >= NEWMV:
                    count_vectors(d, at, column, row, bias, counts)
                at += 1
    n = [counts[i] for i in range(90)]
    dc, v, h, tm, b = n[4:9]
    y_modes = [(dc, v + h + tm + b), (v + h, tm + b), (v, h), (tm, b)]
    dc, v, h, tm = n[9:13]
    uv_modes = [(dc, v + h + tm), (v, h + tm), (h, tm)]
    vectors = list(zip(n[14::2], n[15::2], strict=True))
    return ModeCounts(n[:4], n[13], y_modes, uv_modes, vectors)
