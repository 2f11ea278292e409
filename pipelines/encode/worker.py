"""The program of a worker: what happens to one chunk, from its start to its end.

It fetches, computes, sends, receives and stores, and knows neither processes nor sockets nor files: what runs it gives
it a `Context`. Whoever runs it twice gets the same bytes twice.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import overload

import msgspec

import codec
from codec.image import macroblocks
from codec.ivf import IvfHeader, write_frame, write_header
from mu import Context
from pipelines import libvpx
from pipelines.encode.handed import HandsOn, received
from pipelines.encode.plan import Chunk
from pipelines.encode.tally import Tally, tally
from pipelines.errors import InputError

_FIRST_PASS = 0.1
"""About how much of libvpx's time goes into the first of its two passes."""
_decode_packets = msgspec.msgpack.Decoder(list[tuple[bytes, bool]]).decode


def encode_chunk(context: Context, chunk: Chunk) -> None:
    """Encode a chunk so that it continues from the one before it, or do what else its task is.

    Slow and parallel: libvpx decides everything. Fast and serial: its decisions are moved onto the state at which the
    chunk before really ended.
    """
    raw = RawVideo(_read(context, chunk), chunk.width, chunk.height)
    if chunk.task.kind == "survey":
        _survey(context, chunk, raw)
        return
    decisions = _decisions(context, chunk, _search(context, chunk, raw))
    hands_on = HandsOn(context, chunk, decisions)
    encoded, came_to = _rebase(context, chunk, raw, decisions, received(context, chunk), hands_on.made)
    if chunk.task.measure:
        context.store(chunk.measured, msgspec.msgpack.encode([came_to]))
    context.store(chunk.result, _ivf(chunk, encoded))


def _read(context: Context, chunk: Chunk) -> memoryview:
    """The chunk's raw video: fetched, or decoded out of the film."""
    if chunk.place is None:
        return context.fetch(chunk.source)
    from pipelines.media.pieces import pictures  # here, since it brings PyAV where frames come from another process

    frames, size = chunk.lead + chunk.frames, chunk.place.footage.frame_size
    raw = memoryview(bytearray(frames * size))
    told = 0
    for skips in (True, False):  # a decoder that guesses the order of frames may need to see those on the way
        try:
            for number, picture in enumerate(pictures(chunk.place, frames, skips=skips)):
                picture.write_raster(raw[number * size : (number + 1) * size])
                if number == told:
                    context.progress("read", number >= chunk.lead)
                    told += 1
            break
        except InputError:
            if not skips:
                raise
    return raw.toreadonly()


def _survey(context: Context, chunk: Chunk, raw: RawVideo) -> None:
    """Run libvpx's first pass, and see what a sample comes to.

    There is no neighbour's state yet: a lead frame stands in for it, or the sample's own first frame, which is then no
    part of what is measured.
    """
    settings = _settings(chunk)
    share = chunk.frames / len(raw)
    statistics = libvpx.first_pass(raw, settings, lambda _: context.progress("encode", share), padded=True)
    tallies = []
    for cq in chunk.task.probes if chunk.sample else ():
        probe = dataclasses.replace(settings, cq=cq)
        packets = libvpx.encode(raw, probe, lambda _: context.progress("encode", 0), padded=True, stats=statistics)
        decisions = _decisions(context, chunk, packets)
        state = codec.decode(None, packets[0].data)[0] if chunk.lead else None
        tallies.append(_rebase(context, chunk, raw, decisions, state)[1])
    context.store(chunk.measured, msgspec.msgpack.encode(tallies))
    context.store(chunk.statistics, statistics)


def _settings(chunk: Chunk) -> libvpx.Settings:
    return libvpx.Settings(chunk.width, chunk.height, Fraction(*chunk.rate), chunk.cq, chunk.speed)


def _search(context: Context, chunk: Chunk, raw: RawVideo) -> list[libvpx.Packet]:
    """Let libvpx decide: modes, vectors, references, quantizers. Or take what it decided before."""
    if chunk.task.kind == "rebase":
        return [libvpx.Packet(*packet) for packet in _decode_packets(context.fetch(chunk.searched))]
    settings = _settings(chunk)
    if chunk.task.surveyed:
        statistics = bytes(context.fetch(chunk.statistics))
        share = chunk.frames / len(raw)
        packets = libvpx.encode(
            raw, settings, lambda _: context.progress("encode", share), padded=True, stats=statistics
        )
    else:
        shares = {1: _FIRST_PASS * chunk.frames / len(raw), 2: (1 - _FIRST_PASS) * chunk.frames / len(raw)}
        packets = libvpx.encode(raw, settings, lambda number: context.progress("encode", shares[number]), padded=True)
    if chunk.task.keep:
        pairs = [(packet.data, packet.key_frame) for packet in packets]
        context.store(chunk.searched, msgspec.msgpack.encode(pairs))
    return packets


def _decisions(context: Context, chunk: Chunk, packets: list[libvpx.Packet]) -> list[codec.Frame]:
    """Parse libvpx's frames, each on the state that those before it leave; the lead frame has had its use then.

    To rebase, a frame needs no coefficients, which are most of its size: they are not even read.
    """
    frames = []
    state = None
    for number, packet in enumerate(packets):
        frame = codec.parse(state, packet.data, coefficients=False)
        state = codec.advance(state, frame)
        if number >= chunk.lead:
            frames.append(frame)
            context.progress("decode", chunk.task.kind != "survey")
    return frames


def _rebase(
    context: Context,
    chunk: Chunk,
    raw: RawVideo,
    decisions: Sequence[codec.Frame],
    state: codec.State | None,
    made_one: Callable[[int, codec.State], None] = lambda number, state: None,
) -> tuple[list[bytes], Tally]:
    """Move decisions onto a state: the frames, and what they came to. Each is told of when it is made."""
    stands_in = chunk.task.kind == "survey" and chunk.reencode and chunk.previous is not None and chunk.frames > 1
    encoded, came_to = [], Tally()
    indices = sorted(frame.header.quantizer_index for frame in decisions if not frame.key_frame)
    usual = indices[len(indices) // 2] if indices else libvpx.quantizer_index(chunk.cq)
    for number, frame in enumerate(decisions):
        last = chunk.refreshes_all(number)
        image = raw.image(chunk.lead + number)
        policy = _policy(chunk, number, last)
        if (frame.key_frame and state is not None) or (stands_in and number == 1):
            everything = codec.Refresh(golden=True, altref=True)  # as the key frame did
            made = codec.encode_frame(state, image, q_index=policy.first(usual, chunk.frames), refresh=everything)
        else:
            made = codec.rebase_frame(state, image, frame, policy, last=last)
        state = made.state
        encoded.append(made.data)
        if chunk.task.measure and not (stands_in and number == 0):
            came_to += tally(chunk.task, made.data, image, made.image)
        context.progress("rebase", chunk.task.kind != "survey")
        made_one(number, state)  # only now, so that nobody is told to have gone on before this was over
    return encoded, came_to


def _policy(chunk: Chunk, number: int, last: bool) -> codec.Policy:
    """The task's scale, rounded to quantizers in 16 ways from frame to frame: their steps are of 1 to 20 %."""
    if chunk.task.scale == 1:
        return codec.Policy()
    turn = chunk.index if last else chunk.first + number  # the few fine frames have turns of their own
    shade = int(f"{turn % 16:04b}"[::-1], 2)
    return codec.Policy().coarser(chunk.task.scale, (shade + 0.5) / 16)


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
