"""What the processes of a job run: `python -m pipelines.encode.local.child ROLE SOCKET PARENT`.

A child lives as long as its parent and its socket. What goes wrong goes to the runner, not to the terminal.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from pipelines import errors
from pipelines.encode.context import Stage
from pipelines.encode.local.channel import (
    POPULATE,
    Channel,
    Closed,
    Deliver,
    Failed,
    Finished,
    Progressed,
    Run,
    Sent,
    Stored,
    Waits,
)
from pipelines.encode.record import WAIT, Span

_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)
_TELL_EVERY = 0.1  # seconds


class LocalContext:
    """The world of a worker's program, on this machine: everything goes through the runner."""

    def __init__(self, channel: Channel, inputs: Mapping[str, bytes | memoryview]) -> None:
        self._channel, self._inputs = channel, inputs
        self._spent = time.process_time()
        self._done: dict[Stage, float] = {}
        self._told = 0.0
        self._since = time.monotonic()
        self._spans: list[Span] = []

    @property
    def spans(self) -> list[Span]:
        """When the program was at what so far, in order."""
        return self._spans

    def fetch(self, name: str) -> memoryview:
        """Give what came with the chunk: its raw video, or the result of an earlier reading of the film."""
        if name not in self._inputs:
            raise errors.WorkerFailed(f"there is no input {name}, only {', '.join(self._inputs)}")
        return memoryview(self._inputs[name])

    def send(self, name: str, payload: bytes) -> None:
        """Let the runner carry a message on."""
        self._tell()
        self._channel.send(Sent(name, payload))

    def receive(self, name: str) -> bytes:
        """Give the processor up until the runner has the message, and a processor."""
        self._tell()
        self._channel.send(Waits(name))
        message, _ = self._channel.receive_as_child()
        assert isinstance(message, Deliver)
        self._span(WAIT)
        return message.payload

    def store(self, name: str, payload: bytes) -> None:
        """Let the runner keep a result."""
        self._tell()
        self._channel.send(Stored(name, payload))

    def progress(self, stage: Stage, frames: float = 1) -> None:
        """Tell the runner, now and then, with the processor time that went by."""
        self._span(stage)
        if self._done and stage not in self._done:
            self._tell()
        self._done[stage] = self._done.get(stage, 0.0) + frames
        if time.monotonic() - self._told > _TELL_EVERY:
            self._tell()

    def _span(self, stage: str) -> None:
        """Say that what has passed since this was last called was spent on a stage."""
        now = time.monotonic()
        if self._spans and self._spans[-1].stage == stage:
            self._spans[-1] = Span(stage, self._spans[-1].began, now)
        else:
            self._spans.append(Span(stage, self._since, now))
        self._since = now

    def _tell(self) -> None:
        for stage, frames in self._done.items():  # one, or none
            before, self._spent = self._spent, time.process_time()
            self._channel.send(Progressed(stage, frames, self._spent - before))
        self._done.clear()
        self._told = time.monotonic()


def work(channel: Channel) -> None:
    """Run the program for one chunk after the other, as long as the runner has some."""
    from pipelines.encode.worker import encode_chunk  # here, since the reader needs neither it nor the codec

    while True:
        message, files = channel.receive_as_child()
        assert isinstance(message, Run)
        raw = memoryview(mmap.mmap(files[0], message.raw_bytes, mmap.MAP_SHARED | POPULATE, mmap.PROT_READ))
        os.close(files[0])
        context = LocalContext(channel, {message.chunk.source: raw, **message.inputs})
        encode_chunk(context, message.chunk)
        spans = context.spans
        del raw, context  # the last holds on the memory, which may be large
        channel.send(Finished(spans))


def read(channel: Channel) -> None:
    """Read the film as the runner asks."""
    from pipelines.encode.local.reader import read_film

    read_film(channel)


ROLES: dict[str, Callable[[Channel], None]] = {"work": work, "read": read}


def main(role: str, file: int, parent: int) -> None:
    """Play a role until the runner hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # a limit for files, which raw pictures in memory are not
    channel = Channel(socket.socket(fileno=file))
    with suppress(Closed):
        try:
            ROLES[role](channel)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the runner has to know
            _report(channel, error)
        # What the runner sends before it knows must not meet a closed socket: it would be taken for a sudden death.
        while True:
            channel.receive_as_child()


def _report(channel: Channel, error: Exception) -> None:
    kind = type(error).__name__
    text = str(error) if isinstance(error, errors.PipelineError) else f"{kind}: {error}"
    channel.send(Failed(kind, " ".join(text.split()) or kind))


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends, however that happens."""
    try:
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux: the closed socket will end it
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
