"""What may go wrong with a job, and whose fault it is.

MuError
├── JobError            the caller: a job that cannot be, or a limit that makes no sense
├── Misuse              the caller: a program did what its task does not declare
├── ProtocolError       the peer: bytes or messages that have no meaning where they came
├── Disagreement        a program that ran twice and did not do the same twice
├── JobFailed           tasks failed; every failure is listed, what is finished is kept
├── MapFailed           the same of `mu.map`, whose results and failures go with its items
├── JobCancelled        somebody cancelled the job; what is finished is kept
├── TryAgain            a program says that another try may help
├── LedgerError         a journal that cannot be read, belongs to another job, or a disk that takes no more
└── BackendError        the cloud, or this machine, refused: no worker could be started, no store reached
    ├── Unreachable     no coordinator answered where there should be one
    ├── Missing         the store has no such object
    ├── Refused         the store forbids it, or what is asked of it is too large
    └── TransferFailed  the store did not answer, or broke off, or brought other bytes, however often it was tried

A program that raises has failed its task for good, unless the exception's class says `again = True`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mu.core.instructions import Failure

__all__ = [
    "BackendError",
    "Disagreement",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "LedgerError",
    "MapFailed",
    "Missing",
    "Misuse",
    "MuError",
    "ProtocolError",
    "Refused",
    "TransferFailed",
    "TryAgain",
    "Unreachable",
]


class MuError(Exception):
    """Base of every error that this package raises."""

    again = False
    """Whether a program that raises this may have more luck when it runs again."""


class JobError(MuError):
    """A job that cannot be: names, edges or limits that make no sense."""


class Misuse(MuError):
    """A program did what its task does not declare."""


class ProtocolError(MuError):
    """Bytes or messages from the other side that have no meaning where they came."""


class Disagreement(MuError):
    """A program that ran twice did not send or store the same twice."""


class JobFailed(MuError):
    """Tasks failed. `failures` lists every one of them, `objects` holds what the others stored."""

    def __init__(self, failures: Sequence[Failure], objects: Mapping[str, memoryview] = MappingProxyType({})) -> None:
        self.failures = tuple(failures)
        self.objects = objects
        first = failures[0] if failures else None
        more = f", and {len(failures) - 1} more tasks failed" if len(failures) > 1 else ""
        super().__init__(f"{first.task}: {first.reason}{more}" if first else "the job failed")
        _note(self, self.failures)


class MapFailed(MuError):
    """A function raised for some items, or no worker survived them.

    `results` has what came of each item in their order, None where it failed; `failures` says by the item's number why.
    """

    def __init__(self, results: Sequence[Any], failures: Mapping[int, Failure]) -> None:
        self.results, self.failures = list(results), dict(failures)
        number, first = next(iter(self.failures.items()))
        more = f"; {len(failures)} of {len(self.results)} items failed" if len(failures) > 1 else ""
        super().__init__(f"item {number}: {first.reason}{more}")
        _note(self, tuple(self.failures.values()))


def _note(error: MuError, failures: Sequence[Failure]) -> None:
    """Have who does not catch it see the first traceback, or why the first task's workers were lost."""
    if failures and failures[0].traceback:
        error.add_note(f"In {failures[0].task}:\n{failures[0].traceback.rstrip()}")
    elif failures and failures[0].tries:
        error.add_note("\n".join((f"Tries of {failures[0].task}:", *(f"  {each}" for each in failures[0].tries))))


class JobCancelled(MuError):
    """Somebody cancelled the job."""


class TryAgain(MuError):
    """A program raises this to be run again, by another worker, as long as its job has tries left."""

    again = True


class LedgerError(MuError):
    """A ledger that is broken, of another version or job, or in use, or a disk that takes no more."""


class BackendError(MuError):
    """No worker could be started, or the store not be reached."""


class Unreachable(BackendError):
    """No coordinator answered where there should be one."""


class Missing(BackendError):
    """The store has no such object."""


class Refused(BackendError):
    """The store forbids it, or what is asked of it is too large."""


class TransferFailed(BackendError):
    """The store did not answer, or broke off, or brought other bytes, however often it was tried."""

    again = True
