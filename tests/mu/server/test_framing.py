"""Bytes in any portions, sense or none: frames come out, or the connection ends; nothing else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mu
from mu.core.coordinator import Coordinator
from mu.digest import digest
from mu.errors import ProtocolError
from mu.job import Job
from mu.server.connection import Connection
from mu.server.framing import FrameProtocol, Turn
from mu.server.hosted import HostedJob
from mu.server.keys import JobKeys
from mu.server.listener import Entrant, Listener, Options
from mu.server.memory import Memory
from mu.server.rendezvous import Rendezvous
from mu.wire import (
    HEAD,
    VERSION,
    Accepted,
    Alive,
    Assigned,
    Deliver,
    Done,
    Failed,
    Goodbye,
    Hello,
    Invitation,
    Send,
    Sent,
    Stored,
    Waiting,
    decode_to_worker,
    frame,
    piece_head,
)


class Transport(asyncio.Transport):
    """Notes what is written."""

    def __init__(self, context: object = None) -> None:
        super().__init__()
        self.context = context
        self.written = bytearray()
        self.closed = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "ssl_object" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def feed(protocol: FrameProtocol, data: bytes, portions: Iterator[int]) -> None:
    """Have a transport put the bytes where the protocol wants them, some at a time."""
    at = 0
    while at < len(data) and protocol.transport is not None:
        buffer = protocol.get_buffer(-1)
        assert len(buffer) > 0
        count = min(next(portions), len(buffer), len(data) - at)
        buffer[:count] = data[at : at + count]
        at += count
        protocol.buffer_updated(count)


class Frames(FrameProtocol):
    """Notes frames."""

    def __init__(self, turn: Turn, *, bulk: bool) -> None:
        super().__init__(turn)
        self.bulk = bulk
        self.heard: list[bytes | tuple[int, bytearray]] = []
        self.error: ProtocolError | None = None

    def control(self, body: memoryview) -> None:
        self.heard.append(bytes(body))

    def piece(self, stream: int, size: int) -> None:
        self._space = bytearray(size)
        self._at = 0
        self.heard.append((stream, self._space))

    def room(self) -> memoryview:
        return memoryview(self._space)[self._at : self._at + 1000]

    def filled(self, size: int) -> None:
        assert size > 0
        self._at += size

    def broke(self, error: ProtocolError) -> None:
        self.error = error
        self.transport = None


CONTROL = st.binary(max_size=300)
PIECES = st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=3000))
PORTIONS = st.lists(st.integers(1, 4000), min_size=1)


def endless(portions: list[int]) -> Iterator[int]:
    while True:
        yield from portions


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="module")
def turn() -> Iterator[Turn]:
    loop = asyncio.new_event_loop()
    yield Turn(loop)
    loop.close()


@given(frames=st.lists(CONTROL | PIECES), portions=PORTIONS, bulk=st.booleans())
def test_frames_come_out_however_their_bytes_came(
    turn: Turn, frames: list[bytes | tuple[int, bytes]], portions: list[int], bulk: bool
) -> None:
    data = b"".join(
        HEAD.pack(len(said) + 1, 0) + said if isinstance(said, bytes) else piece_head(said[0], len(said[1])) + said[1]
        for said in frames
    )
    protocol = Frames(turn, bulk=bulk)
    protocol.connection_made(Transport())
    feed(protocol, data, endless(portions))
    assert protocol.error is None
    assert protocol.heard == frames


@given(data=st.binary(max_size=3000), portions=PORTIONS, bulk=st.booleans())
def test_any_bytes_are_frames_or_an_error(turn: Turn, data: bytes, portions: list[int], bulk: bool) -> None:
    protocol = Frames(turn, bulk=bulk)
    protocol.largest = 1000
    protocol.connection_made(Transport())
    feed(protocol, data, endless(portions))
    held = sum(len(said if isinstance(said, bytes) else said[1]) for said in protocol.heard)
    assert held <= len(data) + 1000


def test_a_large_control_frame_in_tiny_portions_takes_no_more_than_its_bytes(turn: Turn) -> None:
    protocol = Frames(turn, bulk=False)
    protocol.connection_made(Transport())
    feed(protocol, HEAD.pack(1 << 20, 0) + bytes((1 << 20) - 1), endless([7]))
    assert protocol.heard == [bytes((1 << 20) - 1)]


def test_a_call_that_fails_leaves_the_others(loop: asyncio.AbstractEventLoop) -> None:
    turn, done = Turn(loop), list[int]()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    turn.later(lambda: done.append(1))
    turn.later(lambda: done.remove(2))
    turn.later(lambda: done.append(3))
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    loop.set_exception_handler(None)
    assert done == [1, 3]
    assert [type(error) for error in told] == [ValueError]


class Invited:
    """A launcher that keeps invitations."""

    def __init__(self) -> None:
        self.invitations: list[Invitation] = []

    async def launch(self, invitation: Invitation, ended: object) -> None:
        self.invitations.append(invitation)

    async def cancel(self, worker: int) -> None:
        pass

    async def close(self) -> None:
        pass


KEYS = JobKeys.make("none")
EDGES = ("m/0", "m/1")


@dataclass
class World:
    """A job and connections to it, without a network."""

    loop: asyncio.AbstractEventLoop
    folder: Any
    launcher: Invited = field(default_factory=Invited)

    def __post_init__(self) -> None:
        self.turn = Turn(self.loop)
        self.listener = Listener(self.turn, Options(complaints=0))
        sends = tuple(mu.Edge("b", name) for name in EDGES)
        receives = tuple(mu.Edge("a", name) for name in EDGES)
        tasks = (mu.Task("a", "t:t", sends=sends, stores=("out/",)), mu.Task("b", "t:t", receives=receives))
        work = Job("fuzz", tasks, mu.Limits(workers=2, tries=100, straggler=None))
        self.memory = Memory(1 << 20)
        self.job = HostedJob(
            Coordinator(work),
            turn=self.turn,
            keys=msgspec.structs.replace(KEYS, job=work.id),
            messages=lambda failed: Rendezvous(
                self.memory, self.folder, self.loop, failed, durable=False, most=1 << 24, most_stored=1 << 24
            ),
            launcher=cast(Any, self.launcher),
            address=lambda: "localhost:1",
            store="",
            code="",
            token_s=1000,
            ledger=None,
            entries=(),
            drop=None,
            observer=None,
        )
        self.listener.add(self.job)
        self.job.start()
        self.settle()

    def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    def connect(self) -> tuple[Connection, Transport]:
        connection = Connection(self.turn, self.listener, Entrant())
        transport = Transport(self.job.context)
        connection.connection_made(transport)
        return connection, transport

    def hello(self) -> bytes:
        told = self.launcher.invitations.pop(0)
        return frame(Hello(VERSION, told.job, told.worker, told.token))

    def close(self) -> None:
        self.loop.run_until_complete(self.job.close())


def heard(transport: Transport) -> list[Any]:
    """What a worker was told, without pieces."""
    words, data = [], bytes(transport.written)
    while data:
        length, kind = HEAD.unpack_from(data)
        if kind == 0:
            words.append(decode_to_worker(data[HEAD.size : 4 + length]))
        data = data[4 + length :]
    return words


@given(data=st.binary(max_size=300) | st.binary(max_size=60).map(lambda body: HEAD.pack(len(body) + 1, 0) + body))
def test_before_hello_any_bytes_wait_or_are_refused(
    loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    world = World(loop, tmp_path_factory.getbasetemp() / "none")
    try:
        connection, transport = world.connect()
        feed(connection, data, endless([1, 50]))
        assert connection.session is None
        if transport.closed:
            assert isinstance(heard(transport)[-1], Goodbye)
    finally:
        world.close()


def said(stream: int, receiver: str, name: str, payload: bytes) -> bytes:
    return frame(Send(stream, receiver, name, len(payload), payload, digest(payload)))


def in_pieces(stream: int, receiver: str, name: str, payload: bytes) -> bytes:
    begun = frame(Send(stream, receiver, name, len(payload)))
    pieces = piece_head(stream, len(payload)) + payload if payload else b""
    return begun + pieces + frame(Sent(stream, digest(payload)))


PAYLOADS = {name: [name.encode() * 100, bytes(300_000)] for name in EDGES}
GOOD = st.one_of(
    st.tuples(st.just(0), st.sampled_from(EDGES), st.sampled_from([said, in_pieces]), st.integers(0, 1)),
    st.tuples(st.just(1), st.sampled_from(EDGES), st.just(None), st.just(0)),
)
"""Which worker; a message of the plan, which is sent so or so, or waited for; which payload, for programs may err."""
LATER = st.sampled_from([frame(Alive()), frame(Stored("out/1", 1, bytes(16)))] + [frame(Done())])
STREAMS, NAMES = st.integers(0, 5), st.sampled_from(["a", "b", "m/0", "m/1", "out/1", "c"])
BAD = st.one_of(
    st.builds(said, STREAMS, NAMES, NAMES, st.just(b"x")),
    st.builds(lambda *fields: frame(Send(*fields)), STREAMS, st.just("b"), st.sampled_from(EDGES), st.integers(0, 9)),
    st.builds(lambda stream: piece_head(stream, 3) + b"abc", STREAMS),
    st.builds(lambda stream: frame(Sent(stream, digest(b""))), STREAMS),
    st.builds(lambda *edge: frame(Waiting(*edge)), NAMES, NAMES),
    st.builds(lambda name: frame(Stored(name, 1, bytes(16))), NAMES),
    st.sampled_from([frame(Failed("E", "e")), frame(Failed("E", "e", again=True))]),
    st.binary(max_size=40),
)
WORDS = st.lists(
    GOOD | GOOD | GOOD | st.tuples(st.integers(0, 1), LATER) | st.tuples(st.integers(0, 1), BAD), max_size=40
)


@settings(max_examples=150)
@given(words=WORDS, portions=st.lists(st.integers(500, 80_000), min_size=1))
def test_whatever_workers_say_the_job_goes_on_or_ends(
    loop: asyncio.AbstractEventLoop,
    tmp_path_factory: pytest.TempPathFactory,
    words: list[tuple[Any, ...]],
    portions: list[int],
) -> None:
    world = World(loop, tmp_path_factory.getbasetemp() / "messages")
    try:
        ends: list[tuple[Connection, Transport]] = []
        for stream, (number, *word) in enumerate(words):
            ends = [end for end in ends if not end[1].closed]
            while len(ends) < 2 and world.launcher.invitations:
                connection, transport = world.connect()
                feed(connection, world.hello(), endless([1000]))
                ends.append((connection, transport))
                world.settle()
            at = {end[0].session.task.name: end for end in ends if end[0].session and end[0].session.task}
            if (end := at.get("ab"[number])) is None:
                continue
            if len(word) == 1:
                data = word[0]
            else:
                name, how, which = word
                data = how(stream + 6, "b", name, PAYLOADS[name][which]) if how else frame(Waiting("a", name))
            feed(end[0], data, endless(portions))
            world.settle()
            assert not world.job.over.done() or world.job.over.exception() is None
            assert all(isinstance(heard(transport)[-1], Goodbye) for _, transport in ends if transport.closed)
        for connection, _ in ends:
            connection.connection_lost(None)
        world.settle()
    finally:
        world.close()
    assert world.memory.used == 0


def test_a_pair_without_a_network(loop: asyncio.AbstractEventLoop, tmp_path: Any) -> None:
    world = World(loop, tmp_path)
    (first, out), (second, back) = world.connect(), world.connect()
    feed(first, world.hello(), endless([1]))
    feed(second, world.hello(), endless([1]))
    world.settle()
    assert [type(word) for word in heard(out)[1:]] == [Assigned]
    feed(second, frame(Waiting("a", "m/0")), endless([3]))
    feed(first, in_pieces(1, "b", "m/0", bytes(range(256)) * 2000), endless([60_000]))
    feed(first, said(2, "b", "m/1", b"small"), endless([60_000]))
    world.settle()
    assert heard(out)[-1] == Accepted(2)
    assert bytes(range(256)) * 20 in bytes(back.written)
    feed(second, frame(Waiting("a", "m/1")), endless([3]))
    world.settle()
    assert heard(back)[-1] == Deliver(1, "a", "m/1", 5, b"small")
    feed(first, frame(Done()), endless([9]))
    feed(second, frame(Done()), endless([9]))
    world.settle()
    assert world.job.over.result().kind == "done"
    world.close()
