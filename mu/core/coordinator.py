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
    Stop,
    TaskAdded,
    TaskCommitted,
    TaskFailed,
    TryLost,
)
from mu.core.records import MessageRecord, Run, Worker
from mu.core.states import RunState, TaskState, WorkerState
from mu.errors import JobError
from mu.job import Job, Key

__all__ = ["Coordinator"]


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
        self._look = False
        """Whether anything may have to be decided."""
        self._book.add(job.tasks, remember=False)
        self._look = True

    @classmethod
    def restore(cls, job: Job, entries: Iterable[Entry], *, epoch: int, now: float, again: bool = False) -> Coordinator:
        """The coordinator that goes on with a job whose ledger has these entries; workers may come back to it.

        With `again`, what failed or was cancelled is tried once more.
        """
        self = cls(job, epoch=epoch)
        book = self._book
        for entry in entries:
            if again and isinstance(entry, TryLost | TaskFailed | Outcome):
                continue
            match entry:
                case TaskAdded(task):
                    book.add([task], remember=False)
                case ObjectMade(_, name, _, digest):
                    book.object_there(name, digest)
                case MessageWhole(key, _, digest):
                    book.messages[key] = MessageRecord(0, True, digest)
                case TaskCommitted(name):
                    book.commit(book.tasks[name], now, "done before")
                case TryLost(name, reason):
                    book.tasks[name].tries.append(reason)
                case TaskFailed(failure):
                    if book.tasks[failure.task].unfinished:
                        book.fail(book.tasks[failure.task], failure.reason, now, failure.traceback)
                case Outcome():
                    book.outcome = entry
        for record in list(book.tasks.values()):
            book.check_what_waits(record, now)
        book.out = [instruction for instruction in book.out if isinstance(instruction, Forget | Drop)]
        self._decider.hold(now + job.limits.reconnect_s)
        return self

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended, once it has."""
        return self._book.outcome

    def next_deadline(self) -> float | None:
        """When TimePassed has something to say at the latest; None if only other events can."""
        times = [self._decider.wake, self._deadlines[0][0] if self._deadlines else None]
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event in; returns what is to be done, in this order. An event that comes too late changes nothing."""
        book = self._book
        if book.outcome is not None:
            return [Stop(event.worker, "the job is over")] if isinstance(event, Connected | Reconnected) else []
        self._hear(event, now)
        if self._look and book.outcome is None:
            self._look = False
            self._decider.decide(now, self._watch)
        out, book.out = book.out, []
        return out

    def _hear(self, event: Event, now: float) -> None:
        book = self._book
        match event:
            case Heard(number):
                if (worker := book.workers.get(number)) is not None and worker.state is not WorkerState.APART:
                    worker.since = now
            case Arrived():
                self._arrived(event, now)
            case Waits(number, key):
                if (run := self._run(number)) is not None:
                    self._waits(run, key, now)
            case Sending(number, key):
                if (run := self._run(number)) is not None and key not in book.messages:
                    book.messages[key] = MessageRecord(run.number)
                    self._resume(key, now)
            case Stored():
                self._stored(event, now)
            case Finished(number):
                if (run := self._run(number)) is not None:
                    record, worker = run.task, run.worker
                    self._decider.took(record, run.spent(now))
                    book.end(run, now)
                    book.move(worker, "run over")
                    book.commit(record, now)
            case Raised(number, reason, traceback, again):
                if (run := self._run(number)) is not None:
                    record, worker = run.task, run.worker
                    if again:
                        book.lose(run, reason, now)
                    else:
                        book.end(run, now)
                        book.fail(record, reason, now, traceback)
                    book.move(worker, "run over")
            case Added():
                self._added(event, now)
            case Connected(number):
                self._connected(number, now)
            case Reconnected():
                self._reconnected(event, now)
            case Disconnected():
                self._disconnected(event, now)
            case LaunchFailed():
                if (worker := book.workers.get(event.worker)) is not None and worker.state is WorkerState.LAUNCHING:
                    book.move(worker, "lost")
                    self._decider.launch_failed(event.reason, event.wait_s, now)
            case Limited(workers):
                self._decider.most_workers = workers
            case Cancelled(reason):
                book.finish(Outcome("cancelled", book.committed, tuple(book.failures), reason), now)
            case TimePassed():
                self._time_passed(now)
        if not isinstance(event, Heard | Sending | Arrived):
            self._look = True

    def _run(self, number: int) -> Run | None:
        """The run, if it is still wanted."""
        return self._book.runs.get(number)

    # Messages and objects

    def _waits(self, run: Run, key: Key, now: float) -> None:
        book = self._book
        if run.state is not RunState.COMPUTING:  # said again after its connection broke
            return
        book.wait(run, now)
        run.waits_for = key
        if key in book.messages:
            book.message_there(run, now)
        elif (sender := book.tasks.get(key.sender)) is None or sender.state is TaskState.COMMITTED:
            book.fail(run.task, f"{key.name}, for which it waits, was not sent by {key.sender}", now)

    def _arrived(self, event: Arrived, now: float) -> None:
        book, key = self._book, event.key
        receiver = book.tasks.get(key.receiver)
        if receiver is not None and receiver.state is TaskState.COMMITTED:
            book.out.append(Forget(key))
            return
        message = book.messages.get(key)
        if message is not None and message.whole:
            if message.digest != event.digest and (run := self._run(event.run)) is not None:
                reason = f"it ran twice and sent two different messages {key.name} to {key.receiver}"
                self._disagrees(run, reason, now)
            return
        if self._run(event.run) is None:  # stopped meanwhile: what it sent may be a part only
            return
        book.message_whole(key, event.run, event.size, event.digest)
        for run in receiver.runs if receiver else ():
            if run.taking == (key, event.run):
                run.taking = None
        self._resume(key, now)

    def _resume(self, key: Key, now: float) -> None:
        receiver = self._book.tasks.get(key.receiver)
        for run in receiver.runs if receiver else ():
            if run.state is RunState.WAITING and run.waits_for == key:
                self._book.message_there(run, now)
                self._look = True

    def _stored(self, event: Stored, now: float) -> None:
        book = self._book
        run = self._run(event.run)
        if run is None:
            return
        there = book.objects.get(event.name)
        if event.name in book.dropped:
            book.out.append(Drop(event.name))
        if there is None:
            book.object_made(run.task.task.name, event.name, event.size, event.digest)
        elif there != event.digest:
            self._disagrees(run, f"it ran twice and stored two different objects {event.name}", now)

    def _disagrees(self, run: Run, reason: str, now: float) -> None:
        if run.task.unfinished:
            self._book.fail(run.task, reason, now)

    def _added(self, event: Added, now: float) -> None:
        book = self._book
        run = self._run(event.run)
        if run is None:
            return
        try:
            book.add(event.tasks, remember=True)
        except JobError as error:
            book.fail(run.task, f"it added tasks that cannot be: {error}", now)
            return
        if run.state is RunState.COMPUTING:  # else it is said again after its connection broke
            book.wait(run, now)
            run.adding = True

    # Workers

    def _connected(self, number: int, now: float) -> None:
        book = self._book
        worker = book.workers.get(number)
        if worker is None:
            worker = book.enter(number, WorkerState.IDLE, now)
        elif worker.state is WorkerState.LAUNCHING:
            book.move(worker, "connected")
        else:  # it is there already: a worker that begins anew has lost what it did
            book.is_lost(worker, "its worker began anew", now)
            worker = book.enter(number, WorkerState.IDLE, now)
        worker.since = now
        self._decider.launched()
        self._watch(now + book.limits.lease_s, worker)

    def _reconnected(self, event: Reconnected, now: float) -> None:
        """A worker comes back to its run: that of this coordinator, or of one before it."""
        book = self._book
        worker, run = book.workers.get(event.worker), book.runs.get(event.run)
        record = book.tasks.get(event.task)
        if worker is not None and worker.run is not None and worker.run is run:
            if worker.state is WorkerState.APART:
                book.move(worker, "back")
        elif record is not None and record.state in (TaskState.READY, TaskState.BLOCKED) and run is None:
            if worker is not None and worker.state is not WorkerState.LAUNCHING:
                book.is_lost(worker, "its worker began anew", now)
                worker = None
            worker = worker or book.enter(event.worker, WorkerState.LAUNCHING, now)
            book.move(worker, "back")
            book.begin(record, worker, now, event.run)
        else:
            if worker is not None:
                book.stop(worker, "what it does is not wanted any more", now)
            else:
                book.out.append(Stop(event.worker, "what it does is not wanted any more"))
            return
        worker.since = now
        for edge in worker.run.task.task.sends if worker.run else ():
            self._retract_halves(worker.run, Key(event.task, edge.task, edge.name), now)
        self._watch(now + book.limits.lease_s, worker)

    def _retract_halves(self, run: Run | None, key: Key, now: float) -> None:
        """A message that was on its way when the connection broke is said again from its start."""
        message = self._book.messages.get(key)
        if run is not None and message is not None and not message.whole and message.run == run.number:
            self._book.retract(run, now)

    def _disconnected(self, event: Disconnected, now: float) -> None:
        book = self._book
        worker = book.workers.get(event.worker)
        if worker is None:
            return
        if worker.state is WorkerState.BUSY and not event.gone and book.limits.reconnect_s:
            book.move(worker, "broken")
            worker.since, worker.broke = now, event.reason
            self._watch(now + book.limits.reconnect_s, worker)
        elif worker.state is not WorkerState.APART or event.gone:
            book.is_lost(worker, event.reason, now)

    def _watch(self, when: float, worker: Worker) -> None:
        worker.watched = when
        heapq.heappush(self._deadlines, (when, worker.number))

    def _time_passed(self, now: float) -> None:
        book, limits = self._book, self._book.limits
        while self._deadlines and self._deadlines[0][0] <= now:
            when, number = heapq.heappop(self._deadlines)
            worker = book.workers.get(number)
            if worker is None or worker.watched != when:
                continue
            if worker.state is WorkerState.LAUNCHING:
                if worker.since + limits.launch_s <= now:
                    book.stop(worker, f"it did not connect within {limits.launch_s:g} s", now)
                    self._decider.launch_failed(f"it did not connect within {limits.launch_s:g} s", 0, now)
            elif worker.state is WorkerState.APART:
                if worker.since + limits.reconnect_s <= now:
                    book.is_lost(worker, worker.broke, now)
                else:
                    self._watch(worker.since + limits.reconnect_s, worker)
            elif limits.lease_s:
                if worker.since + limits.lease_s <= now:
                    book.out.append(Stop(number, f"nothing was heard of it for {limits.lease_s:g} s"))
                    book.is_lost(worker, f"nothing was heard of its worker for {limits.lease_s:g} s", now)
                else:
                    self._watch(worker.since + limits.lease_s, worker)
