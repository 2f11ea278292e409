"""Probability updates: cheapest for the counts, sent only where that saves bits."""

from __future__ import annotations

import math
import random

from codec import probabilities
from codec.coefficient_tables import COEFFICIENT_UPDATES, DEFAULT_COEFFICIENTS
from codec.mode_tables import DEFAULT_MV_PROBS, DEFAULT_Y_MODE_PROBS, MV_UPDATES


def bits(prob: int, zeros: int, ones: int) -> float:
    return -zeros * math.log2(prob / 256) - ones * math.log2(1 - prob / 256)


def random_counts(rng: random.Random, n: int) -> list[tuple[int, int]]:
    return [(rng.randrange(3 ** rng.randrange(8)), rng.randrange(3 ** rng.randrange(8))) for _ in range(n)]


def test_probability_is_the_cheapest() -> None:
    rng = random.Random(1)
    for zeros, ones in random_counts(rng, 60):
        best = min(bits(p, zeros, ones) for p in range(1, 256))
        assert bits(probabilities.probability(zeros, ones), zeros, ones) <= best * 1.002 + 0.01


def saving(old: int, new: int, stay: int, zeros: int, ones: int, width: int) -> float:
    return bits(old, zeros, ones) - bits(new, zeros, ones) - width - bits(stay, 0, 1) + bits(stay, 1, 0)


def check_updates(old: bytes, odds: bytes, new: bytes, counts: list[tuple[int, int]], width: int) -> None:
    allowed = range(1, 256) if width == 8 else [1, *range(2, 255, 2)]
    for before, stay, after, (zeros, ones) in zip(old, odds, new, counts, strict=True):
        best = max(saving(before, p, stay, zeros, ones, width) for p in allowed)
        slack = 0.5 + 0.004 * (zeros + ones)  # costs are rounded to 1/256 bit
        if after == before:
            assert best <= slack
        else:
            assert after in allowed
            assert saving(before, after, stay, zeros, ones, width) >= max(best, 0) - slack


def test_updates_are_sent_where_they_save_bits() -> None:
    rng = random.Random(2)
    for old, odds, width in ((DEFAULT_COEFFICIENTS, COEFFICIENT_UPDATES, 8), (DEFAULT_MV_PROBS, MV_UPDATES, 7)):
        counts = random_counts(rng, len(old))
        check_updates(old, odds, probabilities.improved(old, odds, counts, width), counts, width)


def test_coefficient_updates_count_what_is_coded() -> None:
    rng = random.Random(3)
    tokens = [rng.randrange(3 ** rng.randrange(7)) for _ in range(1152)]
    new = probabilities.improved_coefficients(DEFAULT_COEFFICIENTS, tokens)
    leaves = [{0}, {1}, {2}, {3, 4, 5}, {3}, {4}, {6, 7}, {6}, {8, 9}, {8}, {10}]
    below = [range(12), range(1, 12), range(2, 12), range(3, 12), {3, 4, 5}, {4, 5}, range(6, 12), {6, 7}, range(8, 12)]
    below += [{8, 9}, {10, 11}]
    counts = []
    for row in range(96):
        kind, band, context = row // 24, row // 3 % 8, row % 3
        seen = tokens[12 * row : 12 * row + 12]
        for node in range(11):
            zeros = sum(seen[t] for t in leaves[node])
            ones = sum(seen[t] for t in below[node]) - zeros
            # After a zero nothing says that the block goes on.
            counts.append((0, 0) if node == 0 and context == 0 and band > (kind == 0) else (zeros, ones))
    assert new == probabilities.improved(DEFAULT_COEFFICIENTS, COEFFICIENT_UPDATES, counts, 8)
    check_updates(DEFAULT_COEFFICIENTS, COEFFICIENT_UPDATES, new, counts, 8)


def test_a_table_is_sent_whole_or_not_at_all() -> None:
    old = DEFAULT_Y_MODE_PROBS
    assert probabilities.improved_table(old, [(p, 256 - p) for p in old]) == old
    far = [(1000, 10), (10, 1000), (500, 500), (0, 900)]
    assert probabilities.improved_table(old, far) == bytes(probabilities.probability(*pair) for pair in far)
