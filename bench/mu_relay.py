"""Loads for the server and for its peers: bytes that go from one connection to another, large and small."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bench.clips import ROOT
from bench.mu_load import Host, Simulated, cpu_s, hosted, now
from bench.mu_peers import JOB, NUMBER
from mu.digest import digest
from mu.errors import ProtocolError
from mu.job import Edge, Job, Limits, Task
from mu.server.framing import FrameProtocol, Turn
from mu.wire import PIECE_BYTES, Send, frame, server_name

__all__ = ["LARGE", "Cost", "large", "large_through_mu", "small"]

LARGE = 10_000_000
"""Bytes of a large message."""
COUNT = 20
"""Large messages of each of the two senders."""
PAYLOAD = memoryview(bytes(LARGE))
SMALL = frame(Send(1, "r/10", "m/100", 200, bytes(200), bytes(16)))
WINDOW = 32


@dataclass(frozen=True, slots=True)
class Cost:
    """What passing something on took."""

    wall_s: float
    cpu_s: float
    count: int
    """Messages."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.count / self.wall_s


class _Sender(FrameProtocol):
    """One end of a connection to a peer: sends pieces as fast as they are taken, or what it is told to."""

    def __init__(self, turn: Turn, hello: bytes, *, framed: bool) -> None:
        super().__init__(turn)
        self.hello, self.framed = hello, framed
        self.size = self.small = 0
        self.wanted = -1
        self.whole = asyncio.Event()
        self.on_small: Callable[[], None] = lambda: None
        self.pieces = 0
        self._scratch = memoryview(bytearray(PIECE_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.framed:
            self.send(len(self.hello + b"k").to_bytes(4, "big") + b"\0" + self.hello)
        else:
            self.send(self.hello)

    def get_buffer(self, sizehint: int) -> memoryview:
        return super().get_buffer(sizehint) if self.framed else self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        if self.framed:
            super().buffer_updated(nbytes)
        else:
            self.filled(nbytes)

    def control(self, body: memoryview) -> None:
        self.small += 1
        self.on_small()

    def piece(self, stream: int, size: int) -> None:
        pass

    def room(self) -> memoryview:
        return self._scratch

    def filled(self, size: int) -> None:
        self.size += size
        if self.size == self.wanted:
            self.whole.set()

    def broke(self, error: ProtocolError) -> None:
        raise error

    def writable(self) -> None:
        self.push()

    def push(self) -> None:
        """Send pieces until no more are taken."""
        while self.pieces and not self.paused and self.transport is not None:
            self.pieces -= 1
            if self.framed:
                self.send_piece(1, PAYLOAD[:PIECE_BYTES])
            else:
                self.transport.write(PAYLOAD[:PIECE_BYTES])


@asynccontextmanager
async def _peer(kind: str) -> AsyncIterator[tuple[int, int, ssl.SSLContext]]:
    """A peer's process: its id, port, and a context that trusts it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.mu_peers", kind, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port, authority = json.loads(await process.stdout.readline())
        yield process.pid, port, ssl.create_default_context(cadata=authority)
    finally:
        process.kill()
        await process.wait()


async def large(kind: str) -> Cost:
    """10 MB messages through a peer, two pairs at a time."""
    pieces = COUNT * LARGE // PIECE_BYTES
    async with _peer(kind) as (pid, port, context), AsyncExitStack() as stack:
        if kind == "websockets":
            sockets = [await _websocket(stack, port, context, number) for number in range(4)]

            async def push(socket: ClientConnection) -> None:
                for _ in range(pieces):
                    await socket.send(PAYLOAD[:PIECE_BYTES])

            async def pull(socket: ClientConnection) -> None:
                for _ in range(pieces):
                    await socket.recv(decode=False)

            began, before = now(), cpu_s(pid)
            await asyncio.gather(*(work(s) for s, work in zip(sockets, (push, pull) * 2, strict=True)))
        else:
            ends = await _ends(port, context, 4, framed=kind == "own")
            await asyncio.sleep(0.2)
            began, before = now(), cpu_s(pid)
            for number, end in enumerate(ends):
                end.bulk = True
                if number % 2:
                    end.wanted = pieces * PIECE_BYTES
                else:
                    end.pieces = pieces
                    end.push()
            await asyncio.gather(*(end.whole.wait() for end in ends[1::2]))
        return Cost(now() - began, cpu_s(pid) - before, 2 * COUNT)


async def small(kind: str, pairs: int, each: int) -> Cost:
    """Small messages through a peer, so many of each pair on their way at a time."""
    async with _peer(kind) as (pid, port, context), AsyncExitStack() as stack:
        if kind == "websockets":
            sockets = [await _websocket(stack, port, context, number) for number in range(2 * pairs)]

            async def push(sender: ClientConnection, window: asyncio.Semaphore) -> None:
                for _ in range(each):
                    await window.acquire()
                    await sender.send(SMALL)

            async def pull(receiver: ClientConnection, window: asyncio.Semaphore) -> None:
                for _ in range(each):
                    await receiver.recv(decode=False)
                    window.release()

            windows = [asyncio.Semaphore(WINDOW) for _ in range(pairs)]
            works: list[Any] = [push(sockets[2 * pair], windows[pair]) for pair in range(pairs)]
            works += [pull(sockets[2 * pair + 1], windows[pair]) for pair in range(pairs)]
            began, before = now(), cpu_s(pid)
            await asyncio.gather(*works)
        else:
            ends = await _ends(port, context, 2 * pairs, framed=True)
            await asyncio.sleep(0.2)
            left = pairs * each
            over = asyncio.Event()

            def answer(sender: _Sender) -> None:
                nonlocal left
                left -= 1
                if not left:
                    over.set()
                if sender.pieces:
                    sender.pieces -= 1
                    sender.send(SMALL)

            began, before = now(), cpu_s(pid)
            for sender, receiver in zip(ends[::2], ends[1::2], strict=True):
                sender.pieces = each - WINDOW
                receiver.on_small = lambda sender=sender: answer(sender)  # type: ignore[misc]
                for _ in range(WINDOW):
                    sender.send(SMALL)
            await over.wait()
        return Cost(now() - began, cpu_s(pid) - before, pairs * each)


async def _websocket(stack: AsyncExitStack, port: int, context: ssl.SSLContext, number: int) -> ClientConnection:
    made = await stack.enter_async_context(
        connect(
            f"wss://127.0.0.1:{port}",
            ssl=context,
            server_hostname=server_name(JOB),
            compression=None,
            max_size=1 << 21,
            max_queue=4,
            ping_interval=None,
            close_timeout=0.1,
        )
    )
    await made.send(number.to_bytes(NUMBER, "big"))
    return made


async def _ends(port: int, context: ssl.SSLContext, count: int, *, framed: bool) -> list[_Sender]:
    loop = asyncio.get_running_loop()
    turn = Turn(loop)
    ends = []
    for number in range(count):
        end = _Sender(turn, number.to_bytes(NUMBER, "big"), framed=framed)
        ends.append(end)
        await loop.create_connection(
            lambda end=end: end,  # type: ignore[misc]
            "127.0.0.1",
            port,
            ssl=context,
            server_hostname=server_name(JOB),
        )
    return ends


class _Parcels:
    """Pairs of tasks, one of each sends a large message to the other; four workers take them in turn."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.left = 2 * COUNT
        self.over = asyncio.Event()
        self.said = digest(PAYLOAD)
        self.size = 0

    @staticmethod
    def job() -> Job:
        """All tasks, each pair's behind each other."""
        tasks = []
        for pair in range(2 * COUNT):
            tasks.append(Task(f"s/{pair}", "bench:none", sends=(Edge(f"r/{pair}", "state"),)))
            tasks.append(Task(f"r/{pair}", "bench:none", receives=(Edge(f"s/{pair}", "state"),)))
        limits = Limits(workers=4, straggler=None, lease_s=600, launch_s=600, reconnect_s=0, order="given")
        return Job("relay", tuple(tasks), limits)

    def prepare(self, worker: Simulated) -> None:
        """Tell a worker what to do."""
        worker.on_assigned = self._begin
        worker.on_message = self._received
        worker.on_writable = self._push
        worker.on_accepted = Simulated.done

    def _begin(self, worker: Simulated) -> None:
        assert worker.assigned is not None
        name = worker.assigned.task.name
        worker.other = name[2:]
        if name[0] == "s":
            worker.begin_large(f"r/{worker.other}", "state", LARGE)
            worker.at, worker.sends = 0, True
            self._push(worker)
        else:
            worker.wait_for(f"s/{worker.other}", "state")

    def _push(self, worker: Simulated) -> None:
        while worker.sends and not worker.paused:
            worker.send_piece(worker.streams, PAYLOAD[worker.at : worker.at + PIECE_BYTES])
            worker.at += PIECE_BYTES
            if worker.at >= LARGE:
                worker.end_large(self.said)
                worker.sends = False

    def _received(self, worker: Simulated) -> None:
        worker.done()
        self.left -= 1
        if not self.left:
            self.over.set()


async def large_through_mu(*options: str) -> Cost:
    """The same 10 MB messages through the coordinator's server."""
    async with hosted(_Parcels.job(), *options) as host:
        parcels = _Parcels(host)
        await host.invited(4)
        began, before = now(), cpu_s(host.pid)
        await host.connect(parcels.prepare)
        await parcels.over.wait()
        cost = Cost(now() - began, cpu_s(host.pid) - before, 2 * COUNT)
        if sum(worker.size for worker in host.workers) != cost.count * LARGE:
            raise RuntimeError("bytes were lost")
        await host.ended()
        return cost
