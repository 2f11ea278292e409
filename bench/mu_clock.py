"""A cloud that exists only in time: the real coordinator's mind, told by a clock of its own what workers would do.

Nothing is computed and nothing sent: a program is a list of steps, each of which takes as long as is said. Workers come
when they come, share the coordinator's network and die when they die; scheduling is that of `mu.core`, unchanged.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mu.core.coordinator import Coordinator
from mu.core.events import Arrived, Connected, Disconnected, Event, Finished, Sending, Stored, TimePassed, Waits
from mu.core.instructions import Assign, Deliver, Ended, Launch, Outcome, Release, Retract, Stop
from mu.job import Job, Key, Task

__all__ = ["Cloud", "Compute", "Keep", "Receive", "Result", "Send", "Simulation", "Step", "Transfer"]


@dataclass(frozen=True)
class Compute:
    """So many seconds of a stage."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Transfer:
    """So many bytes from or to the store, of which there is enough for all."""

    stage: str
    size: float


@dataclass(frozen=True)
class Send:
    """A message. The program goes on at once."""

    key: Key
    size: float
    by_store: bool = False
    """Through the coordinator goes only the word that it is there, and who receives it has a `Transfer` to do."""


@dataclass(frozen=True)
class Receive:
    """Wait for a message."""

    key: Key


@dataclass(frozen=True)
class Keep:
    """An object is in the store, for which others may wait."""

    name: str


Step = Compute | Transfer | Send | Receive | Keep


@dataclass(frozen=True)
class Cloud:
    """How fast it is; sizes in bytes, times in seconds."""

    start: Callable[[random.Random], float]
    """From the launch of a worker to its first word."""
    worker_rate: float = 75e6
    """Bytes a second in each direction."""
    relay_rate: float = 600e6
    """Of all messages together, in each direction: the coordinator's processor or network."""
    latency: float = 0.001
    request: float = 0.03
    """What a transfer takes beside its bytes."""
    deaths: float = 0.0
    """The share of workers that die, at any moment of their first minute."""


@dataclass
class Result:
    """What came of it."""

    outcome: Outcome
    seconds: float
    billed: float
    """Worker seconds, from each worker's first word to its last."""
    workers: int
    events: int
    stages: dict[str, float] = field(default_factory=dict)
    """Worker seconds by stage."""
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    """Beginning, end, stage."""


@dataclass(eq=False)
class _Worker:
    number: int
    came: float = 0.0
    alive: bool = True
    run: int = 0
    steps: Sequence[Step] = ()
    at: int = 0
    waits_since: float = 0.0
    sent: float = 0.0
    """When all that it sent is there."""
    uplink: float = 0.0
    """When its network is free for the next message."""
    deliveries: int = 0


class Simulation:
    """A job on a cloud; `steps` are those of a task's program. Same seed, same result."""

    def __init__(self, job: Job, steps: Callable[[Task], Sequence[Step]], cloud: Cloud, seed: int = 1) -> None:
        self._core = Coordinator(job)
        self._steps, self._cloud = steps, cloud
        self._random = random.Random(seed)
        self._now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._workers: dict[int, _Worker] = {}
        self._whole: dict[Key, float] = {}
        """When a message is there, or will be."""
        self._sizes: dict[Key, float] = {}
        self._in_free = self._out_free = 0.0
        """When the coordinator's network has carried what it was given."""
        self._result = Result(Outcome("failed", 0), 0.0, 0.0, 0, 0)
        self._over = False

    def run(self) -> Result:
        """To the end."""
        self._tell(TimePassed())
        while not self._over:
            deadline = self._core.next_deadline()
            if self._queue and (deadline is None or self._queue[0][0] <= deadline):
                self._now, _, happens = heapq.heappop(self._queue)
                happens()
            else:
                assert deadline is not None, "nothing will ever happen any more"
                self._now = max(self._now, deadline)
                self._tell(TimePassed())
        self._result.seconds = self._now
        return self._result

    def _at(self, when: float, happens: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (when, self._number, happens))

    def _tell(self, event: Event) -> None:
        self._result.events += 1
        for instruction in self._core.handle(event, self._now):
            match instruction:
                case Launch(number):
                    worker = self._workers[number] = _Worker(number)
                    self._at(self._now + self._cloud.start(self._random), lambda worker=worker: self._comes(worker))  # type: ignore[misc]
                case Assign(number, run, task):
                    worker = self._workers[number]
                    worker.run, worker.steps, worker.at, worker.sent = run, self._steps(task), 0, 0.0
                    self._at(self._now + self._cloud.latency, lambda worker=worker: self._step(worker))  # type: ignore[misc]
                case Deliver(number, run, key):
                    self._deliver(self._workers[number], run, key)
                case Stop(number) | Release(number):
                    self._goes(self._workers[number])
                case Retract(number):
                    self._workers[number].deliveries += 1
                case Ended(outcome):
                    self._result.outcome, self._over = outcome, True
                case _:
                    pass

    def _comes(self, worker: _Worker) -> None:
        if worker.alive:
            worker.came = self._now
            self._result.workers += 1
            self._result.spans.append((0.0, self._now, "start"))
            if self._random.random() < self._cloud.deaths:
                self._at(self._now + self._random.uniform(0, 60), lambda: self._dies(worker))
            self._tell(Connected(worker.number))

    def _goes(self, worker: _Worker) -> None:
        if worker.alive and worker.came:
            self._result.billed += self._now - worker.came
        worker.alive = False

    def _dies(self, worker: _Worker) -> None:
        if worker.alive:
            self._goes(worker)
            names = {step.key for step in worker.steps if isinstance(step, Send)}
            for key in [key for key in names if self._whole.get(key, 0.0) > self._now]:
                del self._whole[key]
            self._tell(Disconnected(worker.number, "it died"))

    def _step(self, worker: _Worker) -> None:
        """The next step of a worker that is done with the one before."""
        while worker.alive:
            if worker.at == len(worker.steps):
                if worker.sent > self._now:
                    self._goes_on(worker, worker.sent)
                else:
                    self._tell(Finished(worker.run))
                return
            step = worker.steps[worker.at]
            worker.at += 1
            if isinstance(step, Send):
                self._send(worker, step)
            elif isinstance(step, Keep):
                self._tell(Stored(worker.run, step.name, 0, bytes(16)))
            elif isinstance(step, Receive):
                worker.waits_since = self._now
                self._tell(Waits(worker.run, step.key))
                return
            else:
                seconds = step.seconds if isinstance(step, Compute) else self._carried(step.size)
                self._span(worker, self._now, self._now + seconds, step.stage)
                self._goes_on(worker, self._now + seconds)
                return

    def _goes_on(self, worker: _Worker, when: float) -> None:
        run = worker.run
        self._at(when, lambda: self._step(worker) if worker.run == run else None)

    def _carried(self, size: float) -> float:
        return self._cloud.request + size / self._cloud.worker_rate

    def _span(self, worker: _Worker, began: float, ended: float, stage: str) -> None:
        if worker.alive and ended > began:
            self._result.stages[stage] = self._result.stages.get(stage, 0.0) + ended - began
            self._result.spans.append((began, ended, stage))

    def _send(self, worker: _Worker, step: Send) -> None:
        cloud, run = self._cloud, worker.run
        if step.by_store:
            worker.uplink = max(worker.uplink, self._now) + step.size / cloud.worker_rate
            there = worker.uplink + cloud.request + cloud.latency
            self._sizes[step.key] = 0.0
            self._whole.setdefault(step.key, there)
            worker.sent = max(worker.sent, there)
            self._at(there, lambda: self._says(worker, Arrived(run, step.key, int(step.size), bytes(16))))
            return
        self._in_free = max(self._in_free, self._now) + step.size / cloud.relay_rate
        there = max(self._now + step.size / cloud.worker_rate, self._in_free) + cloud.latency
        self._sizes[step.key] = step.size
        self._whole.setdefault(step.key, there)
        worker.sent = max(worker.sent, there)
        self._at(min(there, self._now + cloud.latency), lambda: self._says(worker, Sending(run, step.key)))
        self._at(there, lambda: self._says(worker, Arrived(run, step.key, int(step.size), bytes(16))))

    def _says(self, worker: _Worker, event: Sending | Arrived) -> None:
        if worker.alive:
            self._tell(event)

    def _deliver(self, worker: _Worker, run: int, key: Key) -> None:
        cloud, size = self._cloud, self._sizes[key]
        self._out_free = max(self._out_free, self._now) + size / cloud.relay_rate
        there = max(self._now + size / cloud.worker_rate, self._out_free, self._whole[key]) + cloud.latency
        worker.deliveries += 1
        delivery = worker.deliveries

        def arrives() -> None:
            if worker.run == run and worker.deliveries == delivery:
                self._span(worker, worker.waits_since, self._now, "wait")
                self._step(worker)

        self._at(there, arrives)
