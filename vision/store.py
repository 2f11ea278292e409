"""The model store: a bucket that running functions read, and where a switch of models is one write.

    models/<name>/<version>.json   a manifest; written once, never changed
    blobs/<sha256>                 a model's file
    active/<task>.json             what runs: the manifest itself, and what ran before (see `Active`)

A function that starts needs two reads, active/<task>.json and the blob. The files are there before anything points at
them, so whoever reads in between sees the old model or the new one, whole.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from vision.bucket import Bucket, Conflict
from vision.errors import BadManifest, StoreError
from vision.manifest import LARGEST_MANIFEST, Manifest, Task, encode, parse

__all__ = [
    "LARGEST_ACTIVE",
    "Active",
    "Earlier",
    "activate",
    "active",
    "active_key",
    "blob_key",
    "parse_active",
    "publish",
    "published",
    "rollback",
]

LARGEST_ACTIVE = LARGEST_MANIFEST + (64 << 10)  # bytes
_REMEMBERED = 16  # earlier models
_TRIES = 5  # of a write, while others write


class Earlier(msgspec.Struct, frozen=True):
    """A model that ran before."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=32)]


class Active(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What active/<task>.json says: the model that runs, and those before it, the latest first."""

    manifest: Manifest
    earlier: Annotated[tuple[Earlier, ...], Meta(max_length=_REMEMBERED)] = ()


def blob_key(sha256: str) -> str:
    """Where a model's file is."""
    return f"blobs/{sha256}"


def active_key(task: str) -> str:
    """Where it says which model runs."""
    return f"active/{task}.json"


def _manifest_key(name: str, version: str) -> str:
    return f"models/{name}/{version}.json"


_ACTIVE = msgspec.json.Decoder(Active)


def parse_active(data: bytes) -> Active:
    """Read what active/<task>.json holds; raises BadManifest."""
    try:
        return _ACTIVE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"this does not say which model is active: {error}") from error


def publish(bucket: Bucket, manifest: Manifest, path: Path) -> None:
    """Put a model's file, then its manifest, into the bucket. Publishing the same again changes nothing.

    Raises StoreError if the file is not the manifest's, or another model has this name and version.
    """
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
            raise StoreError(f"{path} is not the file of {manifest}: its SHA-256 is another")
    if bucket.size(blob_key(manifest.sha256)) != manifest.bytes:
        bucket.upload(blob_key(manifest.sha256), path)
    key = _manifest_key(manifest.name, manifest.version)
    try:
        bucket.write(key, encode(manifest), replaces=None)
    except Conflict as error:
        held = bucket.read(key, LARGEST_MANIFEST)
        if held is None or parse(held[0]) != manifest:
            raise StoreError(
                f"s3://{bucket.name} has another {manifest}, and a version never changes: give this one a new version"
            ) from error


def published(bucket: Bucket) -> list[tuple[str, str]]:
    """The names and versions in the bucket."""
    found = []
    for key in bucket.names("models/"):
        parts = key.removesuffix(".json").split("/")
        if len(parts) == 3 and key.endswith(".json"):
            found.append((parts[1], parts[2]))
    return found


def active(bucket: Bucket, task: Task) -> Active | None:
    """What runs for `task`; None while nothing does."""
    held = bucket.read(active_key(task), LARGEST_ACTIVE)
    return None if held is None else parse_active(held[0])


def activate(bucket: Bucket, name: str, version: str) -> Active:
    """Let functions that run switch to a published model; they notice within a minute, and no request fails.

    Raises StoreError if it is not published, whole.
    """
    held = bucket.read(_manifest_key(name, version), LARGEST_MANIFEST)
    if held is None:
        here = ", ".join(" ".join(each) for each in published(bucket)) or "nothing"
        raise StoreError(f"s3://{bucket.name} has no {name} {version}; published is {here}")
    manifest = parse(held[0])
    if bucket.size(blob_key(manifest.sha256)) != manifest.bytes:
        raise StoreError(f"s3://{bucket.name} has the manifest of {manifest} but not its file: publish it again")
    for left in reversed(range(_TRIES)):
        before = bucket.read(active_key(manifest.task), LARGEST_ACTIVE)
        ran = None if before is None else parse_active(before[0])
        if ran and ran.manifest == manifest:
            return ran
        earlier = (Earlier(ran.manifest.name, ran.manifest.version), *ran.earlier) if ran else ()
        now = Active(manifest, earlier[:_REMEMBERED])
        try:
            _write(bucket, now, before and before[1])
        except Conflict:
            if not left:
                raise
        else:
            return now
    raise AssertionError("the last try returns or raises")


def rollback(bucket: Bucket, task: Task) -> Active:
    """Let functions switch back to the model that ran before; raises StoreError if none did."""
    before = bucket.read(active_key(task), LARGEST_ACTIVE)
    ran = None if before is None else parse_active(before[0])
    if before is None or ran is None or not ran.earlier:
        raise StoreError(f"s3://{bucket.name}: nothing ran for {task!r} before what runs now, so there is no way back")
    last = ran.earlier[0]
    held = bucket.read(_manifest_key(last.name, last.version), LARGEST_MANIFEST)
    if held is None:
        raise StoreError(f"s3://{bucket.name} no longer has {last.name} {last.version}: publish it again")
    manifest = parse(held[0])
    if bucket.size(blob_key(manifest.sha256)) != manifest.bytes:
        raise StoreError(f"s3://{bucket.name} has the manifest of {manifest} but not its file: publish it again")
    now = Active(manifest, ran.earlier[1:])
    _write(bucket, now, before[1])
    return now


def _write(bucket: Bucket, now: Active, replaces: str | None) -> None:
    bucket.write(active_key(now.manifest.task), msgspec.json.encode(now, order="deterministic"), replaces=replaces)
