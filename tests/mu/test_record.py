"""What is told of a job is what happened in it, whatever goes wrong."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from mu import Edge, Job, Task
from mu.core.events import Arrived, Disconnected, Event, Finished, Raised, TimePassed, Waits
from mu.core.instructions import Assign, Instruction, Remember, TaskCommitted, TryLost
from mu.job import Key
from mu.record import Record
from mu.wire import Progressed, Span
from tests.mu.jobs import random_job, random_limits
from tests.mu.test_core import FAULTS
from tests.mu.world import World


class Watched(World):
    """A world that is taken down."""

    record: Record
    large = 0

    def noted(self, event: Event, instructions: list[Instruction]) -> None:
        self.record.note(event, instructions, self.now)
        self.large += isinstance(event, Arrived) and event.stored


@pytest.mark.parametrize("faults", [name for name in FAULTS if name not in ("coordinators", "all")])
def test_facts_tell_what_became_of_every_run_and_worker(faults: str) -> None:
    for seed in range(60):
        rng = random.Random(seed)
        limits = msgspec.structs.replace(random_limits(rng, tries=100), run_s=30.0)
        job, steps = random_job(rng, limits)
        world = Watched(job, steps, rng, FAULTS[faults])
        world.record = record = Record(job, 0.0)
        world.run()
        kinds = Counter(str(fact[0]) for fact in record.facts)
        assert kinds["assign"] == kinds["over"] >= sum(world.begun.values()), seed  # more: some were taken over
        done = Counter(fact[3] for fact in record.facts if fact[0] == "over")
        assert done["done"] == len(steps), seed
        launched = {fact[2] for fact in record.facts if fact[0] in ("launch", "come")}
        assert launched == {fact[2] for fact in record.facts if fact[0] == "gone"}, seed
        times = [fact[1] for fact in record.facts if fact[0] != "span"]
        assert times == sorted(times), seed  # type: ignore[type-var]
        counts = record.counts(world.now)
        assert (counts.committed, counts.tasks, counts.outcome) == (len(steps), len(steps), "done"), seed
        assert counts.running == counts.workers["working"] == counts.workers["waiting"] == counts.workers["idle"] == 0
        assert counts.worker_s >= 0
        assert counts.stored_messages == counts.stored_bytes == world.large <= counts.messages  # of a byte each


def test_it_tells_what_a_run_is_at_before_that_is_over() -> None:
    task = Task("a", "x.y:z", receives=(Edge("b", "m"),))
    record = Record(Job("j", (Task("b", "x.y:z", sends=(Edge("a", "m"),)), task)), 0.0)
    record.note(TimePassed(), [Assign(1, 1, task)], 1.0)
    record.progressed(1, Progressed("encode", 1.0, None, 0.1), 2.0)
    record.progressed(1, Progressed("encode", 1.0, None, 0.1), 3.0)
    record.progressed(1, Progressed("rebase", 1.0, None, 0.1, (Span("encode", 0.0, 2.5),)), 4.0)
    record.note(Waits(1, Key("b", "a", "m")), [], 5.0)
    record.progressed(1, Progressed("rebase", 1.0, None, 0.1), 6.0)
    told = [fact for fact in record.facts if fact[0] in ("at", "span", "wait")]
    assert told == [
        ("at", 2000, 1, "encode"),
        ("span", 1000, 1, "encode", 3500),
        ("at", 4000, 1, "rebase"),
        ("wait", 5000, 1, "b", "m"),
        ("at", 6000, 1, "rebase"),
    ]


def test_what_a_lost_run_did_is_not_counted_twice() -> None:
    task = Task("a", "x.y:z")
    record = Record(Job("j", (task,)), 0.0)
    record.note(TimePassed(), [Assign(1, 1, task)], 1.0)
    record.progressed(1, Progressed("encode", 6.0, 24.0, cpu_s=3.0), 2.0)
    record.note(Disconnected(1, "gone"), [Remember(TryLost("a", "gone"))], 3.0)
    record.progressed(1, Progressed("encode", 5.0, 24.0, cpu_s=1.0), 3.5)
    record.note(TimePassed(), [Assign(2, 2, task)], 4.0)
    record.progressed(2, Progressed("encode", 24.0, 24.0, cpu_s=10.0), 5.0)
    record.note(Finished(2), [Remember(TaskCommitted("a"))], 6.0)
    stage = record.counts(7.0).stages["encode"]
    assert (stage.done, stage.total) == (24.0, 24.0)
    assert stage.cpu_s == 14.0, "but it was paid for"


@pytest.mark.parametrize("how", ["lost", "raised"])
def test_a_run_that_told_of_nothing_may_be_lost(how: str) -> None:
    """Else a worker could end its whole job: a coordinator whose record raises does not go on."""
    task = Task("a", "x.y:z")
    record = Record(Job("j", (task,)), 0.0)
    record.note(TimePassed(), [Assign(1, 1, task)], 1.0)
    record.progressed(1, Progressed("encode", 0.0, None, 0.0, (Span("wait", 0.0, 0.5),)), 2.0)
    lost = Disconnected(1, "gone", gone=True), [Remember(TryLost("a", "gone"))]
    record.note(*(lost if how == "lost" else (Raised(1, "it failed"), [])), 3.0)
    assert record.counts(4.0).stages == {}
    assert [fact[3] for fact in record.facts if fact[0] == "over"] == [how]


def test_stages_without_end_are_told_together() -> None:
    task = Task("a", "x.y:z")
    record = Record(Job("j", (task,)), 0.0)
    record.note(TimePassed(), [Assign(1, 1, task)], 1.0)
    for number in range(1000):
        stage = f"file {number}"
        record.progressed(1, Progressed(stage, 1.0, None, 0.5, (Span(stage, 0.0, 0.5),)), 2.0)
    stages = record.counts(3.0).stages
    assert (len(stages), stages["file 99"].done, stages["more"].done) == (101, 1.0, 900.0)
    assert len({fact[3] for fact in record.facts if fact[0] == "span"}) == 101
    record.note(Disconnected(1, "gone", gone=True), [Remember(TryLost("a", "gone"))], 3.0)
    assert record.counts(4.0).stages["more"].done == 0.0
