"""The model that runs: switched while requests come, and none fails or waits; a fault leaves the old one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from functions.cache import Cache
from functions.current import Current
from functions.errors import NotThere, TransferError
from tests.functions.made import Store, version
from vision.classifier import Classifier
from vision.manifest import Manifest

NIGHT = np.full((1, 3, 8, 8), -1.0, np.float32)


class Here:
    """An environment with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.now = 0.0
        self.told: list[Exception] = []
        self.loads = 0
        self.gate = threading.Event()
        self.gate.set()
        self.cache = Cache(folder / "cache", 1 << 20, sleep=lambda _: None)
        self.current = Current(
            "classify",
            self.store,
            self.cache,
            self.load,
            told=self.told.append,
            seconds=10,
            clock=lambda: self.now,
        )

    def load(self, manifest: Manifest, path: Path) -> Classifier:
        self.gate.wait(60)
        self.loads += 1
        return Classifier(manifest, path)

    def later(self) -> None:
        """Let time pass, have someone ask, and wait until what that began is done."""
        self.now += 11
        self.current.get()
        if self.current._thread:
            self.current._thread.join()

    def version(self) -> str:
        return self.current.get().manifest.version


@pytest.fixture
def here(tmp_path: Path) -> Here:
    made = Here(tmp_path)
    made.store.activate(*version(1))
    return made


def test_the_store_is_asked_now_and_then(here: Here) -> None:
    assert here.version() == "1"
    reads = len(here.store.reads)
    assert here.version() == "1"
    assert len(here.store.reads) == reads
    here.later()
    assert here.store.reads[reads:] == ["active/classify.json"]
    assert here.loads == 1


def test_a_switch_is_noticed_and_back_again_nothing_is_fetched(here: Here) -> None:
    assert here.version() == "1"
    here.store.activate(*version(2))
    assert here.version() == "1"
    here.later()
    assert here.version() == "2"
    here.store.activate(*version(1))
    reads = len(here.store.reads)
    here.later()
    assert here.version() == "1"
    assert here.store.reads[reads:] == ["active/classify.json"]  # the file was still in /tmp


def test_no_request_waits_for_a_switch_or_fails(here: Here) -> None:
    """Callers ask without pause while versions change; each call is answered by one whole model."""
    assert here.version() == "1"
    stop, wrong, seen = threading.Event(), [], set()

    def ask() -> None:
        while not stop.is_set():
            model = here.current.get()
            (best,) = model.top(NIGHT, 1)
            seen.add(model.manifest.version)
            if best.label != "night":
                wrong.append(model.manifest.version)

    flips = {number: version(number) for number in (1, 3, 5, 7)}
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for number in (3, 5, 7):
            here.store.activate(*flips[number])
            here.now += 11
            deadline = time.monotonic() + 20
            while str(number) not in seen and time.monotonic() < deadline:
                time.sleep(0.001)
        stop.set()
        for each in asking:
            each.result()
    assert not wrong
    assert not here.told
    assert seen >= {"3", "5", "7"}


def test_a_request_does_not_wait_while_the_new_one_loads(here: Here) -> None:
    assert here.version() == "1"
    here.store.activate(*version(2))
    here.gate.clear()
    here.now += 11
    began = time.monotonic()
    for _ in range(100):
        assert here.version() == "1"
    assert time.monotonic() - began < 30
    here.gate.set()
    assert here.current._thread
    here.current._thread.join()
    assert here.version() == "2"


@pytest.mark.parametrize("fault", ["store", "gone", "noise", "wrong file", "wrong model"])
def test_a_switch_that_fails_leaves_the_old_one_running(here: Here, fault: str) -> None:
    assert here.version() == "1"
    described, data = version(2)
    here.store.activate(described, data)
    if fault == "store":
        here.store.broken = 99
    elif fault == "gone":
        del here.store.objects["active/classify.json"]
    elif fault == "noise":
        here.store.objects["active/classify.json"] = b"{}"
    elif fault == "wrong file":
        here.store.objects[f"blobs/{described.sha256}"] = data[:-1] + b"?"
    else:
        here.store.activate(version(4)[0].__class__(**{**_fields(described), "labels": ("a", "b", "c")}), data)
    here.later()
    assert here.version() == "1"
    assert len(here.told) == 1
    here.store.broken = 0
    here.store.activate(described, data)
    here.later()
    assert here.version() == "2"


def _fields(described: Manifest) -> dict[str, object]:
    return {name: getattr(described, name) for name in described.__struct_fields__}


def test_many_first_requests_fetch_once(here: Here) -> None:
    with ThreadPoolExecutor(50) as pool:
        models = {id(model) for model in pool.map(lambda _: here.current.get(), range(200))}
    assert len(models) == 1
    assert len(here.store.reads) == 2
    assert here.cache.counts().misses == 1


def test_without_a_model_it_says_so_and_asks_again(here: Here) -> None:
    objects, here.store.objects = here.store.objects, {}
    for _ in range(2):
        with pytest.raises(NotThere):
            here.current.get()
    with pytest.raises(NotThere):
        here.current.refresh()
    here.store.objects = objects
    here.store.broken = 1
    with pytest.raises(TransferError):
        here.current.get()
    assert here.version() == "1"


def test_a_warm_up_waits_for_the_switch(here: Here) -> None:
    assert here.current.refresh().manifest.version == "1"
    here.store.activate(*version(2))
    assert here.current.refresh().manifest.version == "2"
    here.store.broken = 99
    assert here.current.refresh().manifest.version == "2"
    assert len(here.told) == 1


def test_the_old_file_may_go_once_the_switch_is_made(here: Here) -> None:
    here.cache.budget = version(1)[0].bytes + version(2)[0].bytes
    for number in (1, 2, 3, 4):
        here.store.activate(*version(number))
        here.later()
        assert here.version() == str(number)
    assert here.cache.size() <= here.cache.budget
    assert not here.told
