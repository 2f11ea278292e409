"""The job of a film in simulated time: in order, within bounds, never stuck, and the processors kept busy."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu import Job
from mu.core import events
from mu.core import instructions as core
from mu.core.coordinator import Coordinator
from mu.job import Key
from pipelines.encode.plan import Chunk, Plan, Settings
from pipelines.encode.read import Film, encoding, reading
from pipelines.encode.reading import limits
from pipelines.media.source import Colour, Source

Cost = Callable[[str, int], float]
SOURCE = Source("in", 64, 48, (1, 1), (1, 25), (25, 1), True, 0, Colour())


class Machine:
    """Plays the workers: each step takes the time that `cost` says."""

    def __init__(self, chunks: int, chain: int, slots: int, cost: Cost) -> None:
        self.limits = msgspec.structs.replace(limits(slots), lease_s=0)  # nobody says that he is alive
        self.core = Coordinator(Job("encode", (reading(Film("in", Settings())),), self.limits))
        self.chunks = list(Plan(SOURCE, Settings(4, chain)).chunks(4 * chunks))
        self.cost = cost
        self.clock, self.busy, self.order = 0.0, 0.0, 0
        self.later: list[tuple[float, int, events.Event]] = []
        self.running, self.most_running, self.in_memory, self.most_in_memory = 0, 0, 0, 0
        self.started: list[int] = []
        self.done: list[int] = []
        self.waits: dict[int, Chunk] = {}
        self.read = 0
        self.ended = ""

    def run(self) -> None:
        self.tell(events.TimePassed())
        while self.later:
            self.clock, _, event = heapq.heappop(self.later)
            self.tell(event)
        assert self.ended == "done"

    def after(self, seconds: float, event: events.Event) -> None:
        self.order += 1
        heapq.heappush(self.later, (self.clock + seconds, self.order, event))

    def tell(self, event: events.Event) -> None:
        if isinstance(event, events.Finished | events.Waits) and event.run in self.runs:
            self.running -= 1
        if isinstance(event, events.Finished) and event.run in self.runs:
            chunk = self.runs[event.run]
            self.in_memory -= 1
            self.done.append(chunk.index)
            if chunk.next is not None:
                key = Key(chunk.name, chunk.neighbour(chunk.next), "state")
                self.tell(events.Arrived(event.run, key, 1, b"state"))
        for instruction in self.core.handle(event, self.clock):
            self.obey(instruction)
        self.most_running = max(self.most_running, self.running)
        self.most_in_memory = max(self.most_in_memory, self.in_memory)

    runs: dict[int, Chunk]

    def obey(self, instruction: core.Instruction) -> None:
        match instruction:
            case core.Launch(worker):
                self.after(0, events.Connected(worker))
            case core.Assign(_, run, task) if task.name == "read":
                self.runs, self.reader = {}, run
                self.read_one()
            case core.Assign(_, run, task):
                chunk = self.runs[run] = self.chunks[int(task.name.partition("/")[2])]
                self.started.append(chunk.index)
                self.running += 1
                self.compute("encode", run, chunk, wait=chunk.previous is not None)
            case core.Deliver(_, run):
                self.running += 1
                self.compute("rebase", run, self.runs[run], wait=False)
            case core.Room():
                self.read_one()
            case core.Ended(outcome):
                self.ended = outcome.kind
            case _:
                pass

    def read_one(self) -> None:
        if self.read == len(self.chunks):
            self.after(0, events.Finished(self.reader))
            return
        chunk = self.chunks[self.read]
        self.read += 1
        self.in_memory += 1
        seconds = self.cost("read", chunk.index)
        self.after(seconds, events.Stored(self.reader, chunk.source, 1, b"raw"))
        self.after(seconds, events.Added(self.reader, (encoding(chunk),)))

    def compute(self, stage: str, run: int, chunk: Chunk, *, wait: bool) -> None:
        seconds = self.cost(stage, chunk.index)
        if stage == "encode" and not wait:
            seconds += self.cost("rebase", chunk.index)
        self.busy += seconds
        if wait:
            key = Key(chunk.neighbour(chunk.index - 1), chunk.name, "state")
            self.after(seconds, events.Waits(run, key))
        else:
            self.after(seconds, events.Finished(run))


@given(chunks=st.integers(1, 60), chain=st.integers(1, 20), slots=st.integers(1, 9), seed=st.integers(0, 1000))
def test_every_film_is_encoded_in_order_and_within_bounds(chunks: int, chain: int, slots: int, seed: int) -> None:
    machine = Machine(chunks, chain, slots, lambda stage, chunk: 0.1 + (hash((seed, len(stage), chunk)) % 97) / 10)
    machine.run()
    assert Counter(machine.done) == Counter(range(chunks))
    assert machine.started == sorted(machine.started), "a chain's head never waits for a later chunk"
    assert machine.most_running <= slots
    assert machine.limits.ahead is not None
    assert machine.most_in_memory <= machine.limits.ahead + 1


@pytest.mark.parametrize(("slots", "chain"), [(2, 16), (4, 16), (16, 16), (16, 4), (64, 16)])
def test_the_processors_are_kept_busy(slots: int, chain: int) -> None:
    """A chunk's encoding takes 1 s, its rebase 0.1 s: the serial step must hide behind the parallel one."""
    machine = Machine(
        40 * slots, chain, slots, lambda stage, _: {"read": 0.5 / slots, "encode": 1.0, "rebase": 0.1}[stage]
    )
    machine.run()
    assert machine.busy / (machine.clock * slots) > 0.93
