"""What a worker's program may do besides computing. Whoever runs the program gives it one of these."""

from __future__ import annotations

from typing import Literal, Protocol

Stage = Literal["encode", "decode", "rebase"]


class Context(Protocol):
    """The world as a worker sees it. Every call may raise; a program that is run again from its start does no harm."""

    def fetch(self, name: str) -> memoryview:
        """Input of the job, by name; read-only."""

    def send(self, name: str, payload: bytes) -> None:
        """Give a message to the worker that waits for this name, now or later."""

    def receive(self, name: str) -> bytes:
        """Wait for a message by name. Others compute meanwhile."""

    def store(self, name: str, payload: bytes) -> None:
        """Hand over a result, by name."""

    def progress(self, stage: Stage, frames: float = 1) -> None:
        """Say that so many more frames went through a stage; the time since the last call was spent on it."""
