"""Workers that share a store: large messages lie in it, and only the bytes that were sent reach a program."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import mu
from mu.digest import digest
from mu.job import Key, Task
from mu.store.folder import FolderStore
from mu.store.messages import BYPASS, message_name
from mu.wire import (
    Accepted,
    Assigned,
    Deliver,
    Done,
    Failed,
    FromWorker,
    Goodbye,
    Progressed,
    Send,
    Span,
    Stored,
    Waiting,
)
from mu.worker.work import Worked, work
from tests.mu import programs_of_workers as programs
from tests.mu.programs_of_workers import AFTER, BEFORE, made
from tests.mu.scripted import Peer, Scripted, waiting

STATE = made(BYPASS)
assert len(STATE) > BYPASS
CAME = Key("before", "it", "state")


def relay(size: int) -> Task:
    more: dict[str, Any] = {"fetches": ("film",), "stores": ("out/",), "sends": (AFTER,), "receives": (BEFORE,)}
    return Task("it", f"{programs.__name__}:relay", mu.argument(size), **more)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    server = Scripted(tmp_path)
    yield server
    server.close()


@pytest.fixture
def store(scripted: Scripted) -> FolderStore:
    made = FolderStore(scripted.invitation.store)
    made.write("film", b"film")
    return made


def works(scripted: Scripted, store: FolderStore) -> Worked:
    return work(scripted.invitation, store, grace_s=60.0)  # or a slow machine would end this process


def until(peer: Peer, kind: type[FromWorker]) -> list[FromWorker]:
    """The words up to the first of this kind; a message is written while its program goes on, so any may be before."""
    words: list[FromWorker] = []
    while not words or not isinstance(words[-1], kind):
        word = peer.read()
        assert not isinstance(word, tuple)
        words.append(word)
    return words


def test_a_large_message_is_left_in_the_store_and_taken_from_there(scripted: Scripted, store: FolderStore) -> None:
    store.write(message_name(CAME, digest(STATE)), STATE)

    def script() -> list[FromWorker]:
        peer = scripted.assign(relay(BYPASS))
        assert waiting(peer) == ("before", "state")
        peer.say(Deliver(1, "before", "state", len(STATE), stored=digest(STATE)))
        sent = until(peer, Send)[-1:]
        assert bytes(store.read(message_name(Key("it", "after", "state"), digest(STATE)))) == STATE, "said too early"
        peer.cut()  # before it was accepted: it is said again, and written once
        peer, hello = scripted.welcome()
        assert hello.task == "it"
        sent += [word for word in until(peer, Done) if isinstance(word, Send)]
        peer.say(Goodbye("enough"))
        return sent

    with scripted.beside(script) as result:
        assert works(scripted, store) == Worked(1, 0, "enough")
    assert result[0] == [Send(1, "after", "state", len(STATE), digest=digest(STATE), stored=True)] * 2
    assert store.read("out/digest") == b"film" + hashlib.sha256(STATE).digest()


def test_its_way_takes_a_time_of_its_own(scripted: Scripted, store: FolderStore) -> None:
    store.write(message_name(CAME, digest(STATE)), STATE)

    def script() -> list[Span]:
        peer = scripted.assign(relay(BYPASS))
        spans: list[Span] = []
        while not isinstance(word := peer.read(), Done):
            assert not isinstance(word, tuple)
            if isinstance(word, Progressed):
                spans += word.spans
            elif isinstance(word, Waiting):
                peer.say(Deliver(1, "before", "state", len(STATE), stored=digest(STATE)))
            elif isinstance(word, Send):
                peer.say(Accepted(word.stream))
        peer.say(Goodbye())
        return [*spans, *word.spans]

    with scripted.beside(script) as result:
        works(scripted, store)
    spans: list[Span] = result[0]
    stages = [span.stage for span in spans]
    assert stages[:3] == ["read", "wait", "transfer"]
    assert stages[3:] in (["send"], ["send", "transfer"]), "it is there when the program is over, or is waited for"
    assert all(one.ended == other.began for one, other in pairwise(spans))


def test_what_is_not_large_goes_through_the_coordinator(scripted: Scripted, store: FolderStore) -> None:
    size = BYPASS - BYPASS % 1000 - 1000

    def script() -> dict[tuple[str, str], bytes]:
        peer = scripted.assign(relay(size))
        waiting(peer)
        peer.say(Deliver(1, "before", "state", 3, b"abc"))
        peer.hear(Stored)
        peer.hear(Done)
        peer.say(Goodbye())
        return peer.messages

    with scripted.beside(script) as result:
        works(scripted, store)
    assert result[0] == {("after", "state"): made(size)}
    assert list(store.list("messages/")) == []


WRONG = {
    "absent": (None, "cannot be had from the store"),
    "another byte": (b"?" + STATE[1:], "other bytes"),
    "a byte less": (STATE[:-1], "other bytes"),
    "nothing": (b"", "other bytes"),
    "a byte more": (STATE + b"?", "cannot be had from the store"),
}


def test_other_bytes_than_were_sent_never_reach_a_program(scripted: Scripted, store: FolderStore) -> None:
    name = message_name(CAME, digest(STATE))

    def script() -> dict[str, Failed]:
        peer, _ = scripted.welcome()
        told = {}
        for run, (what, (payload, _text)) in enumerate(WRONG.items()):
            store.delete(name)
            if payload is not None:
                store.write(name, payload)
            peer.say(Assigned(run, relay(BYPASS)))
            waiting(peer)
            peer.say(Deliver(run, "before", "state", len(STATE), stored=digest(STATE)))
            told[what] = peer.hear(Failed)
        peer.say(Goodbye())
        return told

    with scripted.beside(script) as result:
        assert works(scripted, store).failed == len(WRONG)
    for what, failed in result[0].items():
        assert (failed.kind, failed.again) == ("TransferFailed", True), what
        assert WRONG[what][1] in failed.text, what
    assert not store.exists("out/digest")
