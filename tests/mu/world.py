"""A world for the coordinator's mind: workers, programs and a disk that go wrong as a random generator says."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from mu.core.coordinator import Coordinator
from mu.core.events import (
    Cancelled,
    Connected,
    Disconnected,
    Event,
    LaunchFailed,
    Limited,
    Raised,
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
    ObjectMade,
    Outcome,
    Release,
    Remember,
    Retract,
    Room,
    Stop,
    TaskAdded,
    TaskCommitted,
)
from mu.job import Job, Key, Task
from tests.mu.audit import audit
from tests.mu.sims import Program, Sim, Steps, by_store

_PATIENCE_S = 5000.0
"""Simulated, without a task that began or ended."""


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong."""

    dies: float = 0.0
    hangs: float = 0.0
    breaks: float = 0.0
    no_launch: float = 0.0
    never_comes: float = 0.0
    raises: float = 0.0
    coordinator_dies: float = 0.0
    limits: float = 0.0
    cancels: float = 0.0
    loops: float = 0.0
    """Programs that compute for ever, while their workers say that they are alive; a job needs `run_s` for it."""
    most: int = 1_000_000
    """Of all together."""


@dataclass
class World:
    """Runs a job to its end. What is asserted on the way is what a coordinator promises."""

    job: Job
    steps: dict[str, Steps]
    random: random.Random
    faults: Faults = Faults()
    audits: float = 1.0
    """After which share of the events the coordinator's books are gone through."""
    now: float = 0.0
    queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)
    durable: int = 0
    """How much of it is on the disk."""
    postponed: list[tuple[int, Instruction]] = field(default_factory=list)
    """What waits until so much is."""
    sims: dict[int, Sim] = field(default_factory=dict)
    streams: dict[Key, int] = field(default_factory=dict)
    """Messages that come, and from which run."""
    whole: set[Key] = field(default_factory=set)
    left: set[Key] = field(default_factory=set)
    """Messages that lie in the store; so do those of runs that were killed before they said so."""
    objects: set[str] = field(default_factory=set)
    stores: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    tasks: dict[str, Task] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    faulted: int = 0
    launches: int = 0
    reached: float = 0.0
    """When a task began or ended last."""
    outcome: Outcome | None = None
    epoch: int = 1
    events: int = 0
    _sequence: int = 0

    def run(self, *, again: bool = False) -> Outcome:
        """To the end, from what the ledger holds. Fails when nothing more would ever happen."""
        self.outcome = None
        self.tasks = {task.name: task for task in self.job.tasks}
        if self.ledger:
            for sim in self.sims.values() if again else ():  # that was long ago
                sim.alive = False
            self.restart(again=again)
        else:
            self.core = Coordinator(self.job, epoch=1)
            self.tell(TimePassed())
        while self.outcome is None:
            deadline = self.core.next_deadline()
            if self.queue and (deadline is None or self.queue[0][0] <= deadline):
                self.now, _, happens = heapq.heappop(self.queue)
                happens()
            else:
                assert deadline is not None, "nothing will ever happen any more"
                self.now = max(self.now, deadline)
                self.tell(TimePassed())
            assert self.now < self.reached + _PATIENCE_S, "nothing goes on"
        assert not any(sim.alive and sim.connected for sim in self.sims.values()), "a worker is left"
        return self.outcome

    def cut(self, entries: list[Entry], tasks: Mapping[str, Task]) -> None:
        """Go back to a moment when this was on the disk; no worker is there any more."""
        self.ledger, self.durable = list(entries), len(entries)
        committed = {entry.task for entry in entries if isinstance(entry, TaskCommitted)}
        made = {entry.name for entry in entries if isinstance(entry, ObjectMade)}
        self.objects |= {name for task in tasks.values() if task.name not in committed for name in task.fetches} & made
        keys = {entry.key for entry in entries if isinstance(entry, MessageWhole)}
        self.whole = {key for key in keys if key.receiver not in committed}
        self.left = {key for key in self.whole if by_store(key)}
        for emptied in (self.sims, self.queue, self.postponed, self.streams, self.begun, self.done):
            emptied.clear()

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Says which world it was, if something is wrong."""
        try:
            yield
        except BaseException as error:
            error.add_note(name)
            raise

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        """Something happens in so many seconds."""
        self._sequence += 1
        heapq.heappush(self.queue, (self.now + seconds, self._sequence, happens))

    def fault(self, share: float) -> bool:
        """Whether something goes wrong."""
        if share and self.faulted < self.faults.most and self.random.random() < share:
            self.faulted += 1
            return True
        return False

    # The coordinator

    def tell(self, event: Event) -> None:
        """Something comes to the coordinator."""
        if self.outcome is not None:
            return
        self.events += 1
        if self.fault(self.faults.coordinator_dies):
            self.restart()
            return
        self._hand(event)
        if self.fault(self.faults.limits):
            self._hand(Limited(self.random.choice([0, 1, 1, 2, 5])))
            self.later(self.random.expovariate(0.1), lambda: self.tell(Limited(self.job.limits.workers)))
        if self.fault(self.faults.cancels):
            self._hand(Cancelled("enough"))

    def _hand(self, event: Event) -> None:
        if isinstance(event, Raised):
            self._ends(event.run)
        instructions = self.core.handle(event, self.now)
        self.noted(event, instructions)
        for instruction in instructions:
            match instruction:
                case Remember(entry):
                    self.ledger.append(entry)
                    self._note(entry)
                    self.later(0.02, partial(self._flush, len(self.ledger)))
                case Forget() | Drop() | Ended() if self.durable < len(self.ledger):
                    self.postponed.append((len(self.ledger), instruction))
                case _:
                    self._obey(instruction)
        if self.audits and (self.audits == 1 or self.random.random() < self.audits):
            audit(self.core, self.now, instructions)

    def noted(self, event: Event, instructions: list[Instruction]) -> None:
        """Told of everything, for those who look."""

    def _note(self, entry: Entry) -> None:
        match entry:
            case TaskCommitted(name):
                self.done[name] += 1
                self.reached = self.now
            case TaskAdded(task):
                self.tasks[task.name] = task
            case MessageWhole(key):
                assert entry.stored == by_store(key)
            case _:
                pass

    def _flush(self, count: int) -> None:
        """So much of the ledger is on the disk, if it is still that ledger."""
        if self.durable < count <= len(self.ledger):
            self.durable = count
        ready = [instruction for needs, instruction in self.postponed if needs <= self.durable]
        self.postponed = [each for each in self.postponed if each[0] > self.durable]
        for instruction in ready:
            self._obey(instruction)

    def restart(self, *, again: bool = False) -> None:
        """The coordinator dies, and another one takes its place: what was on its way, or not on the disk, is lost."""
        self.epoch += 1
        del self.ledger[self.durable :]
        self.postponed.clear()
        self.done.clear()
        for entry in self.ledger:
            self._note(entry)
        kept = {entry.key for entry in self.ledger if isinstance(entry, MessageWhole)}
        there = self.whole & (self.left | {key for key in kept if not by_store(key)})
        assert all(key in there or self.done[key.receiver] for key in kept), "a message is lost"
        self.whole &= kept
        self.streams.clear()
        self.reached = self.now
        self.core = Coordinator.restore(self.job, self.ledger, epoch=self.epoch, now=self.now, again=again)
        if self.core.outcome is not None:
            self.outcome = self.core.outcome
            for sim in self.sims.values():
                sim.alive = False
            return
        for sim in self.sims.values():
            if sim.hangs:
                sim.alive = False
            elif sim.alive:
                sim.breaks()
        self.later(0, lambda: self.tell(TimePassed()))

    def _obey(self, instruction: Instruction) -> None:
        match instruction:
            case Launch(number):
                self._launch(number)
            case Assign(number, run, task):
                self.begun[task.name] += 1
                self.reached = self.now
                assert not self.done[task.name], "began what is done"
                assert all(name in self.objects for name in task.fetches), "began without its objects"
                program = Program(run, task, list(self.steps[task.name]))
                self.sims[number].hears(lambda sim: sim.begin(program))
            case Deliver(number, run, key):
                if key in self.whole:
                    assert key in self.left or not by_store(key), "delivers what is not in the store"
                    self.sims[number].hears(lambda sim: sim.receives(run, key))
                else:
                    source = self.streams[key]
                    self.sims[number].hears(lambda sim: sim.takes(run, key, source))
            case Retract(number, run, key):
                if number in self.sims:
                    self.sims[number].hears(lambda sim: sim.loses(run, key))
            case Room(number, run):
                self.sims[number].hears(lambda sim: sim.has_room(run))
            case Stop(number) | Release(number):
                if (there := self.sims.get(number)) is not None:
                    there.alive = there.connected = False
                    if there.program is not None:
                        self._ends(there.program.run)
                        there.program = None
            case Forget(key):
                assert self.done[key.receiver], "forgot what is needed"
                self.whole.discard(key)
                self.left.discard(key)
                self.streams.pop(key, None)
            case Drop(name):
                fetchers = [task.name for task in self.tasks.values() if name in task.fetches]
                assert fetchers, "dropped what nobody fetches"
                assert all(self.done[fetcher] for fetcher in fetchers), "dropped what is needed"
                self.drops[name] += 1
                assert self.drops[name] <= self.stores[name] or self.epoch > 1, "dropped more often than stored"
                self.objects.discard(name)
            case Ended(outcome):
                self.outcome = outcome
            case Remember():
                raise AssertionError

    # Workers

    def _launch(self, number: int) -> None:
        self.launches += 1
        assert number not in self.sims, "a number twice"
        if self.fault(self.faults.no_launch):
            wait_s = self.random.choice([0.0, 1.0])
            self.later(0.1, lambda: self.tell(LaunchFailed(number, "throttled", wait_s)))
            return
        sim = self.sims[number] = Sim(number, self)
        if not self.fault(self.faults.never_comes):
            self.later(self.random.expovariate(1), sim.comes)

    def connected(self, number: int) -> None:
        """A worker says hello, with nothing to do."""
        self.tell(Connected(number))

    def reconnected(self, number: int, program: Program) -> None:
        """A worker says hello, and at what it is."""
        self.tell(Reconnected(number, program.run, program.task.name))

    def disconnected(self, number: int, reason: str, *, gone: bool) -> None:
        """A connection broke."""
        program = self.sims[number].program
        if program is not None:
            self._ends(program.run)
        self.tell(Disconnected(number, reason, gone))

    def _ends(self, run: int) -> None:
        """What comes from a run comes no further."""
        for key in [key for key, source in self.streams.items() if source == run]:
            del self.streams[key]

    # Messages

    def comes_half(self, key: Key, run: int) -> None:
        """The first part of a message is there."""
        if key not in self.whole:
            self.streams.setdefault(key, run)

    def comes_whole(self, key: Key, run: int) -> None:
        """All of a message is there: also with those who took it as it came."""
        self.whole.add(key)
        self.streams.pop(key, None)
        for sim in self.sims.values():
            if sim.program is not None and sim.program.half == (key, run):
                sim.hears(lambda sim, at=sim.program: sim.receives(at.run, key))  # type: ignore[misc]
