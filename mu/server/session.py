"""What one connected worker says and hears: checked against the task that it is assigned, then told to the core."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from mu.core.events import Added, Finished, Heard, Raised, Sending, Stored, Waits
from mu.errors import ProtocolError
from mu.job import Key, Task
from mu.server.delivery import Delivery
from mu.server.memory import CHUNK
from mu.server.message import Message
from mu.wire import (
    Accepted,
    Add,
    Alive,
    Assigned,
    Done,
    Failed,
    FromWorker,
    Hello,
    Leaving,
    Progressed,
    Send,
    Sent,
    Waiting,
    frame,
)
from mu.wire import Stored as StoredObject

if TYPE_CHECKING:
    from mu.server.connection import Connection
    from mu.server.hosted import HostedJob

__all__ = ["Session", "Stream"]

MOST_STREAMS = 16
"""Large messages that a worker may send at a time."""
MOST_UNACCEPTED = 4096
"""Messages of a worker that are not kept yet; then it is not listened to."""
MOST_BEHIND = 8 * CHUNK
"""Bytes of a message that wait for the disk; then its worker is not listened to."""
HEARD_S = 1.0
"""The core hears so often at most that a worker is alive."""


@dataclass(eq=False, slots=True)
class Stream:
    """A message that a worker has begun to send and that is not accepted yet."""

    number: int
    message: Message | None = None
    kept: bool = False


class Session:
    """A worker that was let in, as long as its connection lasts."""

    __slots__ = (
        "_accepted", "_current", "_deliveries", "_heard", "_last", "_next", "_receives", "_sends", "_slow", "_streams",
        "_unaccepted", "connection", "job", "run", "task", "worker",
    )  # fmt: skip

    def __init__(self, job: HostedJob, worker: int, connection: Connection) -> None:
        self.job, self.worker, self.connection = job, worker, connection
        self.run = 0
        self.task: Task | None = None
        self._sends: frozenset[Key] = frozenset()
        self._receives: frozenset[Key] = frozenset()
        self._streams: dict[int, Stream] = {}
        """Large messages that it is sending."""
        self._unaccepted: deque[Stream] = deque()
        self._accepted = -1
        self._current: Message | None = None
        """Whose piece is coming."""
        self._last = -1
        self._next = 0
        self._deliveries: dict[Key, Delivery] = {}
        self._slow = False
        self._heard = time.monotonic()

    # What the job wants

    def allow(self, run: int, task: Task) -> None:
        """The worker is at this task; it may name what the task declares, and nothing else."""
        self.run, self.task = run, task
        self._sends = frozenset(Key(task.name, edge.task, edge.name) for edge in task.sends)
        self._receives = frozenset(Key(edge.task, task.name, edge.name) for edge in task.receives)

    def assign(self, run: int, task: Task) -> None:
        """Let the worker run a task."""
        self.allow(run, task)
        self.send(frame(Assigned(run, task)))

    def deliver(self, message: Message) -> None:
        """Give the worker a message, as it comes or as it is."""
        delivery = Delivery(self, self._next, message)
        self._next += 1
        if not delivery.begin():
            self._deliveries[message.key] = delivery

    def delivered(self, key: Key) -> None:
        """All of a message was sent."""
        self._deliveries.pop(key, None)

    def retract(self, key: Key) -> None:
        """What was sent of a message is void: its program waits on."""
        delivery = self._deliveries.pop(key, None)
        if delivery is not None:
            delivery.retract()

    def send(self, said: bytes) -> None:
        """Say something."""
        self.connection.send(said)

    def writable(self) -> None:
        """The worker takes more again."""
        for delivery in list(self._deliveries.values()):
            delivery.more()

    def end(self) -> None:
        """The connection is over: what has not come whole comes no more."""
        for delivery in self._deliveries.values():
            delivery.end()
        self._deliveries.clear()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream.message is not None:
                self.job.came_to_nothing(stream.message)
        self.job.deaf.discard(self)

    # What the worker says

    def hear(self, message: FromWorker) -> None:
        """A control message. Raises ProtocolError."""
        now = time.monotonic()
        if now - self._heard > HEARD_S:
            self._heard = now
            self.job.handle(Heard(self.worker))
        _HEAR[type(message)](self, message)

    def _nothing(self, message: Alive) -> None:
        pass

    def _hello(self, message: Hello) -> None:
        raise ProtocolError("it said hello twice")

    def _needs_task(self) -> Task:
        if self.task is None:
            raise ProtocolError("it spoke of a task, and has none")
        return self.task

    def _send(self, message: Send) -> None:
        task = self._needs_task()
        key = Key(task.name, message.receiver, message.name)
        if key not in self._sends:
            raise ProtocolError(f"{task.name} sent {message.name} to {message.receiver}, which it does not declare")
        if message.stream <= self._last:
            raise ProtocolError(f"the stream {message.stream} came after {self._last}")
        stream = Stream(message.stream)
        self._last = message.stream
        self._unaccepted.append(stream)
        if message.stored:
            if not self.job.has_store:
                raise ProtocolError(f"{message.name} is said to be in the store, and the job has none")
            if message.payload is not None or message.digest is None:
                raise ProtocolError(f"{message.name} is said to be in the store, and came too, or has no digest")
            there = self.job.messages.elsewhere(key, self.run, message.size, message.digest)
            self.job.arrived(there, partial(self._kept, stream))
            if len(self._unaccepted) > MOST_UNACCEPTED:
                self._check()
            return
        if message.payload is not None:
            if len(message.payload) != message.size or message.digest is None:
                raise ProtocolError(f"{message.name} came with {len(message.payload)} of {message.size} bytes")
            whole = self.job.messages.take(key, self.run, message.payload, message.digest)
            self.job.arrived(whole, partial(self._kept, stream))
            if len(self._unaccepted) > MOST_UNACCEPTED or self.job.messages.memory.full:
                self._check()
            return
        if len(self._streams) >= MOST_STREAMS:
            raise ProtocolError(f"it sends more than {MOST_STREAMS} messages at a time")
        stream.message = begun = self.job.messages.begin(key, self.run, message.size)
        begun.when_written = self._check
        self._streams[message.stream] = stream
        self.connection.bulk = True

    def piece(self, number: int, size: int) -> None:
        """A piece of a large message begins. Raises ProtocolError."""
        stream = self._streams.get(number)
        message = stream.message if stream is not None else None
        if message is None:
            raise ProtocolError(f"a piece of the stream {number}, which has not begun")
        if message.have + size > message.size:
            raise ProtocolError(f"{message.key.name} has more than its {message.size} bytes")
        if not message.have:
            self.job.handle(Sending(self.run, message.key))
        self._current = message

    def space(self) -> memoryview:
        """Where the piece goes."""
        assert self._current is not None
        return self._current.room()

    def filled(self, size: int) -> None:
        """So much of the piece came."""
        message = self._current
        assert message is not None
        if message.filled(size):
            self.job.messages.grew(message)
            if self.job.messages.memory.full or message.behind > MOST_BEHIND:
                self._check()

    def _sent(self, message: Sent) -> None:
        stream = self._streams.pop(message.stream, None)
        if stream is None or stream.message is None:
            raise ProtocolError(f"the end of the stream {message.stream}, which has not begun")
        whole, stream.message = stream.message, None
        self.connection.bulk = bool(self._streams)
        try:
            whole.end(message.digest)
        except ProtocolError:
            self.job.came_to_nothing(whole)
            raise
        whole.when_written = None
        self.job.arrived(whole, partial(self._kept, stream))

    def _kept(self, stream: Stream) -> None:
        """A message would survive now all that the job has to survive."""
        stream.kept = True
        before = self._accepted
        while self._unaccepted and self._unaccepted[0].kept:
            self._accepted = self._unaccepted.popleft().number
        if self._accepted != before:
            self.connection.say_at_flush()
            if self._slow:
                self._check()

    def accepted(self) -> bytes:
        """What says how far messages are kept."""
        return frame(Accepted(self._accepted))

    def _check(self) -> None:
        """Listen to the worker, unless what it says can neither be held nor written."""
        memory = self.job.messages.memory
        messages = [stream.message for stream in self._streams.values() if stream.message is not None]
        slow = len(self._unaccepted) > MOST_UNACCEPTED or any(one.behind > MOST_BEHIND for one in messages)
        if memory.full:
            slow = True
            memory.when_room(self._check)
        if slow != self._slow:
            self._slow = slow
            self.connection.listen(not slow)
            (self.job.deaf.add if slow else self.job.deaf.discard)(self)
            self.job.handle(Heard(self.worker))

    def _waiting(self, message: Waiting) -> None:
        task = self._needs_task()
        key = Key(message.sender, task.name, message.name)
        if key not in self._receives:
            raise ProtocolError(f"{task.name} waits for {message.name} of {message.sender}, which it does not declare")
        if key not in self._deliveries:  # else it came while the worker said again what it waits for
            self.job.handle(Waits(self.run, key))

    def _stored(self, message: StoredObject) -> None:
        task = self._needs_task()
        if not task.may_store(message.name):
            raise ProtocolError(f"{task.name} stored {message.name}, which it does not declare")
        self.job.handle(Stored(self.run, message.name, message.size, message.digest))

    def _add(self, message: Add) -> None:
        task = self._needs_task()
        for added in message.tasks:
            if added.program not in task.adds:
                raise ProtocolError(f"{task.name} added a task of {added.program}, which it does not declare")
        self.job.handle(Added(self.run, message.tasks))

    def _progressed(self, message: Progressed) -> None:
        task = self._needs_task()
        numbers = [message.done, message.total or 0.0, message.cpu_s]
        if not all(map(isfinite, numbers)) or not all(0 <= each.began <= each.ended < inf for each in message.spans):
            raise ProtocolError(f"{task.name} told of times that cannot be")
        self.job.progressed(self.run, message)

    def _over(self) -> int:
        """The run has come to its end."""
        self._needs_task()
        if self._streams:
            raise ProtocolError("its program ended amid a message")
        run, self.run, self.task = self.run, 0, None
        self._sends = self._receives = frozenset()
        return run

    def _done(self, message: Done) -> None:
        if message.spans:
            self._progressed(Progressed(message.spans[-1].stage, 0, None, 0, message.spans))
        self.job.handle(Finished(self._over()))

    def _failed(self, message: Failed) -> None:
        reason = f"{message.kind}: {message.text}" if message.text else message.kind
        for stream in self._streams.values():
            if stream.message is not None:
                self.job.came_to_nothing(stream.message)
        self._streams.clear()
        self.connection.bulk = False
        run = self._over()
        self.job.handle(Raised(run, reason, message.traceback, message.again))

    def _leaving(self, message: Leaving) -> None:
        self.connection.leave(message.reason or "it left")


_HEAR: dict[type, Callable[[Session, Any], None]] = {
    Alive: Session._nothing,
    Hello: Session._hello,
    Send: Session._send,
    Sent: Session._sent,
    Waiting: Session._waiting,
    StoredObject: Session._stored,
    Add: Session._add,
    Progressed: Session._progressed,
    Done: Session._done,
    Failed: Session._failed,
    Leaving: Session._leaving,
}
