"""Programs that the tests of workers run."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from contextlib import suppress

import msgspec

import mu
from mu import Context, Edge, Task


def relay(ctx: Context, size: int) -> None:
    """Fetch, wait for a message, send one of this size, store, say how far it is."""
    film = bytes(ctx.fetch("film"))
    ctx.progress("read", 1, 3)
    before = bytes(ctx.receive("before", "state"))
    ctx.send("after", "state", made(size))
    ctx.send("after", "state", made(size))  # once more changes nothing
    ctx.progress("send", 2, 3)
    ctx.store("out/digest", film + hashlib.sha256(before).digest())


def made(size: int) -> bytes:
    """The same bytes for the same size."""
    return hashlib.shake_256(size.to_bytes(8, "big")).digest(min(size, 1000)) * (size // 1000 + 1)


def send_many(ctx: Context, sizes: list[int]) -> None:
    """Send a message of each size, in memory that is used again."""
    memory = bytearray(max(sizes))
    for number, size in enumerate(sizes):
        memory[:size] = made(size)[:size]
        ctx.send("after", f"m{number}", memoryview(memory)[:size])
    memory[:] = bytes(len(memory))


def add(ctx: Context, count: int) -> None:
    """Add so many tasks, one after the other."""
    for number in range(count):
        ctx.add([Task(f"added/{number}", f"{__name__}:nothing", mu.argument(number))])


def nothing(ctx: Context, argument: object) -> None:
    """Do nothing."""


def compute(ctx: Context, seconds: float) -> None:
    """Compute in Python."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def block(ctx: Context, seconds: float) -> None:
    """Wait in a call of C, where nothing is said."""
    time.sleep(seconds)


released = threading.Event()


def stubborn(ctx: Context, seconds: float) -> None:
    """Do not let itself be stopped, until it is released."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not released.is_set():
        with suppress(BaseException):
            time.sleep(0.01)


class Awkward(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Luckless(Exception):
    """An exception that another try may mend."""

    again = True


def fail(ctx: Context, how: str) -> None:
    """Fail in one of many ways."""
    secret = "hunter2"  # noqa: F841  no traceback shows it
    match how:
        case "value":
            raise ValueError("what \ud800 " + "x" * 10_000)
        case "again":
            raise Luckless("not my day")
        case "try again":
            raise mu.TryAgain("soon")
        case "awkward":
            raise Awkward
        case "endless":
            compute(ctx, 600.0)
        case "memory":
            raise MemoryError("too much")
        case "exit":
            sys.exit(3)
        case "deep":
            fail_deeply(5000)
        case "send":
            ctx.send("nobody", "x", b"")
        case "receive":
            ctx.receive("nobody", "x")
        case "fetch":
            ctx.fetch("nothing")
        case "store":
            ctx.store("elsewhere", b"")
        case "add":
            ctx.add([Task("x", "other:program")])
        case "stage":
            ctx.progress("x" * 41)
        case "missing":
            ctx.fetch("missing")
        case "two messages":
            ctx.send("after", "state", b"one")
            ctx.send("after", "state", b"two")
        case "two objects":
            ctx.store("out/x", b"one")
            ctx.store("out/x", b"two")


def fail_deeply(depth: int) -> None:
    """Raise RecursionError."""
    fail_deeply(depth - 1)


def lazy(ctx: Context, seconds: float) -> None:
    """Wait for a message while the connection is broken and mended; then compute and send."""
    ctx.store("out/first", b"first")
    ctx.send("after", "one", made(300_000))
    time.sleep(seconds)
    ctx.send("after", "two", b"two")
    assert bytes(ctx.receive("before", "state")) == b"state" * 100_000
    ctx.store("out/last", b"last")


BEFORE, AFTER = Edge("before", "state"), Edge("after", "state")


class Link(msgspec.Struct):
    """A task of a chain."""

    number: int
    length: int
    size: int


def chain(ctx: Context, plan: Link) -> None:
    """Add a chain of tasks, each when there is room, and what they fetch."""
    for number in range(plan.length):
        name = f"raw/{number}"
        memory = ctx.buffer(plan.size)
        memory[:] = made(plan.size)[: plan.size]
        memory[:8] = number.to_bytes(8, "big")
        ctx.store(name, memory)
        before = (Edge(f"link/{number - 1}", "state"),) if number else ()
        after = (Edge(f"link/{number + 1}", "state"),) if number + 1 < plan.length else ()
        argument = mu.argument(Link(number, plan.length, plan.size))
        out = (f"out/{number}",)
        link = Task(f"link/{number}", f"{__name__}:forge", argument, (name,), out, after, before)
        ctx.progress("read", 1, plan.length)
        ctx.add([link])


def forge(ctx: Context, link: Link) -> None:
    """Compute something of what lies in the store and of what the task before sends; send that on."""
    state = hashlib.sha256(ctx.fetch(f"raw/{link.number}"))
    time.sleep(0.1)
    ctx.progress("hash", 1)
    if link.number:
        state.update(ctx.receive(f"link/{link.number - 1}", "state"))
    whole = state.digest() * (link.size // 32)
    ctx.store(f"out/{link.number}", state.digest())
    if link.number + 1 < link.length:
        ctx.send(f"link/{link.number + 1}", "state", whole)
    ctx.progress("forge", 1)


def forged(length: int, size: int) -> list[bytes]:
    """What the tasks of a chain store."""
    found: list[bytes] = []
    for number in range(length):
        raw = bytearray(made(size)[:size])
        raw[:8] = number.to_bytes(8, "big")
        found.append(hashlib.sha256(raw + (found[-1] * (size // 32) if found else b"")).digest())
    return found
