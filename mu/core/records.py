"""What the coordinator knows of each task, run, worker and message."""

from __future__ import annotations

from dataclasses import dataclass, field

from mu.core.states import RUNS, TASKS, WORKERS, RunState, TaskState, WorkerState, follow
from mu.job import Key, Task

__all__ = ["MessageRecord", "Run", "TaskRecord", "Worker"]


_UNFINISHED = frozenset({TaskState.BLOCKED, TaskState.READY, TaskState.RUNNING})


@dataclass(slots=True, eq=False)
class TaskRecord:
    """A task and what became of it."""

    task: Task
    index: int
    """Its place in the job's order."""
    before: frozenset[str]
    """The tasks that it waits for."""
    state: TaskState = TaskState.READY
    level: int = 0
    """How many tasks are in the longest row of those that wait for it, one for the other."""
    missing: set[str] = field(default_factory=set)
    """The objects that it fetches and that are not there yet."""
    runs: list[Run] = field(default_factory=list)
    """Those under way."""
    tries: list[str] = field(default_factory=list)
    """Why its lost runs were lost."""

    @property
    def unfinished(self) -> bool:
        """Whether it may still be done."""
        return self.state in _UNFINISHED

    def go(self, cause: str) -> None:
        """Follow the table."""
        self.state = follow(TASKS, self.state, cause)


@dataclass(slots=True, eq=False)
class Run:
    """A run of a task on a worker."""

    number: int
    task: TaskRecord
    worker: Worker
    state: RunState = RunState.COMPUTING
    since: float = 0.0
    """When it began to compute last."""
    computed: float = 0.0
    """For how long it computed before that."""
    waits_for: Key | None = None
    taking: tuple[Key, int] | None = None
    """The message that is delivered to it as it comes, and the run from which it comes."""

    def go(self, cause: str, now: float) -> None:
        """Follow the table, and keep account of the time."""
        before, self.state = self.state, follow(RUNS, self.state, cause)
        if before is RunState.COMPUTING:
            self.computed += now - self.since
        if self.state is RunState.COMPUTING:
            self.since = now

    def spent(self, now: float) -> float:
        """Seconds that it computed, waiting left out."""
        return self.computed + (now - self.since if self.state is RunState.COMPUTING else 0.0)


@dataclass(slots=True, eq=False)
class Worker:
    """A process or an environment that can run tasks."""

    number: int
    state: WorkerState
    since: float
    """When it was launched, heard of last, or its connection broke."""
    run: Run | None = None
    watched: float | None = None
    """When to look after it; None if nobody minds."""
    broke: str = ""
    """How its connection broke."""
    expected: bool = False
    """Whether a coordinator before this gave it its task, and it has not come back yet."""

    def go(self, cause: str) -> None:
        """Follow the table."""
        self.state = follow(WORKERS, self.state, cause)


@dataclass(slots=True)
class MessageRecord:
    """A message that is there, or comes."""

    run: int
    """From which run it comes."""
    whole: bool = False
    digest: bytes = b""
