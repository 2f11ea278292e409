"""Probabilities that suit a frame, and which of them are worth sending (RFC 6386 §9.9, §13.4, §16.2, §17.2).

Branches are counted as pairs (zeros, ones), one pair a node of a tree. A new probability is sent where that saves more
bits than it takes, the flags that say so included.
"""

from __future__ import annotations

import cython

from codec.coefficient_tables import COEFFICIENT_UPDATES

if cython.compiled:
    from cython.cimports.codec.cost import bool_cost
else:
    from codec.cost import bool_cost

__all__ = ["improved", "improved_coefficients", "improved_table", "probability"]

TOKEN_COUNTS = 4 * 8 * 3 * 12


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def branch_cost(prob: cython.int, zeros: cython.longlong, ones: cython.longlong) -> cython.longlong:
    """Return what coding so many zeros and ones costs, in 1/256 bit."""
    return zeros * bool_cost(prob, 0) + ones * bool_cost(prob, 1)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def best_probability(zeros: cython.longlong, ones: cython.longlong, bits: cython.int) -> cython.int:
    """Return the cheapest probability that 8 bits, or 7 as in §17.2, can say."""
    total: cython.longlong = zeros + ones
    best: cython.int
    other: cython.int
    if total == 0:
        return 128
    if bits == 8:
        best = cython.cast(cython.int, (zeros * 512 + total) // (2 * total))
        return min(max(best, 1), 255)
    best = min(cython.cast(cython.int, zeros * 256 // total), 254) & 254
    other = min(best + 2, 254)
    best = max(best, 1)
    if branch_cost(other, zeros, ones) < branch_cost(best, zeros, ones):
        best = other
    return best


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def improve(
    probs: cython.p_uchar, odds: cython.p_uchar, counts: cython.p_uint, n: cython.Py_ssize_t, bits: cython.int
) -> cython.void:
    """Replace, among ``n`` probabilities, those whose replacement saves bits."""
    i: cython.Py_ssize_t
    zeros: cython.longlong
    ones: cython.longlong
    new: cython.int
    saved: cython.longlong
    for i in range(n):
        zeros = counts[2 * i]
        ones = counts[2 * i + 1]
        if zeros + ones == 0:
            continue
        new = best_probability(zeros, ones, bits)
        saved = branch_cost(probs[i], zeros, ones) - branch_cost(new, zeros, ones)
        if saved > bits * 256 + bool_cost(odds[i], 1) - bool_cost(odds[i], 0):
            probs[i] = new


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def token_branches(tokens: cython.p_uint, counts: cython.p_uint) -> cython.void:
    """Turn counts of tokens, ``[block type 4][band 8][context 3][token 12]``, into counts of branches, [...][node 11].

    After a zero the branch for the end of block is not coded (§13.3): not with context 0 but in a block's first band.
    """
    kind: cython.int
    band: cython.int
    context: cython.int
    t: cython.Py_ssize_t = 0
    b: cython.Py_ssize_t = 0
    ones: cython.uint
    few: cython.uint
    low: cython.uint
    high: cython.uint
    for kind in range(4):
        for band in range(8):
            for context in range(3):
                few = tokens[t + 3] + tokens[t + 4] + tokens[t + 5]
                low = tokens[t + 6] + tokens[t + 7]
                high = tokens[t + 8] + tokens[t + 9] + tokens[t + 10] + tokens[t + 11]
                ones = few + low + high
                counts[b] = tokens[t]
                counts[b + 1] = tokens[t + 1] + tokens[t + 2] + ones
                if context == 0 and band > (1 if kind == 0 else 0):
                    counts[b] = 0
                    counts[b + 1] = 0
                counts[b + 2] = tokens[t + 1]
                counts[b + 3] = tokens[t + 2] + ones
                counts[b + 4] = tokens[t + 2]
                counts[b + 5] = ones
                counts[b + 6] = few
                counts[b + 7] = low + high
                counts[b + 8] = tokens[t + 3]
                counts[b + 9] = few - tokens[t + 3]
                counts[b + 10] = tokens[t + 4]
                counts[b + 11] = tokens[t + 5]
                counts[b + 12] = low
                counts[b + 13] = high
                counts[b + 14] = tokens[t + 6]
                counts[b + 15] = tokens[t + 7]
                counts[b + 16] = tokens[t + 8] + tokens[t + 9]
                counts[b + 17] = tokens[t + 10] + tokens[t + 11]
                counts[b + 18] = tokens[t + 8]
                counts[b + 19] = tokens[t + 9]
                counts[b + 20] = tokens[t + 10]
                counts[b + 21] = tokens[t + 11]
                t += 12
                b += 22


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def improve_coefficients(probs: cython.p_uchar, tokens: cython.p_uint, odds: cython.p_uchar) -> cython.void:
    """Replace those coefficient probabilities whose replacement saves bits, by counts of tokens."""
    counts = cython.declare(cython.uint[2112])
    token_branches(tokens, counts)
    improve(probs, odds, counts, 1056, 8)


def probability(zeros: int, ones: int) -> int:
    """Return the cheapest probability (1..255) to code so many zeros and ones with; 128 if there are none."""
    return best_probability(zeros, ones, 8)


def improved(old: bytes, odds: bytes, counts: list[tuple[int, int]], bits: int) -> bytes:
    """Return ``old`` with those probabilities replaced whose update saves bits.

    ``odds`` are the probabilities that one stays; ``bits`` is 8, or 7 for motion vectors, whose probabilities are even.
    """
    new = bytearray(old)
    pairs = cython.declare(cython.uint[2112])
    probs: cython.p_uchar = new
    stay: cython.p_uchar = odds
    for i, (zeros, ones) in enumerate(counts):
        pairs[2 * i] = zeros
        pairs[2 * i + 1] = ones
    improve(probs, stay, pairs, len(new), bits)
    return bytes(new)


def improved_coefficients(old: bytes, counts: list[int]) -> bytes:
    """Return coefficient probabilities with those replaced whose update saves bits.

    ``counts`` are of tokens: [block type 4][band 8][context 3][token 12], flattened.
    """
    new = bytearray(old)
    stay = COEFFICIENT_UPDATES
    tokens = cython.declare(cython.uint[1152])
    probs: cython.p_uchar = new
    odds: cython.p_uchar = stay
    for i, count in enumerate(counts):
        tokens[i] = count
    improve_coefficients(probs, tokens, odds)
    return bytes(new)


def improved_table(old: bytes, counts: list[tuple[int, int]]) -> bytes:
    """Return ``old``, or the best table for the counts if sending all of it (8 bits each, §16.2) saves bits."""
    new = bytes(probability(zeros, ones) for zeros, ones in counts)
    saved = sum(
        branch_cost(p, zeros, ones) - branch_cost(q, zeros, ones)
        for p, q, (zeros, ones) in zip(old, new, counts, strict=True)
    )
    return new if saved > 8 * 256 * len(new) else old
