"""How long after a cancel the last worker is gone: `python -m bench mu_cancel`.

Workers that compute: libvpx in those of `fastslow encode` (the cancel is Ctrl-C), plain Python in those that call a
coordinator by TLS. What they cost ends when their process does.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import uvloop

from bench.demo import write_clip
from bench.paired import Spread
from bench.table import Row, show
from mu.core.coordinator import Coordinator
from mu.record import Record
from mu.server import LocalProcesses, Server
from pipelines.probe import probe_job

ROUNDS = 5
WORKERS = 8


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Both kinds of workers, cancelled at random moments."""
    chance = random.Random(5)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.y4m")
        write_clip(clip, None)
        taken = Spread.of([_interrupted(clip, chance.uniform(0.8, 2.5)) for _ in range(rounds)])
    yield _row("from Ctrl-C of fastslow encode to the end of its last process", taken)
    taken = Spread.of([_cancelled(chance.uniform(0.1, 1.0)) for _ in range(rounds)])
    yield _row(f"from a job's cancel at its coordinator to the end of the last of {WORKERS} workers", taken)


def _row(what: str, taken: Spread) -> Row:
    return Row(what, taken.text(), taken.median, more_is_better=False, unit=" s")


def _interrupted(clip: Path, after_s: float) -> float:
    command = [sys.executable, "-m", "cli", "encode", str(clip), str(clip.with_suffix(".webm")), "--speed", "0", "-q"]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGINT)  # to it alone, as those who are not at a terminal do
        seconds = _seconds_until(lambda: not _in_session(process.pid))
        if process.wait() == 0:
            raise RuntimeError(f"the clip was encoded within {after_s:.1f} s: it is too short to be interrupted")
    return seconds


def _in_session(session: int) -> list[int]:
    """The processes of a session that are not yet over; those that nobody has waited for are."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):
            state, _, _, its = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its) == session and state != "Z":
                found.append(int(name))
    return found


def _cancelled(after_s: float) -> float:
    async def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            async with Server() as server:
                workers = LocalProcesses()
                job = probe_job(WORKERS, work_s=600.0, workers=WORKERS)
                messages, record = Path(folder, "messages"), Record(job, time.monotonic())
                hosted = server.host(Coordinator(job), launcher=workers, folder=messages, store=folder, observer=record)
                while record.counts(time.monotonic()).workers.get("working", 0) < WORKERS:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(after_s)
                pids = list(workers.processes.values())
                began = time.perf_counter()
                hosted.cancel()
                while any(Path("/proc", str(pid)).exists() for pid in pids):
                    await asyncio.sleep(0.002)
                seconds = time.perf_counter() - began
                await server.leave(hosted)
                return seconds

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def _seconds_until(over: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not over():
        time.sleep(0.005)
    return time.perf_counter() - began


if __name__ == "__main__":
    show(f"Cancelling, median of {ROUNDS} (spread)", rows())
