"""The processes that run programs on this machine: started, listened to and ended."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import msgspec

from mu.errors import BackendError
from mu.local.channel import Channel, Closed
from mu.local.forkserver import Begin, Exited, Fork, Forked, FromForkServer, Kill, Prepare, ToForkServer
from mu.local.worker import Setup

__all__ = ["Listener", "Processes", "Worker"]

_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "268435456"}
"""Tells glibc to keep large blocks for the next use: given back and asked for anew, they are cleared page by page."""
_PATIENCE = 5.0
"""Seconds for processes to end."""

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[FromForkServer] = msgspec.msgpack.Decoder(FromForkServer)


@dataclass(slots=True, eq=False)
class Worker:
    """A process that runs programs."""

    number: int
    channel: Channel
    pid: int | None = None
    listening: bool = False
    """Whether what it cannot take yet waits to be sent."""
    gone: bool = False
    """Whether it was told to end, or hung up: what it still says means nothing."""


@dataclass(slots=True)
class _ForkServer:
    child: subprocess.Popen[bytes]
    channel: Channel
    workers: dict[int, Worker] = field(default_factory=dict)


class Listener(Protocol):
    """Who hears of the workers."""

    def said(self, worker: Worker, body: bytes, files: list[int]) -> None:
        """A worker said something; the files are closed afterwards unless they are taken out of the list."""

    def lost(self, number: int, reason: str) -> None:
        """A worker is gone."""


class Processes:
    """All processes of a job; a context that ends them. What is said and lost goes to the `listener`."""

    listener: Listener

    def __init__(self, setup: Setup, selector: selectors.BaseSelector, prepare: Sequence[str] = ()) -> None:
        self._setup, self._prepare, self._selector = setup, tuple(prepare), selector
        self._server: _ForkServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()

    def begin(self) -> None:
        """Start what workers are forked from, so that it is ready when the first is wanted. Raises BackendError."""
        ours, theirs = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        command = [sys.executable, "-P", "-m", "mu.local.forkserver", str(theirs.fileno()), str(os.getpid())]
        try:
            child = subprocess.Popen(  # a group of its own: Ctrl-C is for this process, which ends the rest
                command,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_MEMORY, "PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        except OSError as error:
            ours.close()
            raise BackendError(f"no process could be started: {error}") from error
        finally:
            theirs.close()
        self._server = _ForkServer(child, Channel(ours))
        self._selector.register(ours, selectors.EVENT_READ, self._hear_server)
        self._tell(Begin(self._setup, os.environ.get("PYTHONPATH"), sys.argv))

    def launch(self, number: int) -> None:
        """Start a worker; it says hello, or `lost` hears of it. Raises BackendError."""
        if self._server is None:
            self.begin()
        assert self._server is not None
        ours, theirs = socket.socketpair()
        worker = self._server.workers[number] = Worker(number, Channel(ours))
        self._selector.register(ours, selectors.EVENT_READ, lambda events: self._hear(worker, events))
        with theirs:
            self._tell(Fork(number), [theirs.fileno()])
        if self._prepare:  # after the first, which so need not wait for it
            self._tell(Prepare(self._prepare))
            self._prepare = ()

    def worker(self, number: int) -> Worker | None:
        """The worker of this number, if it is there."""
        return self._server.workers.get(number) if self._server else None

    def say(self, worker: Worker, body: bytes, files: Sequence[int] = ()) -> None:
        """Send a worker a frame; it need not take it at once. That it has hung up is heard later."""
        if not worker.gone:
            with suppress(Closed):
                worker.channel.post(body, files)
                self._listen(worker)

    def release(self, number: int) -> None:
        """Let a worker end by itself, now that it has nothing to do."""
        if (worker := self.worker(number)) is not None:
            self._hang_up(worker)

    def stop(self, number: int) -> None:
        """End a worker, whatever it does."""
        if (worker := self.worker(number)) is not None:
            self._hang_up(worker)
            self._tell(Kill(number))

    def end(self) -> None:
        """End every process, and wait until they and their memory are gone."""
        if (server := self._server) is None:
            return
        self._server = None
        for worker in server.workers.values():
            self._hang_up(worker)
        self._selector.unregister(server.channel.socket)
        try:
            with suppress(OSError):
                server.channel.socket.shutdown(socket.SHUT_WR)
            server.channel.socket.settimeout(_PATIENCE)
            with suppress(Closed):
                while True:
                    server.channel.receive()
        finally:
            # Until it is waited for, its number is no other process's, nor that of a group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(server.child.pid, signal.SIGKILL)
            server.child.wait()
            server.channel.close()

    def _tell(self, message: ToForkServer, files: Sequence[int] = ()) -> None:
        assert self._server is not None
        with suppress(Closed):
            self._server.channel.post(_encode(message), files)
            self._selector.modify(self._server.channel.socket, _events(self._server.channel), self._hear_server)

    def _listen(self, worker: Worker) -> None:
        if worker.channel.waiting != worker.listening:
            worker.listening = worker.channel.waiting
            key = self._selector.get_key(worker.channel.socket)
            self._selector.modify(worker.channel.socket, _events(worker.channel), key.data)

    def _hear(self, worker: Worker, events: int) -> None:
        if worker.gone:
            return
        try:
            if events & selectors.EVENT_WRITE:
                worker.channel.flush()
                self._listen(worker)
            frames = worker.channel.receive() if events & selectors.EVENT_READ else []
        except Closed:
            self._hang_up(worker)
            self._tell(Kill(worker.number))  # should it still be there
            return
        self._pass_on(worker, frames)

    def _pass_on(self, worker: Worker, frames: list[tuple[bytes, list[int]]]) -> None:
        for body, files in frames:
            try:
                if not worker.gone:
                    self.listener.said(worker, body, files)
            finally:
                for file in files:
                    os.close(file)

    def _hear_server(self, events: int) -> None:
        if self._server is None:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._server.channel.flush()
                self._selector.modify(self._server.channel.socket, _events(self._server.channel), self._hear_server)
            frames = self._server.channel.receive() if events & selectors.EVENT_READ else []
        except Closed:
            self._server_is_gone()
            return
        for body, _ in frames:
            message = _decoder.decode(body)
            worker = self.worker(message.worker)
            if worker is None:
                continue
            if isinstance(message, Forked):
                worker.pid = message.pid
            else:
                self._is_gone(worker, message)

    def _is_gone(self, worker: Worker, exited: Exited) -> None:
        assert self._server is not None
        if not worker.gone:
            # What it said before it ended may still be in its socket.
            with suppress(Closed):
                while frames := worker.channel.receive(wait=False):
                    self._pass_on(worker, frames)
            self._hang_up(worker)
        del self._server.workers[exited.worker]
        self.listener.lost(worker.number, _how_it_ended(worker, exited))

    def _server_is_gone(self) -> None:
        """Somebody killed it, and with it its workers. The next worker that is wanted starts another."""
        assert self._server is not None
        server = self._server
        numbers = list(server.workers)
        self.end()
        code = server.child.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        for number in numbers:
            self.listener.lost(number, f"the process that forks workers (process {server.child.pid}) {how}")

    def _hang_up(self, worker: Worker) -> None:
        if not worker.gone:
            worker.gone = True
            self._selector.unregister(worker.channel.socket)
            worker.channel.close()


def _events(channel: Channel) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.waiting else 0)


def _how_it_ended(worker: Worker, exited: Exited) -> str:
    if exited.problem:
        return exited.problem
    code = exited.code
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    memory = "; is there enough memory?" if code == -signal.SIGKILL else ""
    return f"worker {worker.number} (process {worker.pid}) {how}{memory}"
