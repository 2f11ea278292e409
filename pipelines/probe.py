"""A small job that tells whether a deployment works: a chain of tasks, each of which waits for the one before it.

Every task takes a baton from its neighbour, works on it for a while, hands it on and stores it. So workers, messages
and store are all needed, and what comes out can be computed here as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

from mu import Context, Edge, Job, Limits, Task, argument

__all__ = ["Link", "link", "probe_job", "probe_results"]

BATON = "baton"


@dataclass(frozen=True)
class Link:
    """What a task is told: its place, its neighbours, how large the baton is (bytes) and how long the work (s)."""

    place: int
    before: str | None
    after: str | None
    size: int
    work_s: float


def link(context: Context, told: Link) -> None:
    """The program of each task."""
    began = time.perf_counter()
    while time.perf_counter() - began < told.work_s:
        blake2b(bytes(1 << 16)).digest()
    context.progress("work", 1)
    baton = context.receive(told.before, BATON) if told.before else memoryview(b"")
    mine = _worked(told.place, baton, told.size)
    context.store(_object(told.place), mine)
    if told.after:
        context.send(told.after, BATON, mine)


def probe_job(links: int, *, size: int = 1000, work_s: float = 0.1, workers: int = 100, name: str = "probe") -> Job:
    """A chain of `links` tasks."""
    names = [f"link/{place:04}" for place in range(links)]
    before: dict[str, str] = {later: sooner for sooner, later in pairwise(names)}
    after = {sooner: later for later, sooner in before.items()}
    tasks = [
        Task(
            each,
            "pipelines.probe:link",
            argument(Link(place, before.get(each), after.get(each), size, work_s)),
            stores=(_object(place),),
            sends=(Edge(after[each], BATON),) if each in after else (),
            receives=(Edge(before[each], BATON),) if each in before else (),
        )
        for place, each in enumerate(names)
    ]
    return Job(name, tuple(tasks), Limits(workers=workers, tries=10))


def probe_results(links: int, *, size: int = 1000) -> dict[str, bytes]:
    """The objects that such a job makes."""
    results: dict[str, bytes] = {}
    baton = b""
    for place in range(links):
        baton = results[_object(place)] = _worked(place, baton, size)
    return results


def _object(place: int) -> str:
    return f"out/{place:04}"


def _worked(place: int, baton: bytes | memoryview, size: int) -> bytes:
    seed = blake2b(b"%d" % place + bytes(baton)).digest()
    return (seed * (size // len(seed) + 1))[:size]
