"""A job on the processes of this machine, from its start to its end."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from mu.core.coordinator import Coordinator
from mu.errors import BackendError, JobCancelled, JobFailed
from mu.job import Job, Key, Limits
from mu.local.machine import many_files, processors
from mu.local.processes import Processes
from mu.local.shelf import MemoryShelf, Shelf
from mu.local.shell import Observer, OnObject, Shell
from mu.local.worker import Setup
from mu.programs import main_script
from mu.result import Result, StoredObjects

if TYPE_CHECKING:
    from mu.local.journal import Journal

__all__ = ["run"]


def run(
    job: Job,
    *,
    workers: int | None = None,
    store: str | Path | None = None,
    inputs: Mapping[str, bytes] = MappingProxyType({}),
    watch: Sequence[Observer] = (),
    on_object: OnObject | None = None,
    keep: bool = True,
    prepare: Sequence[str] = (),
) -> Result:
    """Run a job with processes of this machine.

    `workers` programs compute at a time, as many as there are processors, unless the job's `slots` say otherwise; one
    that waits hands its place on, so there are more processes where tasks send each other messages.

    Objects are in memory, or in the folder `store`. In a folder what is done is never done again: the same job with the
    same folder goes on where it was, however it ended. `inputs` are objects that are there from the beginning.

    `on_object` is called with the name and bytes of each object that is not temporary, as soon as it is there. Without
    `keep` it is the only one who gets those, and no task may fetch them. `watch` are told of all that happens.

    `prepare` names modules that workers are forked with, which spares each of them the import; none may start threads.

    Raises JobFailed, JobCancelled, BackendError, LedgerError, and what `on_object` raises. No process is left behind,
    whatever happens (KeyboardInterrupt too).
    """
    limits = _here(job.limits, workers or processors())
    folder = None if store is None else os.path.abspath(store)
    with ExitStack() as stack:
        stack.enter_context(many_files())
        selector = stack.enter_context(selectors.DefaultSelector())
        setup = Setup(limits.lease_s / 4, folder, main_script())
        processes = stack.enter_context(Processes(setup, selector, prepare))
        processes.begin()
        here = msgspec.structs.replace(job, limits=limits)
        kept: MemoryShelf[str] | None = MemoryShelf()
        messages: Shelf[Key] = MemoryShelf()
        journal: Journal | None = None
        if folder is None:
            coordinator = Coordinator(here)
            stack.callback(messages.close)
        else:
            from mu.local.journal import Journal  # here, since it brings SQLite and threads

            journal = stack.enter_context(Journal(Path(folder), job))
            kept, messages = None, journal.messages
            coordinator = Coordinator.restore(
                here, journal.entries, epoch=journal.epoch, now=time.monotonic(), again=True
            )
        shell = Shell(
            coordinator,
            objects=kept,
            store=journal.objects if journal else None,
            messages=messages,
            inputs=inputs,
            observers=watch,
            on_object=on_object,
            keep=keep,
            temporary=limits.temporary,
            ledger=journal.ledger if journal else None,
            processes=processes,
            selector=selector,
        )
        if journal is not None:
            selector.register(journal.woken, selectors.EVENT_READ, _heard(journal, shell))
            shell.made_before(journal.made)
        outcome = shell.run()
    objects: Mapping[str, memoryview]
    if kept is not None:
        objects = kept
    else:
        assert journal is not None
        objects = StoredObjects(journal.objects, shell.names)
    if outcome.kind == "cancelled":
        raise JobCancelled(outcome.reason)
    if outcome.kind == "failed":
        raise JobFailed(outcome.failures, objects) if outcome.failures else BackendError(outcome.reason)
    return Result(job.id, outcome, objects)


def _heard(journal: Journal, shell: Shell) -> Callable[[int], None]:
    def heard(_: int) -> None:
        journal.hush()
        shell.durable()

    return heard


def _here(limits: Limits, workers: int) -> Limits:
    """A job's limits as they make sense on this machine: nobody comes back, and a second run would take the time of the
    first."""
    if limits.slots is None:
        most = workers + (workers + 1) // 2 if workers <= 4 else 2 * workers
        limits = msgspec.structs.replace(limits, slots=workers, workers=min(limits.workers, most))
    return msgspec.structs.replace(limits, reconnect_s=0, straggler=None, spare=0)
