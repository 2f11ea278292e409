"""What errors and bits weigh against each other when a frame is encoded: by its quantizers, segment by segment.

The price of a bit follows libvpx, 0.028 times the square of the luma DC factor in squared pixel errors, but for the
shares below. docs/decisions/0006 tells how they were found.
"""

from __future__ import annotations

from dataclasses import dataclass

from codec.decode import segment_factors
from codec.effort import SSE, Pace
from codec.header import Header

__all__ = ["CHROMA", "Weights"]

RATE = 1.1
KEY_RATE = 0.55
"""Of libvpx's price of a bit: in interframes, and in key frames, whose quality lasts."""

CHROMA = 19
"""What a chroma error weighs, in 1/16 of a luma error: see ``policy``."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Lists over the four segments, flat, in the units of those who take them.

    ``factors``, ``rates`` and ``least`` for ``requantize``; ``model`` for ``estimate``: base and slope; ``search`` for
    ``search``: what a bit weighs in whole pixels, and in fractions; ``guess``: what it weighs in guesses.
    """

    factors: list[int]
    rates: list[int]
    least: list[int]
    model: list[int]
    search: list[int]
    guess: list[int]

    @classmethod
    def of(cls, header: Header, pace: Pace) -> Weights:
        """Return the weights for a frame whose macroblocks are chosen at a pace."""
        weights = cls(segment_factors(header), [], [], [], [], [])
        for segment in range(4):
            dc, ac, *_, uv_ac = weights.factors[6 * segment : 6 * segment + 6]
            price = 0.028 * dc**2 * (KEY_RATE if header.key_frame else RATE)
            weights.rates.extend([max(round(price * 256), 1)] * 2)
            # Below these sums of absolute differences hardly a block keeps a coefficient.
            weights.least.extend([ac * pace.least >> 7, uv_ac * 100 >> 7])
            # That a coefficient is there takes five bits and a half, each level one more; squares are of coefficients.
            weights.model.extend([round(4 * price * 5.5 + ac**2 / 12), round(1024 * price / ac)])
            weights.search.extend([28 * dc // 5, 2 * dc * dc // 5])
            weights.guess.append(4 * dc * dc // 5 if pace.measure == SSE else 24 * dc // 5)
        return weights
