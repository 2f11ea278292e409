"""What the server is measured beside: processes that only pass bytes on, `python -m bench.mu_peers KIND`.

- `bare`: sockets with TLS in threads: what one side says is written to the other.
- `own`: the framing of `mu.wire` on asyncio and uvloop, without what `mu` does with frames.
- `websockets`: the same with the library of that name.

Who connects says first (in a frame, a message, or 4 bytes) its number; all that number 2n says goes to number 2n + 1.
Standard output has the port and the certificate.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import threading
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from mu.errors import ProtocolError
from mu.server.framing import FrameProtocol, Turn
from mu.server.keys import JobKeys
from mu.wire import HEAD, PIECE_BYTES

__all__ = ["NUMBER", "main"]

NUMBER = 4
"""Bytes of a connection's number, big-endian."""
JOB = "peers"


def main() -> None:
    """Pass bytes on until killed."""
    keys = JobKeys.make(JOB)
    kind = sys.argv[1]
    if kind == "bare":
        _bare(keys)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_own(keys) if kind == "own" else _websockets(keys))


def _tell(keys: JobKeys, port: int) -> None:
    print(json.dumps([port, keys.authority]), flush=True)


def _bare(keys: JobKeys) -> None:
    context = keys.context()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    _tell(keys, listening.getsockname()[1])
    ends: dict[int, ssl.SSLSocket] = {}
    there = threading.Condition()

    def relay(plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(plain, server_side=True)
        number = int.from_bytes(sock.recv(NUMBER), "big")
        with there:
            ends[number] = sock
            there.notify_all()
            while number % 2 == 0 and number + 1 not in ends:
                there.wait()
        if number % 2:
            return
        other, buffer = ends[number + 1], memoryview(bytearray(PIECE_BYTES))
        while count := sock.recv_into(buffer):
            other.sendall(buffer[:count])

    while True:
        threading.Thread(target=relay, args=(listening.accept()[0],), daemon=True).start()


class _Passing(FrameProtocol):
    """Passes frames on: small ones together, pieces as they come."""

    ends: dict[int, _Passing]

    def __init__(self, turn: Turn, ends: dict[int, _Passing]) -> None:
        super().__init__(turn)
        self.ends = ends
        self.number = -1
        self._buffer = memoryview(bytearray(0))
        self._stream = self._filled = self._size = 0

    @property
    def other(self) -> _Passing:
        return self.ends[self.number + 1]

    def control(self, body: memoryview) -> None:
        if self.number < 0:
            self.number = int.from_bytes(body, "big")
            self.ends[self.number] = self
            self._buffer = memoryview(bytearray(PIECE_BYTES))
        else:
            self.other.send(HEAD.pack(len(body) + 1, 0) + body)
            self.bulk = True

    def piece(self, stream: int, size: int) -> None:
        self._stream, self._filled, self._size = stream, 0, size

    def room(self) -> memoryview:
        return self._buffer[self._filled :]

    def filled(self, size: int) -> None:
        self._filled += size
        if self._filled == self._size:
            other = self.other
            other.send_piece(self._stream, self._buffer[: self._size])
            if other.paused and self.transport is not None:
                self.transport.pause_reading()

    def writable(self) -> None:
        before = self.ends[self.number - 1].transport
        if before is not None:
            before.resume_reading()

    def broke(self, error: ProtocolError) -> None:
        raise error


async def _own(keys: JobKeys) -> None:
    loop = asyncio.get_running_loop()
    turn, ends = Turn(loop), {}  # type: tuple[Turn, dict[int, _Passing]]
    server = await loop.create_server(lambda: _Passing(turn, ends), "127.0.0.1", 0, ssl=keys.context(), backlog=4096)
    _tell(keys, server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _websockets(keys: JobKeys) -> None:
    """With the settings that serve best: no compression, short queues."""
    queues: dict[int, asyncio.Queue[Any]] = {}
    there: dict[int, asyncio.Event] = {}

    async def handle(connection: ServerConnection) -> None:
        number = int.from_bytes(bytes(await connection.recv(decode=False)), "big")
        if number % 2:
            queue = queues[number] = asyncio.Queue(64)
            there.setdefault(number, asyncio.Event()).set()
            while True:
                await connection.send(await queue.get())
        await there.setdefault(number + 1, asyncio.Event()).wait()
        queue = queues[number + 1]
        async for message in connection:
            await queue.put(message)

    async with serve(
        handle,
        "127.0.0.1",
        0,
        ssl=keys.context(),
        compression=None,
        max_size=1 << 21,
        max_queue=4,
        write_limit=PIECE_BYTES,
        backlog=4096,
        ping_interval=None,
    ) as server:
        _tell(keys, next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    main()
