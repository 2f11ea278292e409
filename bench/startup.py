"""What imports cost over starting Python, in CPU time: `python -m bench.startup`."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.clips import ROOT
from bench.paired import Spread
from bench.table import Row, show
from layers.build import build
from layers.bytecode import functions_python
from layers.recipes import FUNCTIONS, Arch

ROUNDS = 25
HANDLER = "import functions.classify.handler"


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
        ("import of the worker's handler, without a program", "functions.worker.handler", None, None),
        ("import of a worker without a program", "mu.worker.work", None, None),
    ):
        _seconds(f"import {module}")
        differences = [1000 * (_seconds(f"import {module}") - _seconds("pass")) for _ in range(rounds)]
        spread = Spread.of(differences)
        yield Row(what, spread.text(1), spread.median, at_least, aim, more_is_better=False, unit=" ms")
    yield from deployed(rounds)


def deployed(rounds: int) -> Iterator[Row]:
    """The handler's import out of the packages, by the functions' Python, which can write no bytecode there."""
    python = functions_python()
    if not python or platform.system() != "Linux":
        return
    arch: Arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
    with tempfile.TemporaryDirectory() as folder:
        for name in FUNCTIONS["classify"]:
            with zipfile.ZipFile(build(name, arch, Path(folder)).path) as zipped:
                zipped.extractall(Path(folder, "opt"))
        shutil.copytree(ROOT / "functions", Path(folder, "functions"), ignore=shutil.ignore_patterns("__pycache__"))
        for what, made in (("with the packages' bytecode", True), ("without", False)):
            if not made:
                for path in Path(folder, "opt").rglob("__pycache__"):
                    shutil.rmtree(path)
            environment = {"PYTHONPATH": f"{folder}:{folder}/opt/python"}
            pairs = [[_seconds_in(python, code, environment) for code in (HANDLER, "pass")] for _ in range(rounds)]
            spread = Spread.of([1000 * (one - other) for one, other in pairs[1:]])
            yield Row(
                f"import of the handler as deployed, {what}",
                spread.text(1),
                spread.median,
                500,
                250,
                more_is_better=False,
                unit=" ms",
            )


def _seconds_in(python: str, code: str, environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-S", "-B", "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    show(f"Start-up, median of {ROUNDS} pairs (spread)", rows())
