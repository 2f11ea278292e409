"""What a program spends its time on, by its own account: spans of wall time and processor time of each stage."""

from __future__ import annotations

import time
from collections.abc import Iterator

from mu.wire import Progressed, Span

__all__ = ["TRANSFER", "WAIT", "Timing"]

WAIT = "wait"
"""The name of the time in which a program waits for a message, and then for a slot."""
TRANSFER = "transfer"
"""The name of the time in which a large message is brought to the store, or from there."""

_TELL_EVERY = 0.1
"""Seconds."""
_MOST_SPANS = 500
"""That wait to be told."""


class _Stage:
    """What is to be said of a stage."""

    __slots__ = ("cpu_s", "done", "total")

    def __init__(self) -> None:
        self.done, self.cpu_s = 0.0, 0.0
        self.total: float | None = None


class Timing:
    """The account of one run. A span is told once: with the next `Progressed` when it has ended, else at the end.

    Spans count from `began` on the monotonic clock, or from now.
    """

    def __init__(self, began: float | None = None) -> None:
        self._since = time.monotonic()
        self._began = self._since if began is None else began
        self._told = 0.0
        self._spent = time.process_time()
        self._stages: dict[str, _Stage] = {}
        self._spans: list[Span] = []

    def progress(self, stage: str, done: float, total: float | None) -> Iterator[Progressed]:
        """So much more went through a stage, on which the time since the last call was spent. Yields what to say."""
        now = self._span(stage)
        before, self._spent = self._spent, time.process_time()
        account = self._stages.setdefault(stage, _Stage())
        account.done += done
        account.cpu_s += self._spent - before
        account.total = total
        if now - self._told > _TELL_EVERY or len(self._spans) > _MOST_SPANS:
            yield from self.flush()

    def waited(self) -> None:
        """The time since the last call was spent on waiting."""
        self._span(WAIT)

    def transferred(self) -> None:
        """The time since the last call was spent on a message's way to or from the store."""
        self._span(TRANSFER)

    def flush(self) -> Iterator[Progressed]:
        """Yields what has not been said yet; other things that are said shall not overtake it."""
        if not self._stages:
            return
        stages, self._stages = self._stages, {}
        ended, self._spans = tuple(self._spans[:-1]), self._spans[-1:]
        self._told = time.monotonic()
        for stage, account in stages.items():
            yield Progressed(stage, account.done, account.total, account.cpu_s, ended)
            ended = ()

    def end(self) -> tuple[Span, ...]:
        """The spans that have not been told."""
        spans, self._spans = self._spans, []
        return tuple(spans)

    def _span(self, stage: str) -> float:
        now = time.monotonic()
        began, ended = self._since - self._began, now - self._began
        if self._spans and self._spans[-1].stage == stage:
            self._spans[-1] = Span(stage, self._spans[-1].began, ended)
        else:
            self._spans.append(Span(stage, began, ended))
        self._since = now
        return now
