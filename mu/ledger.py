"""What a coordinator must not forget, on the disk: a journal of a job's entries that only grows, one file a job.

The file is SQLite's, in WAL mode with `synchronous=FULL`: what is committed survives the end of the process and of the
machine. A commit costs an fsync, so a thread commits all that came in the meantime together.

    shell          add(entry) -> number       at once
    writer thread                             commit, then `wake()`
    shell          durable -> number          all up to this is on the disk
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from zlib import crc32

import msgspec

from mu.core.instructions import Entry
from mu.errors import LedgerError, MuError
from mu.job import Job

__all__ = ["VERSION", "Ledger", "Loaded", "decode_entry", "encode_entry"]

VERSION = 1
"""Of the file's layout. A file of another version is refused."""
_APPLICATION = 0x6D754C67
"""Tells the file from other SQLite files."""
_GATHER_S = 0.002
"""Records that come so soon after the first share its commit,"""
_ENOUGH = 32
"""unless there are so many already, which came during the commit before."""
_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (number INTEGER PRIMARY KEY, entry BLOB NOT NULL, crc INTEGER NOT NULL);
"""

encode_entry = msgspec.msgpack.Encoder().encode
_entry: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_job = msgspec.msgpack.Decoder(Job)


def decode_entry(record: bytes) -> Entry:
    """An entry as the ledger holds it. Raises LedgerError."""
    try:
        return _entry.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"a record of the ledger is no entry: {error}") from error


class Loaded(NamedTuple):
    """What a coordinator goes on with: `Coordinator.restore` takes these."""

    job: Job
    entries: Sequence[Entry]
    epoch: int
    """How often the job was taken up, this time included: 1 is the first."""


class Ledger:
    """A job's journal. `add` never waits; `flush` and `flushed` wait until all that was added is on the disk.

    The file is made when it is not there and `job` is given. `wake` is called by the writer's thread after every commit
    and when one failed: `loop.call_soon_threadsafe` or a write into a pipe belongs there. `copy` is called before it by
    the same thread with the number of the first record of the commit and the records, for whoever keeps a second copy.

    Raises LedgerError for a file that is no ledger, is broken, of another version or of another job, or that another
    process has open; and from every call once the disk has refused a commit.
    """

    def __init__(
        self,
        path: Path,
        job: Job | None = None,
        *,
        wake: Callable[[], None] = lambda: None,
        copy: Callable[[int, Sequence[bytes]], None] | None = None,
    ) -> None:
        self.path = path
        self._wake, self._copy = wake, copy
        if job is None and not path.exists():
            raise LedgerError(f"there is no ledger {path}")
        self._database = _open(path, job)
        self._loaded = self._read(job)
        self._added = self._durable = len(self._loaded.entries)
        self._pending: list[bytes] = []
        self._change = threading.Condition()
        self._failure: Exception | None = None
        self._closing = False
        self._writer: threading.Thread | None = None

    def load(self) -> Loaded:
        """The job, all its entries in order, and the number of the epoch, which begins with this call."""
        loaded = self._loaded._replace(epoch=self._loaded.epoch + 1)
        self._loaded = loaded._replace(entries=())
        self.keep("epoch", msgspec.msgpack.encode(loaded.epoch))
        return loaded

    def keep(self, key: str, value: bytes) -> None:
        """Have the file hold a value under a key, on the disk when this returns; before the first entry is added."""
        if self._writer:
            raise LedgerError(f"{key} must be kept before the first entry is added")
        try:
            with self._database:
                self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?, ?)", (key, value, crc32(value)))
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} takes no {key}: {error}") from error

    def kept(self, key: str) -> bytes | None:
        """What `keep` left under a key. For before the first entry is added."""
        return _kept(self._database, key)

    def add(self, entry: Entry) -> int:
        """Take an entry, and say what `durable` will be once it is on the disk."""
        return self.add_records((encode_entry(entry),))

    def add_records(self, records: Iterable[bytes]) -> int:
        """`add` for entries that are encoded already."""
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
            self._writer.start()
        with self._change:
            self._check()
            idle = not self._pending
            before = len(self._pending)
            self._pending.extend(records)
            self._added += len(self._pending) - before
            if idle:
                self._change.notify_all()
            return self._added

    @property
    def durable(self) -> int:
        """All entries up to this number are on the disk."""
        self._check()
        return self._durable

    def flush(self) -> int:
        """Wait until all that was added is on the disk; the number of the last of it."""
        with self._change:
            wanted = self._added
            while self._durable < wanted:
                self._check()
                self._change.wait()
            return wanted

    async def flushed(self) -> int:
        """`flush` for programs of asyncio."""
        return await asyncio.to_thread(self.flush)

    def close(self) -> None:
        """Bring what was added to the disk and let go of the file."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._writer:
            self._writer.join()
        with suppress(sqlite3.Error):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._failure:
            raise LedgerError(f"the ledger {self.path} takes nothing more: {self._failure}") from self._failure
        if self._closing:
            raise LedgerError(f"the ledger {self.path} is closed")

    def _read(self, job: Job | None) -> Loaded:
        try:
            encoded, epoch = _kept(self._database, "job"), _kept(self._database, "epoch")
            rows = self._database.execute("SELECT number, entry, crc FROM entries ORDER BY number").fetchall()
            found = _job.decode(encoded or b"")
            entries = tuple(decode_entry(record) for _, record, _ in rows)
            wrong = [number for at, (number, record, crc) in enumerate(rows, 1) if number != at or crc32(record) != crc]
            if wrong:
                raise LedgerError(f"the record {wrong[0]} is not what was written, or one before it is missing")
        except (sqlite3.Error, msgspec.MsgspecError, MuError, TypeError, ValueError, OverflowError) as error:
            self._database.close()
            raise LedgerError(f"the ledger {self.path} is broken: {error}") from error
        if job is not None and job != found:
            self._database.close()
            raise LedgerError(f"the ledger {self.path} is that of the job {found.id}, not of {job.id}")
        return Loaded(found, entries, msgspec.msgpack.decode(epoch, type=int) if epoch else 0)

    def _write(self) -> None:
        """The writer's thread."""
        while True:
            with self._change:
                while not self._pending and not self._closing:
                    self._change.wait()
                if not self._pending:
                    return
                gather = not self._closing and len(self._pending) < _ENOUGH
            if gather:
                time.sleep(_GATHER_S)
            with self._change:
                records, self._pending = self._pending, []
            first = self._durable + 1
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    rows = ((number, record, crc32(record)) for number, record in enumerate(records, first))
                    self._database.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
                if self._copy:
                    self._copy(first, records)
            except Exception as error:  # noqa: BLE001  whatever it is, the shell hears of it from its next call
                self._failure = error
            with self._change:
                if not self._failure:
                    self._durable += len(records)
                self._change.notify_all()
            self._wake()
            if self._failure:
                return


def _open(path: Path, job: Job | None) -> sqlite3.Connection:
    try:
        # One thread at a time uses it: the shell's until the first entry, then the writer's.
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error}") from error
    try:
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        application, version, tables = (
            database.execute(query).fetchone()[0]
            for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
        )
        if job is not None and not (application or version or tables):
            for statement in _SCHEMA.split(";")[:-1]:
                database.execute(statement)
            encoded = msgspec.msgpack.encode(job)
            database.execute("INSERT INTO about VALUES ('job', ?, ?)", (encoded, crc32(encoded)))
            database.execute(f"PRAGMA application_id={_APPLICATION}")
            database.execute(f"PRAGMA user_version={VERSION}")
        elif application != _APPLICATION:
            raise LedgerError(f"{path} is no ledger")
        elif version != VERSION:
            raise LedgerError(f"the ledger {path} is of version {version}; this version of fastslow reads {VERSION}")
        database.execute("COMMIT")
    except sqlite3.Error as error:
        database.close()
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        what = "is open in another process: the job runs already" if busy else f"is broken: {error}"
        raise LedgerError(f"the ledger {path} {what}") from error
    except LedgerError:
        database.close()
        raise
    return database


def _kept(database: sqlite3.Connection, key: str) -> bytes | None:
    row = database.execute("SELECT value, crc FROM about WHERE key = ?", (key,)).fetchone()
    if row and crc32(row[0]) != row[1]:
        raise LedgerError(f"its {key} is not what was written")
    return bytes(row[0]) if row else None
