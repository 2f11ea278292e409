"""What of a ledger still holds when messages are gone: small ones with another machine's disk, large ones from S3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from mu.core.instructions import Entry, MessageWhole, TaskAdded, TaskBegun, TaskCommitted, TaskFailed
from mu.job import Job, Key

__all__ = ["without_lost"]


def without_lost(job: Job, entries: Sequence[Entry], there: Callable[[MessageWhole], bool]) -> tuple[Entry, ...]:
    """The entries without those that rest on a message which is not `there` and which somebody still waits for.

    Who sent such a message runs again; so does, in turn, whoever sent it a message that is not there. What they send
    and store twice is the same, for programs are deterministic. A message whose receiver has committed is not missed.
    """
    tasks = {task.name: task for task in job.tasks}
    tasks |= {entry.task.name: entry.task for entry in entries if isinstance(entry, TaskAdded)}
    done = {entry.task for entry in entries if isinstance(entry, TaskCommitted)}
    over = set(done)
    given_up = {entry.failure.task for entry in entries if isinstance(entry, TaskFailed)}
    whole = {entry.key for entry in entries if isinstance(entry, MessageWhole) and there(entry)}
    senders: dict[str, list[Key]] = defaultdict(list)
    for task in tasks.values():
        senders[task.name] = [Key(edge.task, task.name, edge.name) for edge in task.receives]
    looked = [name for name in tasks if name not in over and name not in given_up]
    while looked:
        for key in senders[looked.pop()]:
            if key not in whole and key.sender in over:
                over.discard(key.sender)
                looked.append(key.sender)
    return tuple(
        entry
        for entry in entries
        if not (isinstance(entry, TaskCommitted) and entry.task not in over)
        and not (isinstance(entry, TaskBegun) and entry.task in done - over)
        and not (isinstance(entry, MessageWhole) and entry.key not in whole and entry.key.receiver not in over)
    )
