"""Timing side by side: what is compared runs in turn, again and again, so that a slow moment hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Spread", "paired"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, and between what they lay."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise measurements."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """Return it as `median (least to most)`."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


def paired(calls: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Time calls in turn, once to warm up and then ``rounds`` times: seconds, [call][round].

    CPU time is taken, not wall time: a neighbour on the machine then disturbs less.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.process_time()
            call()
            if number:
                taken.append(time.process_time() - start)
    return seconds
