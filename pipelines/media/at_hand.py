"""A film as a file of this machine, wherever it lies: FFmpeg reads here and there in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mu import BackendError, JobError, Missing, TransferFailed
from pipelines.errors import InputError


@contextmanager
def at_hand(path: str) -> Iterator[str]:
    """The path of the film's file; that of `s3://bucket/key` is a copy, as long as the context lasts.

    Raises InputError for an object that is not there, may not be read, or has no room here; TransferFailed if another
    try may help.
    """
    if not path.startswith("s3://"):
        yield path
        return
    from mu.store.s3 import download  # here, since most films are files

    with tempfile.TemporaryDirectory(prefix="fastslow-") as folder:
        copy = Path(folder, f"film{PurePosixPath(path).suffix}")
        try:
            download(path, copy)
        except TransferFailed:
            raise
        except Missing as error:
            raise InputError(f"{path}: there is no such object") from error
        except (BackendError, JobError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        yield str(copy)
