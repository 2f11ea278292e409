"""The tasks of a job and who waits for whom: checked, without circles, and growing while the job runs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mu.errors import JobError
from mu.job import MESSAGES, Edge, Task

__all__ = ["Plan"]


class Plan:
    """The tasks by name. Iterating gives them so that each comes after those it waits for."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self._makers: dict[str, list[str]] = {}
        """Who makes an object, by its name or its beginning."""

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks.values())

    def __len__(self) -> int:
        return len(self.tasks)

    def makers(self, name: str) -> list[str]:
        """The tasks that may make an object; none for one that was there before the job."""
        return _makers(name, self._makers)

    def before(self, task: Task) -> frozenset[str]:
        """The tasks that a task waits for."""
        return frozenset({edge.task for edge in task.receives}.union(*(self.makers(name) for name in task.fetches)))

    def add(self, tasks: Sequence[Task]) -> list[Task]:
        """Add tasks; returns those that are new, in order. One that is there already, and equal, changes nothing.

        A message may go to a task that is added later; what a task waits for has to be there, or come with it.
        Raises JobError (and adds nothing) for a circle, for two different tasks of a name, for edges whose ends do
        not agree, for an edge from a task that is not there, for objects that are called as messages are.
        """
        new: dict[str, Task] = {}
        for task in tasks:
            if (there := self.tasks.get(task.name, new.get(task.name))) is None:
                new[task.name] = task
            elif there != task:
                raise JobError(f"two different tasks are called {task.name}")
        for task in new.values():
            self._check_edges(task, new)
        makers: dict[str, list[str]] = defaultdict(list)
        for task in new.values():
            for name in task.stores:
                makers[name].append(task.name)
        waits_for: dict[str, set[str]] = {}
        for task in new.values():
            inside = {edge.task for edge in task.receives} & new.keys()
            for name in task.fetches:
                inside.update(_makers(name, makers))
            waits_for[task.name] = inside
        ordered = _in_order(list(new.values()), waits_for)
        self.tasks.update((task.name, task) for task in ordered)
        for name, who in makers.items():
            self._makers.setdefault(name, []).extend(who)
        return ordered

    def _check_edges(self, task: Task, new: dict[str, Task]) -> None:
        for name in (*task.fetches, *task.stores):
            if name.partition("/")[0] == MESSAGES:
                raise JobError(f"{task.name} deals with {name}: objects of {MESSAGES}/ are messages; call it otherwise")
        if len(set(task.sends)) < len(task.sends) or len(set(task.receives)) < len(task.receives):
            raise JobError(f"{task.name} has the same edge twice")
        for edge in task.receives:
            sender = new.get(edge.task) or self.tasks.get(edge.task)
            if sender is None:
                raise JobError(f"{task.name} receives {edge.name} from {edge.task}, which is no task of the job")
            if Edge(task.name, edge.name) not in sender.sends:
                raise JobError(f"{task.name} receives {edge.name} from {edge.task}, which does not send it")
        for edge in task.sends:
            receiver = new.get(edge.task) or self.tasks.get(edge.task)
            if receiver is not None and Edge(task.name, edge.name) not in receiver.receives:
                raise JobError(f"{task.name} sends {edge.name} to {edge.task}, which does not receive it")


def _makers(name: str, makers: Mapping[str, list[str]]) -> list[str]:
    """Who makes an object, or all objects that begin like it."""
    found = list(makers.get(name, ()))
    at = name.find("/")
    while at >= 0:
        found += makers.get(name[: at + 1], ())
        at = name.find("/", at + 1)
    return found


def _in_order(tasks: Sequence[Task], waits_for: dict[str, set[str]]) -> list[Task]:
    """Each after those it waits for, else as given."""
    after: dict[str, list[int]] = defaultdict(list)
    left = []
    for number, task in enumerate(tasks):
        left.append(len(waits_for[task.name]))
        for other in waits_for[task.name]:
            after[other].append(number)
    ready = [number for number, count in enumerate(left) if not count]
    ordered = []
    while ready:
        task = tasks[heapq.heappop(ready)]
        ordered.append(task)
        for number in after[task.name]:
            left[number] -= 1
            if not left[number]:
                heapq.heappush(ready, number)
    if len(ordered) < len(tasks):
        circle = sorted(task.name for task, count in zip(tasks, left, strict=True) if count)
        raise JobError(f"tasks wait for each other in a circle: {', '.join(circle[:5])}")
    return ordered
