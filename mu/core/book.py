"""All that a job's coordinator knows, and the elementary changes, each of which keeps it consistent."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

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
    TaskCommitted,
    TaskFailed,
    TryLost,
)
from mu.core.plan import Plan
from mu.core.records import MessageRecord, Run, TaskRecord, Worker
from mu.core.states import RunState, TaskState, WorkerState
from mu.errors import JobError
from mu.job import Job, Key, Task

__all__ = ["Book"]

_LOST = (TaskState.FAILED, TaskState.GIVEN_UP)


class Book:
    """Tasks, runs, workers, messages and objects of a job. What is to be done about changes collects in `out`."""

    def __init__(self, job: Job, epoch: int) -> None:
        self.limits = job.limits
        self.plan = Plan()
        self.tasks: dict[str, TaskRecord] = {}
        self.runs: dict[int, Run] = {}
        self.workers: dict[int, Worker] = {}
        self.messages: dict[Key, MessageRecord] = {}
        self.objects: dict[str, bytes] = {}
        """Digests of those that the job made."""
        self.dropped: set[str] = set()
        """Those that are gone, since all that fetched them have committed."""
        self.failures: list[Failure] = []
        self.outcome: Outcome | None = None
        self.out: list[Instruction] = []
        self.unfinished = 0
        self.counted = 0
        """How many unfinished tasks count for those who add more."""
        self.committed = 0
        self.blocked = self.ready_for_slots = self.ready_without = 0
        """How many tasks wait for objects; for a worker and a slot; for a worker alone."""
        self.stragglers: set[str] = set()
        """Tasks that are to be begun a second time."""
        self.computing = 0
        """How many programs hold a slot."""
        self.adders = 0
        """How many runs under way may add tasks."""
        self.waiting: dict[int, Run] = {}
        """Runs that wait for a message or for room."""
        self._ready: list[tuple[int, int, str]] = []
        self._resumable: list[tuple[int, int]] = []
        self._idle: dict[int, Worker] = {}
        self._launching: dict[int, Worker] = {}
        self._blocks: dict[str, set[str]] = defaultdict(set)
        """Which tasks lack an object."""
        self._fetchers: dict[str, int] = defaultdict(int)
        """How many unfinished tasks fetch an object."""
        self._after: dict[str, list[str]] = defaultdict(list)
        """Which tasks wait for a task."""
        self._last_run = (epoch - 1) * 1_000_000_000

    # Tasks

    def add(self, tasks: Sequence[Task], *, remember: bool) -> None:
        """Add tasks. Raises JobError."""
        for task in tasks:
            gone = self.dropped.intersection(task.fetches)
            if gone and task.name not in self.tasks:
                raise JobError(f"{task.name} fetches {min(gone)}, which is temporary and was dropped")
        records = []
        for task in self.plan.add(tasks):
            record = TaskRecord(task, len(self.tasks), self.plan.before(task), counted=not task.adds)
            self.tasks[task.name] = record
            records.append(record)
            self.unfinished += 1
            self.counted += record.counted
            for name in task.fetches:
                self._fetchers[name] += 1
                if name not in self.objects and self.plan.makers(name):
                    record.missing.add(name)
                    self._blocks[name].add(task.name)
            for other in record.before:
                self._after[other].append(task.name)
            if remember:
                self.out.append(Remember(TaskAdded(task)))
        for record in reversed(records):
            self._raise_levels(record, records[0].index)
        for record in records:
            if record.missing:
                record.state = TaskState.BLOCKED
            self._count(record, 1)
            doomed = next((other for other in record.before if self.tasks[other].state in _LOST), None)
            if doomed is not None:
                self.give_up(record, f"{doomed}, which it waits for, was not done", 0.0)

    def _raise_levels(self, record: TaskRecord, first: int) -> None:
        """Those it waits for are waited for by one more."""
        raised = [record]
        while raised:
            later = raised.pop()
            for name in later.before:
                earlier = self.tasks[name]
                if earlier.level <= later.level and earlier.unfinished:
                    earlier.level = later.level + 1
                    if earlier.index < first:  # those that are new are all looked at, each after who waits for it
                        raised.append(earlier)
                        if earlier.state is TaskState.READY:
                            self._is_ready(earlier)

    def rank(self, record: TaskRecord) -> tuple[int, int]:
        """Smaller goes first. Whoever is waited for ranks before those who wait."""
        return (-record.level if self.limits.order == "blocking" else 0, record.index)

    def _go(self, record: TaskRecord, cause: str) -> None:
        """Follow the table, and keep count."""
        self._count(record, -1)
        record.go(cause)
        self._count(record, 1)

    def _count(self, record: TaskRecord, one: int) -> None:
        if record.state is TaskState.READY:
            if one > 0:
                self._is_ready(record)
            if record.task.slot:
                self.ready_for_slots += one
            else:
                self.ready_without += one
        elif record.state is TaskState.BLOCKED:
            self.blocked += one

    def _is_ready(self, record: TaskRecord) -> None:
        heapq.heappush(self._ready, (*self.rank(record), record.task.name))

    def ready(self) -> TaskRecord | None:
        """The task to start next."""
        while self._ready:
            level, index, name = self._ready[0]
            record = self.tasks[name]
            if record.state is TaskState.READY and (level, index) == self.rank(record):
                return record
            heapq.heappop(self._ready)
        return None

    def straggler(self) -> TaskRecord | None:
        """The task to begin a second time."""
        slow = (self.tasks[name] for name in self.stragglers)
        return min(slow, key=self.rank, default=None)

    def object_there(self, name: str, digest: bytes) -> None:
        """An object is in the store."""
        self.objects[name] = digest
        for blocked in self._blocks.pop(name, ()):
            record = self.tasks[blocked]
            record.missing.discard(name)
            if record.state is TaskState.BLOCKED and not record.missing:
                self._go(record, "objects there")

    def commit(self, record: TaskRecord, now: float, cause: str = "finished") -> None:
        """A task is done. What was kept for it alone is not needed any more."""
        self._go(record, cause)
        self.committed += 1
        self.out.append(Remember(TaskCommitted(record.task.name)))
        self._is_over(record, "its other run was faster", now)
        for edge in record.task.receives:
            key = Key(edge.task, record.task.name, edge.name)
            if self.messages.pop(key, None) is not None:
                self.out.append(Forget(key))
        for name in record.task.fetches:
            self._fetchers[name] -= 1
            if not self._fetchers[name] and name in self.objects and name.startswith(self.limits.temporary):
                self.dropped.add(name)
                self.out.append(Drop(name))
        for name in self._after[record.task.name]:
            self.check_what_waits(self.tasks[name], now)

    def check_what_waits(self, waiting: TaskRecord, now: float) -> None:
        """A committed task sends and stores nothing any more: who waits for that waits for ever."""
        if not waiting.unfinished:
            return
        for name in sorted(waiting.missing):
            makers = self.plan.makers(name)
            if not any(self.tasks[maker].unfinished for maker in makers):
                self.fail(waiting, f"{name}, which it fetches, was not stored by {', '.join(makers)}", now)
                return
        for run in waiting.runs:
            key = run.waits_for
            if key is not None and key not in self.messages and not self.tasks[key.sender].unfinished:
                self.fail(waiting, f"{key.name}, for which it waits, was not sent by {key.sender}", now)
                return

    def fail(self, record: TaskRecord, reason: str, now: float, traceback: str = "") -> None:
        """A task will not be done, nor those that wait for it."""
        self._go(record, "failed")
        failure = Failure(record.task.name, reason, traceback, tuple(record.tries))
        self.failures.append(failure)
        self.out.append(Remember(TaskFailed(failure)))
        self._is_over(record, "its task failed", now)
        doomed = [record]
        while doomed:
            lost = doomed.pop().task.name
            for name in self._after[lost]:
                other = self.tasks[name]
                if other.unfinished:
                    self.give_up(other, f"{lost}, which it waits for, was not done", now)
                    doomed.append(other)

    def give_up(self, record: TaskRecord, reason: str, now: float) -> None:
        """A task will not be done, for a reason that is not its own."""
        self._go(record, "given up")
        self._is_over(record, reason, now)

    def _is_over(self, record: TaskRecord, reason: str, now: float) -> None:
        self.unfinished -= 1
        self.counted -= record.counted
        self.stragglers.discard(record.task.name)
        for run in list(record.runs):
            self.stop(run.worker, reason, now)

    # Runs

    def begin(self, record: TaskRecord, worker: Worker, now: float, number: int | None = None) -> Run:
        """A worker runs a task from now on; `number` if it did so before this coordinator was there."""
        if record.state is TaskState.RUNNING:
            self._go(record, "assigned again")
        else:
            self._go(record, "assigned" if number is None else "taken over")
        self.stragglers.discard(record.task.name)
        if number is None:
            self._last_run += 1
            number = self._last_run
        run = Run(number, record, worker, now, since=now)
        record.runs.append(run)
        worker.run = run
        self.runs[number] = run
        self.computing += record.task.slot
        self.adders += bool(record.task.adds)
        return run

    def wait(self, run: Run, now: float) -> None:
        """A program cannot go on."""
        run.go("waits", now)
        self.computing -= run.task.task.slot
        self.waiting[run.number] = run

    def message_there(self, run: Run, now: float) -> None:
        """What a waiting run waits for is there, or comes."""
        run.go("message there", now)
        del self.waiting[run.number]
        heapq.heappush(self._resumable, (run.task.index, run.number))

    def resumable(self) -> Run | None:
        """The run to resume next."""
        while self._resumable:
            run = self.runs.get(self._resumable[0][1])
            if run is not None and run.state is RunState.RESUMABLE:
                return run
            heapq.heappop(self._resumable)
        return None

    def deliver(self, run: Run, now: float) -> None:
        """Give a run what it waits for."""
        heapq.heappop(self._resumable)
        key = run.waits_for
        assert key is not None
        message = self.messages[key]
        run.go("delivered", now)
        run.waits_for = None
        run.taking = None if message.whole else (key, message.run)
        self.computing += run.task.task.slot
        self.out.append(Deliver(run.worker.number, run.number, key))

    def go_on_adding(self, run: Run, now: float) -> None:
        """There is room for more tasks."""
        run.go("delivered", now)
        run.adding = False
        del self.waiting[run.number]
        self.computing += run.task.task.slot
        self.out.append(Room(run.worker.number, run.number))

    def retract(self, lost: Run, now: float) -> None:
        """What comes from a lost run comes no more: who takes it waits again."""
        for edge in lost.task.task.sends:
            key = Key(lost.task.task.name, edge.task, edge.name)
            message = self.messages.get(key)
            if message is not None and not message.whole and message.run == lost.number:
                del self.messages[key]
            receiver = self.tasks.get(edge.task)
            for run in receiver.runs if receiver else ():
                if run.taking == (key, lost.number):
                    self.out.append(Retract(run.worker.number, run.number, key))
                    run.taking = None
                    run.go("retracted", now)
                    run.waits_for = key
                    self.computing -= run.task.task.slot
                    self.waiting[run.number] = run
                    if key in self.messages:
                        self.message_there(run, now)

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
            self.out.append(Remember(TryLost(record.task.name, reason)))
        if record.runs:
            return
        if len(record.tries) >= self.limits.tries:
            self.fail(record, reason, now)
        else:
            self._go(record, "run lost")

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
    def launching(self) -> int:
        """How many workers are on their way."""
        return len(self._launching)

    @property
    def idlers(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    def stop(self, worker: Worker, reason: str, now: float) -> None:
        """End a worker and what it does."""
        run = worker.run
        self.move(worker, "stopped")
        self.out.append(Stop(worker.number, reason))
        if run is not None:
            self.end(run, now)

    def is_lost(self, worker: Worker, reason: str, now: float) -> None:
        """A worker is gone by itself."""
        run = worker.run
        self.move(worker, "lost")
        if run is not None:
            self.lose(run, reason, now)

    def take_back(self, run: Run, reason: str, now: float) -> None:
        """Stop a run that did nothing wrong; its task is begun again."""
        worker = run.worker
        self.move(worker, "stopped")
        self.out.append(Stop(worker.number, reason))
        self.lose(run, reason, now, counts=False)

    def release(self, worker: Worker) -> None:
        """Let an idle worker go."""
        self.move(worker, "released")
        self.out.append(Release(worker.number))

    # The job

    def finish(self, outcome: Outcome, now: float) -> None:
        """The job is over."""
        self.outcome = outcome
        for record in self.tasks.values():
            if record.unfinished:
                self.give_up(record, outcome.reason or "the job is over", now)
        for worker in list(self.workers.values()):
            if worker.state is WorkerState.IDLE:
                self.release(worker)
            else:
                self.stop(worker, outcome.reason or "the job is over", now)
        self.out += [Remember(outcome), Ended(outcome)]

    def message_whole(self, key: Key, run: int, size: int, digest: bytes) -> None:
        """A message is there."""
        self.messages[key] = MessageRecord(run, True, digest)
        self.out.append(Remember(MessageWhole(key, size, digest)))

    def object_made(self, task: str, name: str, size: int, digest: bytes) -> None:
        """A task stored an object."""
        self.out.append(Remember(ObjectMade(task, name, size, digest)))
        self.object_there(name, digest)
