"""A codec that functions take from the store instead of the one in their layer: an update without a deployment.

    blobs/<sha256>              the package `codec` of `python -m layers.build`, compiled for one architecture
    active/codec-<machine>.json which of them run, the first now and the others before it (see `Updates`)

An environment takes what is first when it begins; one that has imported a codec keeps it.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pipelines.errors import InputError, SettingsError
from vision.bucket import Bucket
from vision.manifest import Sha256
from vision.store import active_key, blob_key

__all__ = [
    "LARGEST_UPDATES",
    "Machine",
    "Update",
    "Updates",
    "parse",
    "publish",
    "read_updates",
    "rollback",
    "updates_key",
]

LARGEST_UPDATES = 64 << 10  # bytes
_REMEMBERED = 16
_LARGEST = 64 << 20  # bytes of a codec, packed or not
_ENTRY = "python/codec/__init__.py"

Machine = Literal["aarch64", "x86_64"]


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A packed codec: its hash, its bytes, and those of its files."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=_LARGEST)]
    unpacked: Annotated[int, Meta(ge=1, le=_LARGEST)]


class Updates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The codecs of an architecture, the one that runs first; with none, the layer's own runs."""

    updates: Annotated[tuple[Update, ...], Meta(max_length=_REMEMBERED)] = ()


_DECODER = msgspec.json.Decoder(Updates)


def updates_key(machine: str) -> str:
    """Where it says which codec runs on an architecture."""
    return active_key(f"codec-{machine}")


def parse(data: bytes) -> Updates:
    """Read what `updates_key` names; raises InputError."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this does not say which codec runs: {error}") from error


def read_updates(bucket: Bucket, machine: Machine) -> tuple[Updates, str | None]:
    """What runs on an architecture, and the ETag that a change has to name; raises StoreError or InputError."""
    held = bucket.read(updates_key(machine), LARGEST_UPDATES)
    return (parse(held[0]), held[1]) if held else (Updates(), None)


def publish(bucket: Bucket, machine: Machine, path: Path) -> Update:
    """Let environments that begin from now on take this codec; raises InputError unless it is one for `machine`."""
    update = _described(path, machine)
    if bucket.size(blob_key(update.sha256)) != update.bytes:
        bucket.upload(blob_key(update.sha256), path)
    before, etag = read_updates(bucket, machine)
    if update not in before.updates[:1]:
        _write(bucket, machine, Updates((update, *before.updates)[:_REMEMBERED]), etag)
    return update


def rollback(bucket: Bucket, machine: Machine) -> Update | None:
    """Let environments take the codec before this one; None is the layer's own. Raises SettingsError if that runs."""
    before, etag = read_updates(bucket, machine)
    if not before.updates:
        raise SettingsError(f"on {machine} functions run the codec of their layer: there is nothing to take back")
    _write(bucket, machine, Updates(before.updates[1:]), etag)
    return before.updates[1] if len(before.updates) > 1 else None


def _write(bucket: Bucket, machine: Machine, updates: Updates, replaces: str | None) -> None:
    bucket.write(updates_key(machine), msgspec.json.encode(updates), replaces=replaces)


def _described(path: Path, machine: Machine) -> Update:
    try:
        with zipfile.ZipFile(path) as zipped:
            entries = {entry.filename: entry.file_size for entry in zipped.infolist()}
        data = path.read_bytes()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {error}") from error
    compiled = [name for name in entries if f"/_compiled/{machine}" in name and name.endswith(".so")]
    if _ENTRY not in entries or not compiled:
        raise InputError(
            f"{path} is no codec compiled for {machine}: `python -m layers.build --only codec --arch ...` makes one"
        )
    if max(len(data), sum(entries.values())) > _LARGEST:
        raise InputError(f"{path} is larger than the {_LARGEST:,} bytes of a codec")
    return Update(hashlib.sha256(data).hexdigest(), len(data), sum(entries.values()))
