"""Who does what next on one machine: events in, instructions out; no process, no socket, no clock.

A worker's program runs from its start to its end in one process, but only as many as there are `slots` compute at a
time: a program that waits for the state of its predecessor gives its slot to the next one. A chunk goes through

    ┌─────────┐  slot, memory  ┌─────────┐  must wait   ┌─────────┐  slot, state  ┌─────────┐  in order  ┌────────┐
    │  READ   ├───────────────>│ RUNNING ├─────────────>│ WAITING ├──────────────>│ RESUMED ├───────────>│ JOINED │
    └─────────┘                └────┬────┘              └─────────┘               └────┬────┘            └────────┘
                                    └─────────────────> FINISHED <─────────────────────┘

Slots go to waiting programs whose state has come before new ones, and to earlier chunks before later ones. So the
earliest chunk that is not finished never waits for a slot that only it could free, and chains advance side by side.
Memory is bounded: only a few more programs than slots are begun and unfinished (raw pictures and a process each), one
chunk more is read ahead, and the reader stops when finished chunks pile up behind a slow one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Read:
    """Instruction: let the reader read one more chunk."""


@dataclass(frozen=True, slots=True)
class Start:
    """Instruction: begin the program of a chunk in a process that has none."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Instruction: give a waiting program the message it waits for."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Join:
    """Instruction: append a finished chunk to the output."""

    chunk: int


Instruction = Read | Start | Resume | Join


@dataclass(slots=True)
class Scheduler:
    """Holds what stage every chunk is in. Tell it of an event, then carry out what `instructions` gives."""

    slots: int
    _asked: int = 0
    """Chunks that the reader was told to read."""
    _read: int = 0
    _film_ended: bool = False
    _started: int = 0
    _joined: int = 0
    _running: set[int] = field(default_factory=set)
    _waiting: set[int] = field(default_factory=set)
    _state_has_come: set[int] = field(default_factory=set)
    _finished: set[int] = field(default_factory=set)
    """Finished and not yet joined."""

    @property
    def most_unfinished(self) -> int:
        """How many programs may be begun and unfinished at a time.

        Those beyond the slots wait for the serial step; with many slots a chain is longer at it than with few.
        """
        return self.slots + (self.slots + 1) // 2 if self.slots <= 4 else 2 * self.slots

    @property
    def most_unjoined(self) -> int:
        """How far the reader may be ahead of the output, in chunks."""
        return 16 * self.slots + 16

    @property
    def done(self) -> bool:
        """Whether every chunk of the film is joined."""
        return self._film_ended and self._joined == self._read

    @property
    def all_started(self) -> bool:
        """Whether no program will be started any more."""
        return self._film_ended and self._started == self._read

    def chunk_was_read(self) -> None:
        """The reader delivered the next chunk."""
        self._read += 1

    def film_has_ended(self) -> None:
        """The reader delivered the last chunk before."""
        self._film_ended = True

    def program_waits(self, chunk: int) -> None:
        """A program waits for the state of its predecessor."""
        self._running.remove(chunk)
        self._waiting.add(chunk)

    def state_came(self, chunk: int) -> None:
        """The state that the program of `chunk` waits for, or will wait for, is there."""
        self._state_has_come.add(chunk)

    def program_finished(self, chunk: int) -> None:
        """A program came to its end; its result is stored."""
        self._running.remove(chunk)
        self._state_has_come.discard(chunk)
        self._finished.add(chunk)

    def instructions(self) -> Iterator[Instruction]:
        """What is to be done now. Takes it as done."""
        while len(self._running) < self.slots and (ready := self._waiting & self._state_has_come):
            chunk = min(ready)
            self._waiting.remove(chunk)
            self._running.add(chunk)
            yield Resume(chunk)
        while (
            len(self._running) < self.slots and self._started < self._read and self._unfinished < self.most_unfinished
        ):
            self._running.add(self._started)
            self._started += 1
            yield Start(self._started - 1)
        while self._joined in self._finished:
            self._finished.remove(self._joined)
            self._joined += 1
            yield Join(self._joined - 1)
        while self._may_read():
            self._asked += 1
            yield Read()

    @property
    def _unfinished(self) -> int:
        return len(self._running) + len(self._waiting)

    def _may_read(self) -> bool:
        in_memory = self._asked - self._started + self._unfinished
        return (
            not self._film_ended
            and in_memory <= self.most_unfinished
            and self._asked - self._joined < self.most_unjoined
        )
