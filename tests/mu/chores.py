"""Programs and functions that tests run in worker processes."""

from __future__ import annotations

import os
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from mu import Context, Edge, Task, TryAgain, argument

HERE = __name__
LARGE = 300_000


class Point(msgspec.Struct, frozen=True):
    x: int
    y: int = 0


def square(number: int) -> int:
    return number * number


def swapped(point: Point) -> Point:
    return Point(point.y, point.x)


def odd_only(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is\neven")
    return number


def unspeakable(number: int) -> object:
    return object()


def leaves(code: int) -> None:
    raise SystemExit(code)


def dies_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def pid_of(number: int) -> int:
    return os.getpid()


def sleeps(path: str) -> None:
    Path(path, str(os.getpid())).touch()
    time.sleep(600)


def first_time(path: str) -> bool:
    """Whether this is called the first time with this path."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def noted(path: str) -> str:
    """Leaves a line for each run."""
    with open(path, "a") as file:
        file.write("ran\n")
    return path


class Link(msgspec.Struct, frozen=True):
    """A task of a chain that adds up what the ones before it have."""

    index: int
    last: bool
    size: int
    folder: str | None = None
    """Where each run leaves a line, and the fifth link's first run kills the coordinator."""


def chain(length: int, size: int, folder: str | None = None) -> list[Task]:
    tasks = []
    for index in range(length):
        last = index == length - 1
        tasks.append(
            Task(
                f"link/{index}",
                f"{HERE}:link",
                argument(Link(index, last, size, folder)),
                stores=(f"sum/{index}",),
                sends=() if last else (Edge(f"link/{index + 1}", "sum"),),
                receives=(Edge(f"link/{index - 1}", "sum"),) if index else (),
            )
        )
    return tasks


def link(context: Context, own: Link) -> None:
    """Sends on a payload whose first byte counts the links."""
    before = bytes(context.receive(f"link/{own.index - 1}", "sum")) if own.index else bytes(own.size)
    context.progress("add", 1, 1)
    if own.folder is not None:
        noted(f"{own.folder}/ran{own.index}")
        if own.index == 4 and first_time(f"{own.folder}/killed"):
            time.sleep(1)  # by then what was done before is on the disk
            os.kill(parent_of(os.getppid()), signal.SIGKILL)
    after = bytes([before[0] + 1]) + before[1:]
    if not own.last:
        context.send(f"link/{own.index + 1}", "sum", after)
    context.store(f"sum/{own.index}", after)


class Film(msgspec.Struct, frozen=True):
    parts: int
    size: int


def reads(context: Context, film: Film) -> None:
    """Adds a task for each part as it reads them."""
    for number in range(film.parts):
        with context.buffer(2 * film.size) as place:
            place[: film.size] = bytes([number % 251]) * film.size
            context.store(f"raw/{number}", place[: film.size])
        context.add([Task(f"part/{number}", f"{HERE}:part", argument(number), (f"raw/{number}",), (f"done/{number}",))])


def part(context: Context, number: int) -> None:
    raw = context.fetch(f"raw/{number}")
    assert bytes(raw[:1]) == bytes(raw[-1:]) == bytes([number % 251])
    context.store(f"done/{number}", f"{number} {len(raw)}".encode())


def speak(data: bytes) -> None:
    """Send this to the coordinator, past the context."""
    for name in os.listdir("/proc/self/fd"):
        file = int(name)
        with suppress(OSError):
            if file > 2 and stat.S_ISSOCK(os.fstat(file).st_mode):
                os.write(file, data)


class Trouble(msgspec.Struct, frozen=True):
    """What to do at the first run, told by a file that is not there yet."""

    kind: str
    mark: str
    size: int = 10


def troubled(context: Context, trouble: Trouble) -> None:
    first = first_time(trouble.mark)
    if trouble.kind == "another":
        context.store("made", os.urandom(trouble.size))
    else:
        context.store("made", bytes(trouble.size))
    if first:
        if trouble.kind == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if trouble.kind == "again":
            raise TryAgain("the moon is full")
        if trouble.kind in ("garbage", "nonsense"):
            speak(b"\xff" * 100 if trouble.kind == "garbage" else b"\0\0\0\4\0abc")
            time.sleep(600)
        if trouble.kind == "fork server":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)


def misuses(context: Context, what: str) -> None:
    match what:
        case "fetch":
            context.fetch("nothing")
        case "store":
            context.store("nothing", b"")
        case "send":
            context.send("nobody", "x", b"")
        case "receive":
            context.receive("nobody", "x")
        case "add":
            context.add([Task("another", "mu.mapping:apply")])
        case "progress":
            context.progress("x" * 41)
