"""The ledger: what it said is on the disk is there after any end, in order; what is broken is refused."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from mu import Job, JobError, LedgerError, Limits, Task
from mu.core.instructions import (
    Failure,
    MessageWhole,
    ObjectMade,
    Outcome,
    TaskAdded,
    TaskCommitted,
    TaskFailed,
    TryLost,
)
from mu.job import Key, argument
from mu.ledger import Ledger, decode_entry, encode_entry
from tests.mu.journal import JOB, entry

ROOT = Path(__file__).resolve().parents[2]
EVERY = [
    TaskAdded(Task("c", "programs:c", argument({"x": [1, 2]}), fetches=("raw/1",), stores=("out/",))),
    ObjectMade("a", "out/1", 5, b"d" * 16),
    MessageWhole(Key("a", "b", "state"), 7, b"e" * 16),
    TaskCommitted("a"),
    TryLost("b", "its worker is gone"),
    TaskFailed(Failure("b", "raised", "Traceback", ("lost",))),
    Outcome("failed", 1, (Failure("b", "raised"),), "b failed"),
]


def test_every_kind_of_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger", JOB) as ledger:
        assert ledger.load() == (JOB, (), 1)
        assert [ledger.add(each) for each in EVERY] == list(range(1, 8))
        assert ledger.flush() == 7 == ledger.durable
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.load() == (JOB, tuple(EVERY), 2)
        assert ledger.add(entry(8)) == 8
    with Ledger(tmp_path / "ledger", JOB) as ledger:
        job, entries, epoch = ledger.load()
    assert (job.id, entries, epoch) == (JOB.id, (*EVERY, entry(8)), 3)
    with pytest.raises(LedgerError, match="closed"):
        ledger.add(entry(9))


def test_what_was_acknowledged_survives_kill(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    chance = random.Random(5)
    for turn in range(6):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.mu.journal", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(chance.randrange(1, 30))]
        # Another few commits begin while the signal is on its way.
        threading.Event().wait(chance.random() * 0.01)
        child.kill()
        said += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        with Ledger(path) as ledger:
            _, entries, epoch = ledger.load()
        assert epoch == 2 * (turn + 1)
        assert len(entries) >= said[-1]
        assert entries == tuple(entry(number) for number in range(1, len(entries) + 1))


def test_a_file_cut_anywhere_holds_a_beginning_or_is_refused(tmp_path: Path) -> None:
    made = tmp_path / "made"
    ledger = Ledger(made, JOB)
    ledger.load()
    for number in range(1, 200):
        ledger.add(entry(number))
        if number % 20 == 0:
            ledger.flush()
    ledger.flush()
    files = {suffix: Path(f"{made}{suffix}").read_bytes() for suffix in ("", "-wal")}
    ledger.close()
    chance = random.Random(1)
    lengths = set()
    for turn in range(60):
        path = tmp_path / f"cut{turn}"
        wal = files["-wal"][: chance.randrange(len(files["-wal"]))]
        path.write_bytes(files[""])
        Path(f"{path}-wal").write_bytes(wal)
        try:
            with Ledger(path) as cut:
                entries = cut.load().entries
        except LedgerError:
            continue
        assert entries == tuple(entry(number) for number in range(1, len(entries) + 1))
        lengths.add(len(entries))
    assert len(lengths) > 5


def test_a_changed_file_is_refused_or_unharmed(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with Ledger(made, JOB) as ledger:
        ledger.load()
        ledger.add_records(encode_entry(entry(number)) for number in range(1, 200))
    whole = made.read_bytes()
    chance = random.Random(2)
    refused = 0
    for turn in range(300):
        changed = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path = tmp_path / f"changed{turn}"
        path.write_bytes(changed)
        try:
            with Ledger(path) as ledger:
                job, entries, _ = ledger.load()
        except LedgerError as error:
            assert str(path) in str(error)  # noqa: PT017  most raise, but not all need to
            refused += 1
            continue
        assert job == JOB
        assert entries == tuple(entry(number) for number in range(1, 200))
    assert refused > 30


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        Ledger(tmp_path / "none")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "no folder" / "ledger", JOB)
    noise = tmp_path / "noise"
    noise.write_bytes(random.Random(3).randbytes(10_000))
    with pytest.raises(LedgerError, match="broken"):
        Ledger(noise, JOB)
    other = tmp_path / "other"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE stamps (x)")
    database.close()
    with pytest.raises(LedgerError, match="is no ledger"):
        Ledger(other, JOB)
    assert noise.stat().st_size == 10_000


def test_another_version_and_another_job_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path, JOB).close()
    with pytest.raises(LedgerError, match=f"is that of the job {JOB.id}"):
        Ledger(path, Job("other", JOB.tasks))
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=7")
    database.close()
    with pytest.raises(LedgerError, match="is of version 7; this version of fastslow reads 1"):
        Ledger(path)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with Ledger(path, JOB) as ledger:
        ledger.load()
        with pytest.raises(LedgerError, match="open in another process"):
            Ledger(path, JOB)
        ledger.add(entry(1))
        ledger.flush()
        with pytest.raises(LedgerError, match="open in another process"):
            Ledger(path)
    with Ledger(path) as ledger:
        assert len(ledger.load().entries) == 1


def test_secrets_are_kept_beside_the_entries(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger", JOB) as ledger:
        assert ledger.kept("key") is None
        ledger.keep("key", b"old")
        ledger.keep("key", b"new")
        ledger.load()
        ledger.add(entry(1))
        with pytest.raises(LedgerError, match="before the first entry"):
            ledger.keep("key", b"late")
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.kept("key") == b"new"


def test_the_shell_is_woken_and_a_copy_has_every_record_in_order(tmp_path: Path) -> None:
    copied: list[bytes] = []
    woken = threading.Event()

    def copy(first: int, records: list[bytes]) -> None:
        assert first == len(copied) + 1
        copied.extend(records)

    with Ledger(tmp_path / "ledger", JOB, wake=woken.set, copy=copy) as ledger:  # type: ignore[arg-type]
        ledger.load()
        for number in range(1, 2001):
            ledger.add(entry(number))
        while ledger.durable < 2000:
            assert woken.wait(30)
            woken.clear()
    assert [decode_entry(record) for record in copied] == [entry(number) for number in range(1, 2001)]


def test_asyncio_waits_without_standing_still(tmp_path: Path) -> None:
    async def run() -> int:
        with Ledger(tmp_path / "ledger", JOB) as ledger:
            ledger.load()
            ledger.add(entry(1))
            waiting = asyncio.ensure_future(ledger.flushed())
            while not waiting.done():
                await asyncio.sleep(0)
            return waiting.result()

    assert asyncio.run(run()) == 1


def test_a_disk_that_takes_no_more_is_told_by_every_call(tmp_path: Path) -> None:
    woken = threading.Event()
    ledger = Ledger(tmp_path / "ledger", JOB, wake=woken.set)
    ledger.load()
    ledger._database.execute("PRAGMA max_page_count=10")
    ledger.add_records([encode_entry(Outcome("failed", 0, reason="x" * 100_000))])
    assert woken.wait(30)
    for call in (lambda: ledger.durable, ledger.flush, lambda: ledger.add(entry(2))):
        with pytest.raises(LedgerError, match="takes nothing more: database or disk is full"):
            call()
    ledger.close()


def test_a_job_with_senseless_limits_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path, Job("limits", JOB.tasks, Limits(tries=5))).close()
    with pytest.raises(JobError):
        Limits(tries=0)
    database = sqlite3.connect(path)
    (encoded,) = database.execute("SELECT value FROM about WHERE key='job'").fetchone()
    wrong = msgspec.msgpack.decode(encoded)
    wrong["limits"]["tries"] = 0
    again = msgspec.msgpack.encode(wrong)
    database.execute("UPDATE about SET value=?, crc=? WHERE key='job'", (again, crc32(again)))
    database.commit()
    database.close()
    with pytest.raises(LedgerError, match="tries must be 1 to 100"):
        Ledger(path)
