"""Workers that call out: what they say and do, against a coordinator that is played."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mu
from mu.digest import digest
from mu.errors import Unreachable
from mu.job import Edge, Task
from mu.store.folder import FolderStore
from mu.wire import (
    Accepted,
    Add,
    Alive,
    Assigned,
    Deliver,
    Done,
    Failed,
    Goodbye,
    Leaving,
    Progressed,
    Retracted,
    Room,
    Send,
    Stored,
)
from mu.worker import context, line
from mu.worker import work as work_module
from mu.worker.work import Worked, work
from tests.mu import programs_of_workers as programs
from tests.mu.programs_of_workers import AFTER, BEFORE, made
from tests.mu.scripted import Gone, Scripted, waiting

PROGRAMS = programs.__name__
ROOT = Path(__file__).resolve().parents[2]


def task(program: Callable[..., Any], argument: object = None, **more: Any) -> Task:
    return Task("it", f"{PROGRAMS}:{program.__name__}", mu.argument(argument), **more)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    server = Scripted(tmp_path)
    yield server
    server.close()


def working(scripted: Scripted, script: Callable[[], Any], **more: Any) -> tuple[Worked, Any]:
    """Run a worker here, and the coordinator's part beside it."""
    patient = {"grace_s": 60.0, **more}  # or a slow machine would end this process
    with scripted.beside(script) as result:
        worked = work(scripted.invitation, FolderStore(scripted.invitation.store), **patient)
    return worked, result[0]


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of any size go through the coordinator."""
    monkeypatch.setattr(context, "BYPASS", 1 << 40)


@pytest.mark.parametrize("size", [0, 10, 262_144, 262_145, 5_000_000])
@pytest.mark.usefixtures("through")
def test_a_task_from_its_start_to_its_end(scripted: Scripted, size: int) -> None:
    store = FolderStore(scripted.invitation.store)
    store.write("film", b"film")
    state = made(size)
    relay = task(programs.relay, size, fetches=("film",), stores=("out/",), sends=(AFTER,), receives=(BEFORE,))

    def script() -> list[Any]:
        peer, hello = scripted.welcome()
        assert (hello.job, hello.worker, hello.token, hello.run) == (scripted.job, 7, "a token", None)
        assert f"process {os.getpid()}" in hello.about
        peer.say(Assigned(5, relay))
        assert waiting(peer) == ("before", "state")
        if size <= 262_144:
            peer.say(Deliver(1, "before", "state", len(state[:262_144]), state[:262_144]))
        else:
            peer.deliver(1, "before", "state", state)
        stored = peer.hear(Stored)
        assert store.read("out/digest")  # it is there when it is said
        done = peer.hear(Done)
        assert peer.messages == {("after", "state"): made(size)}
        peer.say(Goodbye("enough"))
        return [stored, done]

    worked, (stored, done) = working(scripted, script)
    assert worked == Worked(1, 0, "enough")
    received = state if size > 262_144 else state[:262_144]
    payload = b"film" + hashlib.sha256(received).digest()
    assert store.read("out/digest") == payload
    assert stored == Stored("out/digest", len(payload), digest(payload))
    assert {"send", "wait"} & {span.stage for span in done.spans}


def test_one_task_after_the_other_and_what_went_through_stages(scripted: Scripted) -> None:
    def script() -> list[Progressed]:
        peer = scripted.assign(task(programs.nothing), run=1)
        for run in range(2, 20):
            peer.hear(Done)
            peer.say(Assigned(run, task(programs.nothing)))
        peer.hear(Done)
        peer.say(Goodbye())
        return []

    worked, _ = working(scripted, script)
    assert worked.done == 19


FAILURES = {
    "value": ("ValueError", False, "what ? xxx"),
    "again": ("Luckless", True, "not my day"),
    "try again": ("TryAgain", True, "soon"),
    "awkward": ("Awkward", False, "cannot be had: ValueError"),
    "memory": ("MemoryError", False, "too much"),
    "exit": ("SystemExit", False, "3"),
    "deep": ("RecursionError", False, "recursion"),
    "send": ("Misuse", False, "does not declare"),
    "receive": ("Misuse", False, "does not declare"),
    "fetch": ("Misuse", False, "does not declare"),
    "store": ("Misuse", False, "does not declare"),
    "add": ("Misuse", False, "does not declare"),
    "stage": ("Misuse", False, "1 to 40"),
    "missing": ("Missing", False, "missing"),
    "two messages": ("Disagreement", False, "twice"),
    "two objects": ("Disagreement", False, "twice"),
}


def test_what_a_program_raises_is_told_and_the_worker_goes_on(scripted: Scripted) -> None:
    declared: dict[str, Any] = {"fetches": ("missing",), "stores": ("out/",), "sends": (AFTER,)}

    def script() -> dict[str, Failed]:
        peer, _ = scripted.welcome()
        told = {}
        for run, how in enumerate(FAILURES):
            peer.say(Assigned(run, task(programs.fail, how, **declared)))
            if how == "two objects":
                peer.hear(Stored)
            told[how] = peer.hear(Failed)
        peer.say(Goodbye())
        return told

    worked, told = working(scripted, script)
    assert worked.failed == len(FAILURES)
    for how, (kind, again, text) in FAILURES.items():
        failed = told[how]
        again = again or how == "memory"  # another task ran before it, and may have left something
        assert (failed.kind, failed.again) == (kind, again), how
        assert text in failed.text, how
        assert len(failed.text) <= 4096
        assert len(failed.traceback) <= 65536
        assert "hunter2" not in failed.traceback.replace('secret = "hunter2"', "")
        assert "programs_of_workers" in failed.traceback or how == "deep"


@pytest.mark.parametrize("argument", ["not a number", None, [1]])
def test_programs_and_arguments_that_cannot_be(scripted: Scripted, argument: object) -> None:
    def script() -> list[Failed]:
        peer = scripted.assign(task(programs.add, argument))
        told = [peer.hear(Failed)]
        for run, program in enumerate(("no.such.module:f", f"{PROGRAMS}:no_such_function", "os:getcwd")):
            peer.say(Assigned(run + 2, Task("it", program)))
            told.append(peer.hear(Failed))
        peer.say(Goodbye())
        return told

    _, told = working(scripted, script)
    assert [failed.kind for failed in told][:3] == ["JobError"] * 3
    assert not any(failed.again for failed in told)


@pytest.mark.usefixtures("through")
def test_messages_wait_for_room_and_keep_what_they_were(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not accepted is bounded; the program's memory is its own again at once."""
    monkeypatch.setattr(line, "HELD", 1_000_000)
    sizes = [600_000, 500_000, 0, 3_000_000, 10, 400_000]
    sends = tuple(Edge("after", f"m{number}") for number in range(len(sizes)))

    def script() -> dict[tuple[str, str], bytes]:
        peer = scripted.assign(task(programs.send_many, sizes, sends=sends), alive_s=0.4)
        peer.accepting = False
        first = peer.hear(Send)
        assert peer.hear(Alive) == Alive()  # nothing more, since nothing was accepted
        assert peer.messages.keys() == {("after", "m0")}
        peer.accepting = True
        peer.say(Accepted(first.stream))
        peer.hear(Done)
        peer.say(Goodbye())
        return peer.messages

    _, messages = working(scripted, script)
    assert messages == {("after", f"m{number}"): made(size)[:size] for number, size in enumerate(sizes)}


@pytest.mark.usefixtures("through")
def test_large_messages_go_on_without_anything_else_that_happens(scripted: Scripted) -> None:
    """Nothing but what there is to say wakes the line: no word of life is due, and none comes."""
    sizes = [40_000_000, 20_000_000]
    sends = (Edge("after", "m0"), Edge("after", "m1"))

    def script() -> int:
        peer = scripted.assign(task(programs.send_many, sizes, sends=sends), alive_s=3000)
        peer.hear(Done)
        peer.say(Goodbye())
        return sum(map(len, peer.messages.values()))

    assert working(scripted, script)[1] == sum(sizes)


def test_whoever_adds_waits_for_room(scripted: Scripted) -> None:
    adds = (f"{PROGRAMS}:nothing",)

    def script() -> list[str]:
        peer = scripted.assign(task(programs.add, 3, adds=adds), alive_s=0.2)
        names = []
        for _ in range(3):
            names += [each.name for each in peer.hear(Add).tasks]
            assert isinstance(peer.read(), Alive)
            peer.say(Room())
        peer.hear(Done)
        peer.say(Goodbye())
        return names

    _, names = working(scripted, script)
    assert names == [f"added/{number}" for number in range(3)]


@pytest.mark.parametrize("program", [programs.compute, programs.block])
def test_a_worker_says_that_it_is_alive_whatever_its_program_does(
    scripted: Scripted, program: Callable[..., Any]
) -> None:
    def script() -> int:
        peer = scripted.assign(task(program, 1.0), alive_s=0.2)
        count = 0
        while isinstance(peer.read(), Alive):
            count += 1
        peer.say(Goodbye())
        return count

    _, count = working(scripted, script)
    assert count >= 2


@pytest.mark.parametrize("program", [programs.compute, programs.block])
def test_goodbye_ends_a_program_wherever_it_is(scripted: Scripted, program: Callable[..., Any]) -> None:
    def script() -> None:
        peer = scripted.assign(task(program, 600.0), alive_s=0.05)
        peer.hear(Alive)
        peer.hear(Alive)
        peer.say(Goodbye("not wanted"))
        peer.gone()

    began = time.monotonic()
    worked, _ = working(scripted, script)
    assert worked == Worked(0, 0, "not wanted")
    assert time.monotonic() - began < 60
    # The handler of the signal is gone with the worker, and this process goes on.


def test_a_program_that_cannot_be_ended_ends_with_its_process(scripted: Scripted) -> None:
    killed: list[int] = []

    def kill(code: int) -> None:
        killed.append(code)
        programs.released.set()  # which the end of the process would do

    def script() -> None:
        peer = scripted.assign(task(programs.stubborn, 60.0), alive_s=0.05)
        peer.hear(Alive)
        peer.say(Goodbye("not wanted"))
        peer.gone()

    worked, _ = working(scripted, script, kill=kill, grace_s=0.2)
    assert killed == [1]
    assert worked.reason == "not wanted"


def test_a_message_that_was_retracted_comes_again(scripted: Scripted) -> None:
    scripted_store = FolderStore(scripted.invitation.store)
    scripted_store.write("film", b"")
    relay = task(programs.relay, 1, fetches=("film",), stores=("out/",), sends=(AFTER,), receives=(BEFORE,))

    def script() -> None:
        peer = scripted.assign(relay)
        waiting(peer)
        peer.say(Deliver(1, "before", "state", 1_000_000))
        peer.piece(1, b"wrong" * 1000)
        peer.say(Retracted(1))
        peer.say(Retracted(1))  # said twice
        peer.deliver(2, "before", "state", b"right" * 200_000)
        peer.hear(Stored)
        peer.hear(Done)
        peer.say(Goodbye())

    working(scripted, script)
    assert scripted_store.read("out/digest") == hashlib.sha256(b"right" * 200_000).digest()


def test_a_broken_connection_is_mended_while_the_program_computes(scripted: Scripted) -> None:
    """What was not accepted is said again, in its order; what was accepted is not."""
    lazy = task(
        programs.lazy,
        0.5,
        stores=("out/",),
        sends=(Edge("after", "one"), Edge("after", "two")),
        receives=(BEFORE,),
    )

    def script() -> list[Any]:
        peer = scripted.assign(lazy, run=3)
        peer.hear(Stored)
        peer.read()
        peer.cut()  # in the middle of the first message
        peer, hello = scripted.welcome()
        assert (hello.run, hello.task) == (3, "it")
        assert peer.hear(Stored).name == "out/first"
        peer.accepting = False
        waiting(peer)
        assert peer.messages.keys() == {("after", "one"), ("after", "two")}
        peer.say(Accepted(2))
        peer.say(Deliver(1, "before", "state", 500_000))
        peer.piece(1, b"state" * 1000)
        peer.cut()  # in the middle of what it waits for
        peer, hello = scripted.welcome()
        assert hello.run == 3
        assert waiting(peer) == ("before", "state")
        assert not peer.messages
        peer.deliver(1, "before", "state", b"state" * 100_000)
        peer.deliver(2, "before", "state", b"state" * 100_000)  # twice, as after a restart
        assert peer.hear(Stored).name == "out/last"
        peer.hear(Done)
        peer.cut()  # before that is answered
        peer, hello = scripted.welcome()
        assert hello.run == 3
        assert peer.hear(Stored).name == "out/last"
        peer.hear(Done)
        peer.say(Assigned(4, task(programs.nothing)))
        peer.hear(Done)
        peer.cut()
        peer, hello = scripted.welcome()
        assert hello.run == 4
        peer.hear(Done)
        peer.say(Goodbye())
        return []

    worked, _ = working(scripted, script)
    assert worked.done == 2


def test_an_idle_worker_comes_back_and_gives_up_in_the_end(scripted: Scripted) -> None:
    def script() -> None:
        for _ in range(3):
            peer, hello = scripted.welcome()
            assert hello.run is None
            peer.cut()
        scripted.close()

    with pytest.raises(Unreachable, match="out of reach"):
        working(scripted, script, reconnect_s=0.5)


def test_before_its_time_is_over_it_says_so_and_gives_its_task_back(scripted: Scripted) -> None:
    def script() -> Leaving:
        peer = scripted.assign(task(programs.block, 600.0))
        leaving = peer.hear(Leaving)
        with pytest.raises(Gone):
            peer.read()
        return leaving

    worked, leaving = working(scripted, script, time_s=3.0)
    assert leaving == Leaving("its time is over")
    assert worked == Worked(0, 0, "its time is over")


def test_a_worker_with_little_time_left_takes_no_other_task(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "_RESERVE", 1.0)

    def script() -> Leaving:
        peer = scripted.assign(task(programs.nothing))
        peer.hear(Done)
        return peer.hear(Leaving)

    worked, leaving = working(scripted, script, time_s=600.0)
    assert worked == Worked(1, 0, "its time is almost over")
    assert leaving.reason == worked.reason


def test_time_ends_without_a_coordinator_too(scripted: Scripted) -> None:
    scripted.close()
    worked = work(scripted.invitation, FolderStore("unused"), time_s=0.3)
    assert worked == Worked(0, 0, "its time is over")


def test_what_prepare_raises_ends_the_worker(scripted: Scripted) -> None:
    def prepare() -> None:
        raise RuntimeError("no codec")

    def script() -> Leaving:
        return scripted.assign(task(programs.nothing)).hear(Leaving)

    with pytest.raises(RuntimeError, match="no codec"):
        working(scripted, script, prepare=prepare)
