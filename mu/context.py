"""What a program may do besides computing. Whoever runs the program gives it one of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mu.job import Task

__all__ = ["Context"]


class Context(Protocol):
    """The world as a program sees it. Every call may raise; a program that is run again from its start does no harm.

    Programs are deterministic: one that is run again sends and stores the same bytes. A call that the task does not
    declare raises Misuse.
    """

    def fetch(self, name: str) -> memoryview:
        """An object of the store; read-only."""

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """Make an object of the store. Others may have it at once."""

    def buffer(self, size: int) -> memoryview:
        """Memory to fill and then to store, which spares a copy where programs share a machine."""

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        """Give a message to another task, wherever and whenever that runs. It is on its way when this returns."""

    def receive(self, sender: str, name: str) -> memoryview:
        """Wait for a message of another task; read-only. Others may compute meanwhile."""

    def add(self, tasks: Sequence[Task]) -> None:
        """Add tasks to the job; returns when the job is ready for more. Tasks that it has already change nothing."""

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        """Say that so much more went through a stage; the time since the last call was spent on it.

        Of stages the first hundred that a job tells of are told apart, and all others are called `more`.
        """
