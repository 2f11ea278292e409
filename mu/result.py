"""What came of a job."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mu.core.instructions import Outcome
from mu.store import Store

__all__ = ["Result", "StoredObjects"]


@dataclass(frozen=True, slots=True)
class Result:
    """A job that is done."""

    job: str
    """Its id."""
    outcome: Outcome
    objects: Mapping[str, memoryview]
    """What its tasks stored, by name, without what is temporary; read when it is asked for."""


class StoredObjects(Mapping[str, memoryview]):
    """Some objects of a store, read when they are asked for."""

    def __init__(self, store: Store, names: Collection[str]) -> None:
        self._store, self._names = store, dict.fromkeys(names)

    def __getitem__(self, name: str) -> memoryview:
        if name not in self._names:
            raise KeyError(name)
        return self._store.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
