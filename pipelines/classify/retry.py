"""When to try again: exponential backoff with full jitter, bounded in tries and in time.

Full jitter (M. Brooker, "Exponential Backoff and Jitter", 2015): a wait is anything from nothing to the bound, so that
those who were refused together do not come back together. What the other side asked for (Retry-After) comes first.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try, and how long to wait; times in seconds."""

    tries: int = 8
    first: float = 0.25
    """The first wait is up to this, each further one up to twice as much as the one before."""
    longest: float = 20.0
    """No wait's bound grows above it."""
    patience: float = 60.0
    """Who asks to come back later than this is not asked again."""

    def wait(self, tried: int, after: float = 0.0, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """How long to wait after the `tried`th try (1 is the first), of which `after` was asked for.

        Negative: do not try again.
        """
        if tried >= self.tries or after > self.patience:
            return -1.0
        return after + uniform(0.0, min(self.longest, self.first * 2.0 ** min(tried - 1, 60)))
