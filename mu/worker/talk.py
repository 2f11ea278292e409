"""The worker's side of the protocol without a socket: bytes come in, bytes to send come out.

What is said of a run is kept until the coordinator has accepted it, and is said again on another connection. One
`Talk` lives as long as its worker, whatever becomes of connections. It knows no threads: `mu.worker.line` holds a lock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from mu.digest import Digest
from mu.errors import ProtocolError
from mu.job import Edge, Task
from mu.wire import (
    PIECE_BYTES,
    VERSION,
    Accepted,
    Alive,
    Assigned,
    Deliver,
    Delivered,
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
    ToWorker,
    Waiting,
    Welcome,
    frame,
    piece_head,
)
from mu.worker.frames import Frames, Part

__all__ = ["Elsewhere", "Message", "Talk"]

_SMALL = 1 << 15
"""Bytes: what is said in frames that together are smaller goes out together."""
_MOST_PROGRESS = 100
"""Words of progress that wait to be said; while nobody listens, later ones are not kept."""


class Message:
    """A message to send. Its digest may come later than its bytes; that it is all said is said when it is there."""

    __slots__ = ("digest", "name", "payload", "receiver", "stored", "stream")

    def __init__(self, receiver: str, name: str, payload: memoryview, stored: int | None = None) -> None:
        self.receiver, self.name, self.payload = receiver, name, payload
        self.stored = stored
        """The bytes of a message that lies in the store, whose payload is empty here."""
        self.stream = 0
        self.digest: bytes | None = None


class Elsewhere(NamedTuple):
    """A message that is to be read from the store."""

    size: int
    digest: bytes


class _Incoming:
    """A message that comes in pieces."""

    __slots__ = ("buffer", "digest", "filled", "stream", "wanted")

    def __init__(self, stream: int, size: int, wanted: bool) -> None:
        self.stream, self.filled, self.wanted = stream, 0, wanted
        self.buffer = memoryview(bytearray(size if wanted else 0))
        self.digest = Digest()


class Talk:
    """What is to be said, and what was heard."""

    def __init__(self, invitation: Invitation, about: str = "") -> None:
        self._invitation, self._about = invitation, about
        self._frames = Frames()
        self._kept: deque[Message | FromWorker] = deque()
        self._unsaid: deque[Message | FromWorker] = deque()
        self._writer: Iterator[bytes | memoryview | None] = iter(())
        self._streams = 0
        self._said = 0
        """The last stream that was said whole on this connection, or was accepted before."""
        self._incoming: _Incoming | None = None
        self._idle = True
        """Whether a new task may come."""
        self.held = 0
        """Bytes of messages that are not accepted yet."""
        self.connected = self.welcome = False
        self.welcomed = False
        """Whether it was ever welcome; whoever looks may reset it."""
        self.alive_s = 1.0
        self.assigned: Assigned | None = None
        """The task that came last."""
        self.taken: Assigned | None = None
        """The task that is being run."""
        self.awaited: Edge | None = None
        self.arrived: memoryview | Elsewhere | None = None
        """The message that was awaited."""
        self.room = False
        self.goodbye: str | None = None
        self.leaving: str | None = None
        """Why this worker will not go on; the last that it says."""
        self.in_haste = False
        """Whether it leaves without saying all the rest."""
        self.left = False
        """Whether `outgoing` gave its last word."""

    # What the program wants said.

    def take(self) -> Task | None:
        """Begin the task that came, if one did."""
        if self.assigned is None:
            return None
        self.taken, self.assigned = self.assigned, None
        return self.taken.task

    def say(self, word: FromWorker) -> None:
        """Say this, after all that was said before."""
        if isinstance(word, Progressed):
            if self.connected and len(self._unsaid) < _MOST_PROGRESS:
                self._unsaid.append(word)
            return
        self._say(word)

    def send(self, message: Message) -> None:
        """Say this message. Its memory must stay as it is; `finished` must follow once its digest is there."""
        self._streams += 1
        message.stream = self._streams
        self.held += len(message.payload)
        self._say(message)

    def _say(self, word: Message | FromWorker) -> None:
        self._kept.append(word)
        if self.connected:
            self._unsaid.append(word)

    def wait_for(self, edge: Edge) -> None:
        """Say that the program cannot go on without this message."""
        self.awaited, self.arrived = edge, None
        if self.connected:
            self._unsaid.append(Waiting(edge.task, edge.name))

    def over(self, word: FromWorker) -> None:
        """The run has ended; another task may come."""
        self.awaited = self.arrived = None
        self._idle = True
        self.say(word)

    # What the connection does.

    def connect(self) -> None:
        """There is a new connection."""
        self.disconnect()
        self.connected = True
        self._unsaid.extend(self._kept)
        if self.awaited is not None and self.arrived is None:
            self._unsaid.append(Waiting(self.awaited.task, self.awaited.name))
        self._writer = self._write()

    def disconnect(self) -> None:
        """The connection broke: what came in part is void."""
        self.connected = self.welcome = False
        self._frames, self._incoming = Frames(), None
        self._unsaid.clear()
        self._writer = iter(())

    def outgoing(self) -> bytes | memoryview | None:
        """What to write next; None if there is nothing now."""
        if self.left:
            return None
        word = None if self.in_haste and self.welcome else next(self._writer, None)
        if word is None and self.leaving is not None and self.welcome:
            self.left = True
            return frame(Leaving(self.leaving))
        return word

    def beat(self) -> None:
        """Say that this worker is alive, if it says nothing else."""
        if self.welcome and not self._unsaid:
            self._unsaid.append(Alive())

    def _write(self) -> Iterator[bytes | memoryview | None]:
        told, at = self._invitation, self.assigned or self.taken
        run, task = (at.run, at.task.name) if at else (None, None)
        yield frame(Hello(VERSION, told.job, told.worker, told.token, run, task, self._about))
        while not self.welcome:
            yield None
        small: list[bytes] = []
        size = 0
        while True:
            word = self._unsaid.popleft() if self._unsaid else None
            if word is not None and not isinstance(word, Message):
                small.append(frame(word))
                size += len(small[-1])
                if size < _SMALL:
                    continue
            if small:
                yield b"".join(small)
                small.clear()
                size = 0
            if isinstance(word, Message):
                yield from self._message(word)
            elif word is None:
                yield None

    def _message(self, message: Message) -> Iterator[bytes | memoryview | None]:
        """A message's frames; None while its digest is not there."""
        payload, size = message.payload, len(message.payload)
        if message.stored is not None:
            self._said = max(self._said, message.stream)
            names = message.stream, message.receiver, message.name, message.stored
            yield frame(Send(*names, digest=message.digest, stored=True))
            return
        names = message.stream, message.receiver, message.name, size
        if size > PIECE_BYTES:
            yield frame(Send(*names))
            for at in range(0, size, PIECE_BYTES):
                piece = payload[at : at + PIECE_BYTES]
                yield piece_head(message.stream, len(piece))
                yield piece
        while message.digest is None:
            yield None
        self._said = max(self._said, message.stream)
        if size > PIECE_BYTES:
            yield frame(Sent(message.stream, message.digest))
        else:
            yield frame(Send(*names, bytes(payload), message.digest))

    def received(self, data: memoryview) -> None:
        """Bytes came. Raises ProtocolError, after which nothing that this coordinator says is to be believed."""
        for heard in self._frames.feed(data):
            if isinstance(heard, Part):
                self._piece(heard)
            else:
                self._hear(heard)

    def _hear(self, heard: ToWorker) -> None:
        if isinstance(heard, Goodbye):
            self.goodbye = heard.reason or "the coordinator has nothing more to do"
        elif isinstance(heard, Welcome):
            if self.welcome:
                raise ProtocolError("the coordinator said welcome twice")
            if not 0.01 <= heard.alive_s <= 3600 or math.isnan(heard.alive_s):
                raise ProtocolError(f"the coordinator wants to hear something every {heard.alive_s} s")
            self.welcome = self.welcomed = True
            self.alive_s = heard.alive_s
            if heard.forget:
                self._forget()
        elif not self.welcome:
            raise ProtocolError(f"the coordinator said {type(heard).__name__} before Welcome")
        elif isinstance(heard, Assigned):
            self._assign(heard)
        elif isinstance(heard, Accepted):
            self._accept(heard.stream)
        elif isinstance(heard, Deliver):
            self._deliver(heard)
        elif isinstance(heard, Delivered):
            self._delivered(heard)
        elif isinstance(heard, Retracted):
            if self._incoming is not None and self._incoming.stream == heard.stream:
                self._incoming = None
        else:
            assert isinstance(heard, Room)
            if self.taken is None or not self.taken.task.adds:
                raise ProtocolError("the coordinator has room for tasks that nobody adds")
            self.room = True

    def _assign(self, heard: Assigned) -> None:
        if not self._idle or self.assigned is not None:
            raise ProtocolError(f"the coordinator assigned {heard.task.name} to a worker that has a task")
        self._idle, self.assigned = False, heard
        self._forget()  # it has heard the end of the run before

    def _forget(self) -> None:
        """Say nothing more of the run that is over."""
        if not self._idle and self.assigned is None:
            raise ProtocolError("the coordinator has heard the end of a run that goes on")
        self._kept.clear()
        self._unsaid.clear()
        self.held, self.room, self._incoming = 0, False, None

    def _accept(self, stream: int) -> None:
        if stream > self._said:
            raise ProtocolError(f"the coordinator accepted stream {stream}, which was not said yet")
        if not any(isinstance(word, Message) and word.stream == stream for word in self._kept):
            return  # again
        while True:
            word = self._kept.popleft()
            if isinstance(word, Message):
                self.held -= len(word.payload)
                if word.stream == stream:
                    return

    def _deliver(self, heard: Deliver) -> None:
        edge = Edge(heard.sender, heard.name)
        if self.taken is None or edge not in self.taken.task.receives:
            raise ProtocolError(f"the coordinator delivers {heard.name} of {heard.sender}, which nobody here receives")
        if self._incoming is not None:
            raise ProtocolError("the coordinator delivers two messages at once")
        wanted = edge == self.awaited and self.arrived is None  # else it comes once more after a broken connection
        if heard.stored is not None:
            if wanted:
                self.arrived = Elsewhere(heard.size, heard.stored)
            return
        if heard.payload is None:
            self._incoming = _Incoming(heard.stream, heard.size, wanted)
            return
        if len(heard.payload) != heard.size:
            raise ProtocolError(f"the coordinator delivers {len(heard.payload)} bytes for {heard.size}")
        if wanted:
            self.arrived = memoryview(heard.payload)

    def _piece(self, part: Part) -> None:
        incoming = self._incoming
        if not self.welcome or incoming is None or incoming.stream != part.stream:
            raise ProtocolError(f"the coordinator sends a piece of stream {part.stream}, which is not there")
        size = len(part.payload)
        if incoming.wanted:
            if size > len(incoming.buffer) - incoming.filled:
                raise ProtocolError(f"more came of stream {part.stream} than the {len(incoming.buffer)} bytes it has")
            incoming.buffer[incoming.filled : incoming.filled + size] = part.payload
            incoming.digest.update(part.payload)
        incoming.filled += size

    def _delivered(self, heard: Delivered) -> None:
        incoming = self._incoming
        if incoming is None or incoming.stream != heard.stream:
            raise ProtocolError(f"the coordinator ends stream {heard.stream}, which is not there")
        self._incoming = None
        if not incoming.wanted:
            return
        if incoming.filled < len(incoming.buffer) or incoming.digest.digest() != heard.digest:
            raise ProtocolError(f"stream {heard.stream} came with other bytes than were sent")
        self.arrived = incoming.buffer.toreadonly()
