"""Large messages through the coordinator, and by way of a store: `python -m bench mu_bypass`, a minute.

First simulated: the film of `bench.mu_simulate` with states of other sizes. Then on this machine, in turn: a worker
sends messages of 10 MB to another, through the server over TLS, and by way of a folder.

python -m bench.mu_bypass FOLDER     is a worker, whose invitation comes on standard input
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.clips import ROOT
from bench.mu_load import Host, cpu_s, hosted
from bench.mu_simulate import THROUGH, Shape, ours
from bench.mu_stages import measure
from bench.paired import Spread
from bench.table import Row, show
from mu.context import Context
from mu.job import Edge, Job, Limits, Task, argument
from mu.store.folder import FolderStore
from mu.wire import Invitation
from mu.worker.work import work

__all__ = ["receive", "rows", "send"]

SIZES = (250_000, 1_000_000, 2_000_000, 4_000_000, 12_000_000)
COUNT, LARGE = 40, 10_000_000
ROUNDS = 3


def send(ctx: Context, count: int) -> None:
    """The program of the worker that sends."""
    payload = bytes(LARGE)
    for number in range(count):
        ctx.send("receiver", f"m/{number}", payload)


def receive(ctx: Context, count: int) -> None:
    """The program of the worker that receives; it stores what that took from the first one on."""
    ctx.receive("sender", "m/0")
    began = time.perf_counter()
    for number in range(1, count):
        assert len(ctx.receive("sender", f"m/{number}")) == LARGE
    ctx.store("seconds", msgspec.json.encode(time.perf_counter() - began))


def rows() -> Iterator[Row]:
    """Simulate, then measure."""
    stages, shape = measure(1), Shape(6, 16)
    for size in SIZES:
        ways = THROUGH, replace(THROUGH, by_store=True, bypass=0)
        times = [ours(shape, replace(stages, state_bytes=size), way).seconds for way in ways]
        text = f"{times[0]:.1f} s, {times[1]:.1f} s"
        yield Row(f"simulated [6,16], states of {size / 1e6:g} MB: coordinator, store", text, times[0] / times[1])
    yield from _measured()


@dataclass(frozen=True)
class _Cost:
    seconds: float
    server_s: float


def _measured() -> Iterator[Row]:
    through, stored = [], []
    for _ in range(ROUNDS):
        through.append(asyncio.run(_pass(by_store=False)))
        stored.append(asyncio.run(_pass(by_store=True)))
    bytes_gb = COUNT * LARGE / 1e9
    faster = Spread.of([one.seconds / other.seconds for one, other in zip(through, stored, strict=True)])
    yield Row("10 MB messages of one worker to another: times as fast by way of a folder", faster.text(), faster.median)
    for name, costs in (("through the server", through), ("by way of a folder", stored)):
        rate = Spread.of([(COUNT - 1) * LARGE / 1e6 / cost.seconds for cost in costs])
        yield Row(f"- {name}", rate.text(0), rate.median, unit=" MB/s")
        server = Spread.of([cost.server_s / bytes_gb for cost in costs])
        yield Row(f"- {name}: server CPU", server.text(), server.median, unit=" s/GB")


async def _pass(*, by_store: bool) -> _Cost:
    """Send all messages of a round."""
    edges = [f"m/{number}" for number in range(COUNT)]
    sends, hears = tuple(Edge("receiver", name) for name in edges), tuple(Edge("sender", name) for name in edges)
    programs = "bench.mu_bypass"
    tasks = (
        Task("sender", f"{programs}:send", argument(COUNT), sends=sends),
        Task("receiver", f"{programs}:receive", argument(COUNT), receives=hears, stores=("seconds",)),
    )
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(folder)
        options = ("--store", folder) if by_store else ()
        async with hosted(Job("bypass", tasks, Limits(workers=2, straggler=None)), *options) as host:
            await host.invited(2)
            began = cpu_s(host.pid)
            workers = [await _worker(host, number, token, folder) for number, token in host.wanted]
            await host.ended()
            server_s = cpu_s(host.pid) - began
            for worker in workers:
                await worker.wait()
        return _Cost(msgspec.json.decode(store.read("seconds"), type=float), server_s)


async def _worker(host: Host, number: int, token: str, folder: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.mu_bypass", folder, cwd=ROOT, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(msgspec.structs.replace(host.invitation, worker=number, token=token)))
    process.stdin.close()
    return process


if __name__ == "__main__":
    if sys.argv[1:]:
        invited = msgspec.json.decode(sys.stdin.buffer.read(), type=Invitation)
        work(invited, FolderStore(Path(sys.argv[1])))
    else:
        show("large messages", rows())
