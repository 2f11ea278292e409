"""How fast a job's ledger is: `python -m bench.mu_ledger`.

Records of the kinds and sizes that a coordinator writes, as fast as the disk takes them, and at a steady pace with the
time from `add` to the record on the disk. The peer is the same file written by sqlite3 with a commit a record. What the
disk itself needs for an fsync is measured in the same run.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.paired import Spread
from bench.table import Row, show
from mu import Job, Task
from mu.core.instructions import Entry, MessageWhole, ObjectMade, TaskCommitted
from mu.job import Key
from mu.ledger import Ledger, encode_entry

JOB = Job("bench", (Task("a", "programs:a"),))
ROUNDS = 5
RECORDS = 50_000
PACE = 25_000
PACED_S = 3.0
PEER = 200


def entry(number: int) -> Entry:
    """One of the three entries that a task of an encode leaves."""
    digest = number.to_bytes(16, "big")
    if number % 3 == 0:
        return ObjectMade(f"chunk/{number:06}", f"out/{number:06}", 30_000, digest)
    if number % 3 == 1:
        return MessageWhole(Key(f"chunk/{number:06}", f"chunk/{number + 1:06}", "state"), 350_000, digest)
    return TaskCommitted(f"chunk/{number:06}")


def rows() -> Iterator[Row]:
    """Throughput, latency, and the peer, all in one folder."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FASTSLOW_BENCH_DISK")) as name:
        folder = Path(name)
        sync = _fsync(folder / "plain")
        ours, peers = [], []
        for turn in range(ROUNDS):
            ours.append(_full_speed(folder / f"ours{turn}"))
            peers.append(_one_by_one(folder / f"peer{turn}"))
        rate, peer = Spread.of(ours), Spread.of(peers)
        yield Row(f"records a second, {RECORDS} at once", f"{rate.median:,.0f}", rate.median, 10_000, 25_000)
        what = f"... as many times sqlite3 with a commit a record ({peer.median:,.0f} a second)"
        yield Row(what, f"{rate.median / peer.median:,.0f}", rate.median / peer.median, unit=" x")
        waits = sorted(_paced(folder / "paced"))
        p50, p99 = (1000 * waits[int(len(waits) * share)] for share in (0.5, 0.99))
        what = f"from add to the disk at {PACE:,} records a second, p99 (p50 {p50:.1f} ms; an fsync {sync:.1f} ms)"
        yield Row(what, f"{p99:.1f}", p99, 50, 10, more_is_better=False, unit=" ms")


def _full_speed(path: Path) -> float:
    with Ledger(path, JOB) as ledger:
        ledger.load()
        began = time.perf_counter()
        for number in range(RECORDS):
            ledger.add(entry(number))
        ledger.flush()
        return RECORDS / (time.perf_counter() - began)


def _one_by_one(path: Path) -> float:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, entry BLOB)")
    began = time.perf_counter()
    for number in range(PEER):
        database.execute("INSERT INTO entries VALUES (?, ?)", (number, encode_entry(entry(number))))
    took = time.perf_counter() - began
    database.close()
    return PEER / took


def _paced(path: Path) -> list[float]:
    """Seconds that each record took to the disk."""
    woken: list[tuple[int, float]] = []
    added: list[float] = []
    ready = threading.Event()
    with Ledger(path, JOB, wake=lambda: woken.append((ledger.durable, time.perf_counter()))) as ledger:
        ledger.load()
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < PACED_S:
            for number in range(len(added), int(now * PACE)):
                added.append(time.perf_counter())
                ledger.add(entry(number))
            ready.wait(0.001)
        ledger.flush()
        while not woken or woken[-1][0] < len(added):
            ready.wait(0.001)
    waits, done = [], 0
    for durable, at in woken:
        waits += [at - each for each in added[done:durable]]
        done = durable
    return waits


def _fsync(path: Path) -> float:
    """Milliseconds, the median."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took)[len(took) // 2]


if __name__ == "__main__":
    show("Ledger", rows())
