"""The inputs that fuzzing found worth keeping, and a few seconds of more; docs/fuzzing.md tells of the long runs."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from codec import BUILD
from tests.fuzz import engines
from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS

SECONDS = 1.0
pytestmark = pytest.mark.skipif(BUILD == "uncompiled", reason="the codec is not compiled: this would take hours")


def test_every_target_is_listed_and_has_inputs() -> None:
    assert set(NAMES) == set(TARGETS)
    for name in NAMES:
        assert len(engines.corpus(name)) > 10, name
    assert sum(path.stat().st_size for path in engines.CORPUS.iterdir()) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept(name: str) -> None:
    for data in engines.corpus(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
def test_some_seconds_of_mutation(name: str) -> None:
    report = engines.plain(TARGETS[name], engines.corpus(name) + engines.seeds(name), 100_000, SECONDS, seed=7)
    assert report.runs > 10


NOT_OURS = [
    tracemalloc.Filter(False, pattern) for pattern in ("*/numpy/*", "*/ctypes/*", tracemalloc.__file__, __file__)
]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks(name: str) -> None:
    """Once all has been seen, seeing it again leaves nothing behind: a thing an input would be 32 bytes at least."""
    entries = engines.corpus(name)[::4]
    snapshots = []
    tracemalloc.start()
    try:
        for rounds in (2, 3):
            for data in entries * rounds:
                TARGETS[name](data)
            gc.collect()
            snapshots.append(tracemalloc.take_snapshot())
    finally:
        tracemalloc.stop()
    before, after = (snapshot.filter_traces(NOT_OURS) for snapshot in snapshots)
    grown = [found for found in after.compare_to(before, "lineno") if found.size_diff > 0]
    assert sum(found.size_diff for found in grown) < 1000 + 16 * len(entries), [*map(str, grown[:5])]
