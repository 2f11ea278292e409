"""All that a job's coordinator knows, and the elementary changes, each of which keeps it consistent."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from mu.core.agenda import Agenda
from mu.core.instructions import (
    Deliver,
    Drop,
    Ended,
    Failure,
    Forget,
    Instruction,
    MessageWhole,
    ObjectMade,
    Outcome,
    Release,
    Remember,
    Retract,
    Room,
    Stop,
    TaskAdded,
    TaskBegun,
    TaskCommitted,
    TaskFailed,
    TryLost,
)
from mu.core.queues import Queue
from mu.core.records import MessageRecord, Run, TaskRecord, Worker
from mu.core.states import RunState, TaskState, WorkerState
from mu.job import Job, Key, Task

__all__ = ["Book"]

_LOST = (TaskState.FAILED, TaskState.GIVEN_UP)


class Book:
    """Tasks, runs, workers and messages of a job. What is to be done about changes collects in `out`."""

    def __init__(self, job: Job, epoch: int) -> None:
        self.limits = job.limits
        self.agenda = Agenda(job.limits)
        self.runs: dict[int, Run] = {}
        self.workers: dict[int, Worker] = {}
        self.messages: dict[Key, MessageRecord] = {}
        self.failures: list[Failure] = []
        self.outcome: Outcome | None = None
        self.out: list[Instruction] = []
        self.committed = 0
        self.computing = 0
        """How many programs hold a slot."""
        self.adders = 0
        """How many runs under way may add tasks."""
        self.waiting: dict[int, Run] = {}
        """Runs that wait for a message or for room."""
        self._ends: list[tuple[float, int]] = []
        """When a run that computes will have done so for too long, and its number; or did so then."""
        self._resumable: Queue[Run] = Queue(lambda run, _: run.state is RunState.RESUMABLE)
        self._idle: dict[int, Worker] = {}
        self._launching: dict[int, Worker] = {}
        self.last_run = (epoch - 1) * 1_000_000_000
        """The number of the run that was begun last."""

    # Tasks

    def add(self, tasks: Sequence[Task], now: float) -> None:
        """Add tasks. Raises JobError."""
        for record in self.agenda.add(tasks):
            self.out.append(Remember(TaskAdded(record.task)))
            doomed = next((name for name in sorted(record.before) if self.agenda.tasks[name].state in _LOST), None)
            if doomed is not None:
                self.give_up(record, f"{doomed}, which it waits for, was not done", now)

    def commit(self, record: TaskRecord, now: float, cause: str = "finished") -> None:
        """A task is done. What was kept for it alone is not needed any more."""
        task = record.task
        self.agenda.go(record, cause)
        self.committed += 1
        self.out.append(Remember(TaskCommitted(task.name)))
        self._stop_runs(record, "its other run was faster", now)
        for edge in task.receives:
            key = Key(edge.task, task.name, edge.name)
            if self.messages.pop(key, None) is not None:
                self.out.append(Forget(key))
        self.out += [Drop(name) for name in self.agenda.fetched(task)]
        for waiting in self.agenda.after(record):
            self.check_what_waits(waiting, now)

    def check_what_waits(self, waiting: TaskRecord, now: float) -> None:
        """A committed task sends and stores nothing any more: who waits for that waits for ever."""
        if not waiting.unfinished:
            return
        if waiting.missing and (reason := self.agenda.will_not_come(waiting)):
            self.fail(waiting, reason, now)
            return
        for run in waiting.runs:
            key = run.waits_for
            if key is not None and key not in self.messages and not self.agenda.tasks[key.sender].unfinished:
                self.fail(waiting, f"{key.name}, for which it waits, was not sent by {key.sender}", now)
                return

    def fail(self, record: TaskRecord, reason: str, now: float, traceback: str = "") -> None:
        """A task will not be done, nor those that wait for it."""
        self.agenda.go(record, "failed")
        failure = Failure(record.task.name, reason, traceback, tuple(record.tries))
        self.failures.append(failure)
        self.out.append(Remember(TaskFailed(failure)))
        self._stop_runs(record, "its task failed", now)
        doomed = [record]
        while doomed:
            lost = doomed.pop()
            for other in self.agenda.after(lost):
                if other.unfinished:
                    self.give_up(other, f"{lost.task.name}, which it waits for, was not done", now)
                    doomed.append(other)

    def give_up(self, record: TaskRecord, reason: str, now: float) -> None:
        """A task will not be done, for a reason that is not its own."""
        self.agenda.go(record, "given up")
        self._stop_runs(record, reason, now)

    def _stop_runs(self, record: TaskRecord, reason: str, now: float) -> None:
        for run in list(record.runs):
            self.stop(run.worker, reason, now)

    # Messages and objects

    def message_whole(self, key: Key, run: int, size: int, digest: bytes, stored: bool = False) -> None:
        """A message is there."""
        self.messages[key] = MessageRecord(run, True, digest)
        self.out.append(Remember(MessageWhole(key, size, digest, stored)))

    def object_made(self, task: str, name: str, size: int, digest: bytes) -> None:
        """A task stored an object."""
        self.out.append(Remember(ObjectMade(task, name, size, digest)))
        self.agenda.object_there(name, digest)

    def retract(self, sender: Run, now: float) -> None:
        """What comes from this run comes no more, or again from its start: who takes it waits again."""
        for edge in sender.task.task.sends:
            key = Key(sender.task.task.name, edge.task, edge.name)
            message = self.messages.get(key)
            if message is not None and not message.whole and message.run == sender.number:
                message = None
                del self.messages[key]
            receiver = self.agenda.tasks.get(edge.task)
            for run in receiver.runs if receiver else ():
                if run.taking == (key, sender.number):
                    self.out.append(Retract(run.worker.number, run.number, key))
                    run.taking = None
                    run.waits_for = key
                    self._waits_again(run, now)
                elif message is None and run.waits_for == key and run.state is RunState.RESUMABLE:
                    self._waits_again(run, now)

    def _waits_again(self, run: Run, now: float) -> None:
        if run.state is RunState.COMPUTING:
            self.computing -= run.task.task.slot
        run.go("retracted", now)
        self.waiting[run.number] = run
        if run.waits_for in self.messages:
            self.there(run, now)

    # Runs

    def begin(self, record: TaskRecord, worker: Worker, now: float, number: int | None = None) -> Run:
        """A worker runs a task from now on; `number` if it did so before this coordinator was there."""
        if record.state is TaskState.RUNNING:
            self.agenda.go(record, "assigned again")
        else:
            self.agenda.go(record, "assigned" if number is None else "taken over")
        self.agenda.stragglers.discard(record.task.name)
        if number is None:
            self.last_run += 1
            number = self.last_run
        self.out.append(Remember(TaskBegun(record.task.name, worker.number, number)))
        run = Run(number, record, worker, since=now)
        record.runs.append(run)
        worker.run = run
        self.runs[number] = run
        self.computing += record.task.slot
        self.adders += bool(record.task.adds)
        self._computes(run)
        return run

    def _computes(self, run: Run) -> None:
        if self.limits.run_s is not None:
            heapq.heappush(self._ends, (self._end_of(run), run.number))

    @property
    def next_end(self) -> float | None:
        """When the first of the runs that compute will have done so for too long; None if that may be for ever."""
        while self._ends:
            when, number = self._ends[0]
            run = self.runs.get(number)
            if run is not None and run.state is RunState.COMPUTING and when == self._end_of(run):
                return when
            heapq.heappop(self._ends)
        return None

    def overdue(self, now: float) -> Iterator[Run]:
        """The runs that have computed for longer than a run may; each must be over before the next is asked for."""
        while (when := self.next_end) is not None and when <= now:
            yield self.runs[self._ends[0][1]]

    def _end_of(self, run: Run) -> float:
        assert self.limits.run_s is not None
        return run.since + self.limits.run_s - run.computed

    def wait(self, run: Run, key: Key | None, now: float) -> None:
        """A program cannot go on without a message, or without room to add tasks."""
        run.go("waits", now)
        run.waits_for, run.taking = key, None
        self.computing -= run.task.task.slot
        self.waiting[run.number] = run

    def there(self, run: Run, now: float) -> None:
        """What a waiting run waits for is there, or comes."""
        run.go("there", now)
        del self.waiting[run.number]
        self._resumable.push(run, (run.task.index, run.number), slot=run.task.task.slot)

    def resumable(self, *, slot: bool) -> Run | None:
        """The run to resume next; `slot` says whether one is free."""
        return self._resumable.first(slot=slot)

    def goes_on(self, run: Run, now: float) -> None:
        """A run does not wait any more."""
        if run.state is RunState.WAITING:
            self.there(run, now)
        run.go("resumed", now)
        self.computing += run.task.task.slot
        self._computes(run)

    def resume(self, run: Run, now: float) -> None:
        """Give a run what it waits for."""
        self.goes_on(run, now)
        key, run.waits_for = run.waits_for, None
        if key is None:
            self.out.append(Room(run.worker.number, run.number))
            return
        message = self.messages[key]
        run.taking = None if message.whole else (key, message.run)
        self.out.append(Deliver(run.worker.number, run.number, key))

    def end(self, run: Run, now: float) -> None:
        """A run is over, its worker not."""
        if run.state is RunState.COMPUTING:
            self.computing -= run.task.task.slot
        run.go("over", now)
        self.adders -= bool(run.task.task.adds)
        run.task.runs.remove(run)
        self.waiting.pop(run.number, None)
        del self.runs[run.number]
        run.worker.run = None
        self.retract(run, now)

    def lose(self, run: Run, reason: str, now: float, *, counts: bool = True) -> None:
        """A run is over without its task being done: it is begun again, unless that was tried too often."""
        record = run.task
        self.end(run, now)
        if not record.unfinished:
            return
        if counts:
            record.tries.append(reason)
            self.out.append(Remember(TryLost(record.task.name, reason, run.number)))
        if record.runs:
            return
        if len(record.tries) >= self.limits.tries:
            self.fail(record, reason, now)
        else:
            self.agenda.go(record, "run lost")

    # Workers

    def enter(self, number: int, state: WorkerState, now: float) -> Worker:
        """A worker that was not known."""
        worker = self.workers[number] = Worker(number, state, now)
        if state is WorkerState.LAUNCHING:
            self._launching[number] = worker
        elif state is WorkerState.IDLE:
            self._idle[number] = worker
        return worker

    def move(self, worker: Worker, cause: str) -> None:
        """A worker's state changes."""
        self._launching.pop(worker.number, None)
        self._idle.pop(worker.number, None)
        worker.go(cause)
        if worker.state is WorkerState.IDLE:
            self._idle[worker.number] = worker
        elif worker.state is WorkerState.GONE:
            del self.workers[worker.number]

    @property
    def idle(self) -> Worker | None:
        """A worker that has nothing to do."""
        return next(iter(self._idle.values()), None)

    @property
    def idlers(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    @property
    def comes(self) -> Worker | None:
        """The worker that was launched last and is not there yet."""
        return next(reversed(self._launching.values()), None)

    @property
    def launching(self) -> int:
        """How many workers are on their way."""
        return len(self._launching)

    def stop(self, worker: Worker, reason: str, now: float) -> None:
        """End a worker, and what it does for a task that is over."""
        run = worker.run
        self.move(worker, "stopped")
        self.out.append(Stop(worker.number, reason))
        if run is not None:
            self.end(run, now)

    def take_back(self, worker: Worker, reason: str, now: float, *, counts: bool = False) -> None:
        """Stop a worker; if it has a task, that is begun again, and `counts` says whether a try was lost."""
        run = worker.run
        self.move(worker, "stopped")
        self.out.append(Stop(worker.number, reason))
        if run is not None:
            self.lose(run, reason, now, counts=counts)

    def is_lost(self, worker: Worker, reason: str, now: float) -> None:
        """A worker is gone by itself. If that was while there was no coordinator, no try was lost."""
        run = worker.run
        self.move(worker, "lost")
        if run is not None:
            self.lose(run, reason, now, counts=not worker.expected)

    def release(self, worker: Worker) -> None:
        """Let an idle worker go."""
        self.move(worker, "released")
        self.out.append(Release(worker.number))

    # The job

    def finish(self, outcome: Outcome, now: float) -> None:
        """The job is over."""
        self.outcome = outcome
        for record in self.agenda.tasks.values():
            if record.unfinished:
                self.give_up(record, outcome.reason or "the job is over", now)
        for worker in list(self.workers.values()):
            if worker.state is WorkerState.IDLE:
                self.release(worker)
            else:
                self.stop(worker, outcome.reason or "the job is over", now)
        self.out += [Remember(outcome), Ended(outcome)]
