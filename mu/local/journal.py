"""What of a job outlives this process: its ledger and the messages under way, beside its objects in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mu.core.instructions import Entry, MessageWhole, ObjectMade, TaskAdded, TaskCommitted
from mu.job import Job, Key, Task
from mu.ledger import Ledger
from mu.local.shelf import FolderShelf
from mu.store import Store
from mu.store.folder import FolderStore

__all__ = ["Journal", "still_true"]


class Journal:
    """The files of a job in a folder, in `.mu`. Raises LedgerError if it is the job of another process just now."""

    def __init__(self, folder: Path, job: Job) -> None:
        place = folder / ".mu" / job.id
        place.mkdir(parents=True, exist_ok=True)
        self.objects = FolderStore(folder)
        self.messages = FolderShelf(place / "messages")
        self.woken, self._wake = os.pipe()
        for end in (self.woken, self._wake):
            os.set_blocking(end, False)
        try:
            self.ledger = Ledger(place / "ledger", job, wake=self._ring)
            loaded = self.ledger.load()
        except BaseException:
            self._close_pipe()
            raise
        self.epoch = loaded.epoch
        self.entries = still_true(job, loaded.entries, self.objects, self.messages)
        self.made = [entry.name for entry in self.entries if isinstance(entry, ObjectMade)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.ledger.close()
        self._close_pipe()

    def hush(self) -> None:
        """The ring was heard."""
        with suppress(BlockingIOError):
            os.read(self.woken, 4096)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: nobody listens any more
            os.write(self._wake, b"!")

    def _close_pipe(self) -> None:
        os.close(self.woken)
        os.close(self._wake)


def still_true(job: Job, entries: Sequence[Entry], objects: Store, messages: FolderShelf) -> list[Entry]:
    """The entries, without what is not true any more: somebody deleted objects, or the machine lost what it wrote last.

    A task whose objects are gone is not committed any more, nor one whose message or temporary object it needs again.
    """
    tasks = {task.name: task for task in job.tasks}
    tasks.update((entry.task.name, entry.task) for entry in entries if isinstance(entry, TaskAdded))
    makers = {entry.name: entry.task for entry in entries if isinstance(entry, ObjectMade)}
    sent = {entry.key for entry in entries if isinstance(entry, MessageWhole)}
    committed = {entry.task for entry in entries if isinstance(entry, TaskCommitted)}
    gone = {name for name in makers if not objects.exists(name)}
    for name in gone:
        if not name.startswith(job.limits.temporary):
            committed.discard(makers[name])
    pending = [task for task in tasks.values() if task.name not in committed]
    while pending:
        for name in _needed(pending.pop(), makers, gone, sent, messages):
            if name in committed:
                committed.discard(name)
                pending.append(tasks[name])
    return [
        entry
        for entry in entries
        if not (
            (isinstance(entry, TaskCommitted) and entry.task not in committed)
            or (isinstance(entry, ObjectMade) and entry.name in gone)
            or (isinstance(entry, MessageWhole) and entry.key not in messages)
        )
    ]


def _needed(task: Task, makers: dict[str, str], gone: set[str], sent: set[Key], messages: FolderShelf) -> list[str]:
    """The tasks that must run again so that this one can."""
    senders = [
        edge.task
        for edge in task.receives
        if (key := Key(edge.task, task.name, edge.name)) in sent and key not in messages
    ]
    return senders + [makers[name] for name in task.fetches if name in gone]
