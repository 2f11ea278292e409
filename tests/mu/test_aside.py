"""What goes on beside a program: in threads, within bounds, told when it is done, and never after the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mu
from mu import Context
from mu.digest import digest
from mu.errors import TransferFailed
from mu.job import Edge, Key, Task
from mu.store.folder import FolderStore
from mu.store.messages import message_name
from mu.wire import Accepted, Assigned, Done, Failed, Goodbye, Send, Stored
from mu.worker.aside import Aside
from mu.worker.work import Worked, work
from tests.mu.programs_of_workers import made
from tests.mu.scripted import Scripted

PATIENCE = 20.0


def test_the_program_goes_on_meanwhile() -> None:
    aside, go, said = Aside(100), threading.Event(), list[str]()
    aside.do(60, lambda: go.wait(PATIENCE), lambda: said.append("one"))
    aside.do(40, lambda: None, lambda: said.append("two"))
    assert "one" not in said
    go.set()
    aside.settle()
    assert sorted(said) == ["one", "two"]
    aside.settle()


def test_what_cannot_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    aside = Aside(100)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            aside.do(60, lambda: None, lambda: None)
    settled = threading.Thread(target=aside.settle, daemon=True)
    settled.start()
    settled.join(PATIENCE)
    assert not settled.is_alive()


def test_only_so_much_is_on_its_way() -> None:
    aside = Aside(100)
    most, now, lock = 0, 0, threading.Lock()

    def work(size: int) -> None:
        nonlocal most, now
        with lock:
            now += size
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= size

    for size in (30, 50, 40, 250, 10, 90, 100, 1):
        aside.do(size, lambda size=size: work(size), lambda: None)  # type: ignore[misc]
    aside.settle()
    assert now == 0
    assert most == 250, "what is larger than all the room goes alone"


def test_what_goes_wrong_is_raised_by_what_comes_next() -> None:
    def fails() -> None:
        raise TransferFailed("no way")

    aside, said = Aside(100), list[str]()
    aside.do(1, fails, lambda: said.append("one"))
    with pytest.raises(TransferFailed):
        aside.settle()
    with pytest.raises(TransferFailed):
        aside.do(1, lambda: None, lambda: said.append("two"))
    other = Aside(100)
    other.do(1, lambda: None, fails)
    with pytest.raises(TransferFailed, match="no way"):
        other.settle()
    assert not said


def test_nothing_is_said_after_the_end() -> None:
    aside, go, said = Aside(100), threading.Event(), list[str]()
    aside.do(1, lambda: go.wait(PATIENCE), lambda: said.append("one"))
    aside.leave()
    go.set()
    aside.settle()
    assert not said


# A worker's messages

LARGE = made(2_000_000)


class Slow(FolderStore):
    """Messages are written when the test lets them."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.may_write, self.error = threading.Event(), ""
        self.written: list[str] = []

    def write(self, name: str, payload: bytes | memoryview, found: bytes | None = None) -> None:
        if name.startswith("messages/"):
            assert self.may_write.wait(PATIENCE)
            if self.error:
                raise TransferFailed(self.error)
        super().write(name, payload, found)
        self.written.append(name)


def ahead(ctx: Context, fails: bool) -> None:
    """Send, and go on."""
    payload = bytearray(LARGE)
    ctx.send("after", "golden", payload)
    payload[:] = bytes(len(payload))  # what was sent stays what it was
    ctx.store("out/meanwhile", b"computed")
    if fails:
        raise ValueError("after all")
    ctx.send("after", "state", LARGE)


def alone(ctx: Context, name: str) -> None:
    """Another task."""
    ctx.store(f"out/{name}", b"")


AHEAD = (Edge("after", "golden"), Edge("after", "state"))


def task(program: str, argument: object) -> Task:
    return Task(program, f"{__name__}:{program}", mu.argument(argument), stores=("out/",), sends=AHEAD)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    server = Scripted(tmp_path)
    yield server
    server.close()


def working(scripted: Scripted, store: Slow, script: Callable[[], None]) -> Worked:
    with scripted.beside(script):
        return work(scripted.invitation, store, grace_s=60.0)


def test_a_program_computes_on_while_its_messages_are_written(scripted: Scripted) -> None:
    store = Slow(scripted.invitation.store)

    def script() -> None:
        peer = scripted.assign(task("ahead", False))
        assert peer.hear(Stored).name == "out/meanwhile"
        assert not store.written[1:]
        store.may_write.set()
        sends = [peer.hear(Send) for _ in range(2)]
        assert {send.name for send in sends} == {"golden", "state"}
        for send in sends:
            assert send.stored
            assert send.digest == digest(LARGE)
            place = message_name(Key("ahead", "after", send.name), digest(LARGE))
            assert store.read(place) == LARGE, "it is there when it is said"
            peer.say(Accepted(send.stream))
        peer.hear(Done)
        peer.say(Goodbye("enough"))

    assert working(scripted, store, script) == Worked(1, 0, "enough")


def test_a_message_that_cannot_be_written_fails_its_run(scripted: Scripted) -> None:
    store = Slow(scripted.invitation.store)
    store.error = "S3 is out"

    def script() -> None:
        peer = scripted.assign(task("ahead", False))
        peer.hear(Stored)
        store.may_write.set()
        failed = peer.hear(Failed)
        assert (failed.kind, failed.text, failed.again) == ("TransferFailed", "S3 is out", True)
        peer.say(Goodbye("enough"))

    assert working(scripted, store, script) == Worked(0, 1, "enough")


def test_nothing_is_said_of_messages_whose_run_is_over(scripted: Scripted) -> None:
    store = Slow(scripted.invitation.store)

    def script() -> None:
        peer = scripted.assign(task("ahead", True), run=1)
        peer.hear(Stored)
        assert peer.hear(Failed).kind == "ValueError"
        peer.say(Assigned(2, task("alone", "other")))
        assert peer.hear(Stored).name == "out/other"
        peer.hear(Done)
        store.may_write.set()
        until = time.monotonic() + PATIENCE
        while len(store.written) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        peer.say(Assigned(3, task("alone", "last")))
        assert peer.hear(Stored).name == "out/last"
        peer.hear(Done)
        assert not peer.messages
        peer.say(Goodbye("enough"))

    assert working(scripted, store, script) == Worked(2, 1, "enough")
