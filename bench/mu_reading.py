"""Reading a film, for the simulator, as `pipelines.encode.shared` does it.

`read` opens the film, each `look` decodes a second of it, `cut` fetches what they saw, chunks decode their own frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.mu_clock import Compute, Keep, Step, Transfer
from bench.mu_stages import GOP, Reading
from mu.job import Task
from pipelines.encode.fetched import AT_ONCE

__all__ = ["Shared"]

_OPENED = (5, 3e5)
"""Ranges of a film that opening it takes one after the other, and bytes of each."""
_THUMBNAIL = 36 * 64 * 2
_CUT_S = 0.3
"""Processor seconds of `cut` for 21,312 frames: measured with 888 objects of thumbnails in 4K."""


@dataclass(frozen=True)
class Shared:
    """The film, with a key frame every second."""

    frames: int
    costs: Reading
    slower: float
    film_bytes: float = 2.5e6
    """Of a second: 20 Mb/s."""

    @property
    def looks(self) -> int:
        """How many tasks look at it."""
        return -(-self.frames // GOP)

    def tasks(self) -> tuple[Task, ...]:
        """Those before the chunks."""
        looks = tuple(f"look/{number:06}" for number in range(self.looks))
        shared = "pipelines.encode.shared"
        return (
            Task("read", f"{shared}:open_film", stores=("film/source",)),
            *(Task(name, f"{shared}:look_at", fetches=("film/source",), stores=(name,)) for name in looks),
            Task("cut", f"{shared}:cut_film", fetches=looks, stores=("film/index",)),
        )

    def steps(self, task: Task) -> Sequence[Step]:
        """What one of them does."""
        if task.name == "read":
            return [*self._open("read"), *self._open("read"), Transfer("read", 1e6), Keep("film/source")]
        if task.name == "cut":
            several, size = [Transfer("cut", 0)] * (self.looks // AT_ONCE), self.frames * _THUMBNAIL
            return [
                *several,
                Transfer("cut", size),
                self._takes("cut", _CUT_S),
                Transfer("cut", 2e6),
                Keep("film/index"),
            ]
        look, size = self._takes("look", GOP * self.costs.look), GOP * _THUMBNAIL
        return [*self._open("look"), Transfer("look", self.film_bytes), look, Transfer("look", size), Keep(task.name)]

    def chunk(self, first: int, frames: int) -> list[Step]:
        """What the task of a chunk does in place of fetching its raw frames."""
        passed = first % GOP
        share = (passed + frames) / GOP
        decode = self._takes("read", passed * self.costs.passed + frames * self.costs.decode)
        return [*self._open("read"), Transfer("read", share * self.film_bytes), decode]

    def _open(self, stage: str) -> list[Step]:
        ranges, size = _OPENED
        return [*[Transfer(stage, size)] * ranges, self._takes(stage, self.costs.open)]

    def _takes(self, stage: str, seconds: float) -> Compute:
        return Compute(stage, seconds * self.slower)
