"""What a program may do, for a worker that calls out: messages over its line, objects in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mu.digest import digest
from mu.errors import Disagreement, JobError, Misuse
from mu.job import Edge, Key, Task
from mu.store.messages import BYPASS, message_name, read_message
from mu.store.names import Store
from mu.wire import LARGEST_FRAME, LARGEST_MESSAGE, Add, Span, Stored, encode
from mu.worker.aside import Aside
from mu.worker.line import HELD, Line
from mu.worker.talk import Elsewhere
from mu.worker.timing import Timing

__all__ = ["RemoteContext"]

_MOST_TASKS = 10_000
"""In one Add."""
_LONGEST_STAGE = 40


class RemoteContext:
    """A `mu.Context` for one run of one task."""

    def __init__(self, line: Line, task: Task, store: Store, *, shared: bool = False) -> None:
        self._line, self._task, self._store = line, task, store
        self._shared = shared
        """Whether other workers see the store."""
        self._sends, self._receives = frozenset(task.sends), frozenset(task.receives)
        self._fetches, self._adds = frozenset(task.fetches), frozenset(task.adds)
        self._did: dict[Edge | str, bytes] = {}
        """Digests of what was sent and stored."""
        self._timing = Timing()
        self._aside = Aside(HELD)

    def fetch(self, name: str) -> memoryview:
        """See `mu.Context`."""
        if name not in self._fetches:
            raise Misuse(f"{self._task.name} fetches {name!r:.250}, which it does not declare")
        return self._store.read(name)

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """See `mu.Context`."""
        if not self._task.may_store(name):
            raise Misuse(f"{self._task.name} stores {name!r:.250}, which it does not declare")
        view = _bytes(payload)
        found = digest(view)
        if self._is_new(name, found, "stored"):
            self._store.write(name, view)
            self._line.say(Stored(name, len(view), found))

    def buffer(self, size: int) -> memoryview:
        """See `mu.Context`."""
        return memoryview(bytearray(size))

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        """See `mu.Context`."""
        edge = Edge(receiver, name)
        if edge not in self._sends:
            raise Misuse(f"{self._task.name} sends {name!r:.250} to {receiver!r:.250}, which it does not declare")
        view = _bytes(payload)
        if len(view) > LARGEST_MESSAGE:
            raise Misuse(f"{self._task.name} sends {name}: {len(view)} bytes; store what is over {LARGEST_MESSAGE}")
        if edge in self._did:
            self._is_new(edge, digest(view), "sent")
            return
        if self._shared and len(view) > BYPASS:
            self._did[edge] = self._send_stored(receiver, name, view)
            return
        if not view.readonly:
            view = memoryview(bytes(view))  # it may be said again when the program has changed it
        self._say_progress()
        self._did[edge] = self._line.send(receiver, name, view)

    def _send_stored(self, receiver: str, name: str, view: memoryview) -> bytes:
        """Leave a message in the store and then say that it is there, while the program goes on; its digest."""
        self._say_progress()
        if not view.readonly:
            view = memoryview(bytes(view))  # the program may change it
        found = digest(view)
        place = message_name(Key(self._task.name, receiver, name), found)
        self._aside.do(
            len(view),
            lambda: self._store.write(place, view, found),
            lambda: self._line.send_stored(receiver, name, len(view), found),
        )
        return found

    def settle(self) -> None:
        """Wait until all that was sent is there. Raises what went wrong."""
        if self._aside.settle():
            self._timing.transferred()

    def leave(self) -> None:
        """What is still on its way is not wanted any more."""
        self._aside.leave()

    def receive(self, sender: str, name: str) -> memoryview:
        """See `mu.Context`."""
        edge = Edge(sender, name)
        if edge not in self._receives:
            raise Misuse(f"{self._task.name} receives {name!r:.250} from {sender!r:.250}, which it does not declare")
        self._say_progress()
        try:
            arrived = self._line.receive(edge)
        finally:
            self._timing.waited()
        if not isinstance(arrived, Elsewhere):
            return arrived
        try:
            return read_message(self._store, Key(sender, self._task.name, name), arrived.size, arrived.digest)
        finally:
            self._timing.transferred()

    def add(self, tasks: Sequence[Task]) -> None:
        """See `mu.Context`."""
        for task in tasks:
            if task.program not in self._adds:
                raise Misuse(f"{self._task.name} adds {task.name}, whose program {task.program} it does not declare")
        self._say_progress()
        for word in _adds(tasks):
            self._line.add(word)

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        """See `mu.Context`."""
        if not 0 < len(stage) <= _LONGEST_STAGE:
            raise Misuse(f"{self._task.name}: a stage is called by 1 to {_LONGEST_STAGE} letters, not {stage!r:.100}")
        for word in self._timing.progress(stage, done, total):
            self._line.say(word)

    def end(self) -> tuple[Span, ...]:
        """Say what has not been said of the program's progress; the spans that are left."""
        self._say_progress()
        return self._timing.end()

    def _say_progress(self) -> None:
        for word in self._timing.flush():
            self._line.say(word)

    def _is_new(self, what: Edge | str, found: bytes, done: str) -> bool:
        """Whether this was not done before in this run. Raises Disagreement if it was done with other bytes."""
        before = self._did.setdefault(what, found)
        if before is found:
            return True
        if before != found:
            name = what if isinstance(what, str) else f"{what.name} to {what.task}"
            raise Disagreement(f"{self._task.name} {done} {name} twice, with other bytes")
        return False


def _bytes(payload: bytes | memoryview) -> memoryview:
    view = memoryview(payload)
    try:
        return view.cast("B")
    except TypeError:  # not contiguous
        return memoryview(view.tobytes())


def _adds(tasks: Sequence[Task]) -> Iterator[Add]:
    """The tasks in as few words as frames can hold; at least one, since whoever adds nothing waits for room, too."""
    batch: list[Task] = []
    size = 0
    for task in tasks:
        length = len(encode(task))
        if length > LARGEST_FRAME // 2:
            raise JobError(f"the task {task.name} takes {length} bytes; store what is large, and pass its name")
        if batch and (size + length > LARGEST_FRAME // 2 or len(batch) == _MOST_TASKS):
            yield Add(tuple(batch))
            batch, size = [], 0
        batch.append(task)
        size += length
    yield Add(tuple(batch))
