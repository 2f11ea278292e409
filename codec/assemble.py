"""From macroblocks that are made to the bytes of a frame and the state after it, for all that codes (RFC 6386 §9).

The loop filter, the probabilities that suit the frame, the header, the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from codec.boolcoder import BoolWriter
from codec.canvas import Canvas
from codec.decisions import Decisions
from codec.decode import context_of, next_state
from codec.errors import TooLarge
from codec.filter_search import apply_filter
from codec.header import Header, frame_tag, write_header
from codec.image import Image
from codec.mode_counts import count_modes
from codec.mode_tables import MV_UPDATES
from codec.modes import write_modes
from codec.probabilities import improved, improved_table, probability
from codec.quantization import MAX_INDEX
from codec.requantize import Requantizer
from codec.state import Probabilities, State

__all__ = ["Coded", "assemble", "segment_indices", "segment_probabilities"]


MAX_PARTITION = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded frame: its bytes, the state after it and its image (None if it is not to be shown)."""

    data: bytes
    state: State
    image: Image | None


def assemble(
    state: State | None, header: Header, image: Image, canvas: Canvas, d: Decisions, work: Requantizer
) -> Coded:
    """Return the frame whose macroblocks ``work`` has made on ``canvas``, with the probabilities that suit it best.

    The canvas is filtered here, as ``header`` says. ``image``, the source, lends its size alone.
    """
    apply_filter(canvas, d, header)
    header = _with_probabilities(header, context_of(None if header.key_frame else state).probabilities, d, work)
    data = _written(state, header, d, work)
    raster = canvas.finished()
    after = next_state(state, header, image.width, image.height, bytes(d.segments), raster)
    return Coded(data, after, Image(image.width, image.height, raster) if header.show else None)


def segment_indices(header: Header) -> list[int]:
    """Return the quantizer indices of the four segments (§9.3, §9.6)."""
    if not header.segmentation_enabled:
        return [header.quantizer_index] * 4
    base = 0 if header.segmentation.absolute else header.quantizer_index
    return [min(max(base + own, 0), MAX_INDEX) for own in header.segmentation.quantizers]


def segment_probabilities(segments: bytes | bytearray) -> tuple[int, int, int]:
    """Return the probabilities that suit a segment map (§9.3)."""
    n = [segments.count(segment) for segment in range(4)]
    return probability(n[0] + n[1], n[2] + n[3]), probability(n[0], n[1]), probability(n[2], n[3])


def _with_probabilities(header: Header, old: Probabilities, d: Decisions, work: Requantizer) -> Header:
    """Return the header with the probabilities that suit the frame best, what it takes to send them counted in."""
    coefficients = work.improved(old.coefficients)
    counts = count_modes(d, header.golden_sign_bias, header.altref_sign_bias)
    prob_skip = probability(len(d.skips) - counts.skips, counts.skips)
    if header.key_frame:
        return replace(
            header, may_skip=True, prob_skip=prob_skip, probabilities=replace(old, coefficients=coefficients)
        )
    intra, *others = counts.references
    return replace(
        header,
        may_skip=True,
        prob_skip=prob_skip,
        prob_intra=probability(intra, sum(others)),
        prob_last=probability(others[0], others[1] + others[2]),
        prob_golden=probability(others[1], others[2]),
        probabilities=Probabilities(
            coefficients,
            y_modes=improved_table(old.y_modes, counts.y_modes),
            uv_modes=improved_table(old.uv_modes, counts.uv_modes),
            vectors=improved(old.vectors, MV_UPDATES, counts.vectors, 7),
        ),
    )


def _written(state: State | None, header: Header, d: Decisions, work: Requantizer) -> bytes:
    """Return the frame's bytes (§9.1, §9.5)."""
    room = 4096 + 8 * d.columns * d.rows
    while True:
        first = BoolWriter(room)
        write_header(first, header, context_of(state))
        write_modes(first, header, d)
        modes = first.finish()  # writes, too, so it comes before the question whether all had room
        if not first.full:
            break
        room *= 4
    room = 4096 + 4 * d.columns * d.rows
    while True:
        writers = [BoolWriter(room) for _ in range(1 << header.log2_partitions)]
        work.write(writers, header.probabilities.coefficients)
        parts = [writer.finish() for writer in writers]
        if not any(writer.full for writer in writers):
            break
        room *= 4
    return b"".join([frame_tag(header, len(modes)), modes, partition_sizes(parts), *parts])


def partition_sizes(parts: list[bytes]) -> bytes:
    """Return the sizes of all token partitions but the last (§9.5). Raises TooLarge."""
    longest = max(map(len, parts[:-1]), default=0)
    if longest > MAX_PARTITION:
        raise TooLarge(f"a token partition would be {longest} bytes, and {MAX_PARTITION} is the most (§9.5)")
    return b"".join(len(part).to_bytes(3, "little") for part in parts[:-1])
