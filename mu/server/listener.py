"""The port: lets connections in, as many as can be dealt with, and tells by the name they ask for whose they are."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING

import msgspec

from mu.server.connection import Connection
from mu.server.framing import Turn
from mu.server.keys import tls13_context
from mu.wire import server_name

if TYPE_CHECKING:
    from mu.server.hosted import HostedJob

__all__ = ["Listener", "Options"]

log = logging.getLogger("mu.server")

BACKLOG = 4096
AT_ONCE = 64
"""Connections that are taken from the kernel in one turn: those that are in come first."""
GRACE_S = 1.0
"""So long a connection that is not known yet keeps its place when others want it."""
_TLS = b"\x16\x03"
"""How every TLS connection begins: a handshake record."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of a server."""

    unknown: int = 4096
    """Connections that have not proved yet who they are."""
    handshake_s: float = 5.0
    hello_s: float = 10.0
    complaints: int = 10
    """Lines of the log a second about what others do wrong."""
    memory: int = 1 << 28
    """Bytes of messages in memory, of all jobs; more goes to the disk."""
    messages: int = 1 << 38
    """Bytes of messages that a job may have at a time;"""
    stored: int = 1 << 42
    """of those, besides, that lie in its store."""
    token_s: int = 1200
    """How long a worker may come, and come back, after its launch. Lambda's longest run is 900 s."""


class Entrant:
    """A connection before its hello."""

    __slots__ = ("connection", "since", "task")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.connection: Connection | None = None


class Listener:
    """One port for the workers of all jobs."""

    def __init__(self, turn: Turn, options: Options) -> None:
        self.options = options
        self._turn, self._loop = turn, turn.loop
        self._context = tls13_context()
        self._context.sni_callback = self._choose
        self._names: dict[str, HostedJob] = {}
        self._contexts: dict[ssl.SSLContext, HostedJob] = {}
        self._unknown: dict[Entrant, None] = {}
        """In the order in which they came."""
        self._sock: socket.socket | None = None
        self._accepting = False
        self._complaints = _Complaints(options.complaints)

    # Jobs

    def add(self, job: HostedJob) -> None:
        """Let a job's workers in."""
        self._names[server_name(job.id)] = job
        self._contexts[job.context] = job

    def remove(self, job: HostedJob) -> None:
        """Let them in no more."""
        self._names.pop(server_name(job.id), None)
        self._contexts.pop(job.context, None)

    def job_of(self, context: ssl.SSLContext) -> HostedJob | None:
        """Whose certificate was shown."""
        return self._contexts.get(context)

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        job = self._names.get(name or "")
        if job is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = job.context
        return None

    # Connections

    def open(self, host: str, port: int) -> int:
        """Listen. Returns the port, which is a free one for 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):  # who says nothing stays with the kernel
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, max(1, round(self.options.handshake_s)))
        self._sock = sock
        self._accept_more()
        return int(sock.getsockname()[1])

    def close(self) -> None:
        """Take no more connections and end those that are not known."""
        if self._sock is not None:
            self._accept_no_more()
            self._sock.close()
            self._sock = None
        for entrant in list(self._unknown):
            self._drop(entrant)

    def _accept_more(self) -> None:
        if self._sock is not None and not self._accepting:
            self._accepting = True
            self._loop.add_reader(self._sock, self._accept)

    def _accept_no_more(self) -> None:
        if self._sock is not None and self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._sock)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if len(self._unknown) >= self.options.unknown and not self._make_room():
                return
            assert self._sock is not None
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor is left, or no memory
                self.complain(f"no connection can be taken: {error}")
                self._accept_no_more()
                self._loop.call_later(0.1, self._accept_more)
                return
            sock.setblocking(False)
            self._look(sock)

    def _make_room(self) -> bool:
        """Drop who has been unknown for longest, or let new ones wait a moment."""
        oldest = next(iter(self._unknown))
        left = GRACE_S - (time.monotonic() - oldest.since)
        if left > 0:
            self._accept_no_more()
            self._loop.call_later(min(left, 0.1), self._accept_more)
            return False
        self.refused("too many connections, and it was the oldest that had not said who it is")
        self._drop(oldest)
        return True

    def _look(self, sock: socket.socket) -> None:
        """Begin TLS with those who do; the others are not worth its memory."""
        try:
            begin = sock.recv(len(_TLS), socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            begin = _TLS  # it is late, or the kernel does not wait for it
        except OSError:
            begin = b""
        if not begin or not _TLS.startswith(begin[:2]):
            sock.close()
            self.refused("it did not begin with TLS")
            return
        entrant = Entrant()
        self._unknown[entrant] = None
        entrant.task = self._loop.create_task(self._begin(entrant, sock))

    async def _begin(self, entrant: Entrant, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._connection(entrant),
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self.options.handshake_s,
                ssl_shutdown_timeout=2.0,
            )
        except (OSError, TimeoutError) as error:
            self._unknown.pop(entrant, None)
            self.refused(f"TLS did not come up: {error or type(error).__name__}")
        finally:
            entrant.task = None

    def _connection(self, entrant: Entrant) -> Connection:
        entrant.connection = Connection(self._turn, self, entrant)
        return entrant.connection

    def is_known(self, entrant: Entrant) -> None:
        """It has said who it is, or has gone."""
        self._unknown.pop(entrant, None)

    def _drop(self, entrant: Entrant) -> None:
        self._unknown.pop(entrant, None)
        if entrant.task is not None:
            entrant.task.cancel()
        if entrant.connection is not None:
            entrant.connection.drop()

    # What others do wrong

    def refused(self, reason: str) -> None:
        """Somebody was not let in."""
        self._complaints.refused += 1
        self.complain(f"a connection was refused: {reason}")

    @property
    def refusals(self) -> int:
        """How many were not let in."""
        return self._complaints.refused

    def complain(self, what: str) -> None:
        """Write into the log, but not without end."""
        self._complaints.say(what)


class _Complaints:
    """So many lines a second; of the others only the number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._said = self._unsaid = 0
        self.refused = 0

    def say(self, what: str) -> None:
        second = int(time.monotonic())
        if second != self._second:
            if self._unsaid:
                log.warning("and %d more complaints", self._unsaid)
            self._second, self._said, self._unsaid = second, 0, 0
        if self._said < self._most:
            self._said += 1
            log.warning("%s", what)
        else:
            self._unsaid += 1
