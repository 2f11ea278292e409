"""What mu costs on one machine, beside concurrent.futures: `python -m bench.mu_local`.

Empty tasks: `mu.map` and `ProcessPoolExecutor.map` over the same function, start-up of the processes included. An
encoding: `fastslow encode` beside the same programs on a plain pool, in the order of the chains, where a state goes
from worker to worker through a file in memory. Both sides take turns.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import mu
from bench import plain_pool
from bench.clips import MEDIA, shared
from bench.demo import write_clip
from bench.empty import nothing
from bench.paired import Spread
from bench.table import Row, show
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings

ROUNDS = 5
TASKS = 1000
WORKERS = 2
FRAMES = 480


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Measure both."""
    for batch, how in ((None, "a few at a time, as it does by itself"), (1, "one at a time")):
        pairs = _in_turn(partial(mu.map, nothing, range(TASKS), workers=WORKERS, batch=batch), _pool, rounds)
        spread, ours, theirs = _ratio(pairs)
        what = f"{TASKS} empty tasks by mu.map, {how}, {1000 * ours:.0f} ms, against ProcessPoolExecutor, one at a time"
        what += f", {1000 * theirs:.0f} ms, {WORKERS} processes each"
        yield Row(what, spread.text(), spread.median, 3, 1.5, more_is_better=False, unit=" x")
    yield from _encoding(rounds)


def _pool() -> None:
    with ProcessPoolExecutor(WORKERS) as pool:
        assert len(list(pool.map(nothing, range(TASKS)))) == TASKS


def _encoding(rounds: int) -> Iterator[Row]:
    folder = shared()
    if folder is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        clip, target, other = (Path(scratch, name) for name in ("clip.y4m", "ours.ivf", "plain.ivf"))
        write_clip(clip, str(folder / "media" / MEDIA["people"]), FRAMES)
        pairs = _in_turn(
            lambda: encode_file(str(clip), str(target), Settings(), workers=WORKERS, overwrite=True),
            lambda: _plain(str(clip), other),
            rounds,
        )
        assert target.read_bytes() == other.read_bytes(), "the pool makes the same file"
    spread, ours, theirs = _ratio(pairs)
    what = f"fastslow encode of {FRAMES} frames, {ours:.1f} s, against its programs on a plain pool, {theirs:.1f} s"
    yield Row(what, spread.text(), spread.median, 1.05, 1.0, more_is_better=False, unit=" x")


def _plain(source: str, target: Path) -> None:
    with target.open("w+b") as file:
        plain_pool.encode(source, file, Settings(), WORKERS)


def _in_turn(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[list[float]]:
    """Wall times, [round][call]; each of the two begins every other round. The first round does not count."""
    pairs = []
    for number in range(rounds + 1):
        taken = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            gc.collect()  # a pool of before, collected in a forked worker, would stop it: it takes locks then
            began = time.perf_counter()
            (one, other)[which]()
            taken[which] = time.perf_counter() - began
        pairs.append(taken)
    return pairs[1:]


def _ratio(pairs: Sequence[Sequence[float]]) -> tuple[Spread, float, float]:
    ours, theirs = (Spread.of([pair[which] for pair in pairs]).median for which in (0, 1))
    return Spread.of([one / other for one, other in pairs]), ours, theirs


if __name__ == "__main__":
    show(f"mu on this machine, median of {ROUNDS} rounds (spread)", rows())
