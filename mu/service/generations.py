"""A job's ledger on this machine, from whatever there is of it: on the disk, in S3, or nothing yet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from mu.core.instructions import Entry, MessageWhole, Outcome, TaskBegun, TaskFailed, TryLost
from mu.errors import BackendError
from mu.job import MESSAGES, Job
from mu.ledger import Ledger, Loaded, decode_entry, encode_entry
from mu.service.cloud import Cloud
from mu.service.lost import without_lost
from mu.service.requests import store_prefix
from mu.service.vault import Vault
from mu.store.messages import message_name

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
    this disk names are there, too; S3 is asked for those that lie in it. Raises LedgerError, BackendError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = max((int(match[1]) for path in folder.iterdir() if (match := _NAME.match(path.name))), default=0)
    there, copies = Vault.newest(cloud, job.id)

    def opened(generation: int, copied: int) -> Opened:
        vault = Vault(cloud, job.id, generation, copied)
        ledger = Ledger(_path(folder, generation), job, wake=wake, copy=vault.copy)
        return Opened(ledger, vault, ledger.load())

    if there > here:
        entries: Sequence[Entry] = tuple(decode_entry(record) for record in Vault.records(cloud, copies))
        entries = [entry for entry in entries if not isinstance(entry, TaskBegun)]  # nobody trusts another machine
        holds = _what_holds(cloud, job, entries, again=again, messages_there=False)
        _begin(_path(folder, there + 1), job, holds, {})
        made = opened(there + 1, 0)
    else:
        made = opened(here or 1, Vault.held(cloud, copies) if there == here else 0)
        ledger, loaded = made.ledger, made.loaded
        holds = _what_holds(cloud, job, loaded.entries, again=again, messages_there=messages_there)
        if holds != tuple(loaded.entries):
            kept = {key: value for key in _KEPT if (value := ledger.kept(key)) is not None}
            ledger.close()
            _begin(_path(folder, here + 1), job, holds, {**kept, "epoch": msgspec.msgpack.encode(loaded.epoch)})
            made = opened(here + 1, 0)
    try:
        _catch_up(made, folder)
    except BackendError:
        made.ledger.close()
        raise
    return made


def _catch_up(made: Opened, folder: Path) -> None:
    """Have all of it in S3, and nothing of the generations before it anywhere."""
    made.vault.copy(1, [encode_entry(entry) for entry in made.loaded.entries])
    made.vault.flush()
    made.vault.forget_others()
    for path in folder.iterdir():
        if (match := _NAME.match(path.name)) and int(match[1]) < made.vault.generation:
            path.unlink()


def _what_holds(
    cloud: Cloud, job: Job, entries: Sequence[Entry], *, again: bool, messages_there: bool
) -> tuple[Entry, ...]:
    given_up = {entry.failure.task for entry in entries if isinstance(entry, TaskFailed)}
    if again:
        entries = [entry for entry in entries if not isinstance(entry, TaskBegun | TryLost | TaskFailed | Outcome)]

    in_store: set[str] = set()
    if any(isinstance(entry, MessageWhole) and entry.stored for entry in entries):
        prefix = store_prefix(job.id)
        in_store = {key.removeprefix(prefix) for key in cloud.keys(f"{prefix}{MESSAGES}/")}

    def there(entry: MessageWhole) -> bool:
        if entry.stored:
            return message_name(entry.key, entry.digest) in in_store
        return messages_there and not (again and entry.key.receiver in given_up)

    return without_lost(job, entries, there)


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
