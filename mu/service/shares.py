"""Who may have how many workers when several jobs run: nobody gets more than they can use, the rest is split evenly."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["shares"]


def shares(total: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Of `total` workers so many for each job: at least one, at most what it wants."""
    given: dict[str, int] = {}
    left = max(total, len(wanted))
    for place, (job, most) in enumerate(sorted(wanted.items(), key=lambda each: each[1])):
        even, odd = divmod(left, len(wanted) - place)
        given[job] = min(most, even + (1 if odd else 0))
        left -= given[job]
    return given
