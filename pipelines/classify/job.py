"""Asks for many pictures, some at a time, and tries again what may yet succeed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable

from pipelines.classify.answers import Answer, Ask, Later, Outcome, Picture, Refused, Rejected
from pipelines.classify.retry import Retry

__all__ = ["VAIN", "classify"]

_AHEAD = 2
"""Pictures that are ready for each that is being asked for."""
VAIN = 12
"""Pictures in a row, tried to the end and never answered, after which the rest is not tried."""
_LEAVE = 2.0
"""Seconds that threads are given to end; what waits for an answer longer than that is left to wait."""


def classify(
    pictures: Iterable[Picture], ask: Ask, *, parallel: int = 1, retry: Retry | None = None
) -> Generator[Outcome]:
    """What comes of each picture, as it comes; pictures are taken while others are being asked for.

    A picture that is rejected, or that was tried too often, is an outcome with a problem. Raises Refused when no
    picture would fare better: at once when the first was tried to the end and nobody ever answered, and when VAIN in a
    row were. Closing the iterator ends it at once.
    """
    work = _Work(ask, retry or Retry(), parallel)
    try:
        source, more, taken, done = iter(enumerate(pictures)), True, 0, 0
        while more or done < taken:
            while more and taken - done < parallel * (1 + _AHEAD):
                if (entry := next(source, None)) is None:
                    more = False
                    break
                index, picture = entry
                if picture.problem:
                    yield _failed(index, picture, picture.problem)
                    continue
                work.wanted.put(entry)
                taken += 1
                if work.done.qsize():
                    break
            if done < taken:
                outcome = work.done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                done += 1
                yield outcome
    finally:
        work.end()


class _Work:
    """The threads that ask."""

    def __init__(self, ask: Ask, retry: Retry, parallel: int) -> None:
        self.wanted: queue.SimpleQueue[tuple[int, Picture] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._ask, self._retry = ask, retry
        self._stop = threading.Event()
        self._in_vain = VAIN - 1  # pictures tried to the end since someone answered; so that the first decides
        # Not an executor's: those are waited for when the interpreter ends, however long a server says nothing.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(parallel)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self.wanted.put(None)
        until = time.monotonic() + _LEAVE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (entry := self.wanted.get()) is not None and not self._stop.is_set():
            try:
                self.done.put(self._outcome(*entry))
            except BaseException as error:  # noqa: BLE001  whoever waits for the outcome hears of it
                self.done.put(error)

    def _outcome(self, index: int, picture: Picture) -> Outcome:
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            try:
                answer = self._ask(picture)
            except Rejected as error:
                self._in_vain = 0
                return _failed(index, picture, str(error), tries, began)
            except Later as error:
                wait = self._retry.wait(tries, error.after)
                if wait < 0:
                    self._in_vain += 1  # about right is enough, so no lock
                    if self._in_vain >= VAIN:
                        raise Refused(f"given up after {tries} tries: {error}") from error
                if wait < 0 or self._stop.wait(wait):
                    return _failed(index, picture, f"{error} (tried {tries} times)", tries, began)
            else:
                self._in_vain = 0
                return _answered(index, picture, answer, tries, began)


def _answered(index: int, picture: Picture, answer: Answer, tries: int, began: float) -> Outcome:
    return Outcome(
        index=index,
        name=picture.name,
        seconds=picture.seconds,
        labels=answer.labels,
        model=answer.model,
        cold=answer.cold,
        tries=tries,
        ms=round(1000 * (time.monotonic() - began), 3),
        thumbnail=picture.thumbnail,
    )


def _failed(index: int, picture: Picture, problem: str, tries: int = 0, began: float | None = None) -> Outcome:
    return Outcome(
        index=index,
        name=picture.name,
        seconds=picture.seconds,
        problem=problem,
        tries=tries,
        ms=0.0 if began is None else round(1000 * (time.monotonic() - began), 3),
        thumbnail=picture.thumbnail,
    )
