"""What happened in a job, for those who look: a fold over what its coordinator hears and wants.

It is a row of facts, each a kind, a time in milliseconds since the job began, and what it is about; they are only ever
appended to, so whoever watches asks for those after the last one it has. And it is the sums of them.

    launch worker                         come worker               broke worker why       gone worker why
    assign worker run task                at run stage              wait run sender name   go run
    span run stage ended: it was at that from the fact's time on
    sent run receiver name bytes          stored run name bytes     over run how why       ended kind why
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from mu.core.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Finished,
    LaunchFailed,
    Raised,
    Reconnected,
    Stored,
    Waits,
)
from mu.core.instructions import (
    Assign,
    Deliver,
    Ended,
    Entry,
    Failure,
    Instruction,
    Launch,
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
from mu.job import Job
from mu.wire import Progressed

__all__ = ["Counts", "Fact", "Record", "StageCount"]

Fact = tuple[str | int, ...]

_LONGEST = 300
"""Characters of a reason in a fact."""
_MOST_STAGES, _MORE = 100, "more"
"""Stages that are told apart, and what all others are called together."""


class StageCount(msgspec.Struct):
    """What went through a stage."""

    done: float = 0.0
    total: float | None = None
    cpu_s: float = 0.0


class Counts(msgspec.Struct, frozen=True):
    """Where a job stands."""

    elapsed_s: float
    tasks: int
    committed: int
    failed: int
    running: int
    workers: dict[str, int]
    """How many are starting, idle, working, waiting; and how many runs were lost."""
    worker_s: float
    """Seconds that workers were there, all together: what they cost."""
    messages: int
    message_bytes: int
    objects: int
    object_bytes: int
    stages: dict[str, StageCount]
    failures: tuple[Failure, ...] = ()
    outcome: str = ""
    """done, failed or cancelled, once the job is over."""
    stored_messages: int = 0
    """Of the messages, those that went by way of the store,"""
    stored_bytes: int = 0
    """and of their bytes."""


@dataclass(slots=True)
class _Run:
    worker: int
    task: str
    began: float
    waits: bool = False
    stage: str = ""
    """What it is at, as far as it has told."""
    done: dict[str, float] = field(default_factory=dict)
    """By stage; what a run did that was lost is done again."""


@dataclass(slots=True)
class Record:
    """Facts of a job. Give it what the coordinator is told and what it answers."""

    job: Job
    began: float
    """When the job began, on the clock of the coordinator; seconds."""
    facts: list[Fact] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    outcome: str = ""
    before: int = 0
    """Tasks that were done when this coordinator took the job up."""
    _ended: float = 0.0
    _tasks: int = 0
    _committed: int = 0
    _lost: int = 0
    _messages: int = 0
    _message_bytes: int = 0
    _stored_messages: int = 0
    _stored_bytes: int = 0
    _objects: int = 0
    _object_bytes: int = 0
    _stages: dict[str, StageCount] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _launching: set[int] = field(default_factory=set)
    _came: dict[int, float] = field(default_factory=dict)
    """When each worker that is there came."""
    _broken: set[int] = field(default_factory=set)
    _worker_s: float = 0.0
    _runs: dict[int, _Run] = field(default_factory=dict)
    _by_worker: dict[int, int] = field(default_factory=dict)
    _waiting: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._tasks = len(self.job.tasks)

    def restored(self, entries: Iterable[Entry], now: float) -> None:
        """Take down what an earlier coordinator of the job left in its ledger."""
        for entry in entries:
            self._remember(entry, now)
        self.before = self._committed

    def note(self, event: Event, instructions: list[Instruction], now: float) -> None:
        """Take down an event and what the coordinator made of it."""
        with self._lock:
            self._note(event, instructions, now)

    def _note(self, event: Event, instructions: list[Instruction], now: float) -> None:
        self._hear(event, now)
        if isinstance(event, Reconnected) and event.run not in self._runs and not _stops(event.worker, instructions):
            self._assign(event.worker, event.run, event.task, now)  # it was taken over
        for instruction in instructions:
            self._see(instruction, now)

    def progressed(self, number: int, progressed: Progressed, now: float) -> None:
        """Take down what a run tells of itself."""
        with self._lock:
            self._progressed(number, progressed, now)

    def _progressed(self, number: int, progressed: Progressed, now: float) -> None:
        run = self._runs.get(number)
        for span in progressed.spans if run is not None else ():
            if span.stage != "wait":  # which is known from when it waits and goes on
                assert run is not None
                end = self._ms(min(now, run.began + span.ended))
                self.facts.append(("span", self._ms(run.began + span.began), number, self._named(span.stage), end))
        if not progressed.done and not progressed.cpu_s:
            return  # it only brings spans, such as those of waiting
        stage = self._named(progressed.stage)
        count = self._stages.setdefault(stage, StageCount())
        count.cpu_s += progressed.cpu_s
        if progressed.total is not None:
            count.total = progressed.total
        if run is not None:
            count.done += progressed.done
            run.done[stage] = run.done.get(stage, 0.0) + progressed.done
            if run.stage != stage:
                run.stage = stage
                self._add("at", now, number, stage)

    def _named(self, stage: str) -> str:
        """What a stage is called here: programs may give any names to any number of them."""
        if stage not in self._names and len(self._names) >= _MOST_STAGES:
            return _MORE
        self._names.add(stage)
        return stage

    def counts(self, now: float) -> Counts:
        """Where the job stands. Another thread may ask."""
        with self._lock:
            return self._counts(now)

    def _counts(self, now: float) -> Counts:
        now = self._ended if self.outcome else now
        workers = Counter(starting=len(self._launching), lost=self._lost, waiting=self._waiting)
        workers["working"] = len(self._runs) - self._waiting
        workers["idle"] = len(self._came) - len(self._by_worker)
        return Counts(
            elapsed_s=now - self.began,
            tasks=self._tasks,
            committed=self._committed,
            failed=len(self.failures),
            running=len({run.task for run in self._runs.values()}),
            workers=dict(workers),
            worker_s=self._worker_s + sum(now - came for came in self._came.values()),
            messages=self._messages,
            message_bytes=self._message_bytes,
            objects=self._objects,
            object_bytes=self._object_bytes,
            stages={stage: msgspec.structs.replace(count) for stage, count in self._stages.items()},
            failures=tuple(self.failures),
            outcome=self.outcome,
            stored_messages=self._stored_messages,
            stored_bytes=self._stored_bytes,
        )

    def _ms(self, now: float) -> int:
        return max(0, round((now - self.began) * 1000))

    def _add(self, kind: str, now: float, *about: str | int) -> None:
        self.facts.append((kind, self._ms(now), *about))

    def _hear(self, event: Event, now: float) -> None:
        match event:
            case Connected(worker):
                self._launching.discard(worker)
                if worker in self._by_worker:  # it began anew
                    self._over(self._by_worker[worker], "lost", "its worker began anew", now)
                self._come(worker, now)
            case Reconnected(worker):
                self._come(worker, now)
            case Disconnected(worker, reason):
                self._broken.add(worker)
                self._add("broke", now, worker, reason[:_LONGEST])
                if worker not in self._by_worker:
                    self._gone(worker, reason, now)
            case LaunchFailed(worker, reason):
                self._gone(worker, reason, now)
            case Waits(number, key):
                if (run := self._runs.get(number)) is not None and not run.waits:
                    run.waits, run.stage = True, ""
                    self._waiting += 1
                    self._add("wait", now, number, key.sender, key.name)
            case Arrived(number, key, size):
                self._messages += 1
                self._message_bytes += size
                self._stored_messages += event.stored
                self._stored_bytes += size if event.stored else 0
                self._add("sent", now, number, key.receiver, key.name, size)
            case Stored(number, name, size):
                self._objects += 1
                self._object_bytes += size
                self._add("stored", now, number, name, size)
            case Finished(number):
                self._over(number, "done", "", now)
            case Raised(number, reason):
                self._over(number, "raised", reason, now)
            case _:
                pass

    def _see(self, instruction: Instruction, now: float) -> None:
        match instruction:
            case Launch(worker):
                self._launching.add(worker)
                self._add("launch", now, worker)
            case Assign(worker, number, task):
                self._assign(worker, number, task.name, now)
            case Deliver(_, number) | Room(_, number):
                if (run := self._runs.get(number)) is not None and run.waits:
                    run.waits = False
                    self._waiting -= 1
                    self._add("go", now, number)
            case Retract(_, number, key):
                if (run := self._runs.get(number)) is not None and not run.waits:
                    run.waits = True
                    self._waiting += 1
                    self._add("wait", now, number, key.sender, key.name)
            case Stop(worker, reason):
                self._gone(worker, reason, now)
            case Release(worker):
                self._gone(worker, "", now)
            case Remember(entry):
                self._remember(entry, now)
            case Ended(outcome):
                self.outcome, self._ended = outcome.kind, now
                for worker in [*self._came, *self._launching]:
                    self._gone(worker, "the job is over", now)
                self._add("ended", now, outcome.kind, outcome.reason[:_LONGEST])
            case _:
                pass

    def _remember(self, entry: object, now: float) -> None:
        match entry:
            case TaskAdded():
                self._tasks += 1
            case TaskCommitted():
                self._committed += 1
            case TaskFailed(failure):
                self.failures.append(failure)
            case TryLost(task, reason):
                self._lost += 1
                for worker in [run.worker for run in self._runs.values() if run.task == task]:
                    if worker in self._broken:
                        self._gone(worker, reason, now)
            case _:
                pass

    def _assign(self, worker: int, number: int, task: str, now: float) -> None:
        self._runs[number] = _Run(worker, task, now)
        self._by_worker[worker] = number
        self._add("assign", now, worker, number, task)

    def _come(self, worker: int, now: float) -> None:
        self._broken.discard(worker)
        self._launching.discard(worker)
        self._came.setdefault(worker, now)
        self._add("come", now, worker)

    def _gone(self, worker: int, reason: str, now: float) -> None:
        if (number := self._by_worker.get(worker)) is not None:
            self._over(number, "lost" if worker in self._broken else "stopped", reason, now)
        self._launching.discard(worker)
        self._broken.discard(worker)
        if (came := self._came.pop(worker, None)) is not None:
            self._worker_s += now - came
        self._add("gone", now, worker, reason[:_LONGEST])

    def _over(self, number: int, how: str, reason: str, now: float) -> None:
        run = self._runs.pop(number, None)
        if run is None:
            return
        self._waiting -= run.waits
        if how != "done":
            for stage, done in run.done.items():
                self._stages[stage].done -= done
        if self._by_worker.get(run.worker) == number:
            del self._by_worker[run.worker]
        self._add("over", now, number, how, reason[:_LONGEST])


def _stops(worker: int, instructions: list[Instruction]) -> bool:
    return any(isinstance(instruction, Stop) and instruction.worker == worker for instruction in instructions)
