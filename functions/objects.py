"""Read objects of one S3 bucket as the functions do: few attempts, since somebody waits for the answer.

The requests are those of `mu.store.bucket`, without boto3 (docs/decisions/0012-functions-read-s3-without-boto3.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from functions.errors import Missing, Refused, TransferError
from mu import errors
from mu.store.bucket import Bucket

__all__ = ["Objects"]

_PATIENCE = 5.0  # seconds without a byte
_ATTEMPTS = 3
_PAUSE = 0.05  # seconds before the second attempt; each later one waits up to twice as long


class Objects:
    """The objects of a bucket, as the environment's credentials, region and endpoint let them be read."""

    def __init__(self, bucket: str) -> None:
        self._bucket = Bucket(bucket, attempts=_ATTEMPTS, pause=_PAUSE, patience=_PATIENCE)

    def read(self, key: str, largest: int, unless: str = "") -> tuple[bytes, str] | None:
        """An object of at most `largest` bytes and its ETag; None if its ETag is `unless`.

        Raises Missing, Refused, or TransferError once every attempt has failed.
        """
        with _told():
            return self._bucket.read(key, largest, unless)

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece, in one attempt; raises Missing, Refused or TransferError."""
        with _told():
            yield from self._bucket.stream(key)


@contextmanager
def _told() -> Iterator[None]:
    """Say in the functions' words what S3 refuses."""
    try:
        yield
    except errors.Missing as error:
        raise Missing(str(error)) from error
    except errors.Refused as error:
        raise Refused(str(error)) from error
    except errors.TransferFailed as error:
        raise TransferError(str(error)) from error
