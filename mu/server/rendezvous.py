"""Where messages wait for their receivers, and receivers for their messages.

A message comes from a run, piece by piece or at once; who waits for it reads it while it comes. Whole, it is kept until
nobody can need it any more. Of two runs that send the same message the first that is whole is kept.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from mu.core.instructions import Entry, MessageWhole, TaskCommitted, TaskFailed
from mu.errors import BackendError, ProtocolError
from mu.job import Key
from mu.server.disk import Disk, tag_of
from mu.server.memory import CHUNK, Memory
from mu.server.message import Message

__all__ = ["Rendezvous"]


class Rendezvous:
    """The messages of a job.

    `folder` is this job's alone; with `durable` every message is in it before it counts as kept. `most` is how many
    bytes of messages the job may have here, `most_stored` how many in its store. `failed` hears, in the loop, what the
    disk refuses.
    """

    def __init__(
        self,
        memory: Memory,
        folder: Path,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[OSError], None],
        *,
        durable: bool,
        most: int,
        most_stored: int,
    ) -> None:
        self.memory, self.durable = memory, durable
        self.bytes = self.stored_bytes = 0
        """Of all messages that are here, or come; of all that lie in the store."""
        self._most, self._most_stored = most, most_stored
        self.folder = folder
        self._disk = Disk(folder, loop, failed, sync=durable)
        self._whole: dict[Key, Message] = {}
        self._coming: dict[Key, list[Message]] = {}

    def restore(self, entries: Iterable[Entry]) -> None:
        """Find what an earlier coordinator kept. Raises BackendError if something is missing that the ledger names."""
        over = set()
        whole = {}
        for entry in entries:
            match entry:
                case MessageWhole(key):
                    whole[key] = entry
                case TaskCommitted(task):
                    over.add(task)
                case TaskFailed(failure):
                    over.add(failure.task)
        kept = [entry for key, entry in whole.items() if key.receiver not in over]
        for entry in kept:
            if entry.stored:
                self._whole[entry.key] = self._elsewhere(entry.key, 0, entry.size, entry.digest)
        wanted = {tag_of(entry.key): entry for entry in kept if not entry.stored}
        found = self._disk.restore({tag: entry.size for tag, entry in wanted.items()})
        for tag, entry in wanted.items():
            if tag not in found:
                raise BackendError(f"the message {entry.key.name} of {entry.key.sender} is not in {self._disk.folder}")
            message = Message.restored(self.memory, self._disk, entry.key, entry.digest, entry.size, found[tag])
            self._whole[entry.key] = message
            self.bytes += message.size

    # Senders

    def take(self, key: Key, run: int, payload: bytes, digest: bytes) -> Message:
        """A small message came whole. Raises ProtocolError."""
        message = self._new(key, run, len(payload))
        message.fill(payload, digest)
        return message

    def begin(self, key: Key, run: int, size: int) -> Message:
        """A large message begins. Raises ProtocolError."""
        message = self._new(key, run, size)
        self._coming.setdefault(key, []).append(message)
        return message

    def elsewhere(self, key: Key, run: int, size: int, digest: bytes) -> Message:
        """A message lies in the store, whole; it takes neither memory nor disk. Raises ProtocolError."""
        if self.stored_bytes + size > self._most_stored:
            told = f"the job keeps {self.stored_bytes} of {self._most_stored} in its store"
            raise ProtocolError(f"{key.name} of {size} bytes is too much: {told}")
        return self._elsewhere(key, run, size, digest)

    def _elsewhere(self, key: Key, run: int, size: int, digest: bytes) -> Message:
        self.stored_bytes += size
        message = Message(self.memory, self._disk, key, run, size)
        message.digest, message.stored, message.safe = digest, True, True
        return message

    def _new(self, key: Key, run: int, size: int) -> Message:
        if self.bytes + size > self._most:
            raise ProtocolError(f"{key.name} of {size} bytes is too much: the job keeps {self.bytes} of {self._most}")
        self.bytes += size
        return Message(self.memory, self._disk, key, run, size)

    def grew(self, message: Message) -> None:
        """A chunk of a large message is full."""
        number = (message.have - 1) // CHUNK
        if self.durable:
            message.save(number)
        self.memory.movable(message, number)
        for reader in list(message.readers):
            reader.more()

    def keep(self, message: Message) -> None:
        """This is whole, and is the one to keep."""
        self._no_more_comes(message)
        self.forget(message.key)
        self._whole[message.key] = message
        if message.stored:
            return
        if message.size <= CHUNK and message.chunks and isinstance(message.chunks[0], bytes):
            if self.durable:
                message.save(0)
            self.memory.movable(message, 0)
        elif not message.size:
            message.safe = True

    def discard(self, message: Message) -> None:
        """This came to nothing, or is kept already. Who reads it gets no more than is there."""
        self._no_more_comes(message)
        if message.stored:
            self.stored_bytes -= message.size
        else:
            self.bytes -= message.size
        message.let_go()

    def _no_more_comes(self, message: Message) -> None:
        coming = self._coming.get(message.key)
        if coming is not None and message in coming:
            coming.remove(message)
            if not coming:
                del self._coming[message.key]

    def forget(self, key: Key) -> Message | None:
        """Nobody needs this message any more; returns what it was. In the store it is for others to delete."""
        message = self._whole.pop(key, None)
        if message is not None:
            self.discard(message)
        return message

    # Receivers

    def find(self, key: Key) -> Message | None:
        """The message as it is: whole, or the one that began to come first."""
        whole = self._whole.get(key)
        if whole is not None:
            return whole
        coming = self._coming.get(key)
        return coming[0] if coming else None

    def whole(self, key: Key) -> Message | None:
        """The message, if it is kept."""
        return self._whole.get(key)

    async def close(self, *, remove: bool) -> None:
        """The job is over, or its coordinator: give memory back, and with `remove` the folder."""
        for messages in (self._whole.values(), *self._coming.values()):
            for message in messages:
                message.readers.clear()
                message.place = None
                message.let_go()
        self._whole.clear()
        self._coming.clear()
        await asyncio.to_thread(self._disk.close)
        if remove:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
