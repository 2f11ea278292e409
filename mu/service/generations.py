"""A job's ledger on this machine, from whatever there is of it: on the disk, in S3, or nothing yet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from mu.core.instructions import Entry, Outcome, TaskFailed, TryLost
from mu.job import Job, Key
from mu.ledger import Ledger, Loaded, decode_entry, encode_entry
from mu.service.cloud import Cloud
from mu.service.lost import without_lost
from mu.service.vault import Vault

__all__ = ["Opened", "open_ledger"]

_NAME = re.compile(r"ledger-(\d{6})\Z")
_KEPT = ("keys",)


class Opened(NamedTuple):
    """A ledger that can be gone on with, and its copy in S3."""

    ledger: Ledger
    vault: Vault
    loaded: Loaded


def open_ledger(
    cloud: Cloud,
    job: Job,
    folder: Path,
    *,
    wake: Callable[[], None],
    again: bool = False,
    messages_there: bool = True,
) -> Opened:
    """Open the job's ledger in `folder`, or begin it, or go on with the copy that another machine left in S3.

    `again`: what failed or was cancelled is to be tried once more. `messages_there`: the messages that the ledger on
    this disk names are there, too. Raises LedgerError, BackendError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = max((int(match[1]) for path in folder.iterdir() if (match := _NAME.match(path.name))), default=0)
    there, copies = Vault.newest(cloud, job.id)
    generation, kept, epoch = max(here, there), {}, 0
    if there > here:
        entries: Sequence[Entry] = tuple(decode_entry(record) for record in Vault.records(cloud, copies))
        messages_there = False
    elif here:
        with Ledger(_path(folder, here), job) as ledger:
            kept = {key: value for key in _KEPT if (value := ledger.kept(key)) is not None}
            _, entries, epoch = ledger.load()
    else:
        generation, entries = 1, ()
    holds = _what_holds(job, entries, again=again, messages_there=messages_there)
    if there > here or holds != tuple(entries):
        generation += 1
        _begin(_path(folder, generation), job, holds, {**kept, "epoch": msgspec.msgpack.encode(epoch)})
    vault = Vault(cloud, job.id, generation, Vault.held(cloud, copies) if generation == there else 0)
    ledger = Ledger(_path(folder, generation), job, wake=wake, copy=vault.copy)
    loaded = ledger.load()
    vault.copy(1, [encode_entry(entry) for entry in loaded.entries])
    vault.flush()
    vault.forget_others()
    for path in folder.iterdir():
        if (match := _NAME.match(path.name)) and int(match[1]) < generation:
            path.unlink()
    return Opened(ledger, vault, loaded)


def _what_holds(job: Job, entries: Sequence[Entry], *, again: bool, messages_there: bool) -> tuple[Entry, ...]:
    given_up = {entry.failure.task for entry in entries if isinstance(entry, TaskFailed)}
    if again:
        entries = [entry for entry in entries if not isinstance(entry, TryLost | TaskFailed | Outcome)]

    def there(key: Key) -> bool:
        return messages_there and not (again and key.receiver in given_up)

    return without_lost(job, entries, there) if again or not messages_there else tuple(entries)


def _begin(path: Path, job: Job, entries: Sequence[Entry], kept: dict[str, bytes]) -> None:
    """Have a ledger with these entries at `path`, whole or not at all."""
    beside = path.with_name("begun")
    for each in path.parent.glob("begun*"):
        each.unlink()
    with Ledger(beside, job) as ledger:
        for key, value in kept.items():
            ledger.keep(key, value)
        ledger.add_records(encode_entry(entry) for entry in entries)
        ledger.flush()
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path(folder: Path, generation: int) -> Path:
    return folder / f"ledger-{generation:06}"
