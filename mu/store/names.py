"""What every store does, and how objects in it are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from mu.errors import JobError

__all__ = ["LARGEST_OBJECT", "Store", "check_name"]

LARGEST_OBJECT = 1 << 32
"""Bytes of an object that is read or written whole."""
_NAME = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*(/[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*)*\Z")
_LONGEST_NAME = 200


class Store(Protocol):
    """Objects by name (those of `mu.job`). Every method may be called from any thread.

    Raises JobError for what is no name, Missing, Refused, TransferFailed, or BackendError for what else the machine
    refuses.
    """

    def read(self, name: str, largest: int = LARGEST_OBJECT, wanted: bytes | None = None) -> memoryview:
        """An object of at most `largest` bytes, whole and checked; read-only.

        With `wanted` its digest must be that; TransferFailed says that it was not.
        """

    def write(self, name: str, payload: bytes | memoryview, found: bytes | None = None) -> None:
        """Make an object. It is kept when this returns. `found` is its digest, if it is known already."""

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""

    def holds(self, name: str, payload: bytes | memoryview) -> bool:
        """Whether there is such an object with these bytes, told by size and digest."""

    def size(self, name: str) -> int:
        """The bytes of an object."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """The names that begin so, sorted."""

    def delete(self, name: str) -> None:
        """Let an object go; that there is none is no error."""


def check_name(name: str) -> str:
    """The name, if it is one. Raises JobError."""
    if len(name) > _LONGEST_NAME or not _NAME.match(name):
        raise JobError(f"{name!r:.250} is no name of an object: parts of letters, digits and ._=+- with / between")
    return name
