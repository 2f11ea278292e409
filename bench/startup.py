"""What `import codec` costs over starting Python: `python -m bench.startup`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench.clips import ROOT
from bench.paired import Spread
from bench.table import Row, show

ROUNDS = 25


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.perf_counter() - start


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Measure pairs of a bare interpreter and one that imports the codec."""
    differences = [1000 * (_seconds("import codec") - _seconds("pass")) for _ in range(rounds)]
    spread = Spread.of(differences)
    yield Row("import of codec", spread.text(1), spread.median, 60, 30, more_is_better=False, unit=" ms")


if __name__ == "__main__":
    show(f"Start-up, median of {ROUNDS} pairs (spread)", rows())
