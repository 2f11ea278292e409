"""A cache under /tmp of what models and binaries a function needs, by their SHA-256.

What is in it under a name is whole and has that hash: it is written beside its place, checked, and renamed. However
many threads ask for the same, one of them fetches it and the others wait. A budget bounds it; what was used longest ago
goes first, and what is leased never goes.

    folder/<sha256>          a file
    folder/<sha256>.tree     a zip with that hash, unpacked
    folder/.<name>.<process>.<number>.part  being made; parts of processes that are gone are swept away

A folder belongs to one process at a time, as an environment's /tmp does.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

from functions.errors import CacheFull, Damaged, TransferError

__all__ = ["Cache", "Counts", "Lease", "Read"]

Read = Callable[[], Iterable[bytes]]
"""Begins a download: gives the bytes piece by piece; raises TransferError where it breaks."""

ATTEMPTS = 3
_PAUSE = 0.1  # seconds before the second attempt; each later one waits twice as long
_LONGEST_RUN = 15 * 60  # of a Lambda function, in seconds
_NAME = re.compile(r"[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Counts:
    """What a cache has done so far."""

    hits: int = 0  # it was here
    misses: int = 0  # it had to be fetched
    shared: int = 0  # another thread was fetching it already
    broken: int = 0  # downloads that broke off or brought other bytes
    evicted: int = 0
    fetched_bytes: int = 0


@dataclass
class _Entry:
    path: Path
    size: int
    used: int
    checked: bool  # its bytes were hashed by this process
    seen: tuple[int, int] = (0, 0)  # size and time of change, when it was checked
    leases: int = 0


class Lease:
    """The right to use an entry: until it is released, `path` stays. A context; releasing twice does no harm."""

    def __init__(self, path: Path, release: Callable[[], None]) -> None:
        self.path = path
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the entry free: it may be evicted from now on."""
        release, self._release = self._release, None
        if release:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Cache:
    """The cache in `folder` with at most `budget` bytes in it. All methods may be called from any thread."""

    def __init__(self, folder: Path, budget: int, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self.folder = folder
        self.budget = budget
        self._sleep = sleep
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._making: dict[str, Future[None]] = {}
        self._reserved = 0  # bytes of what is being made
        self._counts = dict.fromkeys(Counts.__dataclass_fields__, 0)
        self._clock = count(1)
        folder.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def counts(self) -> Counts:
        """What has happened so far."""
        with self._lock:
            return Counts(**self._counts)

    def size(self) -> int:
        """The bytes in the cache, those being fetched included."""
        with self._lock:
            return self._size()

    def file(self, sha256: str, size: int, read: Read) -> Lease:
        """Lease the file with this hash and size; `read` is called if it is not here.

        Raises CacheFull, or what `read` raises once every attempt has failed (Damaged for other bytes).
        """
        return self._lease(_checked(sha256), size, lambda part: self._fetch(sha256, size, read, part))

    def tree(self, sha256: str, size: int, unpacked: int, read: Read) -> Lease:
        """Lease the folder that the zip with this hash and size unpacks to, of at most `unpacked` bytes.

        Raises as `file` does, and Damaged for a zip that is larger than it says, or would write outside its folder.
        """

        def make(part: Path) -> None:
            packed = part.with_name(f"{part.name}.zip.part")
            try:
                self._fetch(sha256, size, read, packed)
                _unpack(packed, part, unpacked)
            finally:
                packed.unlink(missing_ok=True)

        return self._lease(f"{_checked(sha256)}.tree", size + unpacked, make)

    def _lease(self, key: str, room: int, make: Callable[[Path], None]) -> Lease:
        waited = False
        while True:
            with self._lock:
                entry = self._entries.get(key)
                if entry and self._is_sound(key, entry):
                    self._counts["shared" if waited else "hits"] += 1
                    return self._leased(entry)
                making = self._making.get(key)
                if making is None:
                    made = self._making[key] = Future[None]()
                    break
            making.result()  # raises what the other thread ran into
            waited = True
        try:
            lease = self._made(key, room, make)
        except BaseException as error:
            with self._lock:
                del self._making[key]
            made.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
        made.set_result(None)
        return lease

    def _made(self, key: str, room: int, make: Callable[[Path], None]) -> Lease:
        """Make an entry and lease it, after one more try without what can go when the disk itself is full."""
        with self._lock:
            self._counts["misses"] += 1
            self._make_room(room)
            self._reserved += room
            number = next(self._clock)
        part = self.folder / f".{key}.{os.getpid()}.{number}.part"
        path = self.folder / key
        try:
            try:
                make(part)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                _remove(part)
                with self._lock:
                    self._evict(lambda: False)
                make(part)
            with self._lock:
                _remove(path)
                part.rename(path)
                entry = _Entry(path, _weight(path), number, True, _stamp(path))
                self._entries[key] = entry
                self._reserved -= room  # in one step with the entry, or both would count
                room = 0
                return self._leased(entry)
        except OSError as error:
            if error.errno in _FULL:
                raise self._full(room, f"{self.folder} is on a full disk") from error
            raise
        finally:
            _remove(part)
            with self._lock:
                self._reserved -= room

    def _fetch(self, sha256: str, size: int, read: Read, part: Path) -> None:
        """Download into `part`, with another attempt when it breaks off or other bytes come."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _create(part) as file:
                    fetched = _copy(read(), file, sha256, size)
            except TransferError:
                with self._lock:
                    self._counts["broken"] += 1
                if attempt == ATTEMPTS:
                    raise
                self._sleep(_PAUSE * 2 ** (attempt - 1))
            else:
                with self._lock:
                    self._counts["fetched_bytes"] += fetched
                return

    # Below, the lock is held.

    def _size(self) -> int:
        return self._reserved + sum(entry.size for entry in self._entries.values())

    def _leased(self, entry: _Entry) -> Lease:
        entry.leases += 1
        entry.used = next(self._clock)

        def release() -> None:
            with self._lock:
                entry.leases -= 1

        return Lease(entry.path, release)

    def _is_sound(self, key: str, entry: _Entry) -> bool:
        """Whether the entry is still what was checked; if not, it is forgotten and will be fetched again."""
        try:
            stamp = _stamp(entry.path)
            if not entry.checked:  # an earlier process left it
                with entry.path.open("rb") as file:
                    entry.checked = hashlib.file_digest(file, "sha256").hexdigest() == key
                entry.seen = stamp
            if entry.checked and stamp == entry.seen:
                return True
        except OSError:
            pass
        del self._entries[key]
        if not entry.leases:
            _remove(entry.path)
        return False

    def _make_room(self, room: int) -> None:
        """Evict until `room` bytes more keep within the budget; if they cannot, evict nothing and raise CacheFull."""
        held = self._reserved + sum(entry.size for entry in self._entries.values() if entry.leases)
        if held + room > self.budget:
            raise self._full(room, f"{held:,} bytes of the {self.budget:,} that it may hold are in use")
        self._evict(lambda: self._size() + room <= self.budget)

    def _evict(self, enough: Callable[[], bool]) -> None:
        idle = [(entry.used, key) for key, entry in self._entries.items() if not entry.leases]
        for _, key in sorted(idle):
            if enough():
                return
            _remove(self._entries.pop(key).path)
            self._counts["evicted"] += 1

    def _full(self, room: int, why: str) -> CacheFull:
        free = shutil.disk_usage(self.folder).free
        return CacheFull(
            f"no room for {room:,} bytes in {self.folder}: {why}, and the disk has {free:,} free; "
            f"give the function a larger /tmp, or a smaller model"
        )

    def _sweep(self) -> None:
        """Take over what an earlier process left: files, to be checked when they are asked for."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.lstat().st_mtime):
            if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                self._entries[path.name] = _Entry(path, path.stat().st_size, next(self._clock), False)
            elif path.name.endswith(".part"):
                if not _is_being_made(path):
                    _remove(path)
            elif path.name.endswith(".tree"):
                _remove(path)  # its hash is of a zip that is gone
        self._evict(lambda: self._size() <= self.budget)


def _is_being_made(part: Path) -> bool:
    """Whether the process whose part this is may still be at it: another one, alive, and not for too long."""
    match = re.search(r"\.(\d{1,9})\.\d+\.part", part.name)
    if not match or int(match[1]) == os.getpid():
        return False
    try:
        os.kill(int(match[1]), 0)
    except OSError:
        return False
    return time.time() - part.lstat().st_mtime < _LONGEST_RUN


def _checked(sha256: str) -> str:
    if not _NAME.fullmatch(sha256):
        raise ValueError(f"a SHA-256 has 64 lower-case hexadecimal digits, not {sha256!r:.80}")
    return sha256


def _create(path: Path) -> BinaryIO:
    return path.open("wb")


def _copy(pieces: Iterable[bytes], file: BinaryIO, sha256: str, size: int) -> int:
    """Write what comes and say how much it was; raises Damaged unless it is `size` bytes with this hash."""
    digest = hashlib.sha256()
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > size:
            raise Damaged(f"{sha256} should be {size:,} bytes, and more came")
        digest.update(piece)
        file.write(piece)
    if length < size:
        raise Damaged(f"{sha256} should be {size:,} bytes, and ended after {length:,}")
    if digest.hexdigest() != sha256:
        raise Damaged(f"{sha256} was asked for, and {digest.hexdigest()} came")
    return length


def _unpack(packed: Path, folder: Path, limit: int) -> None:
    """Unpack a zip whose files are no larger than `limit` together."""
    for name, data in _unpacked(packed, limit):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with _create(target) as file:
            file.write(data)


def _unpacked(packed: Path, limit: int) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a zip; raises Damaged for what is none, is too large, or would write outside its folder."""
    try:
        with zipfile.ZipFile(packed) as zipped:
            entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > limit:
                raise Damaged(f"{packed.name} unpacks to more than {limit:,} bytes")
            contents = [(PurePosixPath(entry.filename), zipped.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise Damaged(f"{packed.name} is no zip that can be unpacked: {error}") from error
    for name, data in contents:
        if name.is_absolute() or ".." in name.parts:
            raise Damaged(f"{packed.name} would write outside its folder: {str(name)!r:.200}")
        yield name, data


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _weight(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
