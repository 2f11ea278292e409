"""What symbols cost in bits, by the probabilities that code them (RFC 6386 §7, §13).

Costs are integers in 1/256 bit. A boolean of probability p (of 256) costs -log2(p / 256) bits as a 0; a token costs
what its way through the token tree costs. Tokens are numbered end of block 0, zero 1, the levels one to four 2 to 5,
the categories 6 to 11: a level's token is 1 + the level up to four.
"""

from __future__ import annotations

import math

import cython

from codec.coefficient_tables import EXTRA_BITS

__all__ = ["BIT", "BOOL_COSTS", "END", "LEVEL_COSTS", "LEVEL_TOKENS", "MAX_LEVEL", "TOKENS", "ZERO", "token_costs"]

BIT = 256
MAX_LEVEL = 2048
TOKENS = 12
END = 0
ZERO = 1

# A probability of 0 is in no table of VP8; it counts as the smallest.
BOOL_COSTS = (8 * BIT, *(round(-BIT * math.log2(p / 256)) for p in range(1, 257)))
"""The cost of a 0, indexed by its probability 0..256. A 1 costs ``BOOL_COSTS[256 - p]``."""


def _extra_cost(level: int) -> int:
    """Return the cost of a level's extra bits and its sign."""
    cost = BIT
    for base, probs in reversed(EXTRA_BITS):
        if level >= base:
            for i, p in enumerate(probs):
                bit = (level - base) >> (len(probs) - 1 - i) & 1
                cost += BOOL_COSTS[256 - p if bit else p]
            break
    return cost


LEVEL_TOKENS = bytes(min(v, 4) + 1 + sum(v >= base for base, _ in EXTRA_BITS) for v in range(MAX_LEVEL + 1))
"""The token of a level without its sign."""

LEVEL_COSTS = (0, *(_extra_cost(v) for v in range(1, MAX_LEVEL + 1)))
"""What a level costs beside its token: sign and extra bits."""

_bool_costs = cython.declare(cython.ushort[257])
for _p in range(257):
    _bool_costs[_p] = BOOL_COSTS[_p]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def bool_cost(prob: cython.int, bit: cython.int) -> cython.int:
    """Return the cost of one boolean."""
    return _bool_costs[256 - prob if bit else prob]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill_token_costs(probs: cython.p_uchar, costs: cython.p_ushort) -> cython.void:
    """Fill ``costs[block type 4][band 8][context 3][token 12]`` from coefficient probabilities.

    No end of block can follow a zero, so there its cost is out of reach and the others do not pay for its branch
    (§13.3). Context 0 means just that, except in the band of a block's first coefficient.
    """
    kind: cython.int
    band: cython.int
    context: cython.int
    first: cython.int
    stop: cython.int
    p: cython.Py_ssize_t = 0
    o: cython.Py_ssize_t = 0
    for kind in range(4):
        first = 1 if kind == 0 else 0
        for band in range(8):
            for context in range(3):
                if context == 0 and band > first:
                    costs[o] = 65535
                    stop = 0
                else:
                    costs[o] = _bool_costs[probs[p]]
                    stop = _bool_costs[256 - probs[p]]
                _fill_values(probs, p, costs, o, stop)
                p += 11
                o += 12


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _fill_values(
    probs: cython.p_uchar, p: cython.Py_ssize_t, costs: cython.p_ushort, o: cython.Py_ssize_t, stop: cython.int
) -> cython.void:
    """Fill the costs of the tokens but end of block; ``stop`` is what it costs that the block goes on."""
    value: cython.int = stop + _bool_costs[256 - probs[p + 1]]
    many: cython.int = value + _bool_costs[256 - probs[p + 2]]
    few: cython.int = many + _bool_costs[probs[p + 3]]
    low: cython.int
    costs[o + 1] = stop + _bool_costs[probs[p + 1]]
    costs[o + 2] = value + _bool_costs[probs[p + 2]]
    costs[o + 3] = few + _bool_costs[probs[p + 4]]
    few += _bool_costs[256 - probs[p + 4]]
    costs[o + 4] = few + _bool_costs[probs[p + 5]]
    costs[o + 5] = few + _bool_costs[256 - probs[p + 5]]
    many += _bool_costs[256 - probs[p + 3]]
    low = many + _bool_costs[probs[p + 6]]
    costs[o + 6] = low + _bool_costs[probs[p + 7]]
    costs[o + 7] = low + _bool_costs[256 - probs[p + 7]]
    many += _bool_costs[256 - probs[p + 6]]
    low = many + _bool_costs[probs[p + 8]]
    costs[o + 8] = low + _bool_costs[probs[p + 9]]
    costs[o + 9] = low + _bool_costs[256 - probs[p + 9]]
    low = many + _bool_costs[256 - probs[p + 8]]
    costs[o + 10] = low + _bool_costs[probs[p + 10]]
    costs[o + 11] = low + _bool_costs[256 - probs[p + 10]]


def token_costs(probabilities: bytes) -> tuple[int, ...]:
    """Return the costs of all tokens, ``[block type 4][band 8][context 3][token 12]`` flattened, in 1/256 bit."""
    costs = cython.declare(cython.ushort[1152])
    probs: cython.p_uchar = probabilities
    fill_token_costs(probs, costs)
    return tuple([costs[i] for i in range(1152)])
