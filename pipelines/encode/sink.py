"""What a running job hands on, piece by piece in the order of the film, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipelines.encode.plan import Chunk
from pipelines.media.source import Source


@dataclass(frozen=True, slots=True)
class Piece:
    """A finished chunk."""

    chunk: Chunk
    results: dict[str, bytes]
    """What its program stored, by name."""
    times: list[int]
    """When each frame is shown, in the source's time base."""
    durations: list[int]
    """For how long, 0 where the input does not say."""

    @property
    def encoded(self) -> bytes:
        """An IVF file."""
        return self.results[self.chunk.result]


class Sink(Protocol):
    """Where the pieces go."""

    def begin(self, source: Source) -> None:
        """Told once, before the first piece."""

    def append(self, piece: Piece) -> None:
        """The next piece of the film."""
