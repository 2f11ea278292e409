"""What goes beside the picture, sound and subtitles of a file together, in the order of their times.

    a file ──packets──> SoundFile, SubtitleFile ──steps──> SoundReader, SubtitleReader ──blocks──> Others

Steps are plain data: see `carried`, by which they come from another machine in place of the file.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pipelines.media.matroska import Block

if TYPE_CHECKING:
    from pipelines.media.audio import SoundReader
    from pipelines.media.matroska_head import Sound, Subtitles
    from pipelines.media.subtitles import SubtitleReader


T_co = TypeVar("T_co", covariant=True)


class Step(NamedTuple):
    """What becomes of a packet of the file."""

    blocks: Sequence[Block] = ()
    reached: Fraction | None = None
    """When it is decoded, if it is one of the picture, beside which subtitles are read."""


class Steps(Protocol[T_co]):
    """The packets of a file, one after the other."""

    @property
    def tracks(self) -> Sequence[T_co]:
        """What to tell of the tracks in the output's header, in the order of their numbers."""

    @property
    def damaged(self) -> int:
        """How many packets could not be used so far."""

    def next(self) -> Step | None:
        """The next one; None at the end. Raises InputError."""

    def close(self) -> None:
        """Close the file."""


class Others:
    """Sound and subtitles; each may be absent."""

    def __init__(self, sound: SoundReader | None, subtitles: SubtitleReader | None) -> None:
        self._sound, self._subtitles = sound, subtitles
        self._readers = [reader for reader in (sound, subtitles) if reader is not None]

    @property
    def tracks(self) -> list[Sound | Subtitles]:
        """What to tell of the tracks in the output's header, in the order of their numbers."""
        sounds = self._sound.sounds if self._sound else []
        return [*sounds, *(self._subtitles.tracks if self._subtitles else [])]

    @property
    def damaged(self) -> tuple[int, int]:
        """How many packets of sound and of subtitles could not be used so far."""
        return self._sound.damaged if self._sound else 0, self._subtitles.damaged if self._subtitles else 0

    def start(self) -> Fraction:
        """When the first packet of sound goes to its decoder, in seconds; 0 if there is none."""
        return self._sound.start() if self._sound else Fraction(0)

    def until(self, time: Fraction) -> Iterator[Block]:
        """The packets before `time`; each is given once."""
        return _merged(reader.until(time) for reader in self._readers)

    def rest(self) -> Iterator[Block]:
        """All packets that are left."""
        return _merged(reader.rest() for reader in self._readers)

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            reader.close()


def _merged(parts: Iterable[Iterable[Block]]) -> Iterator[Block]:
    return heapq.merge(*parts, key=lambda block: block.time)
