"""Thousands of short-lived workers as one computer: jobs as data, a coordinator, messages between tasks."""

from mu.backend import run
from mu.context import Context
from mu.errors import (
    BackendError,
    Disagreement,
    JobCancelled,
    JobError,
    JobFailed,
    LedgerError,
    MapFailed,
    Missing,
    Misuse,
    MuError,
    ProtocolError,
    Refused,
    TransferFailed,
    TryAgain,
    Unreachable,
)
from mu.job import Edge, Job, Limits, Task, argument
from mu.mapping import map  # noqa: A004

__all__ = [
    "BackendError",
    "Context",
    "Disagreement",
    "Edge",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "LedgerError",
    "Limits",
    "MapFailed",
    "Missing",
    "Misuse",
    "MuError",
    "ProtocolError",
    "Refused",
    "Task",
    "TransferFailed",
    "TryAgain",
    "Unreachable",
    "argument",
    "map",
    "run",
]
