"""Random jobs for the coordinator's mind."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from mu.job import Edge, Job, Key, Limits, Task
from tests.mu.sims import Step, Steps

__all__ = ["depends_on", "insert", "random_job", "random_limits"]


def random_job(rng: random.Random, limits: Limits, *, adds: float = 0.5) -> tuple[Job, dict[str, Steps]]:
    """Tasks with messages and objects, sometimes one that adds the others; and what their programs do."""
    count = rng.randint(1, 14)
    names = [f"t{number:02}" for number in range(count)]
    sends: dict[str, list[Edge]] = {name: [] for name in names}
    receives: dict[str, list[Edge]] = {name: [] for name in names}
    fetches: dict[str, list[str]] = {name: [] for name in names}
    for number, name in enumerate(names):
        for other in rng.sample(names[:number], min(number, rng.choice([0, 1, 1, 2]))):
            if rng.random() < 0.7:
                sends[other].append(Edge(name, "m"))
                receives[name].append(Edge(other, "m"))
            else:
                fetches[name].append(f"made/{other}/0")
    steps: dict[str, Steps] = {}
    tasks = []
    for name in names:
        own: Steps = [("send", Key(name, edge.task, edge.name)) for edge in sends[name]]
        own += [("receive", Key(edge.task, name, edge.name)) for edge in receives[name]]
        own.append(("store", f"made/{name}/0"))
        rng.shuffle(own)
        for step in [step for step in own if step[0] == "send" and rng.random() < 0.5]:
            own.insert(own.index(step), ("begin", step[1]))
        steps[name] = own
        stores = f"made/{name}/" if rng.random() < 0.3 else f"made/{name}/0"
        tasks.append(
            Task(
                name,
                "tests.mu:none",
                fetches=tuple(fetches[name]),
                stores=(stores,),
                sends=tuple(sends[name]),
                receives=tuple(receives[name]),
                slot=rng.random() < 0.9,
            )
        )
    if rng.random() < adds:
        parts = [tuple(tasks[at : at + 3]) for at in range(0, len(tasks), 3)]
        steps["adder"] = [("add", part) for part in parts]
        steps["first"] = [("send", Key("first", "adder", "go"))]
        insert(rng, steps["adder"], ("receive", Key("first", "adder", "go")))
        first = Task("first", "tests.mu:none", sends=(Edge("adder", "go"),))
        adder = Task(
            "adder",
            "tests.mu:add",
            receives=(Edge("first", "go"),),
            adds=("tests.mu:none",),
            slot=rng.random() < 0.5,
        )
        return Job("random", (first, adder), msgspec.structs.replace(limits, temporary=())), steps
    if rng.random() < 0.5:
        rng.shuffle(tasks)
    return Job("random", tuple(tasks), limits), steps


def insert(rng: random.Random, steps: Steps, step: Step) -> None:
    """A step more, somewhere."""
    steps.insert(rng.randint(0, len(steps)), step)


def random_limits(rng: random.Random, tries: int) -> Limits:
    """Few or many of everything."""
    return Limits(
        workers=rng.choice([1, 2, 3, 100]),
        spare=rng.choice([0, 0.5]),
        slots=rng.choice([None, None, 1, 2]),
        ahead=rng.choice([None, 0, 2]),
        tries=tries,
        reconnect_s=rng.choice([0, 3.0]),
        order=rng.choice(["blocking", "given"]),
        straggler=rng.choice([None, 1.5]),
        straggler_least_s=1.0,
        run_s=rng.choice([None, 30.0]),
        temporary=rng.choice([(), ("made/",)]),
    )


def depends_on(tasks: Iterable[Task], first: set[str]) -> set[str]:
    """These tasks, and all that wait for one of them; `tasks` in any order."""
    reached, tasks = set(first), list(tasks)
    while True:
        makers = {
            name: {task.name for task in tasks if task.may_store(name)} for task in tasks for name in task.fetches
        }
        more = {
            task.name
            for task in tasks
            if reached & {edge.task for edge in task.receives}.union(*(makers[name] for name in task.fetches))
        }
        if more <= reached:
            return reached
        reached |= more
