"""The program of a worker: what happens to one chunk, from its start to its end.

It fetches, computes, sends, receives and stores, and knows neither processes nor sockets nor files: what runs it gives
it a `Context`. Whoever runs it twice gets the same bytes twice.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import overload

import codec
from codec.decode import next_state
from codec.image import macroblocks
from codec.ivf import IvfHeader, write_frame, write_header
from pipelines import libvpx
from pipelines.encode.context import Context
from pipelines.encode.plan import Chunk

_FIRST_PASS = 0.1
"""About how much of libvpx's time goes into the first of its two passes."""


def encode_chunk(context: Context, chunk: Chunk) -> None:
    """Encode a chunk so that it continues from the one before it.

    Slow and parallel: libvpx decides everything. Fast and serial: its decisions are moved onto the state at which the
    chunk before really ended.
    """
    raw = RawVideo(context.fetch(chunk.source), chunk.width, chunk.height)
    decisions = _decisions(context, chunk, _search(context, chunk, raw))
    state = None
    if chunk.previous is not None:
        state = codec.State.from_bytes(context.receive(chunk.state_for(chunk.index)))
    encoded = []
    for number, frame in enumerate(decisions):
        carries_on = chunk.next is not None and number == chunk.frames - 1
        rebased = codec.rebase_frame(state, raw.image(chunk.lead + number), frame, last=carries_on)
        state = rebased.state
        encoded.append(rebased.data)
        context.progress("rebase")
    if chunk.next is not None and state is not None:
        context.send(chunk.state_for(chunk.next), state.to_bytes())
    context.store(chunk.result, _ivf(chunk, encoded))


def _search(context: Context, chunk: Chunk, raw: RawVideo) -> list[libvpx.Packet]:
    """Let libvpx decide: modes, vectors, references, quantizers."""
    settings = libvpx.Settings(chunk.width, chunk.height, Fraction(*chunk.rate), chunk.cq, chunk.speed)
    shares = {1: _FIRST_PASS * chunk.frames / len(raw), 2: (1 - _FIRST_PASS) * chunk.frames / len(raw)}
    return libvpx.encode(raw, settings, lambda number: context.progress("encode", shares[number]), padded=True)


def _decisions(context: Context, chunk: Chunk, packets: list[libvpx.Packet]) -> list[codec.Frame]:
    """Parse libvpx's frames, each on the state that those before it leave; the lead frame has had its use then.

    To parse, a state needs no pictures, and they are what decoding spends its time on: these states have none.
    To rebase, a frame needs no coefficients, which are most of its size: they are not even read.
    """
    frames = []
    state = None
    for number, packet in enumerate(packets):
        frame = codec.parse(state, packet.data, coefficients=False)
        state = next_state(state, frame.header, frame.width, frame.height, frame.decisions.segments, b"")
        if number >= chunk.lead:
            frames.append(frame)
            context.progress("decode")
    return frames


def _ivf(chunk: Chunk, frames: Sequence[bytes]) -> bytes:
    """The chunk as a file whose clock counts the frames of the film."""
    rate, scale = chunk.rate
    file = io.BytesIO()
    write_header(file, IvfHeader(chunk.width, chunk.height, rate, scale, len(frames)))
    for number, frame in enumerate(frames):
        write_frame(file, chunk.first + number, frame)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class RawVideo(Sequence[memoryview]):
    """Frames one after the other in `data`, each a raster of the codec: three planes padded to whole macroblocks."""

    data: memoryview
    width: int
    height: int

    @property
    def frame_size(self) -> int:
        """Bytes of a frame."""
        columns, rows = macroblocks(self.width, self.height)
        return 384 * columns * rows

    def __len__(self) -> int:
        return len(self.data) // self.frame_size

    @overload
    def __getitem__(self, index: int) -> memoryview: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[memoryview]: ...
    def __getitem__(self, index: int | slice) -> memoryview | Sequence[memoryview]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.data[index * self.frame_size : (index + 1) * self.frame_size]

    def image(self, index: int) -> codec.Image:
        """A frame as the codec has it."""
        return codec.Image(self.width, self.height, bytes(self[index]))
