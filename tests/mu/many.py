"""More random schedules than a test run has time for: `python -m tests.mu.many FIRST COUNT`."""

from __future__ import annotations

import sys
import time

from tests.mu.test_core import FAULTS, ends_once, fails, goes_on


def main(first: int, count: int) -> None:
    """Run so many schedules, of all kinds in turn, from a seed on."""
    began = time.monotonic()
    kinds = [*FAULTS, "fails, stop", "fails, finish"]
    for number in range(count):
        seed, kind = first + number // len(kinds), kinds[number % len(kinds)]
        if kind in FAULTS:
            ends_once(seed, FAULTS[kind])
        else:
            fails(seed, kind.split()[1], FAULTS["all"] if seed % 2 else FAULTS["coordinators"])
        if number % 1000 == 0 and seed % 10 == 0:
            goes_on(seed)
        if number % 10_000 == 9_999:
            sys.stderr.write(f"{number + 1:,} schedules, {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
