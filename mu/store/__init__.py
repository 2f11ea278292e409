"""Where a job's objects are: a folder here, a bucket there. Objects never change; whoever writes one twice writes the
same bytes.

Whatever a program is killed in the middle of, an object is there whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from mu.errors import JobError

__all__ = ["LARGEST_OBJECT", "Store", "check_name", "open_store"]

LARGEST_OBJECT = 1 << 32
"""Bytes of an object that is read or written whole."""
_NAME = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*(/[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*)*\Z")
_LONGEST_NAME = 200


class Store(Protocol):
    """Objects by name (those of `mu.job`). Every method may be called from any thread.

    Raises JobError for what is no name, Missing, Refused, TransferFailed, or BackendError for what else the machine
    refuses.
    """

    def read(self, name: str, largest: int = LARGEST_OBJECT) -> memoryview:
        """An object of at most `largest` bytes, whole and checked; read-only."""

    def write(self, name: str, payload: bytes | memoryview) -> None:
        """Make an object. It is kept when this returns."""

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""

    def size(self, name: str) -> int:
        """The bytes of an object."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """The names that begin so, sorted."""

    def delete(self, name: str) -> None:
        """Let an object go; that there is none is no error."""


def open_store(url: str) -> Store:
    """The store of `s3://bucket/prefix`, or of a folder by its path. Raises JobError for another kind of address."""
    if url.startswith("s3://"):
        from mu.store.s3 import S3Store  # here and below: a worker starts sooner without the other one

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix)
    if "://" in url or not url:
        raise JobError(f"{url!r} is no store: name a folder, or s3://bucket/prefix")
    from mu.store.folder import FolderStore

    return FolderStore(url)


def check_name(name: str) -> str:
    """The name, if it is one. Raises JobError."""
    if len(name) > _LONGEST_NAME or not _NAME.match(name):
        raise JobError(f"{name!r:.250} is no name of an object: parts of letters, digits and ._=+- with / between")
    return name
