"""Who starts workers: a seam. What starts them on this machine is in `processes`, functions in the cloud elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mu.errors import BackendError
from mu.wire import Invitation

__all__ = ["LaunchRefused", "Launcher"]


class LaunchRefused(BackendError):
    """A worker could not be started; for `wait_s` seconds it is no use to try (0: it may be tried at once)."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(reason)


class Launcher(Protocol):
    """Starts workers and ends them. Thousands of calls run beside each other: it bounds itself what it does at once."""

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        """Start a worker. Returns when it is on its way; raises BackendError (LaunchRefused) if it cannot be.

        `ended` may be called, in the loop, with the reason when it is known that the worker is there no more.
        """

    async def cancel(self, worker: int) -> None:
        """The worker is not wanted any more: end it, if that can be done. It was told, if it was connected."""

    async def close(self) -> None:
        """The job is over: end whatever is left, and let go of what is held."""
