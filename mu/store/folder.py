"""A store in a folder of this machine: a file for each object, written beside its place and renamed."""

from __future__ import annotations

import errno
import mmap
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mu.digest import digest
from mu.errors import BackendError, Missing, Refused, TransferFailed
from mu.store.names import LARGEST_OBJECT, check_name

__all__ = ["FolderStore"]

_BEGINNING = re.compile(r"([A-Za-z0-9_=+-][A-Za-z0-9._=+/-]*)?\Z")
_TRIES = 3  # of a write, while others delete folders
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class FolderStore:
    """The store in `folder`, which is made when it is first written to.

    With `durable` a write returns when the object is on the disk, so that it outlives the machine's next crash.
    """

    def __init__(self, folder: str | Path, *, durable: bool = False) -> None:
        self.folder = Path(folder)
        self._durable = durable

    def read(self, name: str, largest: int = LARGEST_OBJECT, wanted: bytes | None = None) -> memoryview:
        """See `Store`. The file is mapped, not copied."""
        with _told(self._path(name)) as path, path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > largest:
                raise Refused(f"{path} is larger than the {largest:,} bytes that are read")
            view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b"")
            if wanted is not None and digest(view) != wanted:
                raise TransferFailed(f"{path}: other bytes came than were written")
            return view

    def write(self, name: str, payload: bytes | memoryview, found: bytes | None = None) -> None:
        """See `Store`."""
        place = self._path(name)
        for left in reversed(range(_TRIES)):
            with _told(place) as path:
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.parent / f".{secrets.token_hex(8)}.part"  # no object's name begins with a dot
                try:
                    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                except FileNotFoundError:
                    if not left:
                        raise
                    continue  # somebody deleted the folder just now
                try:
                    with open(descriptor, "wb", buffering=0) as file:
                        view = memoryview(payload).cast("B")
                        while len(view):
                            view = view[file.write(view) or 0 :]
                        if self._durable:
                            os.fsync(descriptor)
                    part.replace(path)
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise
                if self._durable:
                    _sync(path.parent)
                return

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self._path(name).is_file()

    def holds(self, name: str, payload: bytes | memoryview) -> bool:
        """See `Store`."""
        return self.exists(name) and digest(self.read(name)) == digest(payload)

    def size(self, name: str) -> int:
        """See `Store`."""
        with _told(self._path(name)) as path:
            if path.is_dir():
                raise Missing(f"{path}: is a folder")
            return path.stat().st_size

    def list(self, prefix: str = "") -> Iterator[str]:
        """See `Store`."""
        if not _BEGINNING.match(prefix) or ".." in prefix.split("/"):
            return  # no object is called so
        top = self.folder / prefix.rpartition("/")[0]
        found = []
        for folder, folders, files in os.walk(top):
            folders[:] = [each for each in folders if not each.startswith(".")]
            relative = Path(folder).relative_to(self.folder).as_posix()
            start = "" if relative == "." else f"{relative}/"
            found += [start + each for each in files if not each.startswith(".")]
        yield from sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """See `Store`. Folders that are empty then go, too."""
        with suppress(Missing), _told(self._path(name)) as path:
            path.unlink()
            for parent in path.parents:
                if parent == self.folder:
                    break
                try:
                    parent.rmdir()
                except OSError:  # something else is in it
                    break

    def _path(self, name: str) -> Path:
        return self.folder / check_name(name)


@contextmanager
def _told(path: Path) -> Iterator[Path]:
    """Say in the words of `mu.errors` what the system refuses."""
    try:
        yield path
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise Missing(f"{path}: is not there") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.EEXIST):
            raise Refused(f"{path}: {error.strerror}") from error
        raise BackendError(f"{path}: {error.strerror}") from error


def _sync(folder: Path) -> None:
    """See to it that a rename outlives the machine's next crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
