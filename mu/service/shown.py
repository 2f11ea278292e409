"""What people see of the service's jobs: a live page on the machine itself, and afterwards one among the results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from mu.errors import BackendError
from mu.job import Job
from mu.page.page import Film, page
from mu.page.serve import Pages
from mu.record import Record
from mu.service.cloud import Cloud
from mu.service.requests import page_key, store_prefix

__all__ = ["Board", "Shown", "pages"]

_MOST_SHOWN = 100
"""Jobs whose pages are served; of more, those that are over go first."""
_KINDS = {"film/encoded.webm": "video/webm", "film/encoded.matroska": "video/x-matroska"}
log = logging.getLogger("mu.service")


class Shown:
    """A job as its page shows it."""

    def __init__(
        self, job: Job, record: Record, cloud: Cloud, costs: Callable[[], float | None] = lambda: None
    ) -> None:
        self.job, self.record, self._cloud = job, record, cloud
        self.costs = costs
        """US dollars so far, if that is known."""

    def now(self) -> float:
        """The time on the record's clock."""
        return time.monotonic()

    def film(self) -> Film | None:
        """The film that the job stored, if it did."""
        for name, kind in _KINDS.items():
            size = next((fact[4] for fact in self.record.facts if fact[0] == "stored" and fact[3] == name), None)
            if size is None or not self.record.outcome:
                continue
            key = store_prefix(self.job.id) + name
            return Film(kind, int(size), partial(self._cloud.part, key), f"store/{name}")
        return None

    def keep(self) -> None:
        """Put the page beside the job's results. Raises BackendError."""
        made = page(self.job, self.record, self.now(), costs=self.costs(), film=self.film())
        self._cloud.write(page_key(self.job.id), made, "text/html; charset=utf-8")


class Board(dict[str, Shown]):
    """The jobs that are served, by their ids."""

    def show(self, shown: Shown) -> None:
        """Serve a job's page from now on."""
        self.pop(shown.job.id, None)
        over = [name for name, other in self.items() if other.record.outcome]
        for name in over[: max(0, len(self) + 1 - _MOST_SHOWN)]:
            del self[name]
        self[shown.job.id] = shown


@contextmanager
def pages(board: Board, port: int) -> Iterator[str]:
    """Serve them; gives the address, or nothing where the port is taken: jobs run without."""
    try:
        served = Pages(board, port)
    except OSError as error:
        log.warning("no live pages: %s", BackendError(f"port {port}: {error.strerror}"))
        yield ""
        return
    with served:
        yield served.address
