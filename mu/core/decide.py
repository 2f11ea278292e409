"""What is to be done next: who gets a worker, a slot, a message; who is begun twice; when the job is over."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Callable

from mu.core.book import Book
from mu.core.instructions import Assign, Launch, Outcome
from mu.core.records import Run, TaskRecord, Worker
from mu.core.states import RunState, WorkerState

__all__ = ["Decider"]

_SAMPLES = 5
"""How many tasks of a program must be done before one is called slow."""
_VAIN_LAUNCHES = 20
"""So many launches in a row without a worker that came end the job."""

Watch = Callable[[float, Worker], None]


class Decider:
    """Decides about what is in the book."""

    def __init__(self, book: Book, epoch: int) -> None:
        self.most_workers = book.limits.workers
        """How many workers the job may have now."""
        self.wake: float | None = None
        """When to decide again, though nothing happens."""
        self._book = book
        self._times: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=101))
        """Seconds of computing of the tasks that were done last, by program."""
        self._held_until = 0.0
        self._scanned = 0.0
        self._vain = 0
        self._reason = ""
        self._launched = (epoch - 1) * 1_000_000
        """The number of the last worker."""

    def took(self, record: TaskRecord, seconds: float) -> None:
        """A task was done in this time."""
        self._times[record.task.program].append(seconds)

    def hold(self, until: float) -> None:
        """Begin nothing until then."""
        self._held_until = max(self._held_until, until)

    def launched(self) -> None:
        """A worker came."""
        self._vain = 0

    def launch_failed(self, reason: str, wait_s: float, now: float) -> None:
        """A worker did not come."""
        self._reason = reason
        if wait_s:
            self.hold(now + wait_s)
        else:
            self._vain += 1

    def decide(self, now: float, watch: Watch) -> None:
        """Put into the book's `out` what is to be done now."""
        self.wake = None
        if self._is_over(now):
            return
        self._resume(now)
        self._make_room(now)
        self._find_stragglers(now)
        if now < self._held_until:
            self.wake = min(self.wake or math.inf, self._held_until)
        else:
            self._assign(now)
            self._launch(now, watch)
            self._unblock(now, watch)
        self._release()

    def _release(self) -> None:
        """Let those go for whom nothing is left."""
        book = self._book
        left = book.blocked + book.ready_for_slots + book.ready_without + len(book.stragglers)
        while not book.adders and book.idlers > left and (worker := book.idle) is not None:
            book.release(worker)

    def _is_over(self, now: float) -> bool:
        book = self._book
        failed = tuple(book.failures)
        if self._vain >= _VAIN_LAUNCHES and not any(
            w.state is not WorkerState.LAUNCHING for w in book.workers.values()
        ):
            book.finish(Outcome("failed", book.committed, failed, f"no worker could be started: {self._reason}"), now)
        elif failed and book.limits.on_failure == "stop":
            book.finish(Outcome("failed", book.committed, failed, f"{failed[0].task} failed"), now)
        elif not book.unfinished:
            book.finish(Outcome("failed" if failed else "done", book.committed, failed), now)
        return book.outcome is not None

    def _slot(self) -> bool:
        limits = self._book.limits
        return limits.slots is None or self._book.computing < limits.slots

    def _resume(self, now: float) -> None:
        while (run := self._book.resumable()) is not None and (self._slot() or not run.task.task.slot):
            self._book.deliver(run, now)

    def _make_room(self, now: float) -> None:
        book = self._book
        if not book.adders or (book.limits.ahead is not None and book.counted > book.limits.ahead):
            return
        for run in [run for run in book.waiting.values() if run.adding]:
            book.go_on_adding(run, now)

    def _assign(self, now: float) -> None:
        book = self._book
        while (worker := book.idle) is not None:
            record = book.ready()
            if record is None:
                record = book.straggler()
            if record is None or not (self._slot() or not record.task.slot):
                return
            book.move(worker, "assigned")
            run = book.begin(record, worker, now)
            book.out.append(Assign(worker.number, run.number, record.task))

    def _launch(self, now: float, watch: Watch) -> None:
        book, limits = self._book, self._book.limits
        wanted = book.ready_for_slots + len(book.stragglers)
        if limits.slots is not None:
            wanted = min(wanted, max(0, limits.slots - book.computing))
        wanted += book.ready_without
        wanted = math.ceil(wanted * (1 + limits.spare)) - book.idlers - book.launching
        for _ in range(min(wanted, self.most_workers + book.adders - len(book.workers))):
            self._launched += 1
            worker = book.enter(self._launched, WorkerState.LAUNCHING, now)
            book.out.append(Launch(worker.number))
            watch(now + limits.launch_s, worker)

    def _unblock(self, now: float, watch: Watch) -> None:
        """If all workers wait for tasks that have none, take one from the task that comes last."""
        book = self._book
        if book.idlers or book.launching or len(book.workers) < self.most_workers + book.adders:
            return
        if len(book.waiting) < len(book.runs) or book.ready() is None:
            return
        waiting = [run for run in book.waiting.values() if run.waits_for is not None]
        last = max(waiting, key=lambda run: book.rank(run.task), default=None)
        if last is not None:
            book.take_back(last, "its worker is needed by a task before it", now)
            self._launch(now, watch)

    def _find_stragglers(self, now: float) -> None:
        book, limits = self._book, self._book.limits
        if limits.straggler is None or not any(len(times) >= _SAMPLES for times in self._times.values()):
            return
        pause = max(limits.straggler_least_s / 4, 0.05)
        if now >= self._scanned + pause:
            self._scanned = now
            bounds = {
                program: max(limits.straggler * statistics.median(times), limits.straggler_least_s)
                for program, times in self._times.items()
                if len(times) >= _SAMPLES
            }
            for run in book.runs.values():
                if self._is_slow(run, bounds, now):
                    book.stragglers.add(run.task.task.name)
        if book.computing:
            self.wake = min(self.wake or math.inf, self._scanned + pause)

    def _is_slow(self, run: Run, bounds: dict[str, float], now: float) -> bool:
        bound = bounds.get(run.task.task.program)
        return (
            bound is not None and run.state is RunState.COMPUTING and len(run.task.runs) == 1 and run.spent(now) > bound
        )
