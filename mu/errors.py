"""What may go wrong with a job, and whose fault it is.

MuError
├── JobError            the caller: a job that cannot be, or a limit that makes no sense
├── Misuse              the caller: a program did what its task does not declare
├── ProtocolError       the peer: bytes or messages that have no meaning where they came
├── Disagreement        a program that ran twice and did not do the same twice
├── JobFailed           tasks failed; every failure is listed, what is finished is kept
├── JobCancelled        somebody cancelled the job; what is finished is kept
└── BackendError        the cloud, or this machine, refused: no worker could be started, no store reached
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mu.core.instructions import Failure

__all__ = [
    "BackendError",
    "Disagreement",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "Misuse",
    "MuError",
    "ProtocolError",
]


class MuError(Exception):
    """Base of every error that this package raises."""


class JobError(MuError):
    """A job that cannot be: names, edges or limits that make no sense."""


class Misuse(MuError):
    """A program did what its task does not declare."""


class ProtocolError(MuError):
    """Bytes or messages from the other side that have no meaning where they came."""


class Disagreement(MuError):
    """A program that ran twice did not send or store the same twice."""


class JobFailed(MuError):
    """Tasks failed. `failures` lists every one of them."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        first = failures[0] if failures else None
        more = f", and {len(failures) - 1} more tasks failed" if len(failures) > 1 else ""
        super().__init__(f"{first.task}: {first.reason}{more}" if first else "the job failed")


class JobCancelled(MuError):
    """Somebody cancelled the job."""


class BackendError(MuError):
    """No worker could be started, or the store not be reached."""
