"""Moments that random schedules seldom meet, one by one; and events in any order at all."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mu.core.coordinator import Coordinator
from mu.core.events import (
    Added,
    Arrived,
    Cancelled,
    Connected,
    Disconnected,
    Event,
    Finished,
    Heard,
    LaunchFailed,
    Limited,
    Raised,
    Reconnected,
    Sending,
    Stored,
    TimePassed,
    Waits,
)
from mu.core.instructions import (
    Assign,
    Deliver,
    Drop,
    Ended,
    Entry,
    Forget,
    Instruction,
    Launch,
    Release,
    Remember,
    Retract,
    Room,
    Stop,
    TaskBegun,
    TaskCommitted,
    TryLost,
)
from mu.job import Edge, Job, Key, Limits, Task
from tests.mu.audit import audit

KEY = Key("a", "b", "m")
A = Task("a", "programs:a", sends=(Edge("b", "m"),))
B = Task("b", "programs:b", receives=(Edge("a", "m"),))


def coordinator(*tasks: Task, **limits: object) -> Coordinator:
    """Of a job without stragglers."""
    return Coordinator(Job("case", tasks, Limits(**{"straggler": None, **limits})))  # type: ignore[arg-type]


def tell(core: Coordinator, *events: Event, now: float = 1.0) -> list[Instruction]:
    """What the last event brings, but that it is remembered who begins what."""
    out: list[Instruction] = []
    for event in events:
        out = core.handle(event, now)
        audit(core, now, out)
    return [each for each in out if not (isinstance(each, Remember) and isinstance(each.entry, TaskBegun))]


def kinds(instructions: Sequence[Instruction]) -> list[str]:
    """What they are called."""
    return [type(each).__name__ for each in instructions]


def test_a_message_that_is_about_to_be_delivered_is_waited_for_again_when_its_sender_is_lost() -> None:
    core = coordinator(A, B, Task("c", "p:c"), workers=3, slots=2, reconnect_s=0)
    tell(core, TimePassed(), Connected(1), Connected(2), Waits(2, KEY))
    assert tell(core, Connected(3)) == [Assign(3, 3, Task("c", "p:c"))]
    assert tell(core, Sending(1, KEY)) == []
    assert kinds(tell(core, Disconnected(1, "it was killed"))) == ["Remember", "Launch"]
    assert tell(core, Connected(4)) == [Assign(4, 4, A)]
    tell(core, Finished(3))
    assert Deliver(2, 2, KEY) in tell(core, Arrived(4, KEY, 1, b"x" * 16))


def test_who_takes_a_message_and_comes_back_is_given_it_anew() -> None:
    core = coordinator(A, B, workers=2)
    tell(core, TimePassed(), Connected(1), Connected(2), Waits(2, KEY), Sending(1, KEY), Disconnected(2, "broke"))
    assert tell(core, Reconnected(2, 2, "b"), Waits(2, KEY)) == [Deliver(2, 2, KEY)]
    assert tell(core, Disconnected(1, "broke")) == [Retract(2, 2, KEY)]
    assert tell(core, Reconnected(1, 1, "a"), Sending(1, KEY)) == [Deliver(2, 2, KEY)]


def test_who_sends_and_comes_back_before_it_was_missed_says_it_anew() -> None:
    core = coordinator(A, B, workers=2)
    tell(core, TimePassed(), Connected(1), Connected(2), Waits(2, KEY), Sending(1, KEY))
    assert tell(core, Reconnected(1, 1, "a")) == [Retract(2, 2, KEY)]


def test_a_message_for_who_is_done_is_not_kept() -> None:
    core = coordinator(A, B, workers=2, reconnect_s=0)
    tell(core, TimePassed(), Connected(1), Connected(2), Waits(2, KEY), Arrived(1, KEY, 1, b"x" * 16))
    assert Forget(KEY) in tell(core, Finished(2))
    tell(core, Disconnected(1, "dead"), Connected(3))
    assert tell(core, Arrived(3, KEY, 1, b"x" * 16)) == [Forget(KEY)]


def test_a_worker_that_comes_back_to_what_it_had_finished_gives_its_next_task_to_another() -> None:
    core = coordinator(Task("a", "p:a"), Task("b", "p:b"), workers=1)
    tell(core, TimePassed(), Connected(1))
    assert Assign(1, 2, Task("b", "p:b")) in tell(core, Finished(1))
    tell(core, Disconnected(1, "broke"))
    assert kinds(tell(core, Reconnected(1, 1, "a"))) == ["Stop", "Launch"]
    assert tell(core, Connected(2)) == [Assign(2, 3, Task("b", "p:b"))]


def test_a_disagreement_ends_the_job_at_once() -> None:
    core = coordinator(A, B, workers=2, reconnect_s=0)
    tell(core, TimePassed(), Connected(1), Connected(2), Arrived(1, KEY, 1, b"x" * 16), Disconnected(1, "dead"))
    tell(core, Connected(3))
    assert "Ended" in kinds(tell(core, Arrived(3, KEY, 1, b"y" * 16)))
    assert core.outcome is not None
    assert "ran twice" in core.outcome.failures[0].reason


def test_launches_in_vain_do_not_end_a_job_while_others_may_come() -> None:
    core = coordinator(*(Task(f"t{number}", "p:t") for number in range(50)))
    assert kinds(tell(core, TimePassed())) == ["Launch"] * 50
    assert tell(core, *(LaunchFailed(number, "no") for number in range(1, 50))) == []
    assert core.outcome is None
    assert tell(core, Connected(50)) == [Assign(50, 1, Task("t0", "p:t"))]
    wake = core.next_deadline()
    assert wake is not None
    assert kinds(tell(core, TimePassed(), now=wake)) == ["Launch"] * 49


def test_a_job_without_workers_ends_after_so_many_launches_and_not_all_at_once() -> None:
    core = coordinator(Task("a", "p:a"))
    now, launches = 0.0, 0
    while core.outcome is None:
        launches += sum(isinstance(each, Launch) for each in tell(core, TimePassed(), now=now))
        tell(core, LaunchFailed(launches, "there is no room"), now=now)
        now = core.next_deadline() or now
    assert launches == 20
    assert 5 < now < 60
    assert "there is no room" in core.outcome.reason


def test_throttled_launches_keep_no_task_from_a_worker_that_is_there() -> None:
    core = coordinator(Task("a", "p:a"), Task("b", "p:b"))
    tell(core, TimePassed(), LaunchFailed(1, "throttled", 10.0), Connected(2))
    assert [each for each in tell(core, Finished(1)) if isinstance(each, Assign)] == [
        Assign(2, 2, Task("b", "p:b")),
    ]


def test_without_a_lease_nobody_minds_silence() -> None:
    core = coordinator(Task("a", "p:a"), lease_s=0, launch_s=5)
    tell(core, TimePassed(), Connected(1))
    assert tell(core, TimePassed(), now=1000.0) == []
    assert core.next_deadline() is None


def test_fewer_workers_are_allowed() -> None:
    core = coordinator(*(Task(f"t{number}", "p:t") for number in range(4)), workers=3)
    tell(core, TimePassed(), Connected(1), Connected(2))
    assert kinds(tell(core, Limited(1))) == ["Stop"]
    assert "Release" in kinds(tell(core, Finished(1)))
    assert "Assign" in kinds(tell(core, Finished(2)))
    assert kinds(tell(core, Limited(2))) == ["Launch"]


def test_a_worker_that_comes_too_late_has_no_place() -> None:
    core = coordinator(Task("a", "p:a"), Task("b", "p:b"), workers=1, launch_s=5)
    tell(core, TimePassed())
    tell(core, TimePassed(), now=7.0)
    tell(core, TimePassed(), now=8.0)
    assert kinds(tell(core, Connected(2), now=9.0)) == ["Assign"]
    assert tell(core, Connected(1), now=9.0) == [Release(1)]


def test_who_adds_gets_room_if_nobody_can_go_on_without() -> None:
    adder = Task("adder", "p:adder", adds=("p:b",), sends=(Edge("b", "m"),))
    task = Task("b", "p:b", receives=(Edge("adder", "m"),))
    core = coordinator(adder, ahead=0)
    tell(core, TimePassed(), Connected(1), Added(1, (task,)), Connected(2))
    assert tell(core, Waits(2, Key("adder", "b", "m"))) == [Room(1, 1)]


def test_who_adds_and_comes_back_is_not_taken_for_one_that_waits_for_room() -> None:
    adder = Task("adder", "p:adder", adds=("p:b",), receives=(Edge("a", "m"),))
    sender = Task("a", "p:a", sends=(Edge("adder", "m"),))
    core = coordinator(sender, adder, ahead=0)
    more, key = (Task("b", "p:b"),), Key("a", "adder", "m")
    tell(core, TimePassed(), Connected(1), Connected(2), Added(2, more), Disconnected(2, "broke"))
    tell(core, Reconnected(2, 2, "adder"), Added(2, more), Waits(2, key))
    assert Deliver(2, 2, key) in tell(core, Arrived(1, key, 1, b"x" * 16))


def test_a_task_that_needs_no_slot_does_not_wait_for_one() -> None:
    core = coordinator(Task("a", "p:a"), Task("b", "p:b"), Task("c", "p:c", slot=False), slots=1)
    assert kinds(tell(core, TimePassed())) == ["Launch"] * 2
    assert tell(core, Connected(1), Connected(2)) == [Assign(2, 2, Task("c", "p:c", slot=False))]


def test_what_was_dropped_is_dropped_again_when_it_is_stored_again() -> None:
    maker = Task("a", "p:a", stores=("raw/",))
    user = Task("b", "p:b", fetches=("raw/1",))
    core = coordinator(maker, user, temporary=("raw/",), reconnect_s=0, workers=2)
    stored = Stored(1, "raw/1", 1, b"x" * 16)
    tell(core, TimePassed(), Connected(1), stored, Connected(2))
    assert Drop("raw/1") in tell(core, Finished(2))
    tell(core, Disconnected(1, "dead"), Connected(3))
    assert tell(core, Stored(3, "raw/1", 1, b"x" * 16)) == [Drop("raw/1")]


def taking_over(*entries: Entry, **limits: object) -> Coordinator:
    """The second coordinator of a job of two tasks and two workers at most."""
    job = coordinator(Task("a", "p:a"), Task("b", "p:b"), **{"workers": 2, "reconnect_s": 5, **limits}).job
    return Coordinator.restore(job, entries, epoch=2, now=1.0)


def test_who_is_at_a_task_is_waited_for_by_the_next_coordinator_and_the_others_are_not() -> None:
    core = taking_over(TaskBegun("a", 1, 1))
    assert core.expected == [TaskBegun("a", 1, 1)]
    assert kinds(tell(core, TimePassed())) == ["Launch"]
    assert tell(core, Reconnected(1, 1, "a")) == []
    assert core.expected == []
    assert kinds(tell(core, Finished(1))) == ["Remember", "Assign"]


def test_who_does_not_come_back_to_the_next_coordinator_has_lost_no_try() -> None:
    core = taking_over(TaskBegun("a", 1, 1), TaskBegun("b", 2, 2))
    assert tell(core, TimePassed()) == []
    assert core.next_deadline() == 6.0
    assert kinds(tell(core, TimePassed(), now=6.0)) == ["Launch", "Launch"]
    late = tell(core, Reconnected(1, 1, "a"), now=7.0) + tell(core, Reconnected(2, 2, "b"), now=7.0)
    assert late == [Stop(number, "there are workers enough") for number in (1_000_002, 1_000_001)]


def test_a_worker_that_was_lost_before_is_not_waited_for() -> None:
    core = taking_over(TaskBegun("a", 1, 1), TryLost("a", "it was killed", 1), TaskBegun("b", 2, 2))
    assert core.expected == [TaskBegun("b", 2, 2)]
    assert kinds(tell(core, TimePassed())) == ["Launch"]
    beside = taking_over(TaskBegun("a", 1, 1), TaskBegun("a", 2, 2), TryLost("a", "it was killed", 1))
    assert beside.expected == [TaskBegun("a", 2, 2)]


def test_a_try_that_is_lost_says_which_run_it_was() -> None:
    core = coordinator(Task("a", "p:a"), reconnect_s=0)
    lost = tell(core, TimePassed(), Connected(1), Disconnected(1, "it was killed", gone=True))
    assert Remember(TryLost("a", "it was killed", 1)) in lost


def test_who_comes_back_without_its_task_is_given_it_anew() -> None:
    core = taking_over(TaskBegun("a", 1, 1), reconnect_s=5, workers=1)
    (assigned,) = tell(core, TimePassed(), Connected(1))
    assert isinstance(assigned, Assign)
    assert (assigned.worker, assigned.task.name) == (1, "a")


def test_only_the_last_that_a_worker_was_given_is_expected_of_it() -> None:
    assert taking_over(TaskBegun("a", 1, 1), TaskCommitted("a"), TaskBegun("b", 1, 2)).expected == [
        TaskBegun("b", 1, 2)
    ]
    assert taking_over(TaskBegun("a", 1, 1), TaskCommitted("a")).expected == []
    assert taking_over(TaskBegun("a", 1, 1), TaskBegun("a", 2, 2)).expected == [TaskBegun("a", 2, 2)]
    assert taking_over(TaskBegun("a", 1, 1), reconnect_s=0).expected == []


def test_a_run_that_computes_for_too_long_is_stopped_and_waiting_does_not_count() -> None:
    core = coordinator(A, B, workers=2, run_s=10, tries=2)
    tell(core, TimePassed(), Connected(1), Connected(2), now=0.0)
    tell(core, Waits(2, KEY), now=8.0)
    assert core.next_deadline() == 10.0
    reason = "it computed for longer than the 10 s that a run may take"
    stopped = tell(core, TimePassed(), now=10.0)
    assert stopped[0] == Stop(1, reason)
    tell(core, Connected(3), Heard(2), now=11.0)
    assert Deliver(2, 2, KEY) in tell(core, Arrived(3, KEY, 1, b"x" * 16), now=12.0)
    assert core.next_deadline() == 14.0
    assert Stop(2, reason) in tell(core, TimePassed(), now=14.0)
    tell(core, Connected(4), Finished(3), now=15.0)
    tell(core, Waits(4, KEY), now=20.0)
    assert core.next_deadline() == 25.0
    tell(core, TimePassed(), now=25.0)
    assert core.outcome is not None
    assert core.outcome.failures[0].tries == (reason, reason)


def test_nothing_is_said_after_the_end() -> None:
    core = coordinator(Task("a", "p:a"))
    tell(core, TimePassed(), Connected(1))
    assert kinds(tell(core, Cancelled())) == ["Stop", "Remember", "Ended"]
    for event in (Finished(1), Heard(1), Cancelled(), TimePassed(), Disconnected(1, "")):
        assert core.handle(event, 2.0) == []
    assert kinds(core.handle(Connected(1), 2.0)) == ["Stop"]
    assert core.next_deadline() is None


TASKS = (
    Task("a", "p:a", sends=(Edge("b", "m"), Edge("c", "m")), stores=("x/",)),
    Task("b", "p:b", receives=(Edge("a", "m"),), stores=("y",), slot=False),
    Task("c", "p:c", receives=(Edge("a", "m"),), fetches=("y",), sends=(Edge("e", "m"),)),
    Task("d", "p:d", fetches=("x/1",), adds=("p:e",)),
)
MORE = Task("e", "p:e", receives=(Edge("c", "m"),), fetches=("x/1",))
KEYS = (Key("a", "b", "m"), Key("a", "c", "m"), Key("c", "e", "m"))
numbers = st.integers(1, 6)
keys = st.sampled_from(KEYS)
digests = st.sampled_from([b"x" * 16, b"x" * 16, b"y" * 16])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Connected, numbers),
    st.builds(Reconnected, numbers, numbers, st.sampled_from("abcde")),
    st.builds(Disconnected, numbers, st.just("gone"), st.booleans()),
    st.builds(LaunchFailed, numbers, st.just("no"), st.sampled_from([0.0, 2.0])),
    st.builds(Heard, numbers),
    st.builds(Sending, numbers, keys),
    st.builds(Arrived, numbers, keys, st.just(1), digests),
    st.builds(Waits, numbers, keys),
    st.builds(Stored, numbers, st.sampled_from(["x/1", "y"]), st.just(1), digests),
    st.builds(Added, numbers, st.sampled_from([(MORE,), (TASKS[0],), (Task("a", "p:other"),)])),
    st.builds(Finished, numbers),
    st.builds(Raised, numbers, st.just("no"), st.just(""), st.booleans()),
    st.builds(Limited, st.integers(0, 4)),
    st.just(TimePassed()),
)


def allowed(event: Event, tasks: dict[int, Task]) -> bool:
    """Whether a shell would pass it on: a run names only what its task declares."""
    if isinstance(event, Reconnected):
        tasks.setdefault(event.run, next((task for task in (*TASKS, MORE) if task.name == event.task), MORE))
        return tasks[event.run].name == event.task
    if (task := tasks.get(getattr(event, "run", 0))) is None:
        return True
    match event:
        case Sending(_, key) | Arrived(_, key):
            return key.sender == task.name and Edge(key.receiver, key.name) in task.sends
        case Waits(_, key):
            return key.receiver == task.name and Edge(key.sender, key.name) in task.receives
        case Stored(_, name):
            return task.may_store(name)
        case _:
            return not isinstance(event, Added) or bool(task.adds)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(events, st.sampled_from([0.0, 0.0, 0.1, 3.0, 40.0])), max_size=60),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["stop", "finish"]),
)
def test_any_events_in_any_order(happening: list[tuple[Event, float]], slots: int | None, on_failure: str) -> None:
    """The books agree whatever is said; the ledger's every state is one to go on from."""
    job = Job("any", TASKS, Limits(slots=slots, on_failure=on_failure, temporary=("x/",), straggler_least_s=0.1))  # type: ignore[arg-type]
    core, now, ledger = Coordinator(job), 0.0, []
    tasks: dict[int, Task] = {}
    for event, seconds in [(TimePassed(), 0.0), *happening]:
        now += seconds
        while (deadline := core.next_deadline()) is not None and deadline <= now:
            ledger += [each.entry for each in core.handle(TimePassed(), now) if isinstance(each, Remember)]
        if not allowed(event, tasks):
            continue
        instructions = core.handle(event, now)
        audit(core, now, instructions)
        tasks.update({each.run: each.task for each in instructions if isinstance(each, Assign)})
        ledger += [each.entry for each in instructions if isinstance(each, Remember)]
        ended = [each for each in instructions if isinstance(each, Ended)]
        assert bool(ended) <= (core.outcome is not None)
        for each in instructions:
            assert not isinstance(each, Forget) or core.outcome or each.key.receiver in "bce"
    other = Coordinator.restore(job, ledger, epoch=2, now=now)
    assert other.outcome == core.outcome
    if core.outcome is None:
        other.handle(TimePassed(), now + 10)
        audit(other, now + 10)
    again = Coordinator.restore(job, ledger, epoch=2, now=now, again=True)
    again.handle(TimePassed(), now + 10)
    audit(again, now + 10)


def test_a_run_that_is_told_to_stop_has_no_say() -> None:
    core = coordinator(Task("a", "p:a", stores=("x",)), workers=1, reconnect_s=0)
    tell(core, TimePassed(), Connected(1), Disconnected(1, "dead"), Connected(2))
    assert tell(core, Stored(1, "x", 1, b"x" * 16), Finished(1)) == []
    assert core.outcome is None
    tell(core, Finished(2))
    assert core.outcome is not None
    assert isinstance(tell(core, Connected(9))[0], Stop)
