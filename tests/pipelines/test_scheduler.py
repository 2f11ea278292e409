"""The scheduler run through whole films in simulated time: bounded, fair, and never stuck."""

from __future__ import annotations

import heapq
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encode.local.scheduler import Join, Read, Resume, Scheduler, Start


class Machine:
    """Plays reader, workers and output: each step takes the time that `cost` says."""

    def __init__(self, chunks: int, chain: int, slots: int, cost) -> None:
        self.scheduler = Scheduler(slots)
        self.chunks, self.chain, self.slots, self.cost = chunks, chain, slots, cost
        self.clock, self.busy, self.events, self.order = 0.0, 0.0, [], 0
        self.joined: list[int] = []
        self.started: list[int] = []
        self.running, self.most_running, self.in_memory, self.most_in_memory = 0, 0, 0, 0
        self.reads, self.most_unjoined = 0, 0
        self.resumed: set[int] = set()

    def later(self, seconds: float, kind: str, chunk: int) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.clock + seconds, self.order, kind, chunk))

    def run(self) -> None:
        self.obey()
        while self.events:
            self.clock, _, kind, chunk = heapq.heappop(self.events)
            getattr(self, kind)(chunk)
            self.obey()
        assert self.scheduler.done

    def obey(self) -> None:
        for instruction in self.scheduler.instructions():
            match instruction:
                case Read():
                    self.reads += 1
                    self.in_memory += 1
                    self.later(self.cost("read", self.reads), "read", self.reads - 1)
                case Start(chunk):
                    self.started.append(chunk)
                    self.running += 1
                    self.compute("encode", chunk, "encoded")
                case Resume(chunk):
                    assert chunk not in self.resumed
                    self.resumed.add(chunk)
                    self.running += 1
                    self.compute("rebase", chunk, "finished")
                case Join(chunk):
                    self.joined.append(chunk)
            self.most_running = max(self.most_running, self.running)
            self.most_in_memory = max(self.most_in_memory, self.in_memory)
            self.most_unjoined = max(self.most_unjoined, self.reads - len(self.joined))

    def compute(self, stage: str, chunk: int, then: str) -> None:
        seconds = self.cost(stage, chunk)
        self.busy += seconds
        self.later(seconds, then, chunk)

    def read(self, chunk: int) -> None:
        if chunk < self.chunks:
            self.scheduler.chunk_was_read()
        else:
            self.in_memory -= 1
        if chunk == self.chunks - 1:
            self.scheduler.film_has_ended()

    def encoded(self, chunk: int) -> None:
        if chunk % self.chain == 0:
            self.compute("rebase", chunk, "finished")
        else:
            self.running -= 1
            self.scheduler.program_waits(chunk)

    def finished(self, chunk: int) -> None:
        self.running -= 1
        self.in_memory -= 1
        if (chunk + 1) % self.chain and chunk + 1 < self.chunks:
            self.scheduler.state_came(chunk + 1)
        self.scheduler.program_finished(chunk)


@given(
    chunks=st.integers(1, 60),
    chain=st.integers(1, 20),
    slots=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_every_film_is_encoded_in_order_and_within_bounds(chunks: int, chain: int, slots: int, seed: int) -> None:
    def cost(stage: str, chunk: int) -> float:
        return 0.1 + (hash((seed, stage, chunk)) % 97) / 10

    machine = Machine(chunks, chain, slots, cost)
    machine.run()
    assert machine.joined == list(range(chunks))
    assert Counter(machine.started) == Counter(range(chunks))
    assert machine.started == sorted(machine.started), "a chain's head never waits for a later chunk"
    assert machine.most_running <= slots
    assert machine.most_in_memory <= machine.scheduler.most_unfinished + 1
    assert machine.most_unjoined <= machine.scheduler.most_unjoined


@pytest.mark.parametrize(("slots", "chain"), [(2, 16), (4, 16), (16, 16), (16, 4), (64, 16)])
def test_the_cores_are_kept_busy(slots: int, chain: int) -> None:
    """A chunk's encoding takes 1 s, its rebase 0.1 s: the serial step must hide behind the parallel one."""
    machine = Machine(
        40 * slots, chain, slots, lambda stage, _: {"read": 0.5 / slots, "encode": 1.0, "rebase": 0.1}[stage]
    )
    machine.run()
    assert machine.busy / (machine.clock * slots) > 0.93


def test_a_slow_chunk_does_not_let_the_rest_pile_up() -> None:
    machine = Machine(2000, 1, 4, lambda stage, chunk: 1000.0 if (stage, chunk) == ("encode", 0) else 0.1)
    machine.run()
    assert machine.most_unjoined <= machine.scheduler.most_unjoined
    assert machine.clock < 1200
