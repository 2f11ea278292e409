"""What a worker makes of whatever its coordinator says: any bytes, however split, and any words in any order."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu.digest import digest
from mu.errors import BackendError, ProtocolError
from mu.job import Edge, Task, argument
from mu.store.folder import FolderStore
from mu.wire import (
    CONTROL,
    HEAD,
    LARGEST_FRAME,
    STREAM,
    VERSION,
    Accepted,
    Add,
    Assigned,
    Deliver,
    Delivered,
    Done,
    FromWorker,
    Goodbye,
    Hello,
    Invitation,
    Leaving,
    Progressed,
    Retracted,
    Room,
    Send,
    Sent,
    Stored,
    ToWorker,
    Waiting,
    Welcome,
    decode_from_worker,
    encode,
    frame,
    piece_head,
)
from mu.worker.frames import Frames, Part
from mu.worker.talk import Message, Talk
from mu.worker.work import work
from tests.mu.scripted import Scripted

INVITATION = Invitation("127.0.0.1:1", "job", 1, "token", "")
EDGES = [Edge("a", "x"), Edge("b", "y")]
TASK = Task("t", "m:f", receives=tuple(EDGES), sends=tuple(EDGES), adds=("m:g",))
STREAMS = st.integers(0, 4)
SENDERS = st.sampled_from("ab")
SMALL = st.binary(max_size=20)
WORDS: st.SearchStrategy[ToWorker | tuple[int, bytes]] = st.one_of(
    st.builds(Welcome, st.sampled_from([1.0, 0.0, -1.0, float("nan"), float("inf")]), st.booleans()),
    st.builds(Assigned, st.integers(0, 3), st.sampled_from([TASK, Task("u", "m:f")])),
    st.builds(Accepted, STREAMS),
    st.builds(Deliver, STREAMS, st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from([0, 5, 1 << 31])),
    SMALL.flatmap(
        lambda p: st.builds(Deliver, STREAMS, st.sampled_from("ab"), st.just("x"), st.just(len(p)), st.just(p))
    ),
    st.builds(Deliver, STREAMS, st.just("a"), st.just("x"), st.integers(0, 9), SMALL),
    st.builds(Deliver, STREAMS, SENDERS, st.just("x"), st.sampled_from([0, 5, 1 << 31]), stored=SMALL.map(digest)),
    st.builds(Delivered, STREAMS, SMALL.map(digest)),
    st.builds(Retracted, STREAMS),
    st.builds(Room),
    st.builds(Goodbye, st.sampled_from(["", "enough"])),
    st.tuples(STREAMS, st.binary(min_size=1, max_size=20)),
)


def framed(words: Sequence[ToWorker | tuple[int, bytes]]) -> bytes:
    return b"".join(piece_head(w[0], len(w[1])) + w[1] if isinstance(w, tuple) else frame(w) for w in words)


def split(data: bytes, cuts: list[int]) -> Iterator[memoryview]:
    ends = sorted(cut % (len(data) + 1) for cut in cuts)
    for begin, end in zip([0, *ends], [*ends, len(data)], strict=True):
        yield memoryview(data)[begin:end]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=20)


@given(st.lists(WORDS, max_size=20), CUTS)
def test_frames_are_the_same_however_they_are_split(words: list[ToWorker | tuple[int, bytes]], cuts: list[int]) -> None:
    frames = Frames()
    found: list[object] = []
    for data in split(framed(words), cuts):
        for heard in frames.feed(data):
            if not isinstance(heard, Part):
                found.append(heard)
            elif len(heard.payload):
                found.append((heard.stream, bytes(heard.payload)))
    joined: list[object] = []
    for word in found:  # pieces come in parts
        last = joined[-1] if joined else None
        if isinstance(word, tuple) and isinstance(last, tuple) and last[0] == word[0]:
            joined[-1] = (word[0], last[1] + word[1])
        else:
            joined.append(word)
    wanted: list[object] = []
    for each in words:
        last = wanted[-1] if wanted else None
        if isinstance(each, tuple) and isinstance(last, tuple) and last[0] == each[0]:
            wanted[-1] = (each[0], last[1] + each[1])
        else:
            wanted.append(each)
    assert repr(joined) == repr(wanted)  # as text, since NaN differs from itself


HEADS = st.builds(HEAD.pack, st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1)), st.integers(0, 3))
BYTES = st.lists(st.one_of(HEADS, SMALL, WORDS.map(lambda word: framed([word]))), max_size=12).map(b"".join)


@given(BYTES, CUTS)
def test_any_bytes_are_words_or_an_error(data: bytes, cuts: list[int]) -> None:
    frames = Frames()
    with suppress(ProtocolError):
        for part in split(data, cuts):
            for _ in frames.feed(part):
                pass
    assert len(frames._begun) <= LARGEST_FRAME


def test_what_was_read_does_not_change_with_the_memory_it_was_read_from() -> None:
    body = bytearray(encode(Add((Task("t", "m:f", argument(["some", "thing"])),))))
    word = decode_from_worker(memoryview(body))
    body[:] = bytes(len(body))
    assert word == Add((Task("t", "m:f", argument(["some", "thing"])),))


class Reader:
    """Reads what a worker says, as its coordinator would."""

    def __init__(self) -> None:
        self.words: list[FromWorker] = []
        self.pieces: dict[int, bytearray] = {}
        self._rest = bytearray()

    def take(self, data: bytes | memoryview) -> None:
        self._rest += data
        while len(self._rest) >= HEAD.size:
            length, kind = HEAD.unpack_from(self._rest)
            if len(self._rest) < HEAD.size + length - 1:
                break
            body = bytes(self._rest[HEAD.size : HEAD.size + length - 1])
            del self._rest[: HEAD.size + length - 1]
            if kind == CONTROL:
                self.words.append(decode_from_worker(body))
            else:
                self.pieces.setdefault(STREAM.unpack(body[:4])[0], bytearray()).extend(body[4:])


def drain(talk: Talk, reader: Reader) -> None:
    while data := talk.outgoing():
        reader.take(data)


ACTIONS = st.sampled_from(
    ["connect", "disconnect", "send", "send-large", "send-stored", "wait", "stored", "over", "take", "beat", "leave"]
)


def act(talk: Talk, action: str) -> None:
    if action == "connect":
        talk.connect()
    elif action == "disconnect":
        talk.disconnect()
    elif action.startswith("send"):
        stored = 1 << 30 if action == "send-stored" else None
        message = Message("a", "x", memoryview(bytes(400_000 if action == "send-large" else 3)), stored)
        message.digest = digest(message.payload)
        talk.send(message)
    elif action == "wait":
        talk.wait_for(EDGES[0])
    elif action == "stored":
        talk.say(Stored("o", 1, bytes(16)))
        talk.say(Progressed("s", 1, None, 0.0))
    elif action == "over":
        talk.over(Done())
    elif action == "take":
        talk.take()
    elif action == "beat":
        talk.beat()
    else:
        talk.leaving = "why not"


@settings(max_examples=300)
@given(st.lists(st.one_of(ACTIONS, WORDS), max_size=40), CUTS)
def test_any_words_in_any_order_are_taken_or_refused(steps: list[object], cuts: list[int]) -> None:
    talk, reader = Talk(INVITATION), Reader()
    talk.connect()
    drain(talk, reader)
    for step in ["go", *steps]:
        if isinstance(step, str):
            if step == "connect" or (step == "disconnect" and talk.connected):
                reader = Reader()
            act(talk, "connect" if step == "go" else step)
            reader = Reader() if step == "go" else reader
        elif talk.connected:
            try:
                for data in split(framed([step]), cuts):  # type: ignore[list-item]
                    talk.received(data)
            except ProtocolError:
                return
        assert talk.held >= 0
        assert talk.arrived is None or talk.awaited is not None
        if talk.connected:
            drain(talk, reader)
            assert isinstance(reader.words[0], Hello)
            assert talk.welcome or len(reader.words) == 1


@given(st.lists(st.sampled_from([0, 3, 300_000, 800_000, -1]), max_size=5), st.lists(st.integers(0, 12), max_size=4))
def test_everything_is_said_whole_and_in_order_through_broken_connections(sizes: list[int], cuts: list[int]) -> None:
    """Whatever was not accepted when a connection broke is said on the next one. -1 bytes: it lies in the store."""
    talk = Talk(INVITATION)
    talk.connect()
    heard: dict[int, tuple[Send, bytes]] = {}
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    for attempt, cut in enumerate([*cuts, 1 << 30]):
        reader = Reader()
        talk.connect()
        if attempt:
            assert reader.words == []
        first = talk.outgoing()
        assert first
        reader.take(first)
        talk.received(memoryview(framed([Welcome(1.0)])))
        if not attempt:
            talk.received(memoryview(framed([Assigned(1, TASK)])))
            talk.take()
            for number, payload in enumerate(payloads):
                stored = 1 << 30 if sizes[number] < 0 else None
                message = Message("a", f"m{number}", memoryview(payload), stored)
                message.digest = digest(payload)
                talk.send(message)
                talk.say(Stored(f"o{number}", 1, bytes(16)))
            talk.over(Done())
        for _ in range(cut):
            data = talk.outgoing()
            if not data:
                break
            reader.take(data)
        for word in reader.words:
            if isinstance(word, Send) and word.payload is not None:
                heard[word.stream] = word, word.payload
                assert word.digest == digest(word.payload)
            elif isinstance(word, Send) and word.stored:
                heard[word.stream] = word, b""
                assert (word.size, word.digest) == (1 << 30, digest(b""))
            elif isinstance(word, Sent):
                send = next(each for each in reader.words if isinstance(each, Send) and each.stream == word.stream)
                heard[word.stream] = send, bytes(reader.pieces[word.stream])
                assert word.digest == digest(heard[word.stream][1])
            else:
                continue
            talk.received(memoryview(framed([Accepted(word.stream)])))
    assert [payload for _, (_, payload) in sorted(heard.items())] == payloads
    assert isinstance(reader.words[-1], Done)
    assert talk.held == 0


def test_a_task_that_was_assigned_is_told_of_though_it_has_not_begun() -> None:
    talk = Talk(INVITATION)
    for run in (None, 1, 2):
        reader = Reader()
        talk.connect()
        drain(talk, reader)
        assert [word.run for word in reader.words if isinstance(word, Hello)] == [run]
        talk.received(memoryview(framed([Welcome(1.0)])))
        if run != 2:
            talk.over(Done())
            talk.received(memoryview(framed([Assigned((run or 0) + 1, TASK)])))
        if run is None:
            talk.connect()
            talk.take()


def test_what_was_heard_of_a_run_is_not_said_in_the_next_one() -> None:
    """The connection broke when the coordinator had heard all of a run, and had assigned another."""
    talk = Talk(INVITATION)
    talk.connect()
    drain(talk, Reader())
    talk.received(memoryview(framed([Welcome(1.0), Assigned(1, TASK)])))
    talk.take()
    talk.say(Stored("o", 1, bytes(16)))
    talk.connect()
    drain(talk, Reader())
    with pytest.raises(ProtocolError, match="goes on"):
        talk.received(memoryview(framed([Welcome(1.0, True)])))
    talk.over(Done())
    talk.connect()
    reader = Reader()
    drain(talk, reader)
    talk.received(memoryview(framed([Welcome(1.0, True)])))
    drain(talk, reader)
    talk.received(memoryview(framed([Assigned(2, TASK)])))
    drain(talk, reader)
    assert reader.words == [Hello(VERSION, "job", 1, "token", 1, "t")]
    assert talk.take() == TASK


def test_a_worker_that_leaves_says_all_the_rest_before_unless_it_is_in_haste() -> None:
    for in_haste in (False, True):
        talk, reader = Talk(INVITATION), Reader()
        talk.connect()
        drain(talk, reader)
        talk.leaving, talk.in_haste = "home", in_haste
        drain(talk, reader)
        talk.received(memoryview(framed([Welcome(1.0), Assigned(1, TASK)])))
        talk.take()
        talk.wait_for(EDGES[0])
        drain(talk, reader)
        assert reader.words[1:] == ([] if in_haste else [Waiting("a", "x")]) + [Leaving("home")]
        assert talk.left


@settings(max_examples=25, deadline=None)
@given(data=BYTES, welcome=st.booleans())
def test_any_bytes_over_tls_end_a_worker(tmp_path_factory: pytest.TempPathFactory, data: bytes, welcome: bool) -> None:
    """It neither hangs nor crashes: what it cannot understand is an error, and who is not there is given up."""
    scripted = Scripted(tmp_path_factory.mktemp("s"))

    def script() -> None:
        with suppress(OSError, ssl.SSLError):
            peer = scripted.accept()
            peer.hear(Hello)
            if welcome:
                peer.say(Welcome(1.0))
            peer.connection.sendall(data)
            peer.cut()
        scripted.close()

    with scripted.beside(script), suppress(ProtocolError, BackendError):
        work(scripted.invitation, FolderStore("unused"), reconnect_s=0.2)
