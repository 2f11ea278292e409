"""What imports cost over starting Python, in CPU time: `python -m bench.startup`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

from bench.clips import ROOT
from bench.paired import Spread
from bench.table import Row, show

ROUNDS = 25


def _seconds(code: str) -> float:
    """Run Python once; return the processor time that it took."""
    # As after an installation: the bytecode is there.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Measure pairs of a bare interpreter and one that imports the codec, or the classifier's handler."""
    for what, module, at_least, aim in (
        ("import of codec", "codec", 60, 30),
        ("import of the classifier's handler, without a model", "functions.classify.handler", 500, 250),
    ):
        _seconds(f"import {module}")
        differences = [1000 * (_seconds(f"import {module}") - _seconds("pass")) for _ in range(rounds)]
        spread = Spread.of(differences)
        yield Row(what, spread.text(1), spread.median, at_least, aim, more_is_better=False, unit=" ms")


if __name__ == "__main__":
    show(f"Start-up, median of {ROUNDS} pairs (spread)", rows())
