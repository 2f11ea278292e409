"""The order between what the ledger keeps and what is done: what cannot be undone waits for what came before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from mu.core.instructions import Entry
from mu.server.message import Message

__all__ = ["Journal", "Ledger"]


class Ledger(Protocol):
    """Where entries are kept, as `mu.ledger.Ledger` does. Its owner has `HostedJob.wake` called after every commit."""

    def add(self, entry: Entry) -> int:
        """Take an entry; returns what `durable` will be once it is on the disk."""

    @property
    def durable(self) -> int:
        """All entries up to this number are on the disk."""


class Journal:
    """Gives entries to a ledger and calls what waits for them, both in order. Without a ledger nothing waits."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._last = 0
        self._to_add: deque[tuple[Entry, Message | None] | Callable[[], None]] = deque()
        """Begins with the entry of a message that is not on the disk yet."""
        self._to_call: deque[tuple[int, Callable[[], None]]] = deque()

    def remember(self, entry: Entry, message: Message | None = None) -> None:
        """Keep this; not before the message that it is about is on the disk."""
        if self._ledger is None:
            return
        if self._to_add or (message is not None and not message.safe):
            self._to_add.append((entry, message))
        else:
            self._last = self._ledger.add(entry)

    def after(self, call: Callable[[], None]) -> None:
        """Call this when all that was said before is on the disk; at once if it is."""
        if self._to_add:
            self._to_add.append(call)
        elif self._to_call or (self._ledger is not None and self._last > self._ledger.durable):
            self._to_call.append((self._last, call))
        else:
            call()

    def advance(self) -> None:
        """More may be on the disk than before. Raises LedgerError if the ledger takes no more."""
        if self._ledger is None:
            return
        while self._to_add:
            first = self._to_add[0]
            if isinstance(first, tuple):
                entry, message = first
                if message is not None and not message.safe:
                    break
                self._last = self._ledger.add(entry)
            else:
                self._to_call.append((self._last, first))
            self._to_add.popleft()
        durable = self._ledger.durable
        while self._to_call and self._to_call[0][0] <= durable:
            self._to_call.popleft()[1]()
