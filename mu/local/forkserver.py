"""The process that forks workers: `python -m mu.local.forkserver SOCKET PARENT`.

It has one thread and has imported what every worker needs, so that forking it is safe and quick. It lives as long as
its parent and its socket, and its workers live no longer than it does.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Never

import msgspec

from mu.local.channel import Channel, Closed
from mu.local.kernel import call_process, die_with
from mu.local.worker import Setup, work

__all__ = ["Begin", "Exited", "Fork", "Forked", "FromForkServer", "Kill", "Prepare", "ToForkServer", "main"]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first message: what holds for all workers."""

    setup: Setup
    path: str | None
    """What PYTHONPATH was before this process got one of its own."""
    arguments: list[str]
    """What `sys.argv` is in the parent."""


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Fork a worker; its end of the socket comes with this."""

    worker: int


class Kill(msgspec.Struct, frozen=True, tag=True):
    """End a worker at once."""

    worker: int


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Import modules, which later workers have then."""

    modules: tuple[str, ...]


class Forked(msgspec.Struct, frozen=True, tag=True):
    """A worker is there."""

    worker: int
    pid: int


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A worker is gone: its exit code, or the negative number of a signal; or it could not be forked, and why."""

    worker: int
    code: int
    problem: str = ""


ToForkServer = Begin | Fork | Kill | Prepare
FromForkServer = Forked | Exited

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[ToForkServer] = msgspec.msgpack.Decoder(ToForkServer)


def main(file: int, parent: int) -> None:
    """Fork workers until the parent hangs up; then end them all."""
    call_process("mu forkserver")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_all)
    die_with(parent, signal.SIGTERM)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # a limit for files, which objects in memory are not
    server = _Server(Channel(socket.socket(fileno=file)))
    with suppress(Closed):
        server.serve()
    server.end()


class _Server:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._workers: dict[int, int] = {}
        """Process ids of workers, by number."""
        self._setup = Setup(0, None, None)
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Do what the parent says. Raises Closed."""
        gc.freeze()  # so that collecting garbage does not touch, and so copy, what is shared
        while True:
            ready, _, _ = select.select([self._channel.socket.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._channel.socket.fileno() in ready:
                for body, files in self._channel.receive():
                    self._do(_decoder.decode(body), files)

    def end(self) -> None:
        """End all workers, and this process when they and their memory are gone."""
        for pid in self._workers.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._workers.values():
            os.waitpid(pid, 0)
        _end_all()

    def _do(self, message: ToForkServer, files: list[int]) -> None:
        match message:
            case Begin(setup, path, arguments):
                self._setup = setup
                sys.argv[:] = arguments
                os.environ.pop("PYTHONPATH", None)
                if path is not None:
                    os.environ["PYTHONPATH"] = path
            case Fork(worker):
                self._fork(worker, files[0])
                os.close(files[0])
            case Kill(worker):
                if worker in self._workers:
                    os.kill(self._workers[worker], signal.SIGKILL)  # not reaped yet, so it is no other's number
            case Prepare(modules):
                for module in modules:
                    with suppress(Exception):  # the worker that needs it will say so
                        importlib.import_module(module)
                gc.freeze()

    def _fork(self, worker: int, end: int) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._say(Exited(worker, 0, f"no process could be forked: {error.strerror}"))
            return
        if not pid:
            code = 1
            try:
                self._become_worker(server)
                work(Channel(socket.socket(fileno=end)), worker, self._setup)
                code = 0
            except BaseException:  # noqa: BLE001  it must not go on as a fork server
                sys.excepthook(*sys.exc_info())
            finally:
                for stream in (sys.stdout, sys.stderr):
                    with suppress(OSError, ValueError, AttributeError):
                        stream.flush()
                os._exit(code)
        self._workers[worker] = pid
        self._say(Forked(worker, pid))

    def _become_worker(self, server: int) -> None:
        call_process("mu idle")
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with(server, signal.SIGKILL)
        os.close(self._woken)
        os.close(self._wake)
        self._channel.socket.close()

    def _reap(self) -> None:
        for worker, pid in list(self._workers.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._workers[worker]
                self._say(Exited(worker, os.waitstatus_to_exitcode(status)))

    def _say(self, message: FromForkServer) -> None:
        self._channel.send(_encode(message))


def _end_all(signal_number: int = 0, frame: FrameType | None = None) -> Never:
    """End this process, its workers and whatever they have started: they are one group."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
