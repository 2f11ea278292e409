"""A world for the coordinator's mind: workers, programs and messages that go wrong as a random generator says."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mu.core.coordinator import Coordinator
from mu.core.events import (
    Added,
    Arrived,
    Connected,
    Disconnected,
    Event,
    Finished,
    Heard,
    LaunchFailed,
    Raised,
    Reconnected,
    Sending,
    Stored,
    TimePassed,
    Waits,
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
    Outcome,
    Release,
    Remember,
    Retract,
    Room,
    Stop,
    TaskCommitted,
)
from mu.job import Job, Key, Task


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
    most: int = 1_000_000
    """Of all together."""


@dataclass(eq=False)
class Program:
    """A run as its worker sees it: the steps of its task, and how far it is."""

    run: int
    task: Task
    steps: list[tuple[str, object]]
    at: int = 0
    blocked: bool = False
    half: Key | None = None
    """A message that comes to it."""


@dataclass(eq=False)
class Sim:
    """A worker."""

    number: int
    program: Program | None = None
    alive: bool = True
    hangs: bool = False
    connected: bool = False
    line: int = 0
    """Which of its connections is the current one."""
    said: float = 0.0
    """When the last of what it said arrives."""


@dataclass
class World:
    """Runs a job to its end."""

    job: Job
    steps_of: Callable[[Task], list[tuple[str, object]]]
    random: random.Random
    faults: Faults = Faults()
    now: float = 0.0
    queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)
    sims: dict[int, Sim] = field(default_factory=dict)
    messages: dict[Key, set[int]] = field(default_factory=dict)
    whole: set[Key] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    begun: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    faulted: int = 0
    launches: int = 0
    most_workers: int = 0
    most_computing: int = 0
    outcome: Outcome | None = None
    epoch: int = 1
    events: int = 0
    _sequence: int = 0

    def run(self, patience: float = 1e6) -> Outcome:
        """To the end. Fails when nothing more would ever happen, or time has run out."""
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
            assert self.now < patience, "it takes for ever"
        return self.outcome

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self.queue, (self.now + seconds, self._sequence, happens))

    def fault(self, share: float) -> bool:
        if share and self.faulted < self.faults.most and self.random.random() < share:
            self.faulted += 1
            return True
        return False

    # The coordinator's side

    def tell(self, event: Event) -> None:
        if self.outcome is not None:
            return
        self.events += 1
        if self.fault(self.faults.coordinator_dies):
            self.restart()
            return
        instructions = self.core.handle(event, self.now)
        self.noted(event, instructions)
        for instruction in instructions:
            self.obey(instruction)

    def noted(self, event: Event, instructions: list[Instruction]) -> None:
        """Told of everything, for those who look."""

    def restart(self) -> None:
        """The coordinator dies, and another one takes its place: what was on its way is lost."""
        self.epoch += 1
        self.core = Coordinator.restore(self.job, self.ledger, epoch=self.epoch, now=self.now)
        for key in set(self.messages) - self.whole:
            del self.messages[key]
        for sim in self.sims.values():
            if sim.alive and not sim.hangs:
                self.breaks(sim)
        self.later(0, lambda: self.tell(TimePassed()))

    def obey(self, instruction: Instruction) -> None:
        match instruction:
            case Remember(entry):
                self.ledger.append(entry)
                if isinstance(entry, TaskCommitted):
                    self.done[entry.task] += 1
            case Launch(number):
                self.launch(number)
            case Assign(number, run, task):
                self.begun[task.name] += 1
                assert all(name in self.objects for name in task.fetches), "began without its objects"
                sim = self.sims[number]
                self.most_computing = max(self.most_computing, sum(s.program is not None for s in self.sims.values()))
                self.hears(sim, lambda: self.begin(sim, Program(run, task, self.steps_of(task))))
            case Deliver(number, run, key):
                assert key in self.messages, "delivered what is not there"
                sim = self.sims[number]
                if key in self.whole:
                    self.hears(sim, lambda: self.receives(sim, run, key))
                else:
                    self.hears(sim, lambda: self.takes(sim, run, key))
            case Retract(number, run, key):
                sim = self.sims[number]
                self.hears(sim, lambda: self.loses(sim, run, key))
            case Room(number, run):
                sim = self.sims[number]
                self.hears(sim, lambda: self.resume(sim, run))
            case Stop(number) | Release(number):
                if (there := self.sims.get(number)) is not None:
                    there.alive = there.connected = False
                    there.program = None
            case Forget(key):
                assert self.done[key.receiver], "forgot what is needed"
                self.messages.pop(key, None)
                self.whole.discard(key)
            case Drop(name):
                self.objects.discard(name)
            case Ended(outcome):
                self.outcome = outcome

    # The workers' side

    def launch(self, number: int) -> None:
        self.launches += 1
        assert number not in self.sims
        if self.fault(self.faults.no_launch):
            wait_s = self.random.choice([0.0, 1.0])
            self.later(0.1, lambda: self.tell(LaunchFailed(number, "throttled", wait_s)))
            return
        sim = self.sims[number] = Sim(number)
        if not self.fault(self.faults.never_comes):
            self.later(self.random.expovariate(1), lambda: self.comes(sim))

    def comes(self, sim: Sim) -> None:
        if sim.alive:
            sim.connected = True
            self.most_workers = max(
                self.most_workers, sum(other.alive and other.connected for other in self.sims.values())
            )
            self.tell(Connected(sim.number))
            self.beats(sim)

    def beats(self, sim: Sim) -> None:
        if sim.alive and not sim.hangs and self.outcome is None:
            self.says(sim, Heard(sim.number))
            self.later(self.job.limits.lease_s / 3, lambda: self.beats(sim))

    def says(self, sim: Sim, event: Event, happens: Callable[[], None] = lambda: None) -> None:
        """Something goes to the coordinator, if the connection lasts until it is there."""
        line = sim.line
        sim.said = max(sim.said, self.now + self.random.expovariate(100))

        def arrives() -> None:
            if sim.connected and sim.line == line:
                happens()
                self.tell(event)

        self.later(sim.said - self.now, arrives)

    def hears(self, sim: Sim, happens: Callable[[], None]) -> None:
        line = sim.line

        def arrives() -> None:
            if sim.alive and not sim.hangs and sim.connected and sim.line == line:
                happens()

        self.later(0.01, arrives)

    def begin(self, sim: Sim, program: Program) -> None:
        sim.program = program
        self.step(sim, program)

    def step(self, sim: Sim, program: Program) -> None:
        """Compute for a while, then take the next step, or die."""

        def steps() -> None:
            if not sim.alive or sim.hangs or sim.program is not program or program.blocked:
                return
            if self.fault(self.faults.dies):
                self.dies(sim)
                return
            if self.fault(self.faults.hangs):
                sim.hangs = True
                return
            if self.fault(self.faults.breaks):
                self.breaks(sim)
            if self.fault(self.faults.raises):
                sim.program = None
                self.says(sim, Raised(program.run, "bad luck", again=True))
                return
            self.takes_step(sim, program)

        self.later(self.random.expovariate(1), steps)

    def takes_step(self, sim: Sim, program: Program) -> None:
        if program.at == len(program.steps):
            sim.program = program if not sim.connected else None
            if not sim.connected:  # it says so when it is back
                program.blocked = True
                return
            self.says(sim, Finished(program.run))
            return
        self.says_step(sim, program)
        if not program.blocked:
            program.at += 1
            self.step(sim, program)

    def says_step(self, sim: Sim, program: Program) -> None:
        kind, what = program.steps[program.at]
        run = program.run
        if kind == "send":
            assert isinstance(what, Key)
            key = what
            digest = repr(key).encode()[-16:]
            if self.random.random() < 0.5:
                self.says(sim, Sending(run, key), lambda: self.comes_half(key, run))
            self.says(sim, Arrived(run, key, 1, digest), lambda: self.comes_whole(key, run))
        elif kind == "store":
            assert isinstance(what, str)
            self.objects.add(what)
            self.says(sim, Stored(run, what, 1, what.encode()[-16:]))
        elif kind == "receive":
            assert isinstance(what, Key)
            program.blocked = True
            self.says(sim, Waits(run, what))
        elif kind == "add":
            assert isinstance(what, tuple)
            program.blocked = True
            self.says(sim, Added(run, what))

    def comes_half(self, key: Key, run: int) -> None:
        self.messages.setdefault(key, set()).add(run)

    def comes_whole(self, key: Key, run: int) -> None:
        self.messages.setdefault(key, set()).add(run)
        self.whole.add(key)
        for sim in self.sims.values():
            program = sim.program
            if program is not None and program.half == key:
                self.hears(sim, lambda sim=sim, program=program: self.receives(sim, program.run, key))  # type: ignore[misc]

    def takes(self, sim: Sim, run: int, key: Key) -> None:
        if sim.program is not None and sim.program.run == run:
            sim.program.half = key
            if key in self.whole:
                self.receives(sim, run, key)

    def loses(self, sim: Sim, run: int, key: Key) -> None:
        if sim.program is not None and sim.program.run == run and sim.program.half == key:
            sim.program.half = None

    def receives(self, sim: Sim, run: int, key: Key) -> None:
        program = sim.program
        if (
            program is not None
            and program.run == run
            and program.blocked
            and program.steps[program.at] == ("receive", key)
        ):
            program.half = None
            self.resume(sim, run)

    def resume(self, sim: Sim, run: int) -> None:
        program = sim.program
        if program is not None and program.run == run and program.blocked:
            program.blocked = False
            program.at += 1
            self.step(sim, program)

    def dies(self, sim: Sim) -> None:
        sim.alive = sim.connected = False
        sim.program = None
        self.later(0.01, lambda: self.tell(Disconnected(sim.number, "it was killed", self.random.random() < 0.5)))

    def breaks(self, sim: Sim) -> None:
        """The connection breaks; the worker comes back, or too late."""
        if not sim.connected:
            return
        sim.connected = False
        sim.line += 1
        line = sim.line

        def noticed() -> None:
            if sim.line == line and not sim.connected:
                self.tell(Disconnected(sim.number, "the connection broke"))

        self.later(0.01, noticed)
        self.later(self.random.expovariate(1), lambda: self.returns(sim))

    def returns(self, sim: Sim) -> None:
        if not sim.alive or sim.hangs or sim.connected or self.outcome is not None:
            return
        sim.connected = True
        sim.said = self.now
        program = sim.program
        if program is None:
            self.tell(Connected(sim.number))
            return
        program.half = None
        self.tell(Reconnected(sim.number, program.run, program.task.name))
        if sim.program is not program or not sim.connected:
            return
        at = program.at
        for program.at in range(at):  # what it said, but for what it waited for, is said again
            if program.steps[program.at][0] in ("send", "store"):
                self.says_step(sim, program)
        program.at = at
        if at == len(program.steps):
            if program.blocked:
                sim.program = None
                self.says(sim, Finished(program.run))
        elif program.blocked:
            self.says_step(sim, program)
