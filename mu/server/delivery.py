"""A message on its way to a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mu.server.memory import CHUNK
from mu.server.message import Message
from mu.wire import PIECE_BYTES, Deliver, Delivered, Retracted, frame

if TYPE_CHECKING:
    from mu.server.session import Session

__all__ = ["Delivery"]


class Delivery:
    """Sends a message's chunks as they come and as the worker takes them; nobody else waits for that."""

    __slots__ = ("_at", "_message", "_reading", "_session", "_stream")

    def __init__(self, session: Session, stream: int, message: Message) -> None:
        self._session, self._stream, self._message = session, stream, message
        self._at = 0
        """The next chunk."""
        self._reading: asyncio.Task[None] | None = None

    def begin(self) -> bool:
        """Send what is there, if the worker takes more; returns whether that was all."""
        message, key = self._message, self._message.key
        if message.stored:
            told = Deliver(self._stream, key.sender, key.name, message.size, stored=message.digest)
            self._session.send(frame(told))
            return True
        if message.digest is not None and message.size <= PIECE_BYTES and not self._session.connection.paused:
            part = message.part(0) if message.size else memoryview(b"")
            if part is not None:
                whole = Deliver(self._stream, key.sender, key.name, message.size, bytes(part))
                self._session.send(frame(whole))
                return True
        self._session.send(frame(Deliver(self._stream, key.sender, key.name, message.size)))
        message.readers.append(self)
        self.more()
        return self not in message.readers

    def more(self) -> None:
        """There may be more, or the worker may take more."""
        connection, message = self._session.connection, self._message
        while not connection.paused and self._reading is None:
            if self._at * CHUNK >= message.ready:
                if message.digest is not None:
                    self._session.send(frame(Delivered(self._stream, message.digest)))
                    self._session.delivered(message.key)
                    self.end()
                return
            part = message.part(self._at)
            if part is None:
                self._reading = asyncio.ensure_future(self._read())
                return
            connection.send_piece(self._stream, part)
            self._at += 1

    async def _read(self) -> None:
        """A chunk that is on the disk only."""
        try:
            part = await self._message.read(self._at)
        except (OSError, EOFError) as error:
            self._session.job.disk_failed(error)
            return
        self._reading = None
        if self in self._message.readers:
            self._session.connection.send_piece(self._stream, part)
            self._at += 1
            self.more()

    def cut_off(self) -> None:
        """What is to come will not come."""
        self._session.job.wants(self._session, self._message.key)

    def retract(self) -> None:
        """What was sent is void."""
        self._session.send(frame(Retracted(self._stream)))
        self.end()

    def end(self) -> None:
        """Nothing more is sent."""
        if self in self._message.readers:
            self._message.readers.remove(self)
            self._message.release()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
