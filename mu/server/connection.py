"""One connection: who it is, and from then on what its session makes of it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from mu.errors import MuError, ProtocolError
from mu.server.framing import FrameProtocol, Turn
from mu.wire import LARGEST_FRAME, VERSION, Goodbye, Hello, decode_from_worker, frame

if TYPE_CHECKING:
    from mu.server.listener import Entrant, Listener
    from mu.server.session import Session

__all__ = ["Connection"]

LARGEST_HELLO = 6000


class Connection(FrameProtocol):
    """From TLS to the end. Before a hello that is true it may say nothing else, and must say it in time."""

    __slots__ = ("_entrant", "_late", "_listener", "_says_accepted", "session")

    def __init__(self, turn: Turn, listener: Listener, entrant: Entrant) -> None:
        super().__init__(turn)
        self.largest = LARGEST_HELLO
        self.session: Session | None = None
        self._listener, self._entrant = listener, entrant
        self._says_accepted = False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        super().connection_made(transport)
        wait = self._listener.options.hello_s
        self._late = self._turn.loop.call_later(wait, self.refuse, f"it said no hello within {wait:g} s")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        super().connection_lost(exc)
        self._is_over(f"its connection broke: {exc}" if exc else "its connection was closed")

    def control(self, body: memoryview) -> None:
        """A control message came."""
        message = decode_from_worker(body)
        if self.session is not None:
            self.session.hear(message)
        elif isinstance(message, Hello):
            self._hello(message)
        else:
            raise ProtocolError(f"it began with {type(message).__name__} in place of Hello")

    def _hello(self, hello: Hello) -> None:
        if hello.version != VERSION:
            raise ProtocolError(f"it speaks version {hello.version}; this coordinator speaks {VERSION}")
        assert self.transport is not None
        shown = cast(ssl.SSLObject, self.transport.get_extra_info("ssl_object")).context
        job = self._listener.job_of(shown)
        if job is None or job.id != hello.job:
            raise ProtocolError("its job is not the one that it asked for when it began TLS")
        session = job.admit(hello, self)
        self._known()
        self.largest = LARGEST_FRAME
        self.session = session
        job.enter(session, hello)

    def _known(self) -> None:
        """It is not one of those any more who may be anybody."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._listener.is_known(self._entrant)

    # Pieces

    def piece(self, stream: int, size: int) -> None:
        """A piece begins."""
        if self.session is None:
            raise ProtocolError("it began with a piece in place of Hello")
        self.session.piece(stream, size)

    def room(self) -> memoryview:
        """Where it goes."""
        assert self.session is not None
        return self.session.space()

    def filled(self, size: int) -> None:
        """So much of it came."""
        assert self.session is not None
        self.session.filled(size)

    # Writing

    def writable(self) -> None:
        """The worker takes more again."""
        if self.session is not None:
            self.session.writable()

    def say_at_flush(self) -> None:
        """Say with the next write how far messages are kept."""
        if not self._says_accepted:
            self._says_accepted = True
            self._turn.later(self.flush)

    def flush(self) -> None:
        """Write what was said."""
        if self._says_accepted and self.session is not None:
            self._says_accepted = False
            self._out.append(self.session.accepted())
        super().flush()

    def listen(self, wanted: bool) -> None:
        """Read what the worker says, or leave it to TCP to hold the worker up."""
        if self.transport is not None:
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    # The end

    def broke(self, error: MuError) -> None:
        """What it said has no meaning here."""
        if self.session is None:
            self.refuse(str(error))
        else:
            self._listener.complain(f"worker {self.session.worker} of {self.session.job.id}: {error}")
            self.leave(str(error))

    def refuse(self, reason: str) -> None:
        """It is nobody whom we know."""
        self._listener.refused(reason)
        self.close(reason)

    def leave(self, reason: str) -> None:
        """The worker is of no use any more, and will not come back."""
        self._is_over(reason, gone=True)
        self.close(reason)

    def close(self, reason: str) -> None:
        """Say good-bye; nothing that it says is looked at any more."""
        transport, self.session = self.transport, None
        self._known()
        if transport is not None:
            self.send(frame(Goodbye(reason[:4096])))
            super().flush()
            self.transport = None
            transport.close()

    def drop(self) -> None:
        """End it now, without a word."""
        transport, self.transport = self.transport, None
        self._known()
        if transport is not None:
            transport.abort()

    def _is_over(self, reason: str, *, gone: bool = False) -> None:
        session, self.session = self.session, None
        self._known()
        if session is not None:
            session.job.lost(session, reason, gone=gone)
