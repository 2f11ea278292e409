"""What there is to do: the tasks of a job, what each still lacks, and which goes first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mu.core.plan import Plan
from mu.core.queues import Queue, Rank
from mu.core.records import TaskRecord
from mu.core.states import TaskState
from mu.errors import JobError
from mu.job import Limits, Task

__all__ = ["Agenda"]


class Agenda:
    """Tasks by name, with their states and the objects that they make and fetch."""

    def __init__(self, limits: Limits) -> None:
        self.tasks: dict[str, TaskRecord] = {}
        self.objects: dict[str, bytes] = {}
        """Digests of those that the job made."""
        self.dropped: set[str] = set()
        """Those that are gone, since all that fetched them have committed."""
        self.unfinished = 0
        self.counted = 0
        """How many unfinished tasks count for those who add more."""
        self.blocked = self.ready_for_slots = self.ready_without = 0
        """How many tasks wait for objects; for a worker and a slot; for a worker alone."""
        self.stragglers: set[str] = set()
        """Tasks that are to be begun a second time."""
        self._limits = limits
        self._plan = Plan()
        self._ready: Queue[TaskRecord] = Queue(
            lambda record, rank: record.state is TaskState.READY and rank == self.rank(record)
        )
        self._lack: dict[str, list[TaskRecord]] = defaultdict(list)
        """Which tasks lack an object."""
        self._fetchers: dict[str, int] = defaultdict(int)
        """How many tasks that are not committed fetch an object."""
        self._after: dict[str, list[TaskRecord]] = defaultdict(list)
        """Which tasks wait for a task."""

    def add(self, tasks: Sequence[Task]) -> list[TaskRecord]:
        """Add tasks; returns those that are new. Raises JobError, and adds nothing then."""
        for task in tasks:
            gone = self.dropped.intersection(task.fetches)
            if gone and task.name not in self.tasks:
                raise JobError(f"{task.name} fetches {min(gone)}, which is temporary and was dropped")
        records = []
        for task in self._plan.add(tasks):
            record = TaskRecord(task, len(self.tasks), self._plan.before(task))
            self.tasks[task.name] = record
            records.append(record)
            for name in task.fetches:
                self._fetchers[name] += 1
                if name not in self.objects and self._plan.makers(name):
                    record.missing.add(name)
                    self._lack[name].append(record)
            for other in record.before:
                self._after[other].append(record)
        for record in reversed(records):
            self._raise_levels(record, records[0].index)
        for record in records:
            if record.missing:
                record.state = TaskState.BLOCKED
            self._count(record, 1)
        return records

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

    def rank(self, record: TaskRecord) -> Rank:
        """Whoever is waited for goes before those who wait."""
        return (-record.level if self._limits.order == "blocking" else 0, record.index)

    def go(self, record: TaskRecord, cause: str) -> None:
        """Follow the table, and keep count."""
        self._count(record, -1)
        record.go(cause)
        self._count(record, 1)
        if not record.unfinished:
            self.stragglers.discard(record.task.name)

    def _count(self, record: TaskRecord, one: int) -> None:
        if not record.unfinished:
            return
        self.unfinished += one
        if not record.task.adds:
            self.counted += one
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
        self._ready.push(record, self.rank(record), slot=record.task.slot)

    @property
    def ready(self) -> int:
        """How many tasks wait for nothing but a worker and perhaps a slot."""
        return self.ready_for_slots + self.ready_without

    def next(self, *, slot: bool) -> TaskRecord | None:
        """The task to begin next, or to begin a second time; `slot` says whether one is free."""
        if (record := self._ready.first(slot=slot)) is not None:
            return record
        slow = (self.tasks[name] for name in self.stragglers)
        return min((record for record in slow if slot or not record.task.slot), key=self.rank, default=None)

    def after(self, record: TaskRecord) -> list[TaskRecord]:
        """The tasks that wait for one."""
        return self._after.get(record.task.name, [])

    def object_there(self, name: str, digest: bytes) -> None:
        """An object is in the store."""
        self.objects[name] = digest
        for record in self._lack.pop(name, ()):
            record.missing.discard(name)
            if record.state is TaskState.BLOCKED and not record.missing:
                self.go(record, "objects there")

    def fetched(self, task: Task) -> list[str]:
        """A task is done and fetches nothing any more; returns the temporary objects that are not needed now."""
        gone = []
        for name in task.fetches:
            self._fetchers[name] -= 1
            if not self._fetchers[name] and name in self.objects and name.startswith(self._limits.temporary):
                self.dropped.add(name)
                gone.append(name)
        return gone

    def will_not_come(self, record: TaskRecord) -> str | None:
        """Why an object that a task lacks will not be there: those that may make it are done and have not."""
        for name in sorted(record.missing):
            makers = self._plan.makers(name)
            if not any(self.tasks[maker].unfinished for maker in makers):
                return f"{name}, which it fetches, was not stored by {', '.join(makers)}"
        return None
