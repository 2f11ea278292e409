"""A worker for tests of the server: says what it is told to, over real TLS, and notes what it hears."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import uvloop

import mu
from mu.core.coordinator import Coordinator
from mu.core.instructions import Entry
from mu.digest import digest
from mu.server import HostedJob, Options, Server
from mu.wire import (
    CONTROL,
    HEAD,
    PIECE_BYTES,
    STREAM,
    VERSION,
    Accepted,
    Assigned,
    Deliver,
    Delivered,
    Done,
    FromWorker,
    Goodbye,
    Hello,
    Invitation,
    Retracted,
    Send,
    Sent,
    Stored,
    ToWorker,
    Waiting,
    Welcome,
    decode_to_worker,
    frame,
    piece_head,
    server_name,
)

T = TypeVar("T")
LIMIT_S = 30.0


class Invited:
    """A launcher that starts nothing: workers' invitations wait here for tests to use them."""

    def __init__(self) -> None:
        self.invitations: asyncio.Queue[Invitation] = asyncio.Queue()
        self.ended: dict[int, Callable[[str], None]] = {}
        self.cancelled: set[int] = set()
        self.refuse: Exception | None = None
        self.refused = 0

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        if self.refuse is not None:
            self.refused += 1
            raise self.refuse
        self.ended[invitation.worker] = ended
        self.invitations.put_nowait(invitation)

    async def cancel(self, worker: int) -> None:
        self.cancelled.add(worker)

    async def close(self) -> None:
        pass

    async def next(self) -> Invitation:
        return await asyncio.wait_for(self.invitations.get(), LIMIT_S)


class KeptInMemory:
    """A ledger that has at once on the disk what it is given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries)

    @property
    def durable(self) -> int:
        return len(self.entries)


def trusting(invitation: Invitation) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=invitation.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class Peer:
    """One connection of a worker."""

    all: ClassVar[list[Peer]] = []
    """Those of this test; its end is theirs."""

    def __init__(self, invitation: Invitation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.invitation, self.reader, self.writer = invitation, reader, writer
        self.accepted = -1
        self.streams = 0
        self.assigned: Assigned | None = None
        self.all.append(self)

    @classmethod
    async def connect(cls, invitation: Invitation, *, job: str | None = None) -> Self:
        host, _, port = invitation.address.rpartition(":")
        name = server_name(job or invitation.job)
        reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting(invitation), server_hostname=name)
        return cls(invitation, reader, writer)

    @classmethod
    async def enter(cls, invitation: Invitation, **hello: Any) -> Self:
        """Connect and be welcome."""
        self = await cls.connect(invitation)
        self.hello(**hello)
        assert isinstance(await self.hear(), Welcome)
        return self

    @classmethod
    async def at_work(cls, launcher: Invited) -> Self:
        """The next worker that is launched, with its task."""
        self = await cls.enter(await launcher.next())
        self.assigned = await self.expect(Assigned)
        return self

    def hello(self, **changed: Any) -> None:
        told = self.invitation
        fields = {"version": VERSION, "job": told.job, "worker": told.worker, "token": told.token}
        self.say(Hello(**{**fields, **changed}))

    def say(self, *words: FromWorker) -> None:
        self.writer.write(b"".join(map(frame, words)))

    def send(self, receiver: str, name: str, payload: bytes, *, pieces: int = 0) -> int:
        """Send a message, whole or in pieces of so many bytes; returns its stream."""
        self.streams += 1
        if not pieces:
            self.say(Send(self.streams, receiver, name, len(payload), payload, digest(payload)))
            return self.streams
        self.say(Send(self.streams, receiver, name, len(payload)))
        for at in range(0, len(payload), pieces):
            piece = payload[at : at + pieces]
            self.writer.write(piece_head(self.streams, len(piece)) + piece)
        self.say(Sent(self.streams, digest(payload)))
        return self.streams

    def leave(self, receiver: str, name: str, size: int, found: bytes) -> int:
        """Say that a message lies in the store; returns its stream."""
        self.streams += 1
        self.say(Send(self.streams, receiver, name, size, digest=found, stored=True))
        return self.streams

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(LIMIT_S):
            length, kind = HEAD.unpack(await self.reader.readexactly(HEAD.size))
            return kind, await self.reader.readexactly(length - 1)

    async def hear(self) -> ToWorker:
        """The next word; how far messages are accepted is noted, not returned."""
        while True:
            kind, body = await self.frame()
            assert kind == CONTROL
            word = decode_to_worker(body)
            if not isinstance(word, Accepted):
                return word
            assert word.stream >= self.accepted
            self.accepted = word.stream

    async def expect(self, kind: type[T]) -> T:
        word = await self.hear()
        assert isinstance(word, kind), word
        return word

    async def accept(self, stream: int) -> None:
        """Wait until a stream is accepted."""
        while self.accepted < stream:
            kind, body = await self.frame()
            word = decode_to_worker(body)
            assert kind == CONTROL
            assert isinstance(word, Accepted), word
            self.accepted = word.stream

    async def receive(self, sender: str, name: str) -> bytes:
        """Wait for a message."""
        self.say(Waiting(sender, name))
        return await self.received(await self.expect(Deliver))

    async def received(self, begun: Deliver) -> bytes:
        if begun.payload is not None:
            assert len(begun.payload) == begun.size
            return begun.payload
        pieces = []
        while True:
            kind, body = await self.frame()
            if kind == CONTROL:
                word = decode_to_worker(body)
                if isinstance(word, Retracted):
                    assert word.stream == begun.stream
                    return await self.received(await self.expect(Deliver))
                if isinstance(word, Accepted):
                    self.accepted = word.stream
                    continue
                assert isinstance(word, Delivered), word
                payload = b"".join(pieces)
                assert word == Delivered(begun.stream, digest(payload))
                assert len(payload) == begun.size
                return payload
            assert STREAM.unpack_from(body)[0] == begun.stream
            pieces.append(body[STREAM.size :])
            assert len(pieces[-1]) <= PIECE_BYTES

    async def goodbye(self) -> str:
        """The connection ends; what it says at the end."""
        while True:
            word = await self.hear()
            if isinstance(word, Goodbye):
                with suppress(OSError):
                    assert await asyncio.wait_for(self.reader.read(), LIMIT_S) == b""
                await self.close()
                return word.reason

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def cut(self) -> None:
        """Break the connection without a word."""
        self.writer.transport.abort()


def run(body: Coroutine[Any, Any, None]) -> None:
    """Run a test on the loop that the service has."""

    async def whole() -> None:
        try:
            await body
        finally:
            while Peer.all:
                Peer.all.pop().cut()
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


@asynccontextmanager
async def hosted(
    job: mu.Job, folder: Path, options: Options | None = None, **more: Any
) -> AsyncIterator[tuple[Server, HostedJob, Invited]]:
    """A server with a job, and its launcher; `more` is for `Server.host`."""
    async with Server(options=options) as server:
        launcher = Invited()
        running = server.host(Coordinator(job), launcher=launcher, folder=folder / "messages", **more)
        yield server, running, launcher


def finish(peer: Peer) -> None:
    """Store what the task declares, and end."""
    assert peer.assigned is not None
    peer.say(Stored(f"out/{peer.assigned.task.name}", 3, digest(b"abc")), Done())


def chain(*names: str, size: str = "m", **limits: Any) -> mu.Job:
    """A job whose tasks each send `m` to the next."""
    tasks = []
    for number, name in enumerate(names):
        before, after = names[number - 1 : number] if number else (), names[number + 1 : number + 2]
        tasks.append(
            mu.Task(
                name,
                "tests:none",
                sends=tuple(mu.Edge(other, size) for other in after),
                receives=tuple(mu.Edge(other, size) for other in before),
                stores=(f"out/{name}",),
            )
        )
    return mu.Job("test", tuple(tasks), mu.Limits(**{"straggler": None, **limits}))
