"""The coordinator's mind under random schedules: every task ends, nothing is lost or done twice."""

from __future__ import annotations

import random

import msgspec
import pytest

from mu.core.instructions import Outcome, Resumed, TaskAdded, TaskCommitted, TaskFailed, TryLost
from mu.job import Task
from tests.mu.jobs import depends_on, insert, random_job, random_limits
from tests.mu.sims import Step
from tests.mu.world import Faults, World

FAULTS = {
    "none": Faults(),
    "deaths": Faults(dies=0.1),
    "silence": Faults(hangs=0.05, never_comes=0.1),
    "connections": Faults(breaks=0.2),
    "launches": Faults(no_launch=0.3),
    "loops": Faults(loops=0.05),
    "raises": Faults(raises=0.1),
    "limits": Faults(limits=0.1, most=10),
    "coordinators": Faults(coordinator_dies=0.02, most=20),
    "all": Faults(0.03, 0.02, 0.05, 0.1, 0.05, 0.03, 0.01, 0.01, loops=0.02, most=60),
}
SEEDS = 200
"""Schedules of each kind; `python -m tests.mu.many` runs as many as one likes."""


def world_of(seed: int, faults: Faults = FAULTS["none"], *, adds: float = 0.5, tries: int = 100) -> World:
    """A random job and its world."""
    rng = random.Random(seed)
    job, steps = random_job(rng, random_limits(rng, tries), adds=adds)
    world = World(job, steps, rng, faults, audits=0.2)
    if faults.loops:
        with_limits(world, run_s=rng.choice([20.0, 30.0]))
    return world


def all_tasks(world: World) -> dict[str, Task]:
    """By name; those that were added too."""
    added = [entry.task for entry in world.ledger if isinstance(entry, TaskAdded)]
    return {task.name: task for task in (*world.job.tasks, *added)}


def with_limits(world: World, **changes: object) -> None:
    """The same job with other limits."""
    limits = msgspec.structs.replace(world.job.limits, **changes)
    world.job = msgspec.structs.replace(world.job, limits=limits)


def resume(world: World) -> Outcome:
    """Try once more what failed. The coordinator may die before it is on the disk that it does."""
    outcome = world.run(again=True)
    while not any(isinstance(entry, Resumed) for entry in world.ledger):
        outcome = world.run(again=True)
    return outcome


@pytest.mark.parametrize("faults", FAULTS)
def test_every_task_ends_once_whatever_happens(faults: str) -> None:
    for seed in range(SEEDS):
        ends_once(seed, FAULTS[faults])


def ends_once(seed: int, faults: Faults) -> None:
    """A random job is done, whatever happens."""
    world = world_of(seed, faults)
    with world.named(f"seed {seed}, {faults}"):
        outcome = world.run()
        tasks = all_tasks(world)
        assert outcome.kind == "done", outcome
        assert outcome.committed == len(tasks)
        assert set(world.done) == set(tasks)
        assert set(world.done.values()) == {1}
        assert not world.whole, "kept what nobody needs"
        if faults == FAULTS["none"]:
            begun, limits = sum(world.begun.values()), world.job.limits
            assert limits.straggler or limits.workers < 100 or begun == len(tasks)
            assert limits.straggler or limits.spare or world.launches <= begun + 1


def test_a_job_goes_on_from_any_moment() -> None:
    """From every prefix of its ledger, with no worker left."""
    for seed in range(SEEDS // 10):
        goes_on(seed)


def goes_on(seed: int) -> None:
    """From what is in the ledger the rest is done, and only that."""
    world = world_of(seed, Faults(dies=0.05, breaks=0.05))
    with world.named(f"seed {seed}"):
        world.run()
        whole, tasks = list(world.ledger), all_tasks(world)
        for length in reversed(range(len(whole))):
            world.cut(whole[:length], tasks)
            before = {entry.task for entry in world.ledger if isinstance(entry, TaskCommitted)}
            world.faulted = 0
            assert world.run().kind == "done", length
            assert set(world.done) == set(tasks), length
            assert not before & set(world.begun), length


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_what_does_not_depend_on_a_failure_is_finished(on_failure: str) -> None:
    for seed in range(SEEDS):
        fails(seed, on_failure, FAULTS["deaths"] if seed % 2 else FAULTS["coordinators"])


def fails(seed: int, on_failure: str, faults: Faults) -> None:
    """Some programs raise; what was asked for is done about it. Then they do not any more, and the job goes on."""
    world = world_of(seed, faults, adds=0)
    with_limits(world, on_failure=on_failure)
    tasks = {task.name: task for task in world.job.tasks}
    doomed = set(world.random.sample(sorted(tasks), world.random.randint(1, min(3, len(tasks)))))
    sound = {name: list(world.steps[name]) for name in doomed}
    for name in doomed:
        insert(world.random, world.steps[name], ("raise", None))
    with world.named(f"seed {seed}, {faults}"):
        outcome = world.run()
        failed = {failure.task for failure in outcome.failures}
        assert outcome.kind == "failed"
        assert failed <= doomed
        assert len(failed) == len(outcome.failures)
        assert not failed & set(world.done)
        assert set(world.done.values()) <= {1}
        if on_failure == "finish":
            first = {name for name in doomed if not depends_on(tasks.values(), doomed - {name}) >= {name}}
            assert failed >= first
            assert set(world.done) >= set(tasks) - depends_on(tasks.values(), doomed)
        assert {entry.failure.task for entry in world.ledger if isinstance(entry, TaskFailed)} == failed
        world.steps.update(sound)
        before = set(world.done)
        world.begun.clear()
        resumed = resume(world)
        assert resumed.kind == "done", resumed
        assert set(world.done) == set(tasks)
        assert not before & set(world.begun)


def test_a_task_that_kills_its_workers_is_given_up_after_so_many_tries() -> None:
    for seed in range(SEEDS):
        world = world_of(seed, adds=0, tries=3)
        with_limits(world, on_failure="finish", straggler=None)
        victim = world.random.choice(world.job.tasks)
        world.steps[victim.name].append(("kill", None))
        with world.named(f"seed {seed}"):
            outcome = world.run()
            (failure,) = outcome.failures
            assert failure.task == victim.name
            assert failure.tries == ("it was killed",) * 3
            assert world.begun[victim.name] >= 3
            assert sum(isinstance(entry, TryLost) for entry in world.ledger) == 3
            tasks = world.job.tasks
            assert set(world.done) >= {task.name for task in tasks} - depends_on(tasks, {victim.name})


def test_a_task_that_computes_for_ever_is_given_up_after_so_many_tries() -> None:
    for seed in range(SEEDS):
        world = world_of(seed, adds=0, tries=3)
        with_limits(world, on_failure="finish", straggler=None, run_s=100.0)
        victim = world.random.choice(world.job.tasks)
        insert(world.random, world.steps[victim.name], ("loop", None))
        with world.named(f"seed {seed}"):
            outcome = world.run()
            (failure,) = outcome.failures
            assert failure.task == victim.name
            assert failure.reason == "it computed for longer than the 100 s that a run may take"
            assert failure.tries == (failure.reason,) * 3
            tasks = world.job.tasks
            assert set(world.done) >= {task.name for task in tasks} - depends_on(tasks, {victim.name})


def test_a_coordinator_that_takes_over_begins_little_that_is_under_way() -> None:
    """What was not on the disk when the one before it was killed, and what workers forget here though they may not."""
    again = restarts = 0
    for seed in range(SEEDS):
        world = world_of(seed, Faults(coordinator_dies=0.05, most=20))
        with_limits(world, reconnect_s=60.0, straggler=None, workers=100, spare=0, run_s=None)
        with world.named(f"seed {seed}"):
            assert world.run().kind == "done"
            assert not any(isinstance(entry, TryLost) for entry in world.ledger)
            again += sum(world.begun.values()) - len(all_tasks(world))
            restarts += world.epoch - 1
    assert restarts > 3 * SEEDS
    assert again < 0.5 * restarts, "two are, on average, under way"


@pytest.mark.parametrize("kind", ["send", "store"])
def test_what_a_committed_task_did_not_send_or_store_is_a_failure_of_who_waits(kind: str) -> None:
    seen = 0
    for seed in range(SEEDS):
        world = world_of(seed, FAULTS["none"] if seed % 2 else FAULTS["coordinators"], adds=0)
        with_limits(world, on_failure="finish")
        silent = world.random.choice(world.job.tasks)
        world.steps[silent.name] = [step for step in world.steps[silent.name] if step[0] not in (kind, "begin")]
        if kind == "send":
            hit = {edge.task for edge in silent.sends}
        else:
            hit = {task.name for task in world.job.tasks if any(silent.may_store(name) for name in task.fetches)}
        with world.named(f"seed {seed}"):
            outcome = world.run()
            failed = {failure.task for failure in outcome.failures}
            assert failed <= hit
            assert bool(failed) == bool(hit)
            assert set(world.done) >= {task.name for task in world.job.tasks} - depends_on(world.job.tasks, hit)
            for failure in outcome.failures:
                assert f"not {'sent' if kind == 'send' else 'stored'} by {silent.name}" in failure.reason
            seen += bool(hit)
    assert seen > SEEDS // 10


def test_two_runs_that_do_not_do_the_same_are_a_failure() -> None:
    disagreed = 0
    for seed in range(SEEDS):
        world = world_of(seed, Faults(dies=0.15), adds=0)
        changed: dict[str, list[Step]] = {
            name: [("vary", what) if kind in ("send", "store") else (kind, what) for kind, what in steps]
            for name, steps in world.steps.items()
        }
        world.steps.update(changed)
        with world.named(f"seed {seed}"):
            outcome = world.run()
            assert outcome.kind in ("done", "failed")
            for failure in outcome.failures:
                assert "ran twice" in failure.reason
                assert world.begun[failure.task] > 1
            disagreed += outcome.kind == "failed"
    assert disagreed > SEEDS // 10


def test_a_job_is_cancelled_at_any_moment() -> None:
    cancelled = 0
    for seed in range(SEEDS):
        world = world_of(seed, Faults(0.01, 0.01, 0.01, coordinator_dies=0.01, cancels=0.03))
        with world.named(f"seed {seed}"):
            outcome = world.run()
            assert outcome.kind in ("cancelled", "done")
            assert outcome.committed == len(world.done)
            cancelled += outcome.kind == "cancelled"
            world.faults = Faults(coordinator_dies=0.01, most=world.faulted + 3)
            assert resume(world).kind == "done"
            assert set(world.done) == set(all_tasks(world))
    assert cancelled > SEEDS // 10
