"""What the coordinator of this machine keeps for the tasks: objects, and messages until they are delivered."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from mu.digest import digest
from mu.job import Key
from mu.local.memory import SMALL, memory_of, read_only
from mu.store.folder import FolderStore

__all__ = ["File", "FolderShelf", "Item", "MemoryShelf", "Shelf", "release", "view"]

K = TypeVar("K", bound=Hashable)
Name = TypeVar("Name", contravariant=True)


class File(NamedTuple):
    """An open file that holds something."""

    descriptor: int
    size: int


Item = bytes | File


class Shelf(Protocol[Name]):
    """Payloads by name."""

    def put(self, name: Name, item: Item) -> None:
        """Keep it; a file is the shelf's from now on."""

    def take(self, name: Name) -> Item:
        """What is kept. A file is the caller's to close."""

    def drop(self, name: Name) -> None:
        """Keep it no longer."""

    def __contains__(self, name: object) -> bool: ...

    def close(self) -> None:
        """Let go of everything that does not outlive this process."""


def view(item: Item) -> memoryview:
    """What an item holds. Closes its file; the memory stays as long as it is looked at."""
    if isinstance(item, bytes):
        return memoryview(item)
    try:
        return read_only(item.descriptor, item.size)
    finally:
        os.close(item.descriptor)


def release(item: Item) -> None:
    """Let go of an item that nobody wants."""
    if isinstance(item, File):
        os.close(item.descriptor)


class MemoryShelf(Mapping[K, memoryview], Generic[K]):
    """In memory: small payloads as they are, large ones as files without a name."""

    def __init__(self) -> None:
        self._items: dict[K, Item] = {}

    def put(self, name: K, item: Item) -> None:
        """See `Shelf`."""
        self.drop(name)
        self._items[name] = item

    def take(self, name: K) -> Item:
        """See `Shelf`."""
        item = self._items[name]
        return item if isinstance(item, bytes) else File(os.dup(item.descriptor), item.size)

    def drop(self, name: K) -> None:
        """See `Shelf`."""
        item = self._items.pop(name, None)
        if isinstance(item, File):
            os.close(item.descriptor)

    def holds(self, name: K, item: Item) -> bool:
        """Whether what is kept is the same as this. Closes the item's file."""
        return digest(self[name]) == digest(view(item))

    def __getitem__(self, name: K) -> memoryview:
        return view(self.take(name))

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """See `Shelf`."""
        for name in list(self._items):
            self.drop(name)

    def __del__(self) -> None:
        self.close()


class FolderShelf:
    """Messages in a folder, so that a coordinator that comes later has them."""

    def __init__(self, folder: Path) -> None:
        self._store = FolderStore(folder)

    def put(self, name: Key, item: Item) -> None:
        """See `Shelf`."""
        self._store.write(_file_name(name), view(item))

    def take(self, name: Key) -> Item:
        """See `Shelf`."""
        payload = self._store.read(_file_name(name))
        return bytes(payload) if len(payload) <= SMALL else File(memory_of(payload), len(payload))

    def drop(self, name: Key) -> None:
        """See `Shelf`."""
        self._store.delete(_file_name(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, Key) and self._store.exists(_file_name(name))

    def close(self) -> None:
        """See `Shelf`."""


def _file_name(key: Key) -> str:
    return digest(f"{key.sender}\0{key.receiver}\0{key.name}".encode()).hex()
