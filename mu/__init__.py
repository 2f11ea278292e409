"""Thousands of short-lived workers as one computer: jobs as data, a coordinator, messages between tasks."""

from mu.context import Context
from mu.errors import (
    BackendError,
    Disagreement,
    JobCancelled,
    JobError,
    JobFailed,
    LedgerError,
    Missing,
    Misuse,
    MuError,
    ProtocolError,
    Refused,
    TransferFailed,
    TryAgain,
)
from mu.job import Edge, Job, Limits, Task, argument

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
    "Missing",
    "Misuse",
    "MuError",
    "ProtocolError",
    "Refused",
    "Task",
    "TransferFailed",
    "TryAgain",
    "argument",
]
