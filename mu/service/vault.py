"""A job's journal in S3, for a machine that takes the place of the one whose disk has the ledger.

Each second what is new goes into an object of its own, so that there is nothing to merge and nothing to lock:

    jobs/ID/ledger/GENERATION/FIRST       a MessagePack of the records from number FIRST on

A generation is a ledger that was begun with what held of the one before it; its first object has all of that. The
highest one counts. What is secret (the job's keys) is not here: on another machine workers come and trust anew.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from mu.errors import LedgerError
from mu.service.cloud import Cloud
from mu.service.requests import ledger_prefix

__all__ = ["Vault"]

_LARGEST = 4 << 20
"""Bytes of records in an object, about."""
_AT_ONCE = 16
"""Objects that are read at a time."""
_KEY = re.compile(r"(\d{6})/(\d{12})")
"""Below the ledger's prefix, and nothing between: workers may write what has `/store/` in its key."""
_records = msgspec.msgpack.Decoder(list[bytes])


class Vault:
    """Copies one generation of a job's ledger. `copy` may be called by any thread and never waits."""

    def __init__(self, cloud: Cloud, job: str, generation: int, held: int = 0) -> None:
        self._cloud, self._job, self.generation = cloud, job, generation
        self._kept = held
        self._fresh: list[bytes] = []
        self._lock = threading.Lock()
        self._flushing = threading.Lock()

    @property
    def kept(self) -> int:
        """All records up to this number are in S3."""
        return self._kept

    def copy(self, first: int, records: Sequence[bytes]) -> None:
        """Take records that are on the disk now; `first` is the number of the first. What S3 has is left out."""
        with self._lock:
            self._fresh.extend(records[max(0, self._kept + len(self._fresh) + 1 - first) :])

    def flush(self) -> None:
        """Bring what was taken to S3. Raises BackendError; then it is still held, and the next call tries again."""
        with self._flushing:
            while self._flush_some():
                pass

    def _flush_some(self) -> bool:
        with self._lock:
            size, count = 0, 0
            # The first object of a generation has all that it began with.
            while count < len(self._fresh) and (size < _LARGEST or not self._kept):
                size += len(self._fresh[count])
                count += 1
            records = self._fresh[:count]
        if records:
            key = f"{ledger_prefix(self._job)}{self.generation:06}/{self._kept + 1:012}"
            self._cloud.write(key, msgspec.msgpack.encode(records))
            with self._lock:
                self._kept += len(records)
                del self._fresh[: len(records)]
        return bool(records)

    @staticmethod
    def newest(cloud: Cloud, job: str) -> tuple[int, list[str]]:
        """The number of the highest generation (0: there is none) and the keys of its objects. Raises BackendError."""
        found: dict[int, list[str]] = {}
        for number, key in _objects(cloud, job):
            found.setdefault(number, []).append(key)
        generation = max(found, default=0)
        return generation, sorted(found.get(generation, []))

    @staticmethod
    def held(cloud: Cloud, keys: Sequence[str]) -> int:
        """The number of the last record in these objects. Raises BackendError, LedgerError."""
        return _first(keys[-1]) - 1 + len(_read(cloud, keys[-1])) if keys else 0

    @staticmethod
    def records(cloud: Cloud, keys: Sequence[str]) -> list[bytes]:
        """All records in these objects. Raises BackendError; LedgerError for what is no record, or a gap."""
        records: list[bytes] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for key, part in zip(keys, pool.map(lambda key: _read(cloud, key), keys), strict=True):
                if _first(key) != len(records) + 1:
                    raise LedgerError(f"{key} does not begin where the object before it ends: one is missing")
                records += part
        return records

    def forget_others(self) -> None:
        """Delete the generations before this one. Raises BackendError."""
        self._cloud.delete_all([key for number, key in _objects(self._cloud, self._job) if number < self.generation])


def _objects(cloud: Cloud, job: str) -> Iterator[tuple[int, str]]:
    """The generation and the key of every object of a job's ledger."""
    prefix = ledger_prefix(job)
    for key in cloud.keys(prefix):
        if match := _KEY.fullmatch(key.removeprefix(prefix)):
            yield int(match[1]), key


def _first(key: str) -> int:
    return int(key.rpartition("/")[2])


def _read(cloud: Cloud, key: str) -> list[bytes]:
    try:
        return _records.decode(cloud.read(key) or b"")
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{key} is no part of a ledger: {error}") from error
