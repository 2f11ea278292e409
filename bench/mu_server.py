"""What the coordinator's server bears: `python -m bench mu_server`, two minutes.

The server is a process of its own with the real core; simulated workers are in this one, each with a TLS connection.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import uvloop

from bench.clips import ROOT
from bench.mu_load import Host, Simulated, cpu_s, hosted, now, resident
from bench.mu_relay import LARGE, Cost, large, large_through_mu, small
from bench.paired import Spread
from bench.table import Row, show
from mu.job import Edge, Job, Limits, Task

WORKERS = 5000
PAIRS = 100
ROUNDS = 3
SECONDS = 5.0
"""Of an attack."""


def rows() -> Iterator[Row]:
    """Measure everything."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield from runner.run(_connect())
        yield from runner.run(_route())
        yield from runner.run(_framings())
        yield from runner.run(_large())
        yield from runner.run(_attacked())


async def _connect() -> list[Row]:
    job = Job("connect", tuple(Task(f"t/{number}", "bench:none") for number in range(WORKERS)), _limits(WORKERS))
    walls, cpus, memories = [], [], []
    for _ in range(ROUNDS):
        async with hosted(job) as host:
            await host.invited(WORKERS)
            began, before = now(), cpu_s(host.pid)
            await host.connect()
            await host.assigned(WORKERS)
            walls.append(now() - began)
            cpus.append((cpu_s(host.pid) - before) / WORKERS * 1000)
            memories.append(resident(host.pid) / 1e6)
            await host.finish()
    wall, cpu, memory = Spread.of(walls), Spread.of(cpus), Spread.of(memories)
    what = f"{WORKERS} workers connected, authenticated and given a task"
    return [
        Row(what, wall.text(), wall.median, 12, 5, more_is_better=False, unit=" s"),
        Row("- server CPU each", cpu.text(), cpu.median, 0.8, 0.4, more_is_better=False, unit=" ms"),
        Row("- server memory", memory.text(0), memory.median, 400, 200, more_is_better=False, unit=" MB"),
    ]


class Letters:
    """Pairs of workers, one of which sends small messages to the other."""

    PAYLOAD = bytes(200)

    def __init__(self, host: Host, each: int, window: int) -> None:
        self.host, self.each, self.window = host, each, window
        self.left = PAIRS * each
        self.over = asyncio.Event()
        self.sent_at: dict[tuple[str, int], float] = {}
        self.latencies: list[float] = []
        self.paced = window == 0

    @staticmethod
    def job(each: int) -> Job:
        """The tasks of all pairs."""
        tasks = []
        for pair in range(PAIRS):
            names = [f"m/{number}" for number in range(each)]
            tasks.append(Task(f"s/{pair}", "bench:none", sends=tuple(Edge(f"r/{pair}", name) for name in names)))
            tasks.append(Task(f"r/{pair}", "bench:none", receives=tuple(Edge(f"s/{pair}", name) for name in names)))
        return Job("route", tuple(tasks), _limits(2 * PAIRS))

    def prepare(self, worker: Simulated) -> None:
        """Tell a worker what to do."""
        worker.on_assigned = self._begin
        worker.on_message = self._received
        worker.on_accepted = self._fill

    def _begin(self, worker: Simulated) -> None:
        assert worker.assigned is not None
        name = worker.assigned.task.name
        worker.other = name[2:]
        worker.sends = name[0] == "s"

    def start(self) -> None:
        """Go."""
        for worker in self.host.workers:
            if worker.sends:
                self._fill(worker)
            else:
                worker.wait_for(f"s/{worker.other}", "m/0")

    def _fill(self, worker: Simulated) -> None:
        while worker.sends and not self.paced and worker.at < self.each and worker.at - worker.accepted < self.window:
            self.send(worker)

    def send(self, worker: Simulated) -> None:
        """Send the next message."""
        self.sent_at[worker.other, worker.at] = now()
        worker.say_small(f"r/{worker.other}", f"m/{worker.at}", self.PAYLOAD)
        worker.at += 1

    def _received(self, worker: Simulated) -> None:
        self.latencies.append(now() - self.sent_at.pop((worker.other, worker.at)))
        worker.at += 1
        if worker.at < self.each:
            worker.wait_for(f"s/{worker.other}", f"m/{worker.at}")
        self.left -= 1
        if not self.left:
            self.over.set()

    async def pace(self, rate: float) -> None:
        """Send so many a second, evenly, from all in turn."""
        senders = [worker for worker in self.host.workers if worker.sends]
        began = now()
        for number in range(PAIRS * self.each):
            wait = began + number / rate - now()
            if wait > 0:
                await asyncio.sleep(wait)
            self.send(senders[number % PAIRS])


async def _route() -> list[Row]:
    rates, costs, tails = [], [], []
    for _ in range(ROUNDS):
        async with hosted(Letters.job(each := 400)) as host:
            letters = await _ready(host, each, 32)
            began, before = now(), cpu_s(host.pid)
            letters.start()
            await letters.over.wait()
            rates.append(PAIRS * each / (now() - began))
            costs.append((cpu_s(host.pid) - before) / PAIRS / each * 1e6)
            await host.finish()
        async with hosted(Letters.job(each := 60)) as host:
            letters = await _ready(host, each, 0)
            letters.start()
            await letters.pace(2000)
            await letters.over.wait()
            tails.append(_percentile(letters.latencies, 0.99) * 1000)
            await host.finish()
    rate, cost, tail = Spread.of(rates), Spread.of(costs), Spread.of(tails)
    what = f"small messages routed from worker to worker, {PAIRS} pairs; server CPU each {cost.text(0)} us"
    return [
        Row(what, rate.text(0), rate.median, 15_000, 60_000, unit=" a second"),
        Row("- p99 at 2,000 a second", tail.text(), tail.median, 20, 5, more_is_better=False, unit=" ms"),
    ]


async def _attacked() -> list[Row]:
    """Good traffic at 2,000 a second while others attack."""
    each, tails, rates = 60, [], []
    for _ in range(ROUNDS):
        async with hosted(Letters.job(each)) as host:
            letters = await _ready(host, each, 0)
            letters.start()
            port = host.invitation.address.rpartition(":")[2]
            attack = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.mu_attack", port, str(SECONDS), cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            await asyncio.sleep(1.0)
            await letters.pace(2000)
            await letters.over.wait()
            tails.append(_percentile(letters.latencies, 0.99) * 1000)
            sent, _ = (await attack.communicate())[0].split()
            rates.append(int(sent) / SECONDS)
            await host.finish()
    tail = Spread.of(tails)
    what = (
        f"2,000 messages a second beside {Spread.of(rates).median:.0f} garbage connections a second and 1,000 half-open"
    )
    return [Row(f"{what}: p99, nothing lost", tail.text(), tail.median, 250, 60, more_is_better=False, unit=" ms")]


async def _large() -> list[Row]:
    """In turn with peers."""
    kinds = ("bare", "own", "websockets")
    costs: dict[str, list[Cost]] = {kind: [] for kind in (*kinds, "mu", "durable")}
    for _ in range(ROUNDS):
        for kind in kinds:
            costs[kind].append(await large(kind))
        costs["mu"].append(await large_through_mu())
        costs["durable"].append(await large_through_mu("--durable"))
    bare = [cost.rate for cost in costs["bare"]]
    ratio = Spread.of([cost.rate / other for cost, other in zip(costs["mu"], bare, strict=True)])
    spent = {kind: Spread.of([cost.cpu_s / cost.count / LARGE * 1e9 for cost in costs[kind]]) for kind in costs}
    others = {
        kind: Spread.of([cost.rate / other for cost, other in zip(costs[kind], bare, strict=True)]) for kind in costs
    }
    rate = f"{Spread.of(bare).median * LARGE / 1e6:.0f} MB/s"
    found = [
        Row(
            f"10 MB messages relayed, against a bare TLS relay in threads ({rate})", ratio.text(), ratio.median, 0.75, 1
        ),
        Row("- server CPU", spent["mu"].text(), spent["mu"].median, 2, 1.2, more_is_better=False, unit=" s/GB"),
    ]
    names = {
        "durable": "with a ledger, each message on the disk before it is accepted",
        "own": "our framing alone",
        "websockets": "websockets alone",
        "bare": "the bare relay",
    }
    for kind, name in names.items():
        found.append(Row(f"- {name}: {spent[kind].text()} s/GB", others[kind].text(), others[kind].median))
    return found


async def _framings() -> list[Row]:
    """The same small messages through our framing and through websockets, without what mu does with them."""
    costs: dict[str, list[Cost]] = {"own": [], "websockets": []}
    for _ in range(ROUNDS):
        for kind in costs:
            costs[kind].append(await small(kind, PAIRS, 400))
    return [
        Row(
            f"- {name} alone: CPU each {Spread.of([c.cpu_s / c.count * 1e6 for c in costs[kind]]).text(1)} us",
            Spread.of([cost.rate for cost in costs[kind]]).text(0),
            Spread.of([cost.rate for cost in costs[kind]]).median,
            unit=" a second",
        )
        for kind, name in (("own", "our framing"), ("websockets", "websockets"))
    ]


async def _ready(host: Host, each: int, window: int) -> Letters:
    letters = Letters(host, each, window)
    await host.invited(2 * PAIRS)
    await host.connect(letters.prepare)
    await host.assigned(2 * PAIRS)
    return letters


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def _limits(workers: int) -> Limits:
    return Limits(workers=workers, straggler=None, lease_s=600, launch_s=600, reconnect_s=0)


if __name__ == "__main__":
    show("The coordinator's server", rows())
