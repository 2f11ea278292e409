"""What `backend="aws"` takes beside the work: `python -m bench mu_away`, a minute and a half.

A function of a module that workers do not have, over many items, by the stack deployed on this machine: its source goes
along, the coordinator hears of the job from the queue, workers begin, fetch, compute and store, and the results come
back. Every job is a new one, for its source is. Lambda itself takes longer to begin an environment.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import mu
from bench.deployed import HOME, prepared, scratch, seconds
from bench.paired import Spread
from bench.table import Row, show
from deploy import local
from deploy.errors import ToolMissing

ROUNDS, ITEMS, WORKERS = 5, 100, 4
SETTINGS = {"workers": "1", "warm": "0"}


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Jobs one after the other; what is done here of the same kind in turn."""
    try:
        prepared()
    except ToolMissing as error:
        sys.stderr.write(f"bench: {error}\n")
        return
    with scratch(), tempfile.TemporaryDirectory() as folder:
        state = local.up(SETTINGS, lambda said: None, HOME)
        with _leading_to(state), _importable(folder):
            cold = seconds(_mapped(folder, "cold", "aws"))
            yield _row(f"mu.map of {ITEMS} items on the local account, {WORKERS} workers: the first job", [cold])
            one: list[float] = []
            many: list[float] = []
            again: list[float] = []
            here: list[float] = []
            for number in range(rounds):
                one.append(seconds(_mapped(folder, f"one{number}", "aws", items=1)))
                many.append(seconds(_mapped(folder, f"many{number}", "aws")))
                again.append(seconds(_mapped(folder, f"many{number}", "aws")))
                here.append(seconds(_mapped(folder, f"many{number}", "local")))
            yield _row("- later jobs, with environments that are there", many)
            yield _row("- of one item", one)
            yield _row("- that are done already", again)
            yield _row("the same by this machine's processes", here)


def _row(what: str, taken: list[float]) -> Row:
    spread = Spread.of(taken)
    return Row(what, spread.text(), spread.median, more_is_better=False, unit=" s")


def _mapped(folder: str, name: str, backend: str, items: int = ITEMS) -> Callable[[], object]:
    """Map a function of a module of this name, whose source is like no other's; checks what comes."""
    module = _written(folder, f"bench_{name}")

    def mapped() -> None:
        found = mu.map(module.square, range(items), backend=backend, workers=WORKERS)
        if found != [number * number for number in range(items)]:
            raise RuntimeError(f"{backend}: wrong squares: {found}")

    return mapped


def _written(folder: str, name: str) -> ModuleType:
    Path(folder, f"{name}.py").write_text(f"# {name}\ndef square(number: int) -> int:\n    return number * number\n")
    invalidate_caches()
    return import_module(name)


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _leading_to(state: local.Running) -> Iterator[None]:
    """What `fastslow local env` prints, in this process."""
    before = dict(os.environ)
    os.environ.update(local.credentials(state.cloud_url) | {"FASTSLOW_STACK": local.stack_name(state)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    show("the backend aws", rows())
