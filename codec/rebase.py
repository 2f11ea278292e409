"""Rebase: a frame's decisions, made anew on another state (RFC 6386 §9 to §18).

Kept are references, intra modes, segments, filter type, what is refreshed. Made anew are residue, coefficients, skips
and probabilities, in one pass over the macroblocks (``requantize``), and by ``policy`` the quantizers and the
loop-filter level. Vectors, and the modes that say them, are mended where that pays (``redecide``), if the policy lets
them. The header says all that the new state does not already hold.
"""

from __future__ import annotations

from dataclasses import replace

from codec.assemble import Coded, assemble, segment_indices, segment_probabilities
from codec.canvas import Canvas
from codec.check import check_frame, check_image, check_state
from codec.decisions import BUFFERS, Decisions
from codec.decode import context_of, segment_factors
from codec.errors import Mismatch
from codec.filter_search import search_filter_level
from codec.header import Header
from codec.image import Image
from codec.policy import Policy
from codec.redecide import redecider
from codec.requantize import Requantizer
from codec.state import State

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from typing import Any

    from codec.frame import Frame

__all__ = ["rebase", "rebase_frame"]


def rebase(state: State | None, image: Image, frame: Frame, policy: Policy = Policy(), *, last: bool = False) -> bytes:
    """Return ``frame`` made anew on ``state``, so that it shows ``image``: see ``rebase_frame``."""
    return rebase_frame(state, image, frame, policy, last=last).data


def rebase_frame(
    state: State | None, image: Image, frame: Frame, policy: Policy = Policy(), *, last: bool = False
) -> Coded:
    """Make a frame anew on a state: its decisions, mended for that state, and the residue that ``image`` needs there.

    ``state`` is any of the frame's size (None will do for a key frame), ``image`` the picture that the frame is to
    show. ``last`` marks the last frame of a chunk: it refreshes all three references, and the policy treats it as
    what the next chunk starts from. Raises Mismatch when the sizes differ.
    """
    check_image(image)
    check_frame(frame)
    if (image.width, image.height) != (frame.width, frame.height):
        raise Mismatch(f"the image is {image.width} x {image.height}, the frame {frame.width} x {frame.height}")
    if not frame.key_frame:
        if state is None:
            raise Mismatch("only a key frame can be rebased on no state at all")
        if (state.width, state.height) != (frame.width, frame.height):
            raise Mismatch(f"the state is {state.width} x {state.height}, the frame {frame.width} x {frame.height}")
    if state is not None:
        check_state(state)
    header, d = _fit(state, frame, policy.quantizers(frame.header, last), last)
    references = None if state is None or header.key_frame else (state.last, state.golden, state.altref)
    canvas = Canvas(d.columns, d.rows, header, references)
    work = _requantizer(canvas, d, image.raster, header, policy, last)
    if policy.redecide and not header.key_frame:
        factors = segment_factors(header)
        weights = [policy.bit_price(header, last, factors[6 * segment]) for segment in range(4)]
        redecider(work, header, factors, weights, policy.redecide).run()
    else:
        work.run()
    if policy.filter_steps and header.filter_level:
        header = replace(header, filter_level=search_filter_level(canvas, d, image.raster, header, policy.filter_steps))
    return assemble(state, header, image, canvas, d, work)


def _fit(state: State | None, frame: Frame, header: Header, last: bool) -> tuple[Header, Decisions]:
    """Return header and decisions as they mean the same on the new state, and copies of what may yet change."""
    shared = frame.decisions
    changed = ("segments", "skips", "y_modes", "split_shapes", "vectors")
    own = {name: bytearray(getattr(shared, name)) for name in changed}
    d = Decisions(shared.columns, shared.rows, {name: own.get(name, getattr(shared, name)) for name in BUFFERS})
    changes: dict[str, Any] = {}
    if last:
        changes |= dict.fromkeys(("refresh_golden", "refresh_altref", "refresh_last"), True)
        changes |= dict.fromkeys(("copy_to_golden", "copy_to_altref"), 0)
    if state is None or header.key_frame:
        old_map = bytes(d.columns * d.rows)
        old = context_of(None)
    else:
        old_map = state.segment_map
        old = context_of(state)
    if not header.segmentation_enabled:
        # What the stream does not mention stays as it is.
        d.segments[:] = old_map
        changes |= {"segmentation": old.segmentation, "update_segment_map": False}
    elif d.segments == old_map:
        changes["update_segment_map"] = False
    else:
        changes |= {"segment_probs": segment_probabilities(d.segments), "update_segment_map": True}
    if not header.filter_deltas_enabled:
        changes["filter_deltas"] = old.filter_deltas
    return replace(header, **changes), d


def _requantizer(
    canvas: Canvas, d: Decisions, source: bytes, header: Header, policy: Policy, last: bool
) -> Requantizer:
    """Return what quantises the frame as the policy wants it."""
    flat = segment_factors(header)
    rates, least = [], []
    for segment in range(4):
        price = policy.bit_price(header, last, flat[6 * segment]) * 256
        rates += [max(round(price), 1), max(round(price * policy.intra_rate), 1)]
        # Below these sums of absolute differences hardly a block keeps a coefficient.
        luma, chroma = flat[6 * segment + 1], flat[6 * segment + 5]
        least += [luma * 180 >> 7, chroma * 100 >> 7] if policy.trellis else [0, 0]
    return Requantizer(
        canvas,
        d,
        source,
        header.probabilities.coefficients,
        header.prob_skip if header.may_skip else 128,
        flat,
        segment_indices(header),
        rates,
        round(32 / policy.chroma),
        least,
        not policy.trellis,
        policy.mode_boosts,
    )
