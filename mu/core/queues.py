"""Who goes first, where only some can: those that need a slot to compute, and those that do not."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Queue", "Rank"]

Item = TypeVar("Item")
Rank = tuple[int, int]
"""Smaller goes first."""


class Queue(Generic[Item]):
    """Items by rank. What does not wait any more, or has another rank by now, is passed over, as `waits` says."""

    def __init__(self, waits: Callable[[Item, Rank], bool]) -> None:
        self._waits = waits
        self._with_slot: list[tuple[Rank, int, Item]] = []
        self._without: list[tuple[Rank, int, Item]] = []
        self._number = count()

    def push(self, item: Item, rank: Rank, *, slot: bool) -> None:
        """An item that waits from now on, or has a new rank; `slot` if it needs one."""
        heapq.heappush(self._with_slot if slot else self._without, (rank, next(self._number), item))

    def first(self, *, slot: bool) -> Item | None:
        """The item that goes first; `slot` says whether one is free. It stays until it does not wait any more."""
        without = self._head(self._without)
        with_slot = self._head(self._with_slot) if slot else None
        head = min(with_slot, without) if with_slot and without else with_slot or without
        return head[2] if head else None

    def _head(self, heap: list[tuple[Rank, int, Item]]) -> tuple[Rank, int, Item] | None:
        while heap and not self._waits(heap[0][2], heap[0][0]):
            heapq.heappop(heap)
        return heap[0] if heap else None
