"""What a worker of this machine runs: one program after the other, until the coordinator hangs up.

It imports little, since every worker's start waits for it. What goes wrong is said to the coordinator, not to the
terminal.
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from mu.digest import digest
from mu.errors import Misuse
from mu.job import Edge, Task
from mu.local.channel import Channel, Closed
from mu.local.kernel import call_process
from mu.local.memory import SMALL, Buffers, memory_of, read_only
from mu.programs import call, main_is
from mu.wire import (
    UNKNOWN,
    VERSION,
    Add,
    Alive,
    Assigned,
    Deliver,
    Done,
    Freed,
    FromWorker,
    Goodbye,
    Hello,
    Room,
    Send,
    Stored,
    ToWorker,
    Waiting,
    decode_to_worker,
    encode,
)
from mu.worker.failure import failed
from mu.worker.timing import Timing

if TYPE_CHECKING:
    from mu.store import Store

__all__ = ["Line", "LocalContext", "Setup", "work"]

_LONGEST_STAGE = 40


class Setup(msgspec.Struct, frozen=True):
    """What all workers of a job are told when they begin."""

    alive_s: float
    """Say something at least so often; 0: no need to."""
    store: str | None
    """The folder of the objects; None: they are in the coordinator's memory."""
    main: str | None
    """The script whose functions are those of `__main__`."""


class Line:
    """A worker's end of its channel. While the program computes, a thread says that the process is alive."""

    def __init__(self, channel: Channel, alive_s: float) -> None:
        self._channel = channel
        self._lock = _thread.allocate_lock()
        self._heard: list[tuple[ToWorker, list[int]]] = []
        if alive_s:
            _thread.start_new_thread(self._beat, (alive_s,))

    def say(self, message: FromWorker, files: Sequence[int] = ()) -> None:
        """Say this, with open files. Raises Closed."""
        with self._lock:
            self._channel.send(encode(message), files)

    def hear(self) -> tuple[ToWorker, list[int]]:
        """Wait for the coordinator's next message. Raises Closed."""
        while not self._heard:
            self._read(wait=True)
        return self._heard.pop(0)

    def look(self) -> ToWorker | None:
        """The next message that has come, if one has; it stays the next one. Raises Closed."""
        if not self._heard:
            self._read(wait=False)
        return self._heard[0][0] if self._heard else None

    def _read(self, *, wait: bool) -> None:
        self._heard += [(decode_to_worker(body), files) for body, files in self._channel.receive(wait=wait)]

    def _beat(self, alive_s: float) -> None:
        with suppress(Closed):
            while True:
                time.sleep(alive_s)
                self.say(Alive())


class LocalContext:
    """The world of a program on this machine; see `mu.Context`."""

    def __init__(self, line: Line, assigned: Assigned, files: Sequence[int], store: Store | None) -> None:
        self.timing = Timing(assigned.now)
        self._line, self._task, self._store = line, assigned.task, store
        self._files = files
        self._given = {given.name: given for given in assigned.given}
        self._buffers = Buffers()
        self._streams = 0

    def fetch(self, name: str) -> memoryview:
        """See `mu.Context`."""
        if name not in self._task.fetches:
            raise Misuse(f"{self._task.name} fetches {name}, which is not among its `fetches`")
        if (given := self._given.get(name)) is not None:
            return read_only(self._files[given.file], given.size, given.start)
        assert self._store is not None
        return self._store.read(name)

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """See `mu.Context`."""
        if not self._task.may_store(name):
            raise Misuse(f"{self._task.name} stores {name}, which is not among its `stores`")
        self.tell()
        view = memoryview(payload).cast("B")
        size = len(view)
        if self._store is not None:
            self._store.write(name, view)
            self._line.say(Stored(name, size, digest(view)))
        elif (lent := self._buffers.lend(name, view)) is not None:
            self._line.say(Stored(name, size, UNKNOWN), [lent])
        elif size <= SMALL:
            self._line.say(Stored(name, size, digest(view), bytes(view)))
        else:
            file = memory_of(view)
            self._line.say(Stored(name, size, UNKNOWN), [file])
            os.close(file)

    def buffer(self, size: int) -> memoryview:
        """See `mu.Context`. It may still hold what was in it before."""
        if size <= SMALL or self._store is not None:
            return memoryview(bytearray(size))
        while isinstance(self._line.look(), Freed):
            self._hear_freed()
        return self._buffers.take(size)

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        """See `mu.Context`."""
        if Edge(receiver, name) not in self._task.sends:
            raise Misuse(f"{self._task.name} sends {name} to {receiver}, which is not among its `sends`")
        self.tell()
        view = memoryview(payload).cast("B")
        size = len(view)
        self._streams += 1
        if size <= SMALL:
            self._line.say(Send(self._streams, receiver, name, size, bytes(view), digest(view)))
        else:
            file = memory_of(view)
            known = UNKNOWN if self._store is None else digest(view)
            self._line.say(Send(self._streams, receiver, name, size, None, known), [file])
            os.close(file)

    def receive(self, sender: str, name: str) -> memoryview:
        """See `mu.Context`."""
        if Edge(sender, name) not in self._task.receives:
            raise Misuse(f"{self._task.name} receives {name} from {sender}, which is not among its `receives`")
        self.tell()
        self._line.say(Waiting(sender, name))
        message, files = self._hear()
        assert isinstance(message, Deliver)
        if message.payload is not None:
            view = memoryview(message.payload)
        else:
            view = read_only(files[0], message.size)
            os.close(files[0])
        self.timing.waited()
        return view

    def add(self, tasks: Sequence[Task]) -> None:
        """See `mu.Context`."""
        for task in tasks:
            if task.program not in self._task.adds:
                raise Misuse(f"{self._task.name} adds a task of {task.program}, which is not among its `adds`")
        self.tell()
        self._line.say(Add(tuple(tasks)))
        message, _ = self._hear()
        assert isinstance(message, Room)
        self.timing.waited()

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        """See `mu.Context`."""
        if len(stage) > _LONGEST_STAGE:
            raise Misuse(f"the name of a stage has at most {_LONGEST_STAGE} characters: {stage}")
        for message in self.timing.progress(stage, done, total):
            self._line.say(message)

    def close(self) -> None:
        """Let go of every file. Memory that the program still holds stays."""
        for file in self._files:
            os.close(file)
        self._buffers.close()

    def tell(self) -> None:
        """Say what of the program's account has not been said yet."""
        for message in self.timing.flush():
            self._line.say(message)

    def _hear(self) -> tuple[ToWorker, list[int]]:
        while isinstance(self._line.look(), Freed):
            self._hear_freed()
        message, files = self._line.hear()
        while isinstance(message, Freed):
            self._buffers.free(message.name)
            message, files = self._line.hear()
        return message, files

    def _hear_freed(self) -> None:
        message, _ = self._line.hear()
        assert isinstance(message, Freed)
        self._buffers.free(message.name)


def work(channel: Channel, number: int, setup: Setup) -> None:
    """Run what the coordinator assigns, until it says goodbye or hangs up."""
    line = Line(channel, setup.alive_s)
    store: Store | None = None
    if setup.store is not None:
        from mu.store.folder import FolderStore

        store = FolderStore(setup.store)
    if setup.main is not None:
        main_is(setup.main)
    with suppress(Closed):
        line.say(Hello(VERSION, "", number, ""))
        while True:
            message, files = line.hear()
            if isinstance(message, Goodbye):
                return
            if isinstance(message, Assigned):
                _run(line, message, files, store)


def _run(line: Line, assigned: Assigned, files: Sequence[int], store: Store | None) -> None:
    call_process(f"mu {assigned.task.name}")
    context = LocalContext(line, assigned, files, store)
    try:
        call(assigned.task.program, context, assigned.task.argument)
    except Closed:
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, even SystemExit, the coordinator has to know
        line.say(failed(error))
    else:
        context.tell()
        line.say(Done(context.timing.end()))
    finally:
        context.close()
