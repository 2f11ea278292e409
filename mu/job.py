"""A job is data: tasks, each with a program, its argument, and whom it talks to. None of it runs here.

    task a ──message──> task b          b may run while it waits for the message
    task a ──object───> store ──> c     c starts when all the objects that it fetches are there

Messages and objects form no circle: who waits, waits for one that comes before it.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mu.errors import JobError

__all__ = ["LARGEST_ARGUMENT", "MESSAGES", "PLAIN", "Edge", "Job", "Key", "Limits", "Task", "argument"]

_PART = r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*"
Name = Annotated[str, Meta(pattern=rf"^{_PART}(/{_PART})*\Z", max_length=200)]
"""Of a task, a message or an object: parts of letters, digits and `._=+-` with `/` between; none begins with a dot."""
Made = Annotated[str, Meta(pattern=rf"^{_PART}(/{_PART})*/?\Z", max_length=200)]
"""An object, or with `/` at its end all objects that begin so."""
Program = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z", max_length=200)]
"""`package.module:function`, called with a context and the task's argument."""

MESSAGES = "messages"
"""Objects whose names begin with this part are mu's own: large messages on their way."""
Digest = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""A SHA-256 in hexadecimal; empty for nothing."""

LARGEST_ARGUMENT = 1 << 18
"""Bytes: what is larger belongs into the store."""


class Edge(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One end of a message: the task at the other end, and the message's name."""

    task: Name
    name: Name


class Key(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A message of a job."""

    sender: Name
    receiver: Name
    name: Name


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of a job."""

    name: Name
    program: Program
    argument: msgspec.Raw = msgspec.Raw(b"\xc0")
    """A MessagePack of the program's second parameter."""
    fetches: tuple[Name, ...] = ()
    """The objects it reads. It starts when those that the job makes are there."""
    stores: tuple[Made, ...] = ()
    """The objects it makes."""
    sends: tuple[Edge, ...] = ()
    receives: tuple[Edge, ...] = ()
    adds: tuple[Program, ...] = ()
    """The programs of the tasks that it may add to the job while it runs."""
    slot: bool = True
    """Whether it counts where the number of programs that compute at a time is limited."""

    def may_store(self, name: str) -> bool:
        """Whether an object is one of those it makes."""
        return any(name == own or (own.endswith("/") and name.startswith(own)) for own in self.stores)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may use, and when patience ends. Raises JobError for values that make no sense."""

    workers: int = 1000
    """Most workers at a time."""
    spare: float = 0.0
    """So many more workers are started than there are tasks for, as a share: the first to come get the tasks."""
    slots: int | None = None
    """How many programs compute at a time; one that waits hands its slot on."""
    ahead: int | None = None
    """A program that adds tasks waits while more than so many are unfinished."""
    tries: int = 3
    """How often a task is begun, if its workers are lost."""
    lease_s: float = 30.0
    """A worker that is silent for so long is lost."""
    launch_s: float = 60.0
    """A worker that has not connected so long after its launch is lost."""
    reconnect_s: float = 2.0
    """How long a worker whose connection broke may take to come back."""
    run_s: float | None = None
    """A run that has computed for so long, waiting left out, is told to stop, and lost; None: it may for ever."""
    straggler: float | None = 3.0
    """A task that computes so many times longer than the median of its program's is begun once more beside it."""
    straggler_least_s: float = 5.0
    on_failure: Literal["stop", "finish"] = "stop"
    """Whether the first failed task ends the job, or all that can be finished is finished."""
    order: Literal["blocking", "given"] = "blocking"
    """Who starts first: the task that the longest row of others waits for, or the one that was named first."""
    temporary: tuple[str, ...] = ()
    """Objects whose names begin like this are dropped when all that fetch them have committed; no task that is added
    later may fetch them."""

    def __post_init__(self) -> None:
        whole = (("workers", 1, 100_000), ("slots", 1, 100_000), ("ahead", 0, 1_000_000), ("tries", 1, 100))
        times = (("lease_s", 3600), ("launch_s", 3600), ("reconnect_s", 600), ("straggler", 1000), ("spare", 10))
        if self.run_s is not None and not 0 < self.run_s <= 1_000_000:
            raise JobError(f"run_s must be more than 0 and at most 1000000, not {self.run_s}")
        for name, least, most in whole:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise JobError(f"{name} must be {least} to {most}, not {value}")
        for name, most in times:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise JobError(f"{name} must be 0 to {most}, not {value}")


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Tasks and limits. Equal jobs have equal ids, so whoever submits one twice has one job."""

    name: Name
    tasks: tuple[Task, ...]
    limits: Limits = Limits()
    code: Digest = ""
    """Of the modules that it takes along to workers elsewhere (`mu.code`)."""
    inputs: Digest = ""
    """Of the objects that are given with it, where they lie beside it: with others it is another job."""

    @cached_property
    def id(self) -> str:
        """A readable and unique name."""
        encoded = msgspec.msgpack.encode(self)
        return f"{self.name.replace('/', '-')[:40]}-{hashlib.sha256(encoded).hexdigest()[:16]}"


PLAIN = "numbers, text, bytes, lists, dicts, None, dataclasses, structs; of numpy what tolist() or tobytes() gives"
"""What may be an argument, an item, or a result of `mu.map`."""


def argument(value: Any) -> msgspec.Raw:
    """A program's argument as a task holds it. Raises JobError for what is too large or no plain data."""
    try:
        encoded = msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise JobError(f"an argument must be plain data ({PLAIN}): {error}") from error
    if len(encoded) > LARGEST_ARGUMENT:
        raise JobError(f"an argument of {len(encoded)} bytes is too large: store it as an object")
    return msgspec.Raw(encoded)
