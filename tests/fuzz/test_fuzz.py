"""The inputs that fuzzing found worth keeping, and a few seconds of more; docs/fuzzing.md tells of the long runs."""

from __future__ import annotations

import tracemalloc

import pytest

from codec import BUILD
from tests.fuzz import engines
from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS

SECONDS = 1.5
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


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks(name: str) -> None:
    """Once all has been seen, doing it again leaves nothing behind."""
    entries = engines.corpus(name)[::4]
    for data in entries:
        TARGETS[name](data)
    tracemalloc.start()
    sizes = []
    try:
        for _ in range(3):
            for data in entries:
                TARGETS[name](data)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] - sizes[1] < 20 * len(entries), sizes
