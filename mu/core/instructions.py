"""What the coordinator of a job wants done, in this order."""

from __future__ import annotations

from typing import Literal

import msgspec

from mu.job import Key, Task

__all__ = [
    "Assign",
    "Deliver",
    "Drop",
    "Ended",
    "Entry",
    "Failure",
    "Forget",
    "Instruction",
    "Launch",
    "MessageWhole",
    "ObjectMade",
    "Outcome",
    "Release",
    "Remember",
    "Resumed",
    "Retract",
    "Room",
    "Stop",
    "TaskAdded",
    "TaskBegun",
    "TaskCommitted",
    "TaskFailed",
    "TryLost",
]


class Launch(msgspec.Struct, frozen=True, tag=True):
    """Start a worker and give it this number. It connects, or it is reported by LaunchFailed, or time runs out."""

    worker: int


class Assign(msgspec.Struct, frozen=True, tag=True):
    """Let a worker run a task's program."""

    worker: int
    run: int
    task: Task


class Deliver(msgspec.Struct, frozen=True, tag=True):
    """Give a run the message that it waits for, as it comes, or as it is."""

    worker: int
    run: int
    key: Key


class Retract(msgspec.Struct, frozen=True, tag=True):
    """What was delivered of this message is void: its sender was lost. It will be delivered again."""

    worker: int
    run: int
    key: Key


class Room(msgspec.Struct, frozen=True, tag=True):
    """Tell a run that adds tasks to go on."""

    worker: int
    run: int


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End a run, and its worker with it. What it still says means nothing."""

    worker: int
    reason: str


class Release(msgspec.Struct, frozen=True, tag=True):
    """Let a worker that has nothing to do go."""

    worker: int


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Nobody needs this message any more."""

    key: Key


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Nobody needs this object any more."""

    name: str


class TaskAdded(msgspec.Struct, frozen=True, tag=True):
    """A task joined the job."""

    task: Task


class TaskBegun(msgspec.Struct, frozen=True, tag=True):
    """A worker was given a task: it may come back to another coordinator with it."""

    task: str
    worker: int
    run: int


class ObjectMade(msgspec.Struct, frozen=True, tag=True):
    """An object is in the store."""

    task: str
    name: str
    size: int
    digest: bytes


class MessageWhole(msgspec.Struct, frozen=True, tag=True):
    """A message is there."""

    key: Key
    size: int
    digest: bytes
    stored: bool = False
    """Whether its bytes lie in the store."""


class TaskCommitted(msgspec.Struct, frozen=True, tag=True):
    """A task is done."""

    task: str


class TryLost(msgspec.Struct, frozen=True, tag=True):
    """A run of a task was lost."""

    task: str
    reason: str
    run: int = 0
    """Its number; 0 is none."""


class Failure(msgspec.Struct, frozen=True, tag=True):
    """A task that will not be done."""

    task: str
    reason: str
    traceback: str = ""
    tries: tuple[str, ...] = ()
    """Why its earlier runs were lost."""


class TaskFailed(msgspec.Struct, frozen=True, tag=True):
    """A task will not be done."""

    failure: Failure


class Outcome(msgspec.Struct, frozen=True, tag=True):
    """How a job ended."""

    kind: Literal["done", "failed", "cancelled"]
    committed: int
    failures: tuple[Failure, ...] = ()
    reason: str = ""


class Resumed(msgspec.Struct, frozen=True, tag=True):
    """The job goes on although it was over: lost tries, failures and the outcome before this are void."""


Entry = TaskAdded | TaskBegun | ObjectMade | MessageWhole | TaskCommitted | TryLost | TaskFailed | Outcome | Resumed
"""What the ledger keeps, so that another coordinator can go on."""


class Remember(msgspec.Struct, frozen=True, tag=True):
    """Keep this. Forget, Drop and Ended that come after it are done when it is on the disk."""

    entry: Entry


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The job is over; every worker has been stopped or released."""

    outcome: Outcome


Instruction = Launch | Assign | Deliver | Retract | Room | Stop | Release | Forget | Drop | Remember | Ended
