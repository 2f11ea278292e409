"""Quantisation: the trellis against every other choice, the dead zone against libvpx's arithmetic."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from codec import cost, trellis
from codec.coefficient_tables import BANDS, DEFAULT_COEFFICIENTS, EXTRA_BITS, ZIGZAG
from codec.quantization import factors

# §13.2, written as the bits on the way to each token: (node, bit).
PATHS = {
    0: [(0, 0)],
    1: [(1, 0)],
    2: [(1, 1), (2, 0)],
    3: [(1, 1), (2, 1), (3, 0), (4, 0)],
    4: [(1, 1), (2, 1), (3, 0), (4, 1), (5, 0)],
    5: [(1, 1), (2, 1), (3, 0), (4, 1), (5, 1)],
    6: [(1, 1), (2, 1), (3, 1), (6, 0), (7, 0)],
    7: [(1, 1), (2, 1), (3, 1), (6, 0), (7, 1)],
    8: [(1, 1), (2, 1), (3, 1), (6, 1), (8, 0), (9, 0)],
    9: [(1, 1), (2, 1), (3, 1), (6, 1), (8, 0), (9, 1)],
    10: [(1, 1), (2, 1), (3, 1), (6, 1), (8, 1), (10, 0)],
    11: [(1, 1), (2, 1), (3, 1), (6, 1), (8, 1), (10, 1)],
}


def bits(prob: int, bit: int) -> float:
    return -math.log2((256 - prob if bit else prob) / 256)


def rate(levels: list[int], kind: int, context: int, probs: bytes) -> float:
    """The bits of a block, coded as §13 says."""
    first = 1 if kind == 0 else 0
    coded = [levels[ZIGZAG[i]] for i in range(16)]
    last = max((i for i in range(first, 16) if coded[i]), default=first - 1)
    total, after_zero = 0.0, False
    for i in range(first, last + 2):
        if i == 16:
            break
        p = probs[((kind * 8 + BANDS[i]) * 3 + context) * 11 :][:11]
        if i > last:
            return total + bits(p[0], 0)
        level = abs(coded[i])
        if not after_zero:
            total += bits(p[0], 1)
        category = sum(level >= base for base, _ in EXTRA_BITS)
        total += sum(bits(p[node], bit) for node, bit in PATHS[5 + category if category else level + 1])
        if category:
            base, extra = EXTRA_BITS[category - 1]
            total += sum(bits(q, (level - base) >> (len(extra) - 1 - k) & 1) for k, q in enumerate(extra))
        total += level > 0
        context, after_zero = min(level, 2), level == 0
    return total


def judged(
    block: list[int], levels: list[int], kind: int, context: int, q: tuple[int, int], probs: bytes, lam: float
) -> float:
    """Squared error, beyond that of a block of zeros, and lambda times the bits: the cost of a choice."""
    pairs = zip(block, levels, strict=True)
    error = sum((abs(x) - abs(v) * q[i > 0]) ** 2 - x * x for i, (x, v) in enumerate(pairs) if i or kind)
    return error + lam * rate(levels, kind, context, probs)


def random_block(rng: random.Random, scale: float) -> list[int]:
    return [max(-32000, min(32000, round(rng.gauss(0, scale / (1 + i % 4 + i // 4))))) for i in range(16)]


def random_probs(rng: random.Random) -> bytes:
    return DEFAULT_COEFFICIENTS if rng.random() < 0.5 else bytes(rng.randrange(1, 256) for _ in range(1056))


def plain(block: list[int], kind: int, q: tuple[int, int]) -> list[int]:
    return [
        (1 if x >= 0 else -1) * min((2 * abs(x) + q[i > 0]) // (2 * q[i > 0]), 2048) if i or kind else 0
        for i, x in enumerate(block)
    ]


def test_token_costs_are_the_bits_of_the_tree() -> None:
    probs = random_probs(random.Random(5))
    costs = cost.token_costs(probs)
    for kind, band, context, token in itertools.product(range(4), range(8), range(3), range(12)):
        p = probs[((kind * 8 + band) * 3 + context) * 11 :][:11]
        goes_on = context > 0 or band <= (kind == 0)
        got = costs[((kind * 8 + band) * 3 + context) * 12 + token]
        if token == 0 and not goes_on:
            assert got == 65535
            continue
        want = sum(bits(p[node], bit) for node, bit in PATHS[token]) + (bits(p[0], 1) if goes_on and token else 0)
        assert got == pytest.approx(want * 256, abs=4)


@pytest.mark.parametrize("kind", range(4))
def test_trellis_is_never_worse_than_plain_quantisation(kind: int) -> None:
    rng = random.Random(kind)
    for _ in range(60):
        probs, q = random_probs(rng), (rng.randrange(4, 158), rng.randrange(4, 285))
        block, context, lam = random_block(rng, rng.choice([20, 200, 2000])), rng.randrange(3), 0.08 * q[0] ** 2
        weights = (4096, round(lam * 16))
        levels, eob, told = trellis.block_by_cost(block, kind, context, q, cost.token_costs(probs), *weights)
        coded = [levels[ZIGZAG[i]] for i in range(16)]
        assert eob == max((i + 1 for i in range(16) if coded[i]), default=0)
        best = judged(block, levels, kind, context, q, probs, lam)
        assert told / 4096 == pytest.approx(best, rel=0.01, abs=lam)
        assert best <= judged(block, plain(block, kind, q), kind, context, q, probs, lam) + 0.1 * lam
        assert best <= judged(block, [0] * 16, kind, context, q, probs, lam) + 0.1 * lam


@pytest.mark.parametrize("kind", range(4))
def test_trellis_finds_the_best_of_all_candidates(kind: int) -> None:
    rng = random.Random(10 + kind)
    for _ in range(12):
        probs, q = random_probs(rng), (rng.randrange(4, 158), rng.randrange(4, 285))
        block, context, lam = [0] * 16, rng.randrange(3), 0.1 * q[0] ** 2
        for position in rng.sample(range(16), 5):
            block[ZIGZAG[position]] = round(rng.uniform(-3, 3) * q[position > 0])
        choices = []
        for i, x in enumerate(block):
            nearest = (2 * abs(x) + q[i > 0]) // (2 * q[i > 0]) if i or kind else 0
            below = abs(x) // q[i > 0] if i or kind else 0
            choices.append(sorted({0, (1 if x >= 0 else -1) * nearest, (1 if x >= 0 else -1) * below}))
        best = min(judged(block, list(tried), kind, context, q, probs, lam) for tried in itertools.product(*choices))
        levels, _, _ = trellis.block_by_cost(block, kind, context, q, cost.token_costs(probs), 4096, round(lam * 16))
        assert judged(block, levels, kind, context, q, probs, lam) <= best + 0.05 * lam


def libvpx_levels(block: list[int], kind: int, q: tuple[int, int], index: int, boost: int) -> list[int]:
    """libvpx's regular quantizer, with its reciprocals of 16 bits."""
    runs = [0, 0, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 44, 44]
    levels, run = [0] * 16, 0
    for i in range(16):
        d = q[i > 0]
        shift = d.bit_length() - 1
        quant = 1 + (1 << (16 + shift)) // d - 65536
        x = abs(block[ZIGZAG[i]])
        zbin = ((84 if index < 48 else 80) * d + 64 >> 7) + (q[1 if i else 0] * runs[run] >> 7) + (q[1] * boost >> 7)
        run += 1
        if x >= zbin:
            x += 48 * d >> 7
            y = (((x * quant >> 16) + x) << (16 - shift)) >> 16
            if y:
                levels[ZIGZAG[i]] = y if block[ZIGZAG[i]] >= 0 else -y
                run = 0
    if kind == 0:
        levels[0] = 0
    return levels


def test_dead_zone_is_libvpx() -> None:
    rng = random.Random(3)
    for _ in range(400):
        index, kind, boost = rng.randrange(128), rng.randrange(4), rng.choice([0, 4, 6, 12])
        f = factors(index, (0, 0, 0, 0, 0))
        q = {0: (f[0], f[1]), 1: (f[2], f[3]), 2: (f[4], f[5]), 3: (f[0], f[1])}[kind]
        block = random_block(rng, rng.choice([q[1], 5 * q[1], 1000]))
        levels, eob = trellis.block_by_dead_zone(block, kind, q, index, boost)
        assert levels == libvpx_levels(block, kind, q, index, boost)
        assert eob == max((i + 1 for i in range(16) if levels[ZIGZAG[i]]), default=0)
