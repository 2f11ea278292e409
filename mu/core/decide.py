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
"""If so many launches in a row were in vain, and no worker is there, the job ends."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
"""After the first launch in vain, and after many."""

Watch = Callable[[Worker], None]


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
        self._sampled = False
        """Whether any program has enough of them."""
        self._launch_at = -math.inf
        """Before that, nobody is launched."""
        self._scanned = -math.inf
        self._vain = 0
        self._reason = ""
        self._last_worker = (epoch - 1) * 1_000_000

    def took(self, record: TaskRecord, seconds: float) -> None:
        """A task was done in this time."""
        times = self._times[record.task.program]
        times.append(seconds)
        self._sampled = self._sampled or len(times) >= _SAMPLES

    def has_launched(self, number: int) -> bool:
        """Whether this worker may be one of ours, or of a coordinator before."""
        return number <= self._last_worker

    def launched(self) -> None:
        """A worker came."""
        self._vain = 0

    def launch_failed(self, reason: str, wait_s: float, now: float) -> None:
        """A worker did not come."""
        self._reason = reason
        if not wait_s:
            self._vain += 1
            wait_s = min(_LONGEST_PAUSE_S, _PAUSE_S * 2 ** min(self._vain - 1, 10))
        self._launch_at = max(self._launch_at, now + wait_s)

    def decide(self, now: float, watch: Watch) -> None:
        """Put into the book's `out` what is to be done now."""
        self.wake = None
        if self._is_over(now):
            return
        self._keep_within_limit(now)
        self._make_room(now)
        self.resume(now)
        if self._sampled and self._book.limits.straggler is not None:
            self._find_stragglers(now)
        self._assign(now)
        self._unblock(now)
        self._launch(now, watch)
        self._release()

    def resume(self, now: float) -> None:
        """Let those go on for whom a message is there, where there are slots enough for all: nothing else changes."""
        while (run := self._book.resumable(slot=self._slot())) is not None:
            self._book.resume(run, now)

    def minds_waiting(self) -> bool:
        """Whether it makes a difference to others that a run waits."""
        book = self._book
        return book.limits.slots is not None or book.adders > 0 or len(book.waiting) == len(book.runs)

    def _wake_at(self, when: float) -> None:
        self.wake = when if self.wake is None else min(self.wake, when)

    def _is_over(self, now: float) -> bool:
        book = self._book
        if book.agenda.unfinished and not book.failures and self._vain < _VAIN_LAUNCHES:
            return False
        failed = tuple(book.failures)
        if not book.agenda.unfinished:
            book.finish(Outcome("failed" if failed else "done", book.committed, failed), now)
        elif failed and book.limits.on_failure == "stop":
            book.finish(Outcome("failed", book.committed, failed, f"{failed[0].task} failed"), now)
        elif self._vain >= _VAIN_LAUNCHES and not book.workers:
            book.finish(Outcome("failed", book.committed, failed, f"no worker could be started: {self._reason}"), now)
        return book.outcome is not None

    # Slots

    def _slot(self) -> bool:
        limits = self._book.limits
        return limits.slots is None or self._book.computing < limits.slots

    def _make_room(self, now: float) -> None:
        """Let those go on adding tasks who wait for that: few tasks are left, or none can go on without them."""
        book = self._book
        if not book.adders or (
            book.limits.ahead is not None and book.agenda.counted > book.limits.ahead and not self._stuck()
        ):
            return
        for run in [run for run in book.waiting.values() if run.waits_for is None]:
            book.there(run, now)

    def _assign(self, now: float) -> None:
        book = self._book
        while (worker := book.idle) is not None:
            record = book.agenda.next(slot=self._slot())
            if record is None:
                return
            book.move(worker, "assigned")
            run = book.begin(record, worker, now)
            book.out.append(Assign(worker.number, run.number, record.task))

    # Workers

    def _places(self) -> int:
        """How many more workers there may be. A task that adds others takes none away from them."""
        return self.most_workers + self._book.adders - len(self._book.workers)

    def _keep_within_limit(self, now: float) -> None:
        """Send away who is too many, but nobody who is at a task."""
        book = self._book
        while self._places() < 0:
            if (idle := book.idle) is not None:
                book.release(idle)
            elif (comes := book.comes) is not None:
                book.stop(comes, "there are workers enough", now)
            else:
                return

    def _launch(self, now: float, watch: Watch) -> None:
        book, limits = self._book, self._book.limits
        wanted = book.agenda.ready_for_slots + len(book.agenda.stragglers)
        if limits.slots is not None:
            wanted = min(wanted, max(0, limits.slots - book.computing))
        wanted += book.agenda.ready_without
        wanted = math.ceil(wanted * (1 + limits.spare)) - book.idlers - book.launching
        wanted = min(wanted, self._places())
        if wanted > 0 and now < self._launch_at:
            self._wake_at(self._launch_at)
            return
        for _ in range(wanted):
            self._last_worker += 1
            worker = book.enter(self._last_worker, WorkerState.LAUNCHING, now)
            book.out.append(Launch(worker.number))
            watch(worker)

    def _release(self) -> None:
        """Let those go for whom nothing is left."""
        book, agenda = self._book, self._book.agenda
        if not book.idlers or book.adders:
            return
        left = agenda.blocked + agenda.ready + len(agenda.stragglers)
        while book.idlers > left and (worker := book.idle) is not None:
            book.release(worker)

    def _stuck(self) -> bool:
        """Whether all runs wait, and no task can begin that they wait for."""
        return len(self._book.waiting) == len(self._book.runs) and not self._book.agenda.ready

    def _unblock(self, now: float) -> None:
        """If all workers wait for tasks that have none, stop those whose tasks come last."""
        book = self._book
        while (
            len(book.waiting) == len(book.runs)
            and book.agenda.ready
            and not book.idlers
            and not book.launching
            and self._places() <= 0
        ):
            waiting = [run for run in book.waiting.values() if run.waits_for is not None]
            last = max(waiting, key=lambda run: book.agenda.rank(run.task), default=None)
            if last is None:
                return
            book.take_back(last.worker, "its worker is needed by a task before it", now)

    # Stragglers

    def _find_stragglers(self, now: float) -> None:
        book, limits = self._book, self._book.limits
        pause = max(limits.straggler_least_s / 4, 0.05)
        if now >= self._scanned + pause:
            self._scanned = now
            bounds = {
                program: max((limits.straggler or 0) * statistics.median(times), limits.straggler_least_s)
                for program, times in self._times.items()
                if len(times) >= _SAMPLES
            }
            for run in book.runs.values():
                if self._is_slow(run, bounds, now):
                    book.agenda.stragglers.add(run.task.task.name)
        if book.computing:
            self._wake_at(self._scanned + pause)

    def _is_slow(self, run: Run, bounds: dict[str, float], now: float) -> bool:
        bound = bounds.get(run.task.task.program)
        return (
            bound is not None and run.state is RunState.COMPUTING and len(run.task.runs) == 1 and run.spent(now) > bound
        )
