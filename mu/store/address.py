"""Stores by their addresses."""

from __future__ import annotations

from mu.errors import JobError
from mu.store.names import Store

__all__ = ["open_store"]


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
