"""One job of a server: its coordinator is told what happens, and what it wants is done."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from mu.core.coordinator import Coordinator
from mu.core.events import (
    Arrived,
    Cancelled,
    Connected,
    Disconnected,
    Event,
    Heard,
    LaunchFailed,
    Limited,
    Reconnected,
    TimePassed,
)
from mu.core.instructions import (
    Assign,
    Deliver,
    Drop,
    Ended,
    Entry,
    Forget,
    Instruction,
    Launch,
    MessageWhole,
    Outcome,
    Release,
    Remember,
    Retract,
    Room,
    Stop,
    TaskAdded,
    TaskBegun,
)
from mu.errors import BackendError, MuError, ProtocolError
from mu.job import Key, Task
from mu.server.connection import Connection
from mu.server.framing import Turn
from mu.server.journal import Journal, Ledger
from mu.server.keys import JobKeys
from mu.server.launcher import Launcher
from mu.server.message import Message
from mu.server.rendezvous import Rendezvous
from mu.server.session import Session
from mu.store.messages import message_name
from mu.wire import Hello, Invitation, Progressed, Welcome, frame
from mu.wire import Room as GoOn

__all__ = ["HostedJob", "Observer"]

ASSIGN_S = 0.5
"""For so long a task waits for the ledger to have the end of the one that its worker did before: what it has not, the
worker can say again to another coordinator, until it hears of its next task."""
log = logging.getLogger("mu.server")


class Observer(Protocol):
    """Who looks on, as `mu.record.Record` does."""

    def note(self, event: Event, instructions: list[Instruction], now: float) -> None:
        """The coordinator heard this and wants that."""

    def progressed(self, number: int, progressed: Progressed, now: float) -> None:
        """A run tells of itself."""


class HostedJob:
    """A job that a server runs. Made by `Server.host`; all in the server's loop, on the clock `time.monotonic`."""

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        turn: Turn,
        keys: JobKeys,
        messages: Callable[[Callable[[OSError], None]], Rendezvous],
        launcher: Launcher,
        address: Callable[[], str],
        store: str,
        code: str,
        token_s: int,
        ledger: Ledger | None,
        entries: Sequence[Entry],
        drop: Callable[[str], Awaitable[None]] | None,
        observer: Observer | None,
    ) -> None:
        self.job = coordinator.job
        self.id = self.job.id
        self.has_store = bool(store)
        """Whether workers share one."""
        self.context: ssl.SSLContext = keys.context()
        self.over: asyncio.Future[Outcome] = turn.loop.create_future()
        """How the job ended. Raises what made it impossible to go on: LedgerError, BackendError."""
        self.messages = messages(self.disk_failed)
        self.deaf: set[Session] = set()
        """Those who are not listened to because nothing more of theirs can be held: they count as alive."""
        self._coordinator, self._turn, self._keys = coordinator, turn, keys
        self._launcher, self._address, self._token_s = launcher, address, token_s
        self._store, self._code = store, code
        self._journal, self._durable = Journal(ledger), ledger is not None
        self._drop, self._observer = drop, observer
        self._sessions: dict[int, Session] = {}
        self._assigned: dict[int, tuple[int, Task]] = {}
        """What each worker is at, connected or not."""
        self._previous: dict[int, int] = {}
        """The run before that."""
        self._untold: set[int] = set()
        """Runs of which their workers have not heard."""
        self._came: set[int] = set()
        """Workers that have connected once."""
        self._tasks = {task.name: task for task in self.job.tasks}
        self._tasks.update((entry.task.name, entry.task) for entry in entries if isinstance(entry, TaskAdded))
        self._expect(entries)
        self._arriving: Message | None = None
        self._wanting: dict[Key, list[Session]] = {}
        """Who was promised a message of which nothing comes now."""
        self._timer: asyncio.TimerHandle | None = None
        self._settles = False
        self._background: set[asyncio.Task[None]] = set()
        self._launched: set[int] = set()

    def _expect(self, entries: Sequence[Entry]) -> None:
        """Take workers of the coordinator before this for ours, with what they are at and were at before."""
        expected = {begun.worker: begun for begun in self._coordinator.expected}
        for entry in entries:
            if isinstance(entry, TaskBegun) and (begun := expected.get(entry.worker)) is not None:
                if entry.run < begun.run:
                    self._previous[entry.worker] = entry.run
                self._assigned[entry.worker] = (begun.run, self._tasks[begun.task])

    # The core

    def handle(self, event: Event) -> None:
        """Tell the coordinator, and do what it wants."""
        if self.over.done():
            return
        now = time.monotonic()
        try:
            instructions = self._coordinator.handle(event, now)
            if self._observer is not None:
                self._observer.note(event, instructions, now)
            for instruction in instructions:
                _DO[type(instruction)](self, instruction)
        except Exception as error:  # noqa: BLE001  the job cannot go on, and whoever waits for it hears why
            self._crash(error)
            return
        if not self._settles:
            self._settles = True
            self._turn.later(self._settle)

    def _settle(self) -> None:
        """Look at the clock's next deadline, once a turn."""
        self._settles = False
        if self.over.done():
            return
        deadline = self._coordinator.next_deadline()
        if self._timer is not None and (deadline is None or self._timer_at > deadline):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and deadline is not None:
            self._timer_at = deadline
            self._timer = self._turn.loop.call_later(max(0.0, deadline - time.monotonic()), self._time_passed)

    _timer_at = 0.0

    def _time_passed(self) -> None:
        self._timer = None
        for session in self.deaf:
            self.handle(Heard(session.worker))
        self.handle(TimePassed())

    def start(self, workers: int | None = None) -> None:
        """Begin, with so many workers at most if that is given."""
        if (outcome := self._coordinator.outcome) is not None:  # only its end was not told yet
            self.over.set_result(outcome)
        self.handle(TimePassed() if workers is None else Limited(workers))

    def cancel(self, reason: str = "cancelled") -> None:
        """End the job: every worker is told to stop."""
        self.handle(Cancelled(reason))

    def limit(self, workers: int) -> None:
        """The job may have so many workers from now on."""
        self.handle(Limited(workers))

    def wake(self) -> None:
        """The ledger has more on the disk, or has failed. May be called by any thread."""
        if not self._turn.loop.is_closed():
            self._turn.loop.call_soon_threadsafe(self._advance)

    def _advance(self) -> None:
        try:
            self._journal.advance()
        except MuError as error:
            self._crash(error)

    def disk_failed(self, error: Exception) -> None:
        """Messages cannot be written or read."""
        self._crash(BackendError(f"the messages of {self.id} cannot be kept: {error}"))

    def _crash(self, error: Exception) -> None:
        log.error("the job %s cannot go on: %s", self.id, error, exc_info=not isinstance(error, MuError))
        if not self.over.done():
            self.over.set_exception(error)
        for session in list(self._sessions.values()):
            session.connection.close("its coordinator cannot go on")

    # What the coordinator wants

    def _launch(self, wanted: Launch) -> None:
        expiry = int(time.time()) + self._token_s
        token = self._keys.token(wanted.worker, expiry)
        places = self._store, self._code
        invitation = Invitation(self._address(), self.id, wanted.worker, token, self._keys.authority, *places)
        self._launched.add(wanted.worker)
        self._in_background(self._start(invitation))

    async def _start(self, invitation: Invitation) -> None:
        worker = invitation.worker
        try:
            await self._launcher.launch(invitation, partial(self._ended_worker, worker))
        except BackendError as error:
            self.handle(LaunchFailed(worker, str(error), getattr(error, "wait_s", 0.0)))
        except Exception as error:
            log.exception("the launch of worker %d of %s failed", worker, self.id)
            self.handle(LaunchFailed(worker, f"{type(error).__name__}: {error}"))

    def _ended_worker(self, worker: int, reason: str) -> None:
        """The launcher knows that a worker is there no more."""
        if worker not in self._came:
            self.handle(LaunchFailed(worker, reason))
        elif worker in self._sessions:
            self._sessions[worker].connection.leave(reason)
        else:
            self.handle(Disconnected(worker, reason, gone=True))

    def _assign(self, wanted: Assign) -> None:
        if (before := self._assigned.get(wanted.worker)) is not None:
            self._previous[wanted.worker] = before[0]
        self._assigned[wanted.worker] = (wanted.run, wanted.task)
        session = self._sessions.get(wanted.worker)
        if session is not None:
            self._untold.add(wanted.run)
            say = partial(self._say_assigned, session, wanted)
            self._journal.after(say)
            if wanted.run in self._untold:
                self._turn.loop.call_later(ASSIGN_S, say)

    def _say_assigned(self, session: Session, wanted: Assign) -> None:
        """Let a worker hear of its task, unless it has, or is gone. Then it forgets the one before."""
        if wanted.run in self._untold:
            self._untold.discard(wanted.run)
            if self._sessions.get(wanted.worker) is session:
                session.assign(wanted.run, wanted.task)

    def _deliver(self, wanted: Deliver) -> None:
        session = self._sessions.get(wanted.worker)
        if session is None:
            return
        message = self.messages.find(wanted.key)
        if message is None:
            self.wants(session, wanted.key)
        else:
            session.deliver(message)

    def wants(self, session: Session, key: Key) -> None:
        """Nothing comes of this message now; when it is there, it is for this worker."""
        self._wanting.setdefault(key, []).append(session)

    def _retract(self, wanted: Retract) -> None:
        self._wanting.pop(wanted.key, None)
        session = self._sessions.get(wanted.worker)
        if session is not None:
            session.retract(wanted.key)

    def _room(self, wanted: Room) -> None:
        session = self._sessions.get(wanted.worker)
        if session is not None:
            session.send(frame(GoOn()))

    def _stop(self, wanted: Stop) -> None:
        self._dismiss(wanted.worker, wanted.reason)

    def _release(self, wanted: Release) -> None:
        self._dismiss(wanted.worker, "")

    def _dismiss(self, worker: int, reason: str) -> None:
        self._assigned.pop(worker, None)
        self._previous.pop(worker, None)
        session = self._sessions.pop(worker, None)
        if session is not None:
            session.connection.close(reason)
            session.end()
        if worker in self._launched:
            self._launched.discard(worker)
            self._in_background(self._launcher.cancel(worker))

    def _forget(self, wanted: Forget) -> None:
        late = self._arriving  # its receiver had committed before
        self._journal.after(partial(self._forget_now, wanted.key, late if late and late.key == wanted.key else None))

    def _forget_now(self, key: Key, late: Message | None) -> None:
        for message in (self.messages.forget(key), late):
            if message is not None and message.stored and message.digest is not None and self._drop is not None:
                self._drop_now(self._drop, message_name(key, message.digest))

    def _drop_object(self, wanted: Drop) -> None:
        if self._drop is not None:
            self._journal.after(partial(self._drop_now, self._drop, wanted.name))

    def _drop_now(self, drop: Callable[[str], Awaitable[None]], name: str) -> None:
        async def run() -> None:
            try:
                await drop(name)
            except BackendError as error:
                log.warning("the object %s of %s stays: %s", name, self.id, error)

        self._in_background(run())

    def _remember(self, wanted: Remember) -> None:
        entry = wanted.entry
        if isinstance(entry, MessageWhole):
            message, self._arriving = self._arriving, None
            assert message is not None
            message.when_safe = self._advance
            self.messages.keep(message)
            self._journal.remember(entry, message)
            for session in self._wanting.pop(entry.key, ()):
                if self._sessions.get(session.worker) is session:
                    session.retract(entry.key)
                    session.deliver(message)
            return
        if isinstance(entry, TaskAdded):
            self._tasks[entry.task.name] = entry.task
        self._journal.remember(entry)

    def _ended(self, wanted: Ended) -> None:
        self._journal.after(partial(self._is_over, wanted.outcome))

    def _is_over(self, outcome: Outcome) -> None:
        if not self.over.done():
            self.over.set_result(outcome)

    # What workers do

    def admit(self, hello: Hello, connection: Connection) -> Session:
        """Let a worker in. Raises ProtocolError if it is not one of the job's, or there already."""
        if self.over.done():
            raise ProtocolError("the job is over")
        self._keys.check_token(hello.worker, hello.token, time.time())
        if (hello.run is None) != (hello.task is None):
            raise ProtocolError("it is at a run without a task, or the reverse")
        before, known = self._sessions.get(hello.worker), self._assigned.get(hello.worker)
        if before is not None:
            if hello.run is None or known is None or hello.run not in (known[0], self._previous.get(hello.worker)):
                raise ProtocolError(f"worker {hello.worker} is connected already")
            before.connection.close("it has a newer connection")
            before.end()
        return Session(self, hello.worker, connection)

    def enter(self, session: Session, hello: Hello) -> None:
        """The worker is in: welcome it and tell the coordinator."""
        worker = session.worker
        known = self._assigned.get(worker)
        self._sessions[worker] = session
        self._came.add(worker)
        behind = known is not None and hello.run in (None, self._previous.get(worker))
        forget = behind and hello.run is not None  # or it would be taken for words of the new run
        session.send(frame(Welcome(self.job.limits.lease_s / 3 or 10.0, forget)))
        if behind and known is not None:
            session.assign(*known)  # the connection broke before it heard of its task
            self.handle(Reconnected(worker, known[0], known[1].name))
            return
        if hello.run is None or hello.task is None:
            self.handle(Connected(worker))
            return
        if known is not None and known[0] == hello.run and known[1].name == hello.task:
            session.allow(*known)
        elif known is None and (task := self._tasks.get(hello.task)) is not None:
            self._assigned[worker] = (hello.run, task)
            session.allow(hello.run, task)
        self.handle(Reconnected(worker, hello.run, hello.task))

    def lost(self, session: Session, reason: str, *, gone: bool) -> None:
        """A connection is over."""
        if self._sessions.get(session.worker) is session:
            del self._sessions[session.worker]
        session.end()
        self.handle(Disconnected(session.worker, reason, gone))

    def arrived(self, message: Message, kept: Callable[[], None]) -> None:
        """A message is whole; `kept` is called when it will survive what the job has to."""
        assert message.digest is not None
        self._arriving = message
        self.handle(Arrived(message.run, message.key, message.size, message.digest, message.stored))
        for reader in list(message.readers):
            reader.more()
        if self._arriving is not None:
            self._arriving = None
            self.messages.discard(message)
        self._journal.after(kept)

    def came_to_nothing(self, message: Message) -> None:
        """A message will not become whole."""
        self.messages.discard(message)

    def progressed(self, run: int, progressed: Progressed) -> None:
        """A worker tells of itself."""
        if self._observer is not None:
            self._observer.progressed(run, progressed, time.monotonic())

    # The end

    async def close(self) -> None:
        """Let go of all connections, and of what is held. A job with a ledger may go on under another coordinator."""
        if self._timer is not None:
            self._timer.cancel()
        self.over.cancel()
        for session in list(self._sessions.values()):
            session.connection.drop()
            session.end()
        self._sessions.clear()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._launcher.close()
        done = not self.over.cancelled() and self.over.exception() is None and self.over.result().kind == "done"
        await self.messages.close(remove=done or not self._durable)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._turn.loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


_DO: dict[type, Callable[[HostedJob, Any], None]] = {
    Launch: HostedJob._launch,
    Assign: HostedJob._assign,
    Deliver: HostedJob._deliver,
    Retract: HostedJob._retract,
    Room: HostedJob._room,
    Stop: HostedJob._stop,
    Release: HostedJob._release,
    Forget: HostedJob._forget,
    Drop: HostedJob._drop_object,
    Remember: HostedJob._remember,
    Ended: HostedJob._ended,
}
