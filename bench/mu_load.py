"""Simulated workers, thousands in one process, each with a TLS connection of its own; and the server beside them."""

from __future__ import annotations

import asyncio
import resource
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.clips import ROOT
from mu.digest import digest
from mu.errors import ProtocolError
from mu.job import Job
from mu.server.framing import FrameProtocol, Turn
from mu.wire import (
    PIECE_BYTES,
    VERSION,
    Accepted,
    Assigned,
    Deliver,
    Delivered,
    Done,
    Hello,
    Invitation,
    Retracted,
    Send,
    Sent,
    Waiting,
    Welcome,
    decode_to_worker,
    frame,
    server_name,
)

__all__ = ["Host", "Simulated", "cpu_s", "hosted", "resident"]

AT_ONCE = 200
"""Connections that are being made at a time."""
_SCRATCH = memoryview(bytearray(PIECE_BYTES))


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


class Simulated(FrameProtocol):
    """A worker that does what its scenario says, and no work."""

    def __init__(self, turn: Turn, host: Host, worker: int, token: str) -> None:
        super().__init__(turn)
        self.host, self.worker, self.token = host, worker, token
        self.assigned: Assigned | None = None
        self.accepted = 0
        self.streams = 0
        self.size = 0
        self.on_assigned: Callable[[Simulated], None] = lambda worker: None
        self.on_accepted: Callable[[Simulated], None] = lambda worker: None
        self.on_message: Callable[[Simulated], None] = lambda worker: None
        self.on_writable: Callable[[Simulated], None] = lambda worker: None
        self.at = 0
        self.other = ""
        self.sends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        super().connection_made(transport)
        self.send(frame(Hello(VERSION, self.host.invitation.job, self.worker, self.token)))

    def control(self, body: memoryview) -> None:
        """Note what the coordinator says."""
        word = decode_to_worker(body)
        kind = type(word)
        if kind is Accepted:
            self.accepted = word.stream  # type: ignore[union-attr]
            self.on_accepted(self)
        elif kind is Deliver:
            self.bulk = word.payload is None  # type: ignore[union-attr]
            if not self.bulk:
                self.on_message(self)
        elif kind is Delivered:
            self.bulk = False
            self.on_message(self)
        elif isinstance(word, Assigned):
            self.assigned = word
            self.host.count += 1
            self.on_assigned(self)
            self.host.changed.set()
        elif kind is not Welcome and kind is Retracted:
            raise ProtocolError("the benchmark loses no worker")

    def piece(self, stream: int, size: int) -> None:
        """A piece comes; its bytes are counted only."""

    def room(self) -> memoryview:
        """Where they go."""
        return _SCRATCH

    def filled(self, size: int) -> None:
        """So many came."""
        self.size += size

    def broke(self, error: ProtocolError) -> None:
        """The server is at fault."""
        raise error

    def writable(self) -> None:
        """Go on sending."""
        self.on_writable(self)

    # What scenarios use.

    def wait_for(self, sender: str, name: str) -> None:
        """Say that the program waits."""
        self.send(frame(Waiting(sender, name)))

    def say_small(self, receiver: str, name: str, payload: bytes) -> None:
        """Send a small message."""
        self.streams += 1
        self.send(frame(Send(self.streams, receiver, name, len(payload), payload, digest(payload))))

    def begin_large(self, receiver: str, name: str, size: int) -> None:
        """Begin a large one."""
        self.streams += 1
        self.send(frame(Send(self.streams, receiver, name, size)))

    def end_large(self, said: bytes) -> None:
        """End it."""
        self.send(frame(Sent(self.streams, said)))

    def done(self) -> None:
        """The program has ended."""
        self.send(frame(Done()))


@dataclass
class Host:
    """A server process and the workers that it asked for."""

    process: asyncio.subprocess.Process
    invitation: Invitation
    turn: Turn
    context: ssl.SSLContext
    workers: list[Simulated] = field(default_factory=list)
    wanted: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0
    """Of tasks that were assigned."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """Of the server."""
        return self.process.pid

    async def invited(self, count: int) -> None:
        """Wait until so many workers are wanted."""
        assert self.process.stdout is not None
        while len(self.wanted) < count:
            number, token = (await self.process.stdout.readline()).decode().split()
            self.wanted.append((int(number), token))

    async def connect(self, prepare: Callable[[Simulated], None] = lambda worker: None) -> None:
        """Connect all that are wanted."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        gate = asyncio.Semaphore(AT_ONCE)
        address, _, port = self.invitation.address.rpartition(":")
        loop = asyncio.get_running_loop()

        async def one(number: int, token: str) -> None:
            async with gate:
                worker = Simulated(self.turn, self, number, token)
                prepare(worker)
                self.workers.append(worker)
                await loop.create_connection(
                    lambda: worker,
                    address,
                    int(port),
                    ssl=self.context,
                    server_hostname=server_name(self.invitation.job),
                )

        await asyncio.gather(*(one(number, token) for number, token in self.wanted))

    async def assigned(self, count: int) -> None:
        """Wait until so many tasks are assigned."""
        while self.count < count:
            self.changed.clear()
            await self.changed.wait()

    async def finish(self) -> None:
        """Let all programs end; the job must be done then."""
        for worker in self.workers:
            worker.done()
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end of the job, which must be done."""
        assert self.process.stdout is not None
        end = (await self.process.stdout.readline()).decode().strip()
        if end != "done":
            raise RuntimeError(f"the job of the benchmark ended so: {end}")


@asynccontextmanager
async def hosted(job: Job, *options: str) -> AsyncIterator[Host]:
    """A server process for a job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job")
        path.write_bytes(msgspec.msgpack.encode(job))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.mu_host", str(path), *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            invitation = msgspec.json.decode(await process.stdout.readline(), type=Invitation)
            context = ssl.create_default_context(cadata=invitation.ca)
            yield Host(process, invitation, Turn(asyncio.get_running_loop()), context)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def now() -> float:
    """Seconds."""
    return time.perf_counter()
