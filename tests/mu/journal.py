"""A process that writes a ledger until somebody kills it: `python journal.py PATH` prints what is on the disk."""

from __future__ import annotations

import sys
from pathlib import Path

from mu import Job, Task
from mu.core.instructions import Entry, MessageWhole, ObjectMade, TaskCommitted
from mu.job import Key
from mu.ledger import Ledger

JOB = Job("journal", (Task("a", "programs:a"), Task("b", "programs:b")))


def entry(number: int) -> Entry:
    """The entry that has this number."""
    digest = number.to_bytes(16, "big")
    kinds = (
        TaskCommitted(f"task/{number}"),
        ObjectMade("a", f"object/{number}", number, digest),
        MessageWhole(Key("a", "b", str(number)), number, digest),
    )
    return kinds[number % 3]


def main(path: Path) -> None:
    """Add entries for ever, a few hundred at a time."""
    ledger = Ledger(path, JOB)
    number = len(ledger.load().entries)
    while True:
        for number in range(number + 1, number + 1 + number % 300 + 1):  # noqa: B020
            ledger.add(entry(number))
        sys.stdout.write(f"{ledger.flush()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
