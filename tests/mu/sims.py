"""Simulated workers: each runs the steps of a task, and dies, hangs or loses its connection as its world says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from mu.core.events import Added, Arrived, Event, Finished, Heard, Raised, Sending, Stored, Waits
from mu.job import Key, Task

if TYPE_CHECKING:
    from tests.mu.world import World

__all__ = ["Program", "Sim", "Step", "Steps", "by_store"]

Step = tuple[str, object]
"""`begin` and `send` with a Key: the first part of a message, and all of it. `receive` with a Key; `store` with a name;
`add` with tasks; `raise`; `kill`; `loop`; `vary` with a Key or a name: sent or stored, different in each run."""
Steps = list[Step]


def by_store(key: Key) -> bool:
    """Whether a message is a large one, of those that go by way of the store: every third."""
    return crc32(repr(key).encode()) % 3 == 0


@dataclass(eq=False)
class Program:
    """A run as its worker sees it: the steps of its task, and how far it is."""

    run: int
    task: Task
    steps: Steps
    at: int = 0
    blocked: bool = False
    over: bool = False
    half: tuple[Key, int] | None = None
    """A message that comes to it, and from which run."""


@dataclass(eq=False)
class Sim:
    """A worker."""

    number: int
    world: World
    program: Program | None = None
    alive: bool = True
    hangs: bool = False
    connected: bool = False
    line: int = 0
    """Which of its connections is the current one."""
    said: float = 0.0
    """When the last of what it said arrives."""

    def comes(self) -> None:
        """It connects for the first time."""
        if self.alive:
            self.connected = True
            self.world.connected(self.number)
            self.beats()

    def beats(self) -> None:
        """It is alive."""
        if self.alive and not self.hangs and self.world.outcome is None:
            self.says(Heard(self.number))
            self.world.later(self.world.job.limits.lease_s / 3, self.beats)

    def says(self, event: Event, happens: Callable[[], None] = lambda: None) -> None:
        """Something goes to the coordinator, if the connection lasts until it is there."""
        line, world = self.line, self.world
        if not self.connected:  # it is said when it is back
            return
        self.said = max(self.said, world.now + world.random.expovariate(100))

        def arrives() -> None:
            if self.connected and self.line == line:
                happens()
                world.tell(event)

        world.later(self.said - world.now, arrives)

    def hears(self, happens: Callable[[Sim], None]) -> None:
        """Something comes from the coordinator, if the connection lasts until it is there."""
        line = self.line

        def arrives() -> None:
            if self.alive and not self.hangs and self.connected and self.line == line:
                happens(self)

        self.world.later(0.01, arrives)

    def begin(self, program: Program) -> None:
        """It is assigned a task."""
        self.program = program
        self._step(program)

    def _step(self, program: Program) -> None:
        """Compute for a while, then take the next step, or die."""
        world = self.world

        def steps() -> None:
            if not self.alive or self.hangs or self.program is not program or program.blocked or program.over:
                return
            if world.fault(world.faults.dies):
                self.dies()
            elif world.fault(world.faults.hangs):
                self.hangs = True
            elif world.fault(world.faults.loops):
                pass
            elif world.fault(world.faults.raises):
                program.over = True
                self.says(Raised(program.run, "bad luck", again=True))
            else:
                if world.fault(world.faults.breaks):
                    self.breaks()
                self._takes_step(program)

        world.later(world.random.expovariate(1), steps)

    def _takes_step(self, program: Program) -> None:
        if program.at == len(program.steps):
            program.over = True
            self.says(Finished(program.run))
            return
        self._says_step(program)
        if self.alive and not program.blocked and not program.over and program.steps[program.at][0] != "loop":
            program.at += 1
            self._step(program)

    def _says_step(self, program: Program) -> None:
        kind, what = program.steps[program.at]
        run, world = program.run, self.world
        varied = str(run).encode().rjust(16) if kind == "vary" else None
        if isinstance(what, Key) and kind == "begin":
            if by_store(what):  # which is said when all of it is there
                return
            self.says(Sending(run, what), lambda: world.comes_half(what, run))
        elif isinstance(what, Key) and kind in ("send", "vary"):
            digest = varied or repr(what).encode()[-16:]
            if by_store(what):
                world.left.add(what)
            arrived = Arrived(run, what, 1, digest, by_store(what))
            self.says(arrived, lambda: world.comes_whole(what, run))
        elif isinstance(what, str) and kind in ("store", "vary"):
            world.objects.add(what)
            world.stores[what] += 1
            self.says(Stored(run, what, 1, varied or what.encode()[-16:]))
        elif isinstance(what, Key) and kind == "receive":
            program.blocked = True
            self.says(Waits(run, what))
        elif isinstance(what, tuple) and kind == "add":
            program.blocked = True
            self.says(Added(run, what))
        elif kind == "raise":
            program.over = True
            self.says(Raised(run, "it always raises", "here"))
        elif kind != "loop":
            assert kind == "kill", kind
            self.dies()

    def takes(self, run: int, key: Key, source: int) -> None:
        """A message that it waits for begins to come."""
        program = self.program
        if program is not None and program.run == run:
            program.half = (key, source)
            if key in self.world.whole:
                self.receives(run, key)

    def loses(self, run: int, key: Key) -> None:
        """What came of a message is void."""
        program = self.program
        if program is not None and program.run == run and program.half is not None and program.half[0] == key:
            program.half = None

    def receives(self, run: int, key: Key) -> None:
        """A message is there, whole."""
        program = self.program
        if program is not None and program.run == run and program.blocked:
            assert program.steps[program.at] == ("receive", key), "another message than it waits for"
            program.half = None
            self._goes_on(program)

    def has_room(self, run: int) -> None:
        """It may go on adding; unless it does already, since what it added was said again."""
        program = self.program
        if program is not None and program.run == run and program.blocked and program.steps[program.at][0] == "add":
            self._goes_on(program)

    def _goes_on(self, program: Program) -> None:
        program.blocked = False
        program.at += 1
        self._step(program)

    def dies(self) -> None:
        """Its process ends."""
        self.alive = self.connected = False
        world, gone = self.world, self.world.random.random() < 0.5
        world.later(0.01, lambda: world.disconnected(self.number, "it was killed", gone=gone))

    def breaks(self) -> None:
        """The connection breaks; the worker comes back, or too late."""
        if not self.connected:
            return
        self.connected = False
        self.line += 1
        line, world = self.line, self.world

        def noticed() -> None:
            if self.line == line and not self.connected:
                world.disconnected(self.number, "the connection broke", gone=False)

        world.later(0.01, noticed)
        world.later(world.random.expovariate(1), self._returns)

    def _returns(self) -> None:
        world = self.world
        if not self.alive or self.hangs or self.connected or world.outcome is not None:
            return
        self.connected = True
        self.said = world.now
        program = self.program
        if program is None or (program.over and world.random.random() < 0.5):
            self.program = None
            world.connected(self.number)
            return
        program.half = None
        world.reconnected(self.number, program)
        if self.program is not program or not self.connected:
            return
        at, over, blocked = program.at, program.over, program.blocked
        for program.at in range(at):  # what it said, but for what it waited for, is said again
            if program.steps[program.at][0] != "receive":
                self._says_step(program)
        program.at, program.blocked = at, blocked
        if over and at == len(program.steps):
            self.says(Finished(program.run))
        elif over:
            self.says(Raised(program.run, "it raised", "here", again=program.steps[at][0] != "raise"))
        elif blocked:
            self._says_step(program)
