"""A film as an open file, wherever it lies: one in a bucket is read there, here and there, and not copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from mu import BackendError, JobError, Missing, TransferFailed
from pipelines.errors import InputError

if TYPE_CHECKING:
    from mu.store.ranged import Ranged


def is_object(path: str) -> bool:
    """Whether the film is an object of a bucket, `s3://bucket/key`, and no file."""
    return path.startswith("s3://")


def open_object(path: str, version: str = "") -> Ranged:
    """Open a film in a bucket; a `version` that is given, its ETag, must be the object's.

    Raises InputError for an object that is not there, may not be read, or was replaced; TransferFailed if another try
    may help. Reading raises the same.
    """
    from mu.store.ranged import Ranged  # here, since most films are files

    class Object(Ranged):
        """A film, whose errors are told as those of a film."""

        def read(self, size: int | None = -1, /) -> bytes:
            with _told(path):
                return super().read(size)

    with _told(path):
        return Object(path, version)


def open_bytes(path: str, version: str = "") -> BinaryIO:
    """Open a film, to look at its bytes."""
    return cast("BinaryIO", open_object(path, version)) if is_object(path) else open(path, "rb")


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What S3 refuses is wrong with the film."""
    try:
        yield
    except TransferFailed:
        raise
    except Missing as error:
        raise InputError(f"{path}: there is no such object") from error
    except (BackendError, JobError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
