"""The connection to the coordinator, and the thread that owns it: whatever the program does meanwhile, this one hears,
says, says that it is alive, and connects again.

The program's thread calls `next_task`, `say`, `send`, `receive`, `add` and `over`, which block where that is due and
raise Stopped once there is nothing to go on for.
"""

from __future__ import annotations

import math
import os
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mu.digest import digest
from mu.errors import BackendError, MuError, ProtocolError, Unreachable
from mu.job import Edge, Task
from mu.wire import PIECE_BYTES, Add, FromWorker, Invitation, Leaving, frame, server_name
from mu.worker.talk import Elsewhere, Message, Talk

__all__ = ["Ended", "Line", "Stopped"]

HELD = 64 << 20
"""Bytes of messages that may wait to be accepted; a larger one goes alone."""
_PATIENCE_S = 10.0
"""For a connection, and then for TLS."""
_FIRST_S = 20.0
"""How long a worker that was never welcome tries: its job may be over, and nobody there to say so."""
_SILENCE_MS = 60_000
"""A connection that takes nothing for so long is broken, or its coordinator is."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_AT_ONCE = 32
"""Writes of up to 16 KiB, before it is the others' turn;"""
_READ_BYTES = 1 << 18
"""and what is read at a time."""
_LAST_WORD_S = 1.0
"""How long a worker that must leave tries to say so;"""
_TIME_IS_OVER = "its time is over"
_LEAVING_S = 10.0
"""one that may say all the rest before."""


class Stopped(BaseException):
    """Nobody wants what the program does. No Exception, so that a program which catches those ends, too."""


class Ended(NamedTuple):
    """Why a worker has nothing more to do. An error is the coordinator's fault, or the network's."""

    reason: str
    error: MuError | None = None


class Line:
    """A worker's connection, kept up until one side ends it.

    `reconnect_s` is how long the coordinator may be out of reach; at `leave_at` (of the monotonic clock) the worker
    says that it leaves. `interrupt` is called, from another thread, when a program that may be computing is to end;
    `kill` if it has not ended `grace_s` later.
    """

    def __init__(
        self,
        invitation: Invitation,
        *,
        about: str = "",
        reconnect_s: float = 60.0,
        leave_at: float | None = None,
        interrupt: Callable[[], object] = lambda: None,
        kill: Callable[[], object] = lambda: None,
        grace_s: float = 2.0,
    ) -> None:
        self._host, _, port = invitation.address.rpartition(":")
        self._host, self._port = self._host.strip("[]"), int(port)
        self._name = server_name(invitation.job)
        self._tls = _context(invitation.ca)
        self._reconnect_s, self._leave_at = reconnect_s, leave_at
        self._interrupt, self._kill, self._grace_s = interrupt, kill, grace_s
        self._talk = Talk(invitation, about)
        self._lock = threading.Condition()
        self._ended: Ended | None = None
        self._closed = self._poked = False
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._scratch = memoryview(bytearray(_READ_BYTES))
        self._thread = threading.Thread(target=self._live, name="mu line", daemon=True)
        self._thread.start()

    # For the program's thread.

    def next_task(self) -> Task | None:
        """Wait for a task; None when there is none any more."""
        with self._lock:
            self._lock.wait_for(lambda: self._talk.assigned is not None or self._ended is not None)
            return None if self._ended else self._talk.take()

    def say(self, word: FromWorker) -> None:
        """Say this to the coordinator, after all that was said before."""
        with self._lock:
            self.check()
            self._talk.say(word)
            self._poke()

    def send(self, receiver: str, name: str, payload: memoryview) -> bytes:
        """Say a message, once there is room for it; its digest. The payload's memory must stay as it is."""
        message = Message(receiver, name, payload)
        small = len(payload) <= PIECE_BYTES
        if small:
            message.digest = digest(payload)
        with self._lock:
            talk = self._talk
            self._lock.wait_for(lambda: self._ended or not talk.held or talk.held + len(payload) <= HELD)
            self.check()
            talk.send(message)
            self._poke()
        if message.digest is None:
            found = digest(payload)  # while the message is on its way
            with self._lock:
                message.digest = found
                self._poke()
        assert message.digest is not None
        return message.digest

    def send_stored(self, receiver: str, name: str, size: int, found: bytes) -> None:
        """Say a message that lies in the store."""
        message = Message(receiver, name, memoryview(b""), size)
        message.digest = found
        with self._lock:
            self.check()
            self._talk.send(message)
            self._poke()

    def receive(self, edge: Edge) -> memoryview | Elsewhere:
        """Wait for a message."""
        with self._lock:
            talk = self._talk
            self.check()
            talk.wait_for(edge)
            self._poke()
            self._lock.wait_for(lambda: self._ended or talk.arrived is not None)
            self.check()
            arrived, talk.awaited, talk.arrived = talk.arrived, None, None
            assert arrived is not None
            return arrived

    def add(self, word: Add) -> None:
        """Add tasks, and wait until there is room for more."""
        with self._lock:
            self.check()
            self._talk.room = False
            self._talk.say(word)
            self._poke()
            self._lock.wait_for(lambda: self._ended or self._talk.room)
            self.check()

    def over(self, word: FromWorker) -> None:
        """Say how the run ended."""
        with self._lock:
            self.check()
            self._talk.over(word)
            self._poke()

    def leave(self, reason: str, *, in_haste: bool = False) -> None:
        """Say all that is to be said, and that this worker leaves; in haste that alone. Returns when that is over."""
        with self._lock:
            self._talk.leaving, self._talk.in_haste = reason, in_haste
            self._leave_at = min(self._leave_at or math.inf, time.monotonic() + (0 if in_haste else _LEAVING_S))
            self._poke()
            self._lock.wait_for(lambda: self._ended)

    def close(self) -> Ended:
        """Let go of everything; why it ended."""
        with self._lock:
            if self._ended is None:
                self._ended = Ended("closed")
            self._closed = True
            self._lock.notify_all()
            self._poke()
            ended = self._ended
        self._thread.join()
        os.close(self._wake)
        os.close(self._waker)
        return ended

    def check(self) -> None:
        """Raise Stopped if there is nothing to go on for."""
        if self._ended is not None:
            raise Stopped(self._ended.reason)

    def _poke(self) -> None:
        """Let the other thread look what there is to say. The lock is held."""
        if not self._poked:
            self._poked = True
            os.write(self._waker, b"!")

    # For the thread that owns the socket.

    def _live(self) -> None:
        """Connect, again and again, until there is an end."""
        try:
            self._keep_up()
        except ProtocolError as error:
            self._end(Ended(str(error), error))
        except MemoryError:
            told = "there is no memory for the message that comes"
            self._end(Ended(told, BackendError(told)))
        except Exception as error:  # noqa: BLE001  the program's thread waits for this one, and must hear of its end
            told = f"the connection to {self._host}:{self._port} cannot be: {type(error).__name__}: {error}"
            self._end(Ended(told, BackendError(told)))
        with self._lock:
            closed = self._lock.wait_for(lambda: self._closed, self._grace_s)
        if not closed:
            self._kill()

    def _keep_up(self) -> None:
        tries, last, patience = 0, time.monotonic(), min(_FIRST_S, self._reconnect_s)
        while self._ended is None:
            broke = self._connect_and_serve()
            now = time.monotonic()
            if self._talk.welcomed:
                tries, last, patience = 0, now, self._reconnect_s
                self._talk.welcomed = False
            if self._time_left(now) <= 0:
                self._end(Ended(self._talk.leaving or _TIME_IS_OVER))
            elif now - last > patience:
                told = f"{self._host}:{self._port} was out of reach for {now - last:.0f} s: {broke}"
                self._end(Ended(told, Unreachable(told)))
            else:
                most = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries)
                self._sleep(min(random.uniform(0.3, 1) * most, self._time_left(now)))
                tries += 1

    def _time_left(self, now: float) -> float:
        """Seconds until this worker leaves."""
        return math.inf if self._leave_at is None else self._leave_at - now

    def _end(self, ended: Ended) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = ended
            self._lock.notify_all()
        self._interrupt()

    def _sleep(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            until = time.monotonic() + seconds
            while self._ended is None and (left := until - time.monotonic()) > 0:
                if selector.select(left):
                    self._drain()

    def _drain(self) -> None:
        with self._lock:
            self._poked = False
            os.read(self._wake, 64)

    def _connect_and_serve(self) -> str:
        """One connection, from its beginning to its end; why it ended."""
        patience = max(0.1, min(_PATIENCE_S, self._time_left(time.monotonic())))
        try:
            with socket.create_connection((self._host, self._port), patience) as raw:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)
                with self._tls.wrap_socket(raw, server_hostname=self._name) as connection:
                    connection.setblocking(False)
                    with self._lock:
                        self._talk.connect()
                    try:
                        return self._serve(connection)
                    finally:
                        with self._lock:
                            self._talk.disconnect()
        except ssl.SSLCertVerificationError as error:
            told = f"{self._host}:{self._port} is not the coordinator of this job: {error.verify_message}"
            raise ProtocolError(told) from error
        except OSError as error:
            return f"{type(error).__name__}: {error}"

    def _serve(self, connection: ssl.SSLSocket) -> str:
        talk, said_at = self._talk, time.monotonic()
        rest: bytes | memoryview = b""
        watched = selectors.EVENT_READ
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(connection, watched)
            while self._ended is None:
                rest, wrote, empty, full = self._write(connection, rest)
                now = time.monotonic()
                said_at = now if wrote else said_at
                if talk.left and empty:
                    _part(connection)
                    self._end(Ended(talk.leaving or _TIME_IS_OVER))
                    break
                if (wanted := selectors.EVENT_READ | (selectors.EVENT_WRITE if full else 0)) != watched:
                    watched = wanted
                    selector.modify(connection, watched)
                ready = bool(connection.pending())
                for key, _ in selector.select(self._pause(now, said_at) if not ready and (empty or full) else 0):
                    if key.fd == self._wake:
                        self._drain()
                    else:
                        ready = True
                try:
                    broke = self._read(connection) if ready else ""
                except ProtocolError as error:
                    if talk.welcome:
                        _complain(connection, rest, error)
                    raise
                with self._lock:
                    now = time.monotonic()
                    if talk.goodbye is not None:
                        break
                    if broke:
                        return broke
                    if now - said_at >= talk.alive_s / 2:
                        talk.beat()
                    if (left := self._time_left(now)) <= 0:
                        talk.leaving, talk.in_haste = talk.leaving or _TIME_IS_OVER, True
                        if left <= -_LAST_WORD_S:
                            return "its last word was not taken"
            if talk.goodbye is not None:
                self._end(Ended(talk.goodbye))
        return "it ended"

    def _pause(self, now: float, said_at: float) -> float:
        """Seconds until something is due, if nothing happens."""
        left = self._time_left(now)
        return max(0.0, min(said_at + self._talk.alive_s / 2 - now, left if left > 0 else left + _LAST_WORD_S))

    def _write(
        self, connection: ssl.SSLSocket, rest: bytes | memoryview
    ) -> tuple[bytes | memoryview, bool, bool, bool]:
        """Write what there is, for a while: what is left of it, and whether some was taken, all was, no more is."""
        wrote = False
        for _ in range(_AT_ONCE):
            if not rest:
                with self._lock:
                    rest = self._talk.outgoing() or b""
                if not rest:
                    return rest, wrote, True, False
            try:
                count = connection.send(rest)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return rest, wrote, False, True
            rest, wrote = memoryview(rest)[count:], True
        return rest, wrote, False, False

    def _read(self, connection: ssl.SSLSocket) -> str:
        """Read what there is, for a while; why there will be no more, if that is so."""
        scratch, filled, broke = self._scratch, 0, ""
        try:
            while filled < len(scratch) and not broke:
                count = connection.recv_into(scratch[filled:])
                filled += count
                broke = "" if count else "the coordinator closed the connection"
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:  # what came before it counts
            broke = f"{type(error).__name__}: {error}"
        if filled:
            with self._lock:
                self._talk.received(scratch[:filled])
                self._lock.notify_all()
        return broke


def _part(connection: ssl.SSLSocket) -> None:
    """Let the other side read all before the connection goes: one that is closed with something unread is reset."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_LAST_WORD_S)
    until = time.monotonic() + _LAST_WORD_S
    with suppress(OSError):
        while connection.recv(1 << 16) and time.monotonic() < until:
            pass


def _complain(connection: ssl.SSLSocket, rest: bytes | memoryview, error: ProtocolError) -> None:
    """Say why this worker leaves, after the rest of what it was saying: its task can go to another at once."""
    with suppress(OSError):
        connection.settimeout(_LAST_WORD_S)
        connection.sendall(bytes(rest) + frame(Leaving(str(error)[:1000])))
        _part(connection)


def _context(ca: str) -> ssl.SSLContext:
    """TLS 1.3 with nobody but whom this authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise ProtocolError(f"the invitation has no certificate that can be read: {error}") from error
    return context
