"""The coordinator's mind under random schedules: every task ends, nothing is lost or done twice."""

from __future__ import annotations

import random

import msgspec
import pytest

from mu.job import Edge, Job, Key, Limits, Task
from tests.mu.world import Faults, World

Steps = list[tuple[str, object]]


def random_job(rng: random.Random, limits: Limits) -> tuple[Job, dict[str, Steps]]:
    """Tasks with messages, objects, and one that adds others."""
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
                fetches[name].append(f"made/{other}")
    steps: dict[str, Steps] = {}
    tasks = []
    for name in names:
        own: Steps = [("send", Key(name, edge.task, edge.name)) for edge in sends[name]]
        own += [("receive", Key(edge.task, name, edge.name)) for edge in receives[name]]
        own.append(("store", f"made/{name}"))
        rng.shuffle(own)
        steps[name] = own
        tasks.append(
            Task(
                name,
                "tests.mu:none",
                fetches=tuple(fetches[name]),
                stores=(f"made/{name}",),
                sends=tuple(sends[name]),
                receives=tuple(receives[name]),
            )
        )
    first = tasks
    if rng.random() < 0.5:
        parts = [tuple(tasks[at : at + 3]) for at in range(0, len(tasks), 3)]
        steps["adder"] = [("add", part) for part in parts]
        limits = msgspec.structs.replace(limits, temporary=())
        first = [Task("adder", "tests.mu:add", adds=("tests.mu:none",), slot=rng.random() < 0.5)]
    elif rng.random() < 0.5:
        rng.shuffle(first)
    return Job("random", tuple(first), limits), steps


def random_limits(rng: random.Random, tries: int) -> Limits:
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
        temporary=rng.choice([(), ("made/",)]),
    )


FAULTS = {
    "none": Faults(),
    "deaths": Faults(dies=0.1),
    "silence": Faults(hangs=0.05, never_comes=0.1),
    "connections": Faults(breaks=0.2),
    "launches": Faults(no_launch=0.3),
    "raises": Faults(raises=0.1),
    "coordinators": Faults(coordinator_dies=0.02, most=20),
    "all": Faults(0.03, 0.02, 0.05, 0.1, 0.05, 0.03, 0.01, most=60),
}


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("part", range(4))
def test_every_task_ends_once_whatever_happens(faults: str, part: int) -> None:
    for seed in range(part * 75, part * 75 + 75):
        rng = random.Random(seed)
        job, steps = random_job(rng, random_limits(rng, tries=100))
        world = World(job, lambda task, steps=steps: steps[task.name], rng, FAULTS[faults])  # type: ignore[misc]
        outcome = world.run()
        where = f"seed {seed}"
        assert outcome.kind == "done", (where, outcome)
        assert outcome.committed == len(steps), where
        assert set(world.done) == set(steps), where
        assert set(world.done.values()) == {1}, where
        if faults == "none" and job.limits.straggler is None and job.limits.workers >= 100:
            assert set(world.begun.values()) == {1}, where
