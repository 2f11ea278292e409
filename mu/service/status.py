"""What became of a job, as anybody reads it: `jobs/ID/status.json`."""

from __future__ import annotations

from typing import Literal

import msgspec

from mu.errors import JobError
from mu.record import Counts

__all__ = ["OVER", "Status", "decode_status", "encode_status"]

OVER = ("done", "failed", "cancelled", "refused")
"""States of a job that nothing happens to any more, unless it is asked for once more."""


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are in seconds since 1970."""

    id: str
    name: str = ""
    state: Literal["queued", "running", "done", "failed", "cancelled", "refused"]
    reason: str = ""
    submitted: float = 0.0
    """When it was asked for: what was asked before means no more than this."""
    began: float = 0.0
    updated: float = 0.0
    epoch: int = 0
    """How often a coordinator took it up."""
    launched: int = 0
    """Workers that were started, those of earlier coordinators too."""
    worker_s: float = 0.0
    """Seconds that workers were there, all together, lost ones too: what they cost."""
    wall_s: float = 0.0
    """Seconds for which coordinators had it."""
    objects: int = 0
    """Stored, some more than once; large messages among them."""
    message_bytes: int = 0
    """Of those that went through the coordinator."""
    dollars: float | None = None
    """What all that cost so far, by list prices, if the coordinator was told those."""
    counts: Counts | None = None
    """Since the last coordinator took it up, but for tasks, those committed and failures, which are the job's."""


_status = msgspec.json.Decoder(Status)


def encode_status(status: Status) -> bytes:
    """A status as it lies in the bucket."""
    return msgspec.json.encode(status)


def decode_status(data: bytes) -> Status:
    """What `encode_status` made. Raises JobError."""
    try:
        return _status.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise JobError(f"this is no status: {error}") from error
