"""What the coordinator of a job is told. The shell around it has checked that each is from whom it says."""

from __future__ import annotations

import msgspec

from mu.job import Key, Task

__all__ = [
    "Added",
    "Arrived",
    "Cancelled",
    "Connected",
    "Disconnected",
    "Event",
    "Finished",
    "Heard",
    "LaunchFailed",
    "Limited",
    "Raised",
    "Reconnected",
    "Sending",
    "Stored",
    "TimePassed",
    "Waits",
]


class Connected(msgspec.Struct, frozen=True, tag=True):
    """A worker is there and has nothing to do."""

    worker: int


class Reconnected(msgspec.Struct, frozen=True, tag=True):
    """A worker that is at a task is there (again): its connection broke, or the coordinator was another."""

    worker: int
    run: int
    task: str


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """A worker's connection broke. `gone` says that it cannot come back."""

    worker: int
    reason: str
    gone: bool = False


class LaunchFailed(msgspec.Struct, frozen=True, tag=True):
    """A worker could not be started; `wait_s` says for how long it is no use to try (0: at once)."""

    worker: int
    reason: str
    wait_s: float = 0.0


class Heard(msgspec.Struct, frozen=True, tag=True):
    """A worker is alive."""

    worker: int


class Sending(msgspec.Struct, frozen=True, tag=True):
    """The first part of a large message is there. It may go on to who waits for it, as it comes."""

    run: int
    key: Key


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """A message is there, whole."""

    run: int
    key: Key
    size: int
    digest: bytes
    stored: bool = False
    """Whether its bytes lie in the store, and did not come to the coordinator."""


class Waits(msgspec.Struct, frozen=True, tag=True):
    """A program cannot go on without this message."""

    run: int
    key: Key


class Stored(msgspec.Struct, frozen=True, tag=True):
    """An object is in the store."""

    run: int
    name: str
    size: int
    digest: bytes


class Added(msgspec.Struct, frozen=True, tag=True):
    """A program adds tasks, and waits until there is room for more."""

    run: int
    tasks: tuple[Task, ...]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """A program came to its end, and all that it sent and stored is there."""

    run: int


class Raised(msgspec.Struct, frozen=True, tag=True):
    """A program raised; `again` if it says itself that another try may help."""

    run: int
    reason: str
    traceback: str = ""
    again: bool = False


class Limited(msgspec.Struct, frozen=True, tag=True):
    """The job may have so many workers from now on."""

    workers: int


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """Somebody wants the job to end."""

    reason: str = "cancelled"


class TimePassed(msgspec.Struct, frozen=True, tag=True):
    """Nothing happened but that a deadline has come."""


Event = (
    Connected
    | Reconnected
    | Disconnected
    | LaunchFailed
    | Heard
    | Sending
    | Arrived
    | Waits
    | Stored
    | Added
    | Finished
    | Raised
    | Limited
    | Cancelled
    | TimePassed
)
