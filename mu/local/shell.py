"""Carries out, with processes of this machine, what the coordinator of a job says; one loop waits for all of them."""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from mu.core import events
from mu.core import instructions as core
from mu.core.coordinator import Coordinator
from mu.errors import BackendError, ProtocolError
from mu.job import Key, Task
from mu.local.memory import memory_file
from mu.local.processes import Processes, Worker
from mu.local.shelf import File, Item, MemoryShelf, Shelf, release
from mu.store import Store
from mu.wire import (
    UNKNOWN,
    Add,
    Assigned,
    Deliver,
    Done,
    Failed,
    Freed,
    Given,
    Hello,
    Progressed,
    Room,
    Send,
    Stored,
    ToWorker,
    Waiting,
    decode_from_worker,
    encode,
)

if TYPE_CHECKING:
    from mu.ledger import Ledger

__all__ = ["Observer", "OnObject", "Shell"]

_OTHER = b"\xff" * len(UNKNOWN)
"""Stands for the digest of what is not the same as before."""

K = TypeVar("K", str, Key)
OnObject = Callable[[str, memoryview], object]


class Observer(Protocol):
    """Somebody who looks on, such as `mu.record.Record`."""

    def note(self, event: events.Event, instructions: list[core.Instruction], now: float) -> None:
        """What the coordinator was told and what it wants done, in seconds of the monotonic clock."""

    def progressed(self, number: int, progressed: Progressed, now: float) -> None:
        """What a run tells of itself."""


class Shell:
    """The loop around a coordinator. `objects` is None where a `store` holds them, and workers use that themselves."""

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        objects: MemoryShelf[str] | None,
        store: Store | None,
        messages: Shelf[Key],
        inputs: Mapping[str, bytes],
        observers: Sequence[Observer],
        on_object: OnObject | None,
        keep: bool,
        temporary: tuple[str, ...],
        ledger: Ledger | None,
        processes: Processes,
        selector: selectors.BaseSelector,
    ) -> None:
        self._coordinator = coordinator
        self._objects, self._store, self._messages, self._inputs = objects, store, messages, inputs
        self._observers, self._on_object, self._keep = observers, on_object, keep
        self._temporary = temporary
        self._ledger, self._selector = ledger, selector
        self._came: set[int] = set()
        self._processes = processes
        processes.listener = self
        self._events: deque[events.Event] = deque()
        self.names: list[str] = []
        """The objects that were made, without those that are temporary."""
        self._made: deque[str] = deque()
        """Objects that `on_object` has not seen."""
        self._postponed: deque[tuple[int, core.Instruction]] = deque()
        """What is done when so many entries are on the disk."""
        self._entries = 0
        self._now = 0.0
        """When the event came that is being dealt with."""
        self._tasks: dict[int, tuple[int, Task]] = {}
        """The run and the task of each worker that is at one."""
        self._makers: dict[str, tuple[int, int]] = {}
        """Workers and runs that are told when nobody reads their object any more."""
        self._digests: dict[str | Key, bytes] = {}
        """What the coordinator was told of each object and message in memory, dropped ones included."""
        self.outcome = coordinator.outcome

    def run(self) -> core.Outcome:
        """Do the job, to its outcome. Raises what `on_object` raises, BackendError, LedgerError."""
        self._events.append(events.TimePassed())
        self._work()
        while self.outcome is None:
            deadline = self._coordinator.next_deadline()
            patience = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, mask in self._selector.select(patience):
                key.data(mask)
            if deadline is not None and time.monotonic() >= deadline:
                self._events.append(events.TimePassed())
            self._work()
        return self.outcome

    def said(self, worker: Worker, body: bytes, files: list[int]) -> None:
        """See `Listener`."""
        try:
            self._hear(worker, body, files)
        except ProtocolError as error:
            self._processes.stop(worker.number)
            self.lost(worker.number, str(error))

    def lost(self, number: int, reason: str) -> None:
        """See `Listener`."""
        self._tasks.pop(number, None)
        came = number in self._came
        self._events.append(
            events.Disconnected(number, reason, gone=True) if came else events.LaunchFailed(number, reason)
        )

    def made_before(self, names: Iterable[str]) -> None:
        """Objects that are there from an earlier time of this job."""
        for name in names:
            self._is_made(name)

    def durable(self) -> None:
        """More of the ledger is on the disk."""
        if self._ledger is not None:
            while self._postponed and self._postponed[0][0] <= self._ledger.durable:
                self._obey(self._postponed.popleft()[1])

    def _work(self) -> None:
        """Tell the coordinator what happened, do what it says, hand on what is new."""
        while self._events or self._made:
            while self._events:
                event, self._now = self._events.popleft(), time.monotonic()
                instructions = self._coordinator.handle(event, self._now)
                for observer in self._observers:
                    observer.note(event, instructions, self._now)
                for instruction in instructions:
                    self._obey_in_turn(instruction)
            if self._made:
                name = self._made.popleft()
                if self._on_object is not None:
                    self._on_object(name, self._look(name))
                    if not self._keep and self._objects is not None:
                        self._objects.drop(name)

    def _look(self, name: str) -> memoryview:
        if self._objects is not None:
            return self._objects[name]
        assert self._store is not None
        return self._store.read(name)

    # From workers

    def _hear(self, worker: Worker, body: bytes, files: list[int]) -> None:
        message = decode_from_worker(body)
        if isinstance(message, Hello):
            self._came.add(worker.number)
            self._events.append(events.Connected(worker.number))
            return
        at = self._tasks.get(worker.number)
        if at is None:
            return  # it is alive, or was told to stop
        run, task = at
        match message:
            case Stored():
                self._events.append(self._stored(worker, run, message, files))
            case Send():
                key = Key(task.name, message.receiver, message.name)
                item = _item(message.size, message.payload, files)
                known = self._keep_once(self._messages, key, item, message.digest or UNKNOWN)
                self._events.append(events.Arrived(run, key, message.size, known))
            case Waiting(sender, name):
                self._events.append(events.Waits(run, Key(sender, task.name, name)))
            case Add(tasks):
                self._events.append(events.Added(run, tasks))
            case Progressed():
                self._progressed(run, message)
                self._events.append(events.Heard(worker.number))
            case Done(spans):
                if spans:
                    self._progressed(run, Progressed(spans[-1].stage, 0, None, 0, spans))
                del self._tasks[worker.number]
                self._events.append(events.Finished(run))
            case Failed(kind, text, traceback, again):
                del self._tasks[worker.number]
                self._events.append(events.Raised(run, f"{kind}: {text}" if text else kind, traceback, again))
            case _:
                self._events.append(events.Heard(worker.number))

    def _progressed(self, run: int, progressed: Progressed) -> None:
        now = time.monotonic()
        for observer in self._observers:
            observer.progressed(run, progressed, now)

    def _stored(self, worker: Worker, run: int, message: Stored, files: list[int]) -> events.Event:
        known = message.digest
        if self._objects is not None:
            item = _item(message.size, message.payload, files)
            again = message.name in self._digests
            known = self._keep_once(self._objects, message.name, item, message.digest)
            if message.payload is None:
                if again:
                    self._processes.say(worker, encode(Freed(message.name)))
                else:
                    self._makers[message.name] = worker.number, run
        return events.Stored(run, message.name, message.size, known)

    def _keep_once(self, shelf: Shelf[K], name: K, item: Item, known: bytes) -> bytes:
        """Keep what a run stores or sends; its digest, or what stands for it.

        What lies in memory is looked at only when it comes twice, and as long as the first is still there.
        """
        before = self._digests.get(name)
        if before is None or not isinstance(shelf, MemoryShelf):
            self._digests[name] = known
            shelf.put(name, item)
            return known
        if name in shelf:
            return before if shelf.holds(name, item) else _OTHER
        release(item)
        return before

    # From the coordinator

    def _obey_in_turn(self, instruction: core.Instruction) -> None:
        if self._ledger is not None:
            if isinstance(instruction, core.Remember):
                self._entries = self._ledger.add(instruction.entry)
            elif isinstance(instruction, core.Forget | core.Drop | core.Ended) and self._entries:
                self._postponed.append((self._entries, instruction))
                return
        self._obey(instruction)

    def _obey(self, instruction: core.Instruction) -> None:
        match instruction:
            case core.Launch(number):
                self._launch(number)
            case core.Assign(number, run, task):
                self._assign(number, run, task)
            case core.Deliver(number, _, key):
                self._deliver(number, key)
            case core.Room(number):
                self._say(number, Room())
            case core.Stop(number):
                self._tasks.pop(number, None)
                self._processes.stop(number)
            case core.Release(number):
                self._processes.release(number)
            case core.Forget(key):
                self._messages.drop(key)
            case core.Drop(name):
                self._drop(name)
            case core.Remember(core.ObjectMade(_, name)):
                self._is_made(name)
            case core.Ended(outcome):
                self.outcome = outcome
            case _:
                pass

    def _is_made(self, name: str) -> None:
        if not name.startswith(self._temporary):
            self.names.append(name)
            if self._on_object is not None:
                self._made.append(name)

    def _say(self, number: int, message: ToWorker, files: Sequence[int] = ()) -> None:
        if (worker := self._processes.worker(number)) is not None:
            self._processes.say(worker, encode(message), files)

    def _launch(self, number: int) -> None:
        try:
            self._processes.launch(number)
        except (BackendError, OSError) as error:
            self._events.append(events.LaunchFailed(number, str(error)))

    def _assign(self, number: int, run: int, task: Task) -> None:
        self._tasks[number] = run, task
        given, files = self._pack(task.fetches) if task.fetches else ((), [])
        self._say(number, Assigned(run, task, given, self._now), files)
        for file in files:
            os.close(file)

    def _pack(self, names: Iterable[str]) -> tuple[tuple[Given, ...], list[int]]:
        """What a task fetches, in open files: large objects in their own, small ones together in one."""
        given: list[Given] = []
        files: list[int] = []
        small = bytearray()
        packed = []
        for name in names:
            if self._objects is not None and name in self._objects:
                item = self._objects.take(name)
            elif name in self._inputs:
                item = self._inputs[name]
            else:
                continue  # in a folder; or not there at all, of which the program hears when it asks
            if isinstance(item, File):
                given.append(Given(name, len(files), 0, item.size))
                files.append(item.descriptor)
            else:
                packed.append((name, len(small), len(item)))
                small += item
        if packed:
            given += [Given(name, len(files), start, size) for name, start, size in packed]
            file = memory_file()
            files.append(file)
            with memoryview(small) as left:
                written = 0
                while written < len(left):
                    written += os.write(file, left[written:])
        return tuple(given), files

    def _deliver(self, number: int, key: Key) -> None:
        item = self._messages.take(key)
        if isinstance(item, File):
            self._say(number, Deliver(0, key.sender, key.name, item.size), [item.descriptor])
            os.close(item.descriptor)
        else:
            self._say(number, Deliver(0, key.sender, key.name, len(item), item))

    def _drop(self, name: str) -> None:
        if self._objects is None:
            assert self._store is not None
            self._store.delete(name)
            return
        self._objects.drop(name)
        number, run = self._makers.pop(name, (0, 0))
        if self._tasks.get(number, (0, None))[0] == run and run:
            self._say(number, Freed(name))


def _item(size: int, payload: bytes | None, files: list[int]) -> Item:
    if payload is not None:
        return payload
    if not files:
        raise ProtocolError("a worker announced an open file, and none came")
    return File(files.pop(0), size)
