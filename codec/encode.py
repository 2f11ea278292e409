"""Encode: a frame of our own making on any state (RFC 6386 §9 to §18).

What ``rebase`` takes from another encoder's frame is chosen here, macroblock by macroblock, before the same pass makes
it: see ``choose``. A step of ``Effort`` says how much is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from codec.assemble import Coded, assemble, segment_indices, segment_probabilities
from codec.canvas import Canvas
from codec.check import check_image, check_state
from codec.choose import Chooser
from codec.choose_inter import InterChooser
from codec.decisions import Decisions
from codec.decode import context_of
from codec.effort import PACES, Effort
from codec.errors import Mismatch
from codec.filter_search import search_filter_level
from codec.header import Header
from codec.image import Image, macroblocks
from codec.prices import Prices
from codec.quantization import MAX_INDEX
from codec.requantize import Requantizer
from codec.search import MotionSearch
from codec.state import FilterDeltas, Four, Segmentation, State
from codec.weights import CHROMA, Weights

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Refresh", "encode", "encode_frame"]

MAX_LEVEL = 63  # §9.6

# §9.3: what libvpx's encoder changes of the filter level, by reference and by kind of mode.
FILTER_DELTAS = FilterDeltas(references=(2, 0, -2, -2), modes=(4, -2, 2, 4))


@dataclass(frozen=True, slots=True)
class Refresh:
    """What an interframe leaves behind (§9.7, §9.11); a key frame replaces all three references.

    ``last``, ``golden``, ``altref``: whether the frame becomes that reference. ``copy_to_golden``: 0 nothing, 1 last,
    2 altref; ``copy_to_altref``: 0 nothing, 1 last, 2 golden. The sign biases turn round vectors into these
    references where they predict others. ``entropy``: whether the frame's probabilities stay.
    """

    last: bool = True
    golden: bool = False
    altref: bool = False
    copy_to_golden: int = 0
    copy_to_altref: int = 0
    golden_sign_bias: bool = False
    altref_sign_bias: bool = False
    entropy: bool = True


def encode(state: State | None, image: Image, **options: Any) -> bytes:
    """Return ``image`` as a frame on ``state``: see ``encode_frame``, whose options these are."""
    return encode_frame(state, image, **options).data


def encode_frame(
    state: State | None,
    image: Image,
    *,
    q_index: int,
    effort: Effort = Effort.GOOD,
    key_frame: bool = False,
    show: bool = True,
    refresh: Refresh = Refresh(),
    partitions: int = 1,
    segments: bytes | bytearray | None = None,
    segment_q: Sequence[int] | None = None,
    segment_filter: Sequence[int] | None = None,
    version: int = 0,
) -> Coded:
    """Encode an image as a frame on a state; return its bytes, the state after it and what a decoder shows.

    ``state`` may be any of the image's size; without one, or with ``key_frame``, the frame is a key frame.
    ``q_index`` is the quantizer index, 0 (finest) to 127. ``partitions``: 1, 2, 4 or 8, for the tokens (§9.5).
    ``version`` (§9.1), 0 to 3, must be that of the whole stream.

    Segments are on if any of their three arguments is there. ``segments``: a byte (0..3) a macroblock in raster order;
    without it the map is the state's, or all 0 on a key frame. ``segment_q``: four quantizer indices, instead of
    ``q_index``; ``segment_filter``: four differences to the frame's filter level, -63 to 63, without which they follow
    the quantizers. Raises Mismatch for sizes that differ, and ValueError for what is out of range.
    """
    _check(state, image, q_index, partitions, version, refresh)
    effort = Effort(effort)
    columns, rows = macroblocks(image.width, image.height)
    before = None if key_frame else state
    d = Decisions(columns, rows)
    header = _header(before, image, q_index, show, refresh, partitions.bit_length() - 1, version)
    header = _with_segments(header, before, d, segments, segment_q, segment_filter)
    references = None if before is None else (before.last, before.golden, before.altref)
    canvas = Canvas(columns, rows, header, references)
    pace = PACES[effort]
    weights = Weights.of(header, pace)
    work = Requantizer(
        canvas,
        d,
        image.raster,
        header.probabilities.coefficients,
        header.prob_skip,
        weights.factors,
        segment_indices(header),
        weights.rates,
        CHROMA,
        weights.least,
        False,
        False,
    )
    prices = Prices(header)
    inter = None
    if references is not None:
        last, golden, altref = references
        seen = [last]
        which = [1]
        for number, raster in ((2, golden), (3, altref)):
            if len(seen) < pace.references and raster not in seen:
                seen.append(raster)
                which.append(number)
        planes = (last, golden if 2 in which else last, altref if 3 in which else last)
        search = MotionSearch(image.raster, columns, rows, planes, prices, pace.first_step, pace.rounds, pace.measure)
        inter = InterChooser(d, prices, search, which, pace.searched, weights)
    Chooser(work, prices, inter, weights, pace).run()
    if header.filter_level:
        header = replace(header, filter_level=search_filter_level(canvas, d, image.raster, header, pace.filter_steps))
    return assemble(before, header, image, canvas, d, work)


def _check(state: State | None, image: Image, q_index: int, partitions: int, version: int, refresh: Refresh) -> None:
    size = image.width, image.height
    check_image(image)
    if state is not None:
        check_state(state)
        if (state.width, state.height) != size:
            raise Mismatch(f"the state is {state.width} x {state.height}, the image {size[0]} x {size[1]}")
    if not 0 <= q_index <= MAX_INDEX:
        raise ValueError(f"a quantizer index is 0 to {MAX_INDEX}, not {q_index}")
    if partitions not in (1, 2, 4, 8):
        raise ValueError(f"a frame has 1, 2, 4 or 8 token partitions, not {partitions}")
    if not 0 <= version <= 3:
        raise ValueError(f"the versions of VP8 are 0 to 3, not {version}")
    if not (0 <= refresh.copy_to_golden <= 2 and 0 <= refresh.copy_to_altref <= 2):
        raise ValueError("what is copied to golden or altref is 0 (nothing), 1 (last) or 2 (the other one)")


def _start_level(q_index: int) -> int:
    """Return the filter level that suits most frames of a quantizer, from which the best is searched."""
    return min(q_index // 2, MAX_LEVEL)


def _header(
    state: State | None, image: Image, q_index: int, show: bool, refresh: Refresh, log2_partitions: int, version: int
) -> Header:
    """Return the header as far as it is known before the macroblocks."""
    key = state is None
    old = context_of(state)
    return Header(
        key_frame=key,
        version=version,
        show=show,
        width=image.width if key else 0,
        height=image.height if key else 0,
        scaling=(0, 0),
        color_space=0,
        clamping_type=0,
        segmentation_enabled=False,
        update_segment_map=False,
        segmentation=old.segmentation,
        segment_probs=(255, 255, 255),
        simple_filter=False,
        filter_level=_start_level(q_index),
        sharpness=0,
        filter_deltas_enabled=True,
        filter_deltas=FILTER_DELTAS,
        log2_partitions=log2_partitions,
        quantizer_index=q_index,
        quantizer_deltas=(0, 0, 0, 0, 0),
        refresh_golden=key or refresh.golden,
        refresh_altref=key or refresh.altref,
        copy_to_golden=0 if key or refresh.golden else refresh.copy_to_golden,
        copy_to_altref=0 if key or refresh.altref else refresh.copy_to_altref,
        golden_sign_bias=not key and refresh.golden_sign_bias,
        altref_sign_bias=not key and refresh.altref_sign_bias,
        refresh_entropy=refresh.entropy,
        refresh_last=key or refresh.last,
        may_skip=True,
        prob_skip=128,
        prob_intra=20,
        prob_last=128,
        prob_golden=128,
        probabilities=old.probabilities,
    )


def _with_segments(
    header: Header,
    state: State | None,
    d: Decisions,
    segments: bytes | bytearray | None,
    segment_q: Sequence[int] | None,
    segment_filter: Sequence[int] | None,
) -> Header:
    """Return the header with the segments as asked for, and put their map into ``d``."""
    n = d.columns * d.rows
    old_map = bytes(n) if state is None else state.segment_map
    if segments is None and segment_q is None and segment_filter is None:
        d.segments[:] = old_map
        return header
    new_map = old_map if segments is None else bytes(segments)
    if len(new_map) != n:
        raise Mismatch(f"the segment map has {len(new_map)} bytes, the frame {d.columns} x {d.rows} macroblocks")
    if n and max(new_map) > 3:
        raise ValueError(f"a segment is 0 to 3, not {max(new_map)}")
    d.segments[:] = new_map
    base = header.quantizer_index
    indices = _four(segment_q, (base,) * 4, 0, MAX_INDEX, "segment_q: four quantizer indices")
    like = tuple(_start_level(index) - header.filter_level for index in indices)
    levels = _four(segment_filter, like, -MAX_LEVEL, MAX_LEVEL, "segment_filter: four differences of filter levels")
    a, b, c, e = (index - base for index in indices)
    # On a key frame decoders differ in what an unsent map is: all 0, or the one before.
    changed = state is None or new_map != old_map
    return replace(
        header,
        segmentation_enabled=True,
        segmentation=Segmentation(False, (a, b, c, e), levels),
        update_segment_map=changed,
        segment_probs=segment_probabilities(new_map) if changed else header.segment_probs,
    )


def _four(given: Sequence[int] | None, default: Sequence[int], least: int, most: int, what: str) -> Four:
    values = tuple(default if given is None else given)
    if len(values) != 4 or not all(least <= value <= most for value in values):
        raise ValueError(f"{what}, each {least} to {most}, not {values}")
    return values[0], values[1], values[2], values[3]
