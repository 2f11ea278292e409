"""The coordinator of one job: told of an event and of the time, it says what is to be done."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from mu.core.book import Book
from mu.core.decide import Decider
from mu.core.events import (
    Added,
    Arrived,
    Cancelled,
    Connected,
    Disconnected,
    Event,
    Finished,
    Heard,
    LaunchFailed,
    Limited,
    Raised,
    Reconnected,
    Sending,
    Stored,
    TimePassed,
    Waits,
)
from mu.core.instructions import (
    Drop,
    Entry,
    Forget,
    Instruction,
    MessageWhole,
    ObjectMade,
    Outcome,
    Remember,
    Resumed,
    Stop,
    TaskAdded,
    TaskBegun,
    TaskCommitted,
    TaskFailed,
    TryLost,
)
from mu.core.records import MessageRecord, Run, Worker
from mu.core.states import RunState, TaskState, WorkerState
from mu.errors import JobError
from mu.job import Job, Key

__all__ = ["Coordinator"]

_CONNECTED = (WorkerState.IDLE, WorkerState.BUSY)


class Coordinator:
    """Decides for a job. Pure but for what it remembers: no clock (times are arguments, in seconds), no I/O.

    `epoch` counts the coordinators that the job has had, so that their runs have different numbers.
    Raises JobError for a job that cannot be.
    """

    def __init__(self, job: Job, *, epoch: int = 1) -> None:
        self.job = job
        self._book = Book(job, epoch)
        self._decider = Decider(self._book, epoch)
        self._deadlines: list[tuple[float, int]] = []
        """When to look after a worker, by its number."""
        self._look = True
        """Whether anything may have to be decided."""
        self._resumes = False
        """Whether a run may go on; that is all that most messages change."""
        self._book.add(job.tasks, 0.0)
        self._book.out = []

    @classmethod
    def restore(cls, job: Job, entries: Iterable[Entry], *, epoch: int, now: float, again: bool = False) -> Coordinator:
        """The coordinator that goes on with a job whose ledger has these entries; workers may come back to it.

        With `again`, what failed or was cancelled is tried once more. Tell it TimePassed to make it begin.
        """
        self = cls(job, epoch=epoch)
        book = self._book
        entries = list(entries)
        resumed = max((number for number, entry in enumerate(entries) if isinstance(entry, Resumed)), default=0)
        void = len(entries) if again else resumed
        begun: dict[str, TaskBegun] = {}
        for number, entry in enumerate(entries):
            if number < void and isinstance(entry, TaskBegun | TryLost | TaskFailed | Outcome):
                continue
            if isinstance(entry, TaskBegun):
                begun[entry.task] = entry
                continue
            if isinstance(entry, TryLost) and entry.task in begun and begun[entry.task].run == entry.run:
                del begun[entry.task]  # its worker is gone, and nobody waits for it
            self._recall(entry, now)
        if book.outcome is None and job.limits.reconnect_s:
            self._expect(begun.values(), now)
        book.out = [instruction for instruction in book.out if isinstance(instruction, Forget | Drop)]
        if again:
            book.out.append(Remember(Resumed()))
        for record in list(book.agenda.tasks.values()):
            book.check_what_waits(record, now)
        return self

    def _expect(self, begun: Iterable[TaskBegun], now: float) -> None:
        """Workers of the coordinator before this may come back, as if their connections had broken just now."""
        book = self._book
        last = {each.worker: each for each in sorted(begun, key=lambda each: each.run)}
        for each in last.values():
            record = book.agenda.tasks.get(each.task)
            if record is not None and record.state in (TaskState.READY, TaskState.BLOCKED):
                worker = book.enter(each.worker, WorkerState.APART, now)
                worker.broke, worker.expected = "it did not come back to a new coordinator", True
                book.begin(record, worker, now, each.run)
                self._watch(worker)

    def _recall(self, entry: Entry, now: float) -> None:
        book = self._book
        match entry:
            case TaskAdded(task):
                book.add([task], now)
            case ObjectMade(_, name, _, digest):
                book.agenda.object_there(name, digest)
            case MessageWhole(key, _, digest):
                book.messages[key] = MessageRecord(0, True, digest)
            case TaskCommitted(name):
                if (record := book.agenda.tasks[name]).unfinished:
                    book.commit(record, now, "done before")
            case TryLost(name, reason, _):
                book.agenda.tasks[name].tries.append(reason)
            case TaskFailed(failure):
                if (record := book.agenda.tasks[failure.task]).unfinished:
                    book.fail(record, failure.reason, now, failure.traceback)
            case Outcome():
                book.outcome = entry

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended, once it has."""
        return self._book.outcome

    @property
    def expected(self) -> list[TaskBegun]:
        """Who may come back, of the workers of the coordinator before this, and with what."""
        runs = self._book.runs.values()
        return [TaskBegun(run.task.task.name, run.worker.number, run.number) for run in runs if run.worker.expected]

    def next_deadline(self) -> float | None:
        """When to say TimePassed at the latest; None if only other events have something to say."""
        if self.outcome is not None:
            return None
        times = [self._decider.wake, self._book.next_end, self._deadlines[0][0] if self._deadlines else None]
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event in; returns what is to be done, in this order. An event that comes too late changes nothing."""
        book = self._book
        if book.outcome is not None:
            return [Stop(event.worker, "the job is over")] if isinstance(event, Connected | Reconnected) else []
        self._hear(event, now)
        if self._look and book.outcome is None:
            self._look = self._resumes = False
            self._decider.decide(now, self._watch)
        elif self._resumes:
            self._resumes = False
            self._decider.resume(now)
        out, book.out = book.out, []
        return out

    def _hear(self, event: Event, now: float) -> None:
        book = self._book
        match event:
            case Heard(number):
                if (worker := book.workers.get(number)) is not None and worker.state in _CONNECTED:
                    worker.since = now
                return
            case Arrived():
                self._arrived(event, now)
                return
            case Sending():
                self._sending(event, now)
                return
            case Waits(number, key):
                if (run := self._run(number, now)) is not None:
                    self._waits(run, key, now)
                return
            case Stored():
                self._stored(event, now)
            case Finished(number):
                if (run := self._run(number, now)) is not None:
                    self._decider.took(run.task, run.spent(now))
                    book.end(run, now)
                    book.move(run.worker, "run over")
                    book.commit(run.task, now)
            case Raised(number, reason, traceback, again):
                if (run := self._run(number, now)) is not None:
                    if again:
                        book.lose(run, reason, now)
                    else:
                        book.end(run, now)
                        book.fail(run.task, reason, now, traceback)
                    book.move(run.worker, "run over")
            case Added():
                self._added(event, now)
            case Connected(number):
                self._connected(number, now)
            case Reconnected():
                self._reconnected(event, now)
            case Disconnected():
                self._disconnected(event, now)
            case LaunchFailed(number, reason, wait_s):
                if (worker := book.workers.get(number)) is not None and worker.state is WorkerState.LAUNCHING:
                    book.move(worker, "lost")
                    self._decider.launch_failed(reason, wait_s, now)
            case Limited(workers):
                self._decider.most_workers = workers
            case Cancelled(reason):
                book.finish(Outcome("cancelled", book.committed, tuple(book.failures), reason), now)
            case TimePassed():
                self._time_passed(now)
        self._look = True

    def _run(self, number: int, now: float) -> Run | None:
        """The run that says something, if it is still wanted. Its worker is alive, then."""
        run = self._book.runs.get(number)
        if run is not None:
            run.worker.since = now
            if run.worker.state is WorkerState.APART:
                self._is_back(run.worker, now)
        return run

    # Messages and objects

    def _waits(self, run: Run, key: Key, now: float) -> None:
        book = self._book
        if run.state is not RunState.COMPUTING:
            if run.waits_for is not None:  # said again after its connection broke
                return
            book.goes_on(run, now)  # what it had added before was said again
        book.wait(run, key, now)
        if key in book.messages:
            book.there(run, now)
            self._resumes = True
        elif (sender := book.agenda.tasks.get(key.sender)) is None or not sender.unfinished:
            book.fail(run.task, f"{key.name}, for which it waits, was not sent by {key.sender}", now)
            self._look = True
        if self._decider.minds_waiting():
            self._look = True

    def _sending(self, event: Sending, now: float) -> None:
        book, key = self._book, event.key
        run = self._run(event.run, now)
        if run is None or key in book.messages or self._has_committed(key.receiver):
            return
        book.messages[key] = MessageRecord(run.number)
        self._resume(key, now)

    def _arrived(self, event: Arrived, now: float) -> None:
        book, key = self._book, event.key
        if self._has_committed(key.receiver):
            book.out.append(Forget(key))
            return
        sender = self._run(event.run, now)
        if sender is None:  # stopped meanwhile
            return
        receiver = book.agenda.tasks.get(key.receiver)
        for run in receiver.runs if receiver else ():
            if run.taking == (key, sender.number):
                run.taking = None
        message = book.messages.get(key)
        if message is None or not message.whole:
            book.message_whole(key, sender.number, event.size, event.digest, event.stored)
            self._resume(key, now)
        elif message.digest != event.digest:
            self._disagrees(sender, f"it ran twice and sent two different messages {key.name} to {key.receiver}", now)

    def _has_committed(self, name: str) -> bool:
        record = self._book.agenda.tasks.get(name)
        return record is not None and record.state is TaskState.COMMITTED

    def _resume(self, key: Key, now: float) -> None:
        receiver = self._book.agenda.tasks.get(key.receiver)
        for run in receiver.runs if receiver else ():
            if run.state is RunState.WAITING and run.waits_for == key:
                self._book.there(run, now)
                self._resumes = True

    def _stored(self, event: Stored, now: float) -> None:
        book = self._book
        run = self._run(event.run, now)
        if run is None:
            return
        there = book.agenda.objects.get(event.name)
        if event.name in book.agenda.dropped:
            book.out.append(Drop(event.name))
        if there is None:
            book.object_made(run.task.task.name, event.name, event.size, event.digest)
        elif there != event.digest:
            self._disagrees(run, f"it ran twice and stored two different objects {event.name}", now)

    def _disagrees(self, run: Run, reason: str, now: float) -> None:
        self._book.fail(run.task, reason, now)
        self._look = True

    def _added(self, event: Added, now: float) -> None:
        book = self._book
        run = self._run(event.run, now)
        if run is None:
            return
        try:
            book.add(event.tasks, now)
        except JobError as error:
            book.fail(run.task, f"it added tasks that cannot be: {error}", now)
            return
        if run.state is RunState.COMPUTING:  # else it is said again after its connection broke
            book.wait(run, None, now)

    # Workers

    def _connected(self, number: int, now: float) -> None:
        book = self._book
        worker = book.workers.get(number)
        if worker is not None and worker.state is WorkerState.LAUNCHING:
            book.move(worker, "connected")
            worker.since = now
        else:
            if not self._decider.has_launched(number):
                book.out.append(Stop(number, "nobody launched it"))
                return
            if worker is not None:  # a worker that begins anew has lost what it did
                book.is_lost(worker, "its worker began anew", now)
            worker = book.enter(number, WorkerState.IDLE, now)
        self._decider.launched()
        self._watch(worker)

    def _reconnected(self, event: Reconnected, now: float) -> None:
        """A worker comes back to its run: that of this coordinator, or of one before it."""
        book = self._book
        worker, run = book.workers.get(event.worker), book.runs.get(event.run)
        record = book.agenda.tasks.get(event.task)
        if run is not None and run.worker is worker:
            book.retract(run, now)  # what was on its way is said again from its start
            self._is_back(worker, now)
            return
        if worker is not None and worker.state is not WorkerState.LAUNCHING:
            book.take_back(worker, "it came back to another task than it has", now)
            return
        known = self._decider.has_launched(event.worker) and run is None and event.run <= book.last_run
        if not known or record is None or record.state not in (TaskState.READY, TaskState.BLOCKED):
            reason = "what it does is not wanted any more"
            if worker is not None:
                book.stop(worker, reason, now)
            else:
                book.out.append(Stop(event.worker, reason))
            return
        worker = worker or book.enter(event.worker, WorkerState.LAUNCHING, now)
        book.begin(record, worker, now, event.run)
        self._is_back(worker, now)

    def _is_back(self, worker: Worker, now: float) -> None:
        if worker.state is not WorkerState.BUSY:
            self._book.move(worker, "back")
        worker.since, worker.expected = now, False
        self._decider.launched()
        self._watch(worker)

    def _disconnected(self, event: Disconnected, now: float) -> None:
        book = self._book
        worker = book.workers.get(event.worker)
        if worker is None or (worker.state is WorkerState.APART and not event.gone):
            return
        if worker.state is WorkerState.BUSY and not event.gone and book.limits.reconnect_s:
            book.move(worker, "broken")
            worker.since, worker.broke = now, event.reason
            if worker.run is not None:
                book.retract(worker.run, now)
            self._watch(worker)
        else:
            if worker.state is WorkerState.LAUNCHING:
                self._decider.launch_failed(event.reason, 0.0, now)
            book.is_lost(worker, event.reason, now)

    # Time

    def _patience(self, worker: Worker) -> float:
        """For how many seconds nothing need be heard of a worker; 0 means for ever."""
        limits = self._book.limits
        if worker.state is WorkerState.LAUNCHING:
            return limits.launch_s
        return limits.reconnect_s if worker.state is WorkerState.APART else limits.lease_s

    def _watch(self, worker: Worker) -> None:
        """Look after a worker when patience with it may end."""
        patience = self._patience(worker)
        worker.watched = worker.since + patience if patience else None
        if worker.watched is not None:
            heapq.heappush(self._deadlines, (worker.watched, worker.number))

    def _time_passed(self, now: float) -> None:
        book = self._book
        for run in book.overdue(now):
            reason = f"it computed for longer than the {book.limits.run_s:g} s that a run may take"
            book.take_back(run.worker, reason, now, counts=True)
        while self._deadlines and self._deadlines[0][0] <= now:
            when, number = heapq.heappop(self._deadlines)
            worker = book.workers.get(number)
            if worker is None or worker.watched != when:
                continue
            patience = self._patience(worker)
            if worker.since + patience > now:
                self._watch(worker)
            elif worker.state is WorkerState.LAUNCHING:
                reason = f"it did not connect within {patience:g} s"
                book.stop(worker, reason, now)
                self._decider.launch_failed(reason, 0.0, now)
            elif worker.state is WorkerState.APART:
                book.is_lost(worker, worker.broke, now)
            else:
                book.out.append(Stop(number, f"nothing was heard of it for {patience:g} s"))
                book.is_lost(worker, f"nothing was heard of its worker for {patience:g} s", now)
