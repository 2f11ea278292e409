"""What the worker is called with: an invitation, as the coordinator's launcher writes it."""

from __future__ import annotations

from typing import Any

import msgspec

from mu.errors import JobError
from mu.wire import Invitation

__all__ = ["parse"]


def parse(event: dict[str, Any]) -> Invitation:
    """The invitation in an event. Raises JobError, whose text has nothing of the token."""
    try:
        invitation = msgspec.convert(event, Invitation)
    except msgspec.ValidationError as error:
        raise JobError(f"the event is no invitation to a job: {error}") from error
    if not invitation.store.startswith("s3://"):
        raise JobError("the event names no bucket: `store` must be s3://bucket/prefix")
    if invitation.code and not invitation.code.startswith("s3://"):
        raise JobError("the event names no bucket: `code` must be s3://bucket/prefix/digest")
    return invitation
