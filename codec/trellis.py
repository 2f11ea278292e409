"""Quantisation of a block's coefficients: by rate and distortion, and by libvpx's dead zone (RFC 6386 §13, §14.1).

The search by rate and distortion is a trellis: a walk over the coefficients in coding order whose state is the
context that the last token leaves (§13.3), zero, one or more. A coefficient may become 0, the level below it or the
nearest level, and after any level but 0 the block may end. That is exact: of all blocks made of these candidates it
finds the one that is cheapest, except for what the block's being empty or not does to its neighbours' contexts.

Cost is ``error * error_weight + rate * rate_weight``, with the error in squared coefficient units and the rate in 1/256
bit; it is told as the difference to a block of zeros that costs nothing at all.
"""

from __future__ import annotations

import cython

from codec.coefficient_tables import BANDS, ZIGZAG
from codec.cost import LEVEL_COSTS, LEVEL_TOKENS, MAX_LEVEL

__all__ = ["block_by_cost", "block_by_dead_zone"]

_zigzag = cython.declare(cython.uchar[16])
_bands = cython.declare(cython.uchar[17])
_tokens = cython.declare(cython.uchar[2049])
_extras = cython.declare(cython.ushort[2049])
for _i in range(16):
    _zigzag[_i] = ZIGZAG[_i]
for _i in range(17):
    _bands[_i] = BANDS[_i]
for _i in range(MAX_LEVEL + 1):
    _tokens[_i] = LEVEL_TOKENS[_i]
    _extras[_i] = LEVEL_COSTS[_i]

# libvpx's dead zone, in 1/128 of the factor: how far from the middle a level begins, by how much that grows with the
# zeros before it, and what is added before the division.
_run_boost = cython.declare(cython.uchar[16])
for _i, _boost in enumerate((0, 0, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 44, 44)):
    _run_boost[_i] = _boost


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def quantize_by_cost(
    coeffs: cython.p_short,
    c: cython.Py_ssize_t,
    levels: cython.p_short,
    o: cython.Py_ssize_t,
    kind: cython.int,
    context: cython.int,
    dc: cython.int,
    ac: cython.int,
    costs: cython.p_ushort,
    error_weight: cython.longlong,
    rate_weight: cython.longlong,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
) -> cython.longlong:
    """Choose a block's levels by rate and distortion; write them and the end of block, return the cost.

    ``kind`` is the block type (0 luma after Y2, whose coefficient 0 is left out, 1 Y2, 2 chroma, 3 luma), ``context``
    the number of its coded neighbours, ``costs`` the token costs of ``cost.fill_token_costs``.
    """
    before = cython.declare(cython.uchar[48])  # [position][state]: the state before
    upper = cython.declare(cython.short[16])  # [position]: the level in the state "more"
    sizes = cython.declare(cython.short[16])
    size: cython.short
    first: cython.Py_ssize_t = 1 if kind == 0 else 0
    bands: cython.Py_ssize_t = kind * 288
    last: cython.Py_ssize_t = 15
    i: cython.Py_ssize_t
    x: cython.int
    q: cython.int
    for i in range(16):
        levels[o + i] = 0
    row: cython.Py_ssize_t = bands + _bands[first] * 36
    best: cython.longlong = rate_weight * costs[row + context * 12]
    # Most blocks have nothing that reaches half of a factor: that is seen in lanes, before any look in coding order.
    for i in range(16):
        size = coeffs[c + i]
        sizes[i] = size if size >= 0 else -size
    size = 0
    for i in range(1, 16):
        size = max(size, sizes[i])
    if 2 * size < ac and (first or 2 * sizes[0] < dc):
        eobs[e] = 0
        return best
    while last >= first and 2 * sizes[_zigzag[last]] < (ac if last else dc):
        last -= 1

    far: cython.longlong = cython.cast(cython.longlong, 1) << 60
    zero: cython.longlong = 0 if context == 0 else far
    one: cython.longlong = 0 if context == 1 else far
    more: cython.longlong = 0 if context == 2 else far
    to_one: cython.longlong
    to_more: cython.longlong
    a: cython.longlong
    b: cython.longlong
    d: cython.longlong
    error: cython.longlong
    floor: cython.int
    level: cython.int
    token: cython.Py_ssize_t
    state: cython.int
    end: cython.Py_ssize_t = -1
    end_state: cython.int = 0
    for i in range(first, last + 1):
        x = sizes[_zigzag[i]]
        q = ac if i else dc
        row = bands + _bands[i] * 36
        to_one = far
        to_more = far
        if 2 * x >= q:
            floor = x // q if x >= q else 0
            level = floor + 1 if 2 * x >= q * (2 * floor + 1) else floor
            level = min(level, 2048)
            # The nearest level, and the one below unless that is 0.
            while True:
                token = _tokens[level]
                error = cython.cast(cython.longlong, level * q) * (level * q - 2 * x)
                error = error * error_weight + rate_weight * _extras[level]
                a = zero + rate_weight * costs[row + token]
                b = one + rate_weight * costs[row + 12 + token]
                d = more + rate_weight * costs[row + 24 + token]
                state = 0
                if b < a:
                    a = b
                    state = 1
                if d < a:
                    a = d
                    state = 2
                a += error
                if level == 1:
                    to_one = a
                    before[3 * i + 1] = state
                elif a < to_more:
                    to_more = a
                    before[3 * i + 2] = state
                    upper[i] = level
                level -= 1
                if level < floor or level == 0:
                    break
        a = zero + rate_weight * costs[row + 1]
        b = one + rate_weight * costs[row + 13]
        d = more + rate_weight * costs[row + 25]
        state = 0
        if b < a:
            a = b
            state = 1
        if d < a:
            a = d
            state = 2
        before[3 * i] = state
        zero = a
        one = to_one
        more = to_more
        if to_one < far or to_more < far:
            a = one
            b = more
            if i < 15:
                row = bands + _bands[i + 1] * 36
                a += rate_weight * costs[row + 12]
                b += rate_weight * costs[row + 24]
            if a < best:
                best = a
                end = i
                end_state = 1
            if b < best:
                best = b
                end = i
                end_state = 2

    eobs[e] = end + 1
    state = end_state
    i = end
    while i >= first:
        if state:
            level = 1 if state == 1 else upper[i]
            x = coeffs[c + _zigzag[i]]
            levels[o + _zigzag[i]] = level if x >= 0 else -level
        state = before[3 * i + state]
        i -= 1
    return best


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def quantize_by_dead_zone(
    coeffs: cython.p_short,
    c: cython.Py_ssize_t,
    levels: cython.p_short,
    o: cython.Py_ssize_t,
    kind: cython.int,
    dc: cython.int,
    ac: cython.int,
    index: cython.int,
    boost: cython.int,
    eobs: cython.p_uchar,
    e: cython.Py_ssize_t,
) -> cython.void:
    """Choose a block's levels by libvpx's dead zone; write them and the end of block.

    ``index`` is the quantizer index, ``boost`` what the macroblock's mode adds to the dead zone, in 1/128 of ``ac``.
    """
    zone: cython.int = 84 if index < 48 else 80
    extra: cython.int = ac * boost >> 7
    run: cython.int = 0
    end: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    q: cython.int
    x: cython.int
    level: cython.int
    for i in range(16):
        k = _zigzag[i]
        q = ac if i else dc
        x = coeffs[c + k]
        level = x if x >= 0 else -x
        levels[o + k] = 0
        if level >= ((zone * q + 64) >> 7) + ((ac * _run_boost[run]) >> 7) + extra:
            level = (level + ((48 * q) >> 7)) // q
        else:
            level = 0
        run += 1
        if level:
            run = 0
            # A luma block after Y2 has no coefficient 0 of its own, but in libvpx it ends a run all the same.
            if i or kind:
                levels[o + k] = level if x >= 0 else -level
                end = i + 1
    eobs[e] = end


def block_by_cost(
    coefficients: list[int],
    kind: int,
    context: int,
    factors: tuple[int, int],
    costs: tuple[int, ...],
    error_weight: int,
    rate_weight: int,
) -> tuple[list[int], int, int]:
    """Return the levels, the end of block and the cost that ``quantize_by_cost`` finds for one block."""
    block = cython.declare(cython.short[16])
    levels = cython.declare(cython.short[16])
    table = cython.declare(cython.ushort[1152])
    eobs = cython.declare(cython.uchar[1])
    cost: cython.longlong
    i: cython.int
    for i in range(16):
        block[i] = coefficients[i]
    for i in range(1152):
        table[i] = costs[i]
    dc, ac = factors
    cost = quantize_by_cost(block, 0, levels, 0, kind, context, dc, ac, table, error_weight, rate_weight, eobs, 0)
    return [levels[i] for i in range(16)], eobs[0], cost


def block_by_dead_zone(
    coefficients: list[int], kind: int, factors: tuple[int, int], index: int, boost: int
) -> tuple[list[int], int]:
    """Return the levels and the end of block that ``quantize_by_dead_zone`` finds for one block."""
    block = cython.declare(cython.short[16])
    levels = cython.declare(cython.short[16])
    eobs = cython.declare(cython.uchar[1])
    i: cython.int
    for i in range(16):
        block[i] = coefficients[i]
    dc, ac = factors
    quantize_by_dead_zone(block, 0, levels, 0, kind, dc, ac, index, boost, eobs, 0)
    return [levels[i] for i in range(16)], eobs[0]
