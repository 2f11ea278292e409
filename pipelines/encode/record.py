"""What a job lets be told of itself afterwards: when each chunk went through each stage, and what came of each frame.

Whoever wants to know gives a `Record` to `encode_file`, which fills it. It holds a few numbers a frame (30 bytes) and
some ten a chunk, so a film of a million frames takes about 50 MB, and nobody who does not ask pays for it.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

from pipelines.encode.plan import Chunk
from pipelines.media.source import Source

if TYPE_CHECKING:
    from pipelines.quality import Comparison

WAIT = "wait"
"""The name of the time between stages in which a worker waits for the state before it, and then for a processor."""

KEY, GOLDEN, ALTREF, LAST = 1, 2, 4, 8
"""Bits of `Frames.flags`: a key frame, and which references the frame becomes."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A time that was spent on one thing; seconds of the monotonic clock, which all processes of a machine share."""

    stage: str
    began: float
    ended: float


class Happened(msgspec.Struct, frozen=True, array_like=True):
    """A span, on which chunk, and by which process."""

    process: str
    chunk: int
    span: Span


@dataclass(slots=True)
class Frames:
    """A column for each fact, a row for each frame, in the order of the film."""

    times: array[float] = field(default_factory=lambda: array("d"))
    """When it is shown, in seconds."""
    sizes: array[int] = field(default_factory=lambda: array("I"))
    """In bytes."""
    quantizers: array[int] = field(default_factory=lambda: array("B"))
    """The quantizer index, 0 to 127."""
    flags: array[int] = field(default_factory=lambda: array("B"))

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, time: Fraction, data: bytes) -> None:
        """Take down a frame of VP8."""
        from codec.header import Context, read_header  # here, since processes start sooner without the codec

        self.times.append(float(time))
        self.sizes.append(len(data))
        if not data:  # the last image again
            self.quantizers.append(0)
            self.flags.append(0)
            return
        header, _, _ = read_header(data, Context())  # what is looked at below does not depend on what came before
        golden, altref = header.refresh_golden or header.copy_to_golden, header.refresh_altref or header.copy_to_altref
        told = ((KEY, header.key_frame), (GOLDEN, golden), (ALTREF, altref), (LAST, header.refresh_last))
        self.quantizers.append(header.quantizer_index)
        self.flags.append(sum(bit for bit, is_so in told if is_so))


@dataclass(slots=True)
class Record:
    """Facts of one job."""

    began: float = field(default_factory=time.monotonic)
    happened: list[Happened] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    """In the order of the film, as they were read last."""
    readings: list[tuple[str, float]] = field(default_factory=list)
    """Where the film is read several times: what for, and when each reading began."""
    frames: Frames = field(default_factory=Frames)
    source: Source | None = None
    quality: Comparison | None = None
    """How close the output is to the input, if that was measured."""

    def read_again(self, title: str) -> None:
        """The film is read from its start, for this."""
        self.readings.append((title, time.monotonic()))
        self.chunks.clear()

    def note(self, process: str, chunk: int, spans: Sequence[Span]) -> None:
        """Take down what a process spent on a chunk."""
        self.happened += [Happened(process, chunk, span) for span in spans]
