"""Which model runs, and the switch to another one while requests come.

The store says which it should be (`vision.store`). A request never waits for that answer: when it is older than a few
seconds, a thread asks again, fetches and tries the new model beside the old one, and then one assignment is the switch.
Requests that hold the old one finish with it. Whatever goes wrong on the way leaves the old one running.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from functions.cache import Cache, Lease
from functions.errors import FunctionError, Missing, NotThere
from vision.errors import VisionError
from vision.manifest import Manifest
from vision.store import LARGEST_ACTIVE, active_key, blob_key, parse_active

if TYPE_CHECKING:
    from vision.classifier import Classifier

__all__ = ["Current", "Source"]


class Source(Protocol):
    """Where objects are read; `functions.objects.Objects` is one."""

    def read(self, key: str, largest: int, unless: str = "") -> tuple[bytes, str] | None:
        """An object and its ETag; None if its ETag is `unless`."""

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece."""


@dataclass(frozen=True)
class _Running:
    model: Classifier
    etag: str
    lease: Lease


class Current:
    """The model that runs for `task` in this environment; `load` makes it from its manifest and file.

    `told` hears of what went wrong while an older model went on running.
    """

    def __init__(
        self,
        task: str,
        source: Source,
        cache: Cache,
        load: Callable[[Manifest, Path], Classifier],
        *,
        told: Callable[[Exception], object],
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task = task
        self._source = source
        self._cache = cache
        self._load = load
        self._told = told
        self._seconds = float(os.environ.get("FASTSLOW_ACTIVE_SECONDS", "15")) if seconds is None else seconds
        self._clock = clock
        self._running: _Running | None = None
        self._asked = 0.0
        self._lock = threading.Lock()  # held by whoever asks, fetches and switches
        self._thread: threading.Thread | None = None

    def get(self) -> Classifier:
        """The model that runs now. Only the first call waits: for a model, if none was loaded yet.

        Raises NotThere while none is active, FunctionError or VisionError if it cannot be had.
        """
        running = self._running
        if running is None:
            with self._lock:
                if self._running is None:  # another thread may have brought it meanwhile
                    self._ask()
                running = self._running
            if running is None:
                raise NotThere(f"no model is active for {self._task}")
        elif self._clock() - self._asked > self._seconds and self._lock.acquire(blocking=False):
            self._asked = self._clock()
            self._thread = threading.Thread(target=self._ask_beside, daemon=True)
            self._thread.start()  # it gives the lock back
        return running.model

    def refresh(self) -> Classifier:
        """The model that should run, waiting for a switch that is due; for warm-ups, which nobody waits for."""
        with self._lock:
            if self._running is None:
                self._ask()
            else:
                self._ask_quietly()
            if self._running is None:
                raise NotThere(f"no model is active for {self._task}")
            return self._running.model

    def _ask_beside(self) -> None:
        try:
            self._ask_quietly()
        finally:
            self._lock.release()

    def _ask_quietly(self) -> None:
        try:
            self._ask()
        except (FunctionError, VisionError, OSError, MemoryError) as error:
            self._told(error)

    def _ask(self) -> None:
        """Ask the store which model should run, and switch if it is another. The lock is held."""
        self._asked = self._clock()
        before = self._running
        try:
            held = self._source.read(active_key(self._task), LARGEST_ACTIVE, before.etag if before else "")
        except Missing as error:
            raise NotThere(f"no model is active for {self._task}") from error
        if held is None:
            return
        manifest = parse_active(held[0]).manifest
        if before and before.model.manifest == manifest:
            self._running = replace(before, etag=held[1])
            return
        lease = self._cache.file(
            manifest.sha256, manifest.bytes, lambda: self._source.stream(blob_key(manifest.sha256))
        )
        try:
            self._running = _Running(self._load(manifest, lease.path), held[1], lease)
        except BaseException:
            lease.release()
            raise
        if before:
            before.lease.release()
