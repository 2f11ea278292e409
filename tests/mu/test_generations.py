"""The ledger's copy in S3: what another machine finds there is what was on the disk, and what of it still holds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("botocore", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import BackendError, Edge, Job, LedgerError, Task
from mu.core.instructions import Entry, Failure, MessageWhole, ObjectMade, Outcome, TaskCommitted, TaskFailed, TryLost
from mu.job import Key
from mu.ledger import encode_entry
from mu.service.generations import Opened, open_ledger
from mu.service.lost import without_lost
from mu.service.requests import ledger_prefix
from tests.mu.folder_cloud import FolderCloud

NAMES = ("a", "b", "c", "d")
TASKS = tuple(
    Task(
        name,
        "programs:x",
        stores=(f"out/{name}",),
        sends=(Edge(after, "m"),) if after else (),
        receives=(Edge(before, "m"),) if before else (),
    )
    for before, name, after in zip((None, *NAMES), NAMES, (*NAMES[1:], None), strict=False)
)
JOB = Job("chain", TASKS)


def done(name: str, after: str | None) -> list[Entry]:
    entries: list[Entry] = [ObjectMade(name, f"out/{name}", 1, b"d" * 16)]
    entries += [MessageWhole(Key(name, after, "m"), 1, b"d" * 16)] if after else []
    return [*entries, TaskCommitted(name)]


A, B, C = (done(name, after) for name, after in zip("abc", "bcd", strict=True))


def opened(cloud: FolderCloud, folder: Path, **more: Any) -> Opened:
    return open_ledger(cloud, JOB, folder, wake=lambda: None, **more)  # type: ignore[arg-type]


def write(one: Opened, entries: Sequence[Entry], *, copy: bool = True) -> None:
    for entry in entries:
        one.ledger.add(entry)
    one.ledger.flush()
    if copy:
        one.vault.flush()
    one.ledger.close()


def test_on_the_same_machine_it_goes_on_and_the_copy_catches_up(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    write(opened(cloud, tmp_path / "here"), A)
    write(opened(cloud, tmp_path / "here"), B, copy=False)
    one = opened(cloud, tmp_path / "here")
    assert one.loaded.entries == (*A, *B)
    assert one.loaded.epoch == 3
    assert one.vault.kept == len(A) + len(B)
    one.ledger.close()
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["ledger-000001"]


def test_what_workers_may_write_is_no_ledger(tmp_path: Path) -> None:
    """Their role may write `jobs/*/store/*`, and for IAM a star may stand for `ID/ledger`, too."""
    cloud = FolderCloud(tmp_path / "cloud")
    write(opened(cloud, tmp_path / "here"), A)
    forged = f"{ledger_prefix(JOB.id)}store/000009/000000000001"
    cloud.write(forged, msgspec.msgpack.encode([encode_entry(entry) for entry in (*A, *B, *C)]))
    one = opened(cloud, tmp_path / "here")
    assert one.loaded.entries == tuple(A)
    one.ledger.close()


def test_on_another_machine_holds_what_needs_no_lost_message(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    first = opened(cloud, tmp_path / "here")
    first.ledger.close()
    write(opened(cloud, tmp_path / "here"), [*A, *B, *C])
    one = opened(cloud, tmp_path / "there")
    # d waits for c's message, c needs b's, b needs a's: their objects are there, and they run again.
    assert one.loaded.entries == (A[0], B[0], C[0])
    write(one, done("d", None))
    again = opened(cloud, tmp_path / "there")
    assert again.loaded.entries == (A[0], B[0], C[0], *done("d", None))
    again.ledger.close()
    generations = {key.split("/")[-2] for key in cloud.keys(f"jobs/{JOB.id}/ledger/")}
    assert generations == {"000002"}


def test_what_failed_is_tried_again_and_the_rest_kept(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    one = opened(cloud, tmp_path / "here")
    one.ledger.close()
    one = opened(cloud, tmp_path / "here")
    failure = Failure("d", "raised")
    write(one, [*A, *B, *C, TryLost("d", "gone"), TaskFailed(failure), Outcome("failed", 3, (failure,))])
    again = opened(cloud, tmp_path / "here", again=True)
    assert not any(isinstance(entry, TryLost | TaskFailed | Outcome) for entry in again.loaded.entries)
    assert TaskCommitted("a") in again.loaded.entries
    assert TaskCommitted("c") not in again.loaded.entries, "what it sent to d may have been forgotten"
    epoch = again.loaded.epoch
    again.ledger.close()
    assert epoch == 4
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["ledger-000002"]


def test_keys_stay_on_their_machine(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    one = opened(cloud, tmp_path / "here")
    one.ledger.keep("keys", b"very secret")
    write(one, [*A, Outcome("cancelled", 1)])
    assert not any(b"very secret" in (cloud.read(key) or b"") for key in cloud.keys(""))
    again = opened(cloud, tmp_path / "here", again=True)
    assert again.ledger.kept("keys") == b"very secret"
    again.ledger.close()
    other = opened(cloud, tmp_path / "there")
    assert other.ledger.kept("keys") is None
    other.ledger.close()


def test_a_bucket_that_does_not_answer_loses_nothing(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    one = opened(cloud, tmp_path / "here")
    cloud.broken = {"ledger/"}
    for entry in A:
        one.ledger.add(entry)
    one.ledger.flush()
    with pytest.raises(BackendError):
        one.vault.flush()
    cloud.broken = set()
    one.vault.flush()
    assert one.vault.kept == len(A)
    write(one, B)
    shutil.rmtree(tmp_path / "here")
    assert opened(cloud, tmp_path / "here").loaded.entries[0] == A[0]


def test_a_copy_with_a_gap_or_of_nonsense_is_refused(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path / "cloud")
    one = opened(cloud, tmp_path / "here")
    for part in (A, B):
        for entry in part:
            one.ledger.add(entry)
        one.ledger.flush()
        one.vault.flush()
    one.ledger.close()
    first, second = cloud.keys(f"jobs/{JOB.id}/ledger/")
    kept = cloud.read(first) or b""
    cloud.write(first, b"nonsense")
    with pytest.raises(LedgerError, match="no part of a ledger"):
        opened(cloud, tmp_path / "there")
    cloud.delete(first)
    with pytest.raises(LedgerError, match="one is missing"):
        opened(cloud, tmp_path / "there")
    cloud.write(first, kept)
    cloud.delete(second)
    assert opened(cloud, tmp_path / "there").loaded.entries == (A[0],)


def test_messages_that_are_there_spare_their_senders() -> None:
    entries = [*A, *B, *C]
    assert without_lost(JOB, entries, lambda message: True) == tuple(entries)
    there = without_lost(JOB, entries, lambda message: message.key.sender != "b")
    assert there == tuple(entries), "c is done: nobody waits for what b sent it"
    last = without_lost(JOB, entries, lambda message: message.key.sender != "c")
    assert TaskCommitted("c") not in last
    assert TaskCommitted("b") in last, "its message to c is there"
