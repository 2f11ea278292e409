"""The page that follows an encoding in a browser, for as long as it runs."""

from __future__ import annotations

import time
from typing import Self

from mu import Job
from mu.page.page import Film
from mu.page.serve import Pages
from mu.record import Record

__all__ = ["Live"]


class Live:
    """Serves the pages of the jobs that are begun with it, to this machine alone; a context. `address` lists them."""

    def __init__(self) -> None:
        self._board: dict[str, _Followed] = {}
        self._pages = Pages(self._board)
        self.address = self._pages.address

    def __enter__(self) -> Self:
        self._pages.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pages.__exit__(*error)

    def begin(self, job: Job, title: str) -> Record:
        """Show a job; whoever runs it tells the record all that happens. The address of its page goes with its name."""
        followed = _Followed(job)
        number = len(self._board) + 1
        self._board[f"{number}-{title.replace('/', '-') or job.name}"] = followed
        return followed.record


class _Followed:
    """A job of this process."""

    def __init__(self, job: Job) -> None:
        self.job, self.record = job, Record(job, time.monotonic())

    def now(self) -> float:
        return time.monotonic()

    def costs(self) -> float | None:
        return None

    def film(self) -> Film | None:
        return None
