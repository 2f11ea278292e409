"""Thousands of short-lived workers as one computer: jobs as data, a coordinator, messages between tasks."""

from mu.context import Context
from mu.errors import (
    BackendError,
    Disagreement,
    JobCancelled,
    JobError,
    JobFailed,
    Misuse,
    MuError,
    ProtocolError,
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
    "Limits",
    "Misuse",
    "MuError",
    "ProtocolError",
    "Task",
    "argument",
]
