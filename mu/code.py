"""What a job takes along to workers elsewhere: the source of the modules that are its own.

A MessagePack of modules by name, known by its SHA-256. It is text: nothing of it is unpacked to a disk or unpickled
(docs/decisions/0027-a-job-takes-its-source-along.md). `mu.away.sources` gathers it, `mu.worker.code` runs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from mu.errors import JobError

__all__ = ["LARGEST_CODE", "Module", "code_digest", "decode_code", "encode_code"]

LARGEST_CODE = 10_000_000
"""Bytes."""

ModuleName = Annotated[str, Meta(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*\Z", max_length=200)]


class Module(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A module's source, and whether it is a package."""

    source: str
    package: bool = False


_code = msgspec.msgpack.Decoder(dict[ModuleName, Module])
_encode = msgspec.msgpack.Encoder(order="sorted").encode


def encode_code(modules: Mapping[str, Module]) -> bytes:
    """Modules as they are sent, the same bytes for the same modules. Raises JobError if they are too large."""
    made = _encode(dict(modules))
    if len(made) > LARGEST_CODE:
        largest = sorted(modules, key=lambda name: -len(modules[name].source))[:3]
        raise JobError(
            f"the modules that the job takes along have {len(made):,} bytes, and {LARGEST_CODE:,} at most: "
            f"{', '.join(largest)} are the largest; data belongs into `inputs`"
        )
    return made


def decode_code(data: bytes | memoryview, digest: str) -> dict[str, Module]:
    """What `encode_code` made, if it has this digest. Raises JobError."""
    if (found := code_digest(data)) != digest:
        raise JobError(f"the job's code is {digest[:16]}..., and what came is {found[:16]}...")
    try:
        return _code.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise JobError(f"the job's code cannot be read: {error}") from error


def code_digest(data: bytes | memoryview) -> str:
    """The digest by which it is known."""
    return hashlib.sha256(data).hexdigest()
