"""Frames that no encoder makes: any header, and behind it decisions and tokens that chance decides.

Arithmetic decoding makes sense of any bits: after a header, noise is a valid frame. What it says follows the
probabilities of the header, so these steer it: to far vectors, to golden, to many or few coefficients.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import codec
from codec.boolcoder import BoolWriter
from codec.coefficient_tables import DEFAULT_COEFFICIENTS
from codec.decisions import Decisions
from codec.decode import segment_factors
from codec.header import Context, Header, frame_tag, write_header
from codec.modes import write_modes
from codec.state import FilterDeltas, Probabilities, Segmentation
from tests.codec import builds

# Bytes of noise that are enough for a macroblock's decisions and for its tokens.
_MODES, _TOKENS = 160, 640


def key_header(width: int, height: int, **fields: Any) -> Header:
    """Return the plainest header of a key frame, but for what ``fields`` say."""
    plain = Header(
        key_frame=True,
        version=0,
        show=True,
        width=width,
        height=height,
        scaling=(0, 0),
        color_space=0,
        clamping_type=0,
        segmentation_enabled=False,
        update_segment_map=False,
        segmentation=Segmentation(),
        segment_probs=(255, 255, 255),
        simple_filter=False,
        filter_level=0,
        sharpness=0,
        filter_deltas_enabled=False,
        filter_deltas=FilterDeltas(),
        log2_partitions=0,
        quantizer_index=0,
        quantizer_deltas=(0, 0, 0, 0, 0),
        refresh_golden=True,
        refresh_altref=True,
        copy_to_golden=0,
        copy_to_altref=0,
        golden_sign_bias=False,
        altref_sign_bias=False,
        refresh_entropy=True,
        refresh_last=True,
        may_skip=False,
        prob_skip=0,
        prob_intra=0,
        prob_last=0,
        prob_golden=0,
        probabilities=Probabilities(),
    )
    return replace(plain, **fields)


def inter_header(old: Context, **fields: Any) -> Header:
    """Return the plainest header of an interframe on a context, but for what ``fields`` say."""
    plain = key_header(0, 0, key_frame=False, refresh_golden=False, refresh_altref=False)
    kept = {"probabilities": old.probabilities, "segmentation": old.segmentation, "filter_deltas": old.filter_deltas}
    return replace(plain, **{"prob_intra": 128, "prob_last": 128, "prob_golden": 128, **kept, **fields})


def noise_frame(header: Header, old: Context, macroblocks: int, seed: int) -> bytes:
    """Return a frame that has this header and chance for the rest."""
    rng = np.random.default_rng(seed)
    writer = BoolWriter(4096 + (_MODES + 8) * macroblocks)
    write_header(writer, header, old)
    for value in rng.integers(0, 1 << 16, _MODES * macroblocks // 2).tolist():
        writer.literal(16, value)
    assert not writer.full
    # No arithmetic coder begins a partition with 255, for the first range is smaller.
    parts = [bytes([rng.integers(255)]) + rng.bytes(_TOKENS * macroblocks) for _ in range(1 << header.log2_partitions)]
    return assemble(header, writer.finish(), parts)


def written_frame(header: Header, old: Context, decisions: Decisions, parts: list[bytes] | None = None) -> bytes:
    """Return a frame of these decisions; without token partitions every macroblock must be skipped."""
    writer = BoolWriter(4096 + _MODES * decisions.columns * decisions.rows)
    write_header(writer, header, old)
    write_modes(writer, header, decisions)
    assert not writer.full
    return assemble(header, writer.finish(), parts or [bytes(4)] * (1 << header.log2_partitions))


def rewritten_frame(frame: codec.Frame, old: Context) -> bytes:
    """Return a parsed frame written again: the way back from ``codec.parse``.

    The tokens are written by the uncompiled build, for compiled code takes pointers for them.
    """
    raw = builds.load("uncompiled")
    d, header = frame.decisions, frame.header
    writers = [raw.boolcoder.BoolWriter(len(frame.eobs) * 64 + 64) for _ in range(1 << header.log2_partitions)]
    above = bytearray(9 * d.columns)
    left = bytearray(9)
    levels = frame.coefficients.reshape(-1).tolist()
    for at in range(d.columns * d.rows):
        row, column = divmod(at, d.columns)
        if column == 0:
            left = bytearray(9)
        has_y2 = d.y_modes[at] not in (4, 9)
        if d.skips[at]:
            raw.tokens.skip_tokens(above, 9 * column, left, has_y2)
        else:
            writer, probs = writers[row % len(writers)], header.probabilities.coefficients
            raw.tokens.write_tokens(
                writer, probs, above, 9 * column, left, has_y2, levels, 400 * at, frame.eobs, 25 * at
            )
    return written_frame(header, old, d, [writer.finish() for writer in writers])


def assemble(header: Header, modes: bytes, parts: list[bytes]) -> bytes:
    """Return the bytes of a frame whose partitions are these (§9.1, §9.5)."""
    sizes = [len(part).to_bytes(3, "little") for part in parts[:-1]]
    return b"".join([frame_tag(header, len(modes)), modes, *sizes, *parts])


def image(width: int, height: int, seed: int) -> codec.Image:
    """Return a picture of one of several characters: noise, one colour, only extremes, smooth."""
    rng = np.random.default_rng(seed)
    size = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    pixels = (
        rng.integers(0, 256, size),
        np.full(size, rng.integers(256)),
        rng.choice([0, 255], size),
        np.clip(np.cumsum(rng.integers(-3, 4, size)) + 128, 0, 255),
    )[rng.integers(4)]
    return codec.Image.from_bytes(width, height, pixels.astype(np.uint8).tobytes())


def is_in_range(frame: codec.Frame) -> bool:
    """Tell whether no sum of the inverse transforms can leave 16 bits.

    Beyond, the standard promises nothing. Ours does what libvpx does with the vectors of x86-64; FFmpeg does not.
    """
    factors = np.array(segment_factors(frame.header)).reshape(4, 6)
    segments = frame.per_macroblock("segments") if frame.header.segmentation_enabled else np.zeros(1, np.int64)
    levels = np.abs(frame.coefficients.astype(np.int64))
    own = np.broadcast_to(factors[segments], (*levels.shape[:2], 6))
    has_y2 = ~np.isin(frame.per_macroblock("y_modes"), (4, 9))
    weights = np.ones_like(levels)
    for blocks, dc in ((slice(0, 16), 0), (slice(16, 24), 4), (slice(24, 25), 2)):
        weights[:, :, blocks] = own[:, :, dc + 1, None, None]
        weights[:, :, blocks, 0] = own[:, :, dc, None]
    sums = (levels * weights).sum(3)
    sums[:, :, :16] += (sums[:, :, 24:] >> 3) * has_y2[:, :, None]
    return bool(sums[:, :, :24].max() < 6000 and sums[:, :, 24].max() < 30000)


def is_predicted(frame: codec.Frame) -> bool:
    """Tell whether libvpx predicts all chroma.

    In version 3 it does not where a vector leads out by 18 to 19 pixels: rounded down to a whole pixel that is
    farther than it allows, and it leaves what was in the buffer.
    """
    if frame.header.version != 3:
        return True
    vectors = frame.per_macroblock("vectors")[:, :, 0].astype(np.int64)
    modes = frame.per_macroblock("y_modes")
    whole = (frame.per_macroblock("references") > 0) & (modes != 9)
    for axis, count in ((0, modes.shape[0]), (1, modes.shape[1])):
        at = np.arange(count).reshape((-1, 1) if axis == 0 else (1, -1))
        low, high = -64 * at - 76, 64 * (count - 1 - at) + 72
        own = vectors[:, :, axis]
        inside = (own >= low) & (own <= high)  # beyond, libvpx limits the vector to 16 pixels
        if (whole & inside & ((own & ~7) < low)).any():
            return False
    return True


# Strategies

_signed = {bits: st.integers(1 - (1 << bits), (1 << bits) - 1) for bits in (4, 6, 7)}
_probability = st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 128, 254, 255]))
SIZES = st.one_of(
    st.tuples(st.integers(1, 80), st.integers(1, 60)),
    st.sampled_from([(1, 1), (16, 16), (17, 33), (48, 48), (96, 16), (16, 96)]),
)


def _four(bits: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
    return st.tuples(*[_signed[bits]] * 4)


segmentations = st.builds(Segmentation, st.booleans(), _four(7), _four(6))
filter_deltas = st.builds(FilterDeltas, _four(6), _four(6))


def seeds() -> st.SearchStrategy[int]:
    """Seeds of the noise behind a header."""
    return st.integers(0, 2**32 - 1)


@st.composite
def coefficient_probabilities(draw: st.DrawFn) -> bytes:
    """Probabilities of tokens that are random, but keep large coefficients as rare as a drawn temper wants it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return DEFAULT_COEFFICIENTS
    table = np.frombuffer(DEFAULT_COEFFICIENTS, np.uint8).reshape(-1, 11).copy()
    change = rng.random(table.shape) < (0.05, 0.3, 1)[kind - 1]
    change[:, 3:] = False
    table[change] = rng.integers(0, 256, int(change.sum()))
    table[:, 3:] = draw(st.sampled_from([1, 128, 200, 240, 250, 255]))
    if draw(st.booleans()):
        table[:, 0] = draw(st.sampled_from([1, 20, 255]))
    return table.tobytes()


@st.composite
def vector_probabilities(draw: st.DrawFn) -> bytes:
    """Probabilities of vectors that can be sent in seven bits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = rng.integers(0, 128, 38) * 2
    table[table == 0] = 1
    table[[0, 19]] = draw(st.sampled_from([1, 60, 128, 250, 254]))  # short or long
    table[[18, 37]] = draw(st.sampled_from([1, 128, 254]))  # the highest bit of a long one
    return bytes(table.tolist())


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    """Everything that a header of any frame may say; what is absent stays as it was."""
    drawn: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {
                "version": st.integers(0, 3),
                "show": st.sampled_from([True, True, True, False]),
                "segmentation_enabled": st.booleans(),
                "simple_filter": st.booleans(),
                "filter_level": st.one_of(st.integers(0, 63), st.sampled_from([0, 63])),
                "sharpness": st.integers(0, 7),
                "filter_deltas_enabled": st.booleans(),
                "log2_partitions": st.integers(0, 3),
                "quantizer_index": st.one_of(st.integers(0, 20), st.integers(0, 127)),
                "quantizer_deltas": st.one_of(st.just((0,) * 5), st.tuples(*[_signed[4]] * 5)),
                "refresh_entropy": st.booleans(),
                "may_skip": st.booleans(),
                "prob_skip": _probability,
            }
        )
    )
    if drawn["segmentation_enabled"]:
        drawn["update_segment_map"] = draw(st.booleans())
        if drawn["update_segment_map"]:
            drawn["segment_probs"] = draw(st.tuples(*[_probability] * 3))
        if draw(st.booleans()):
            drawn["segmentation"] = draw(segmentations)
    if drawn["filter_deltas_enabled"] and draw(st.booleans()):
        drawn["filter_deltas"] = draw(filter_deltas)
    if not drawn["may_skip"]:
        drawn["prob_skip"] = 0
    return drawn


@st.composite
def key_headers(draw: st.DrawFn, sizes: st.SearchStrategy[tuple[int, int]] = SIZES) -> Header:
    """Headers of key frames."""
    own = {
        "scaling": draw(st.tuples(st.integers(0, 3), st.integers(0, 3))),
        "color_space": draw(st.integers(0, 1)),
        "clamping_type": draw(st.integers(0, 1)),
        "probabilities": Probabilities(draw(coefficient_probabilities())),
    }
    return key_header(*draw(sizes), **own, **draw(fields()))


@st.composite
def inter_headers(draw: st.DrawFn, old: Context) -> Header:
    """Headers of interframes on a context."""
    own: dict[str, Any] = {
        "refresh_golden": draw(st.booleans()),
        "refresh_altref": draw(st.booleans()),
        "refresh_last": draw(st.booleans()),
        "golden_sign_bias": draw(st.booleans()),
        "altref_sign_bias": draw(st.booleans()),
        "prob_intra": draw(st.one_of(st.sampled_from([0, 10, 30]), _probability)),
        "prob_last": draw(_probability),
        "prob_golden": draw(_probability),
    }
    if not own["refresh_golden"]:
        own["copy_to_golden"] = draw(st.integers(0, 2))
    if not own["refresh_altref"]:
        own["copy_to_altref"] = draw(st.integers(0, 2))
    kept = old.probabilities
    own["probabilities"] = Probabilities(
        draw(coefficient_probabilities()) if draw(st.booleans()) else kept.coefficients,
        bytes(draw(st.tuples(*[_probability] * 4))) if draw(st.booleans()) else kept.y_modes,
        bytes(draw(st.tuples(*[_probability] * 3))) if draw(st.booleans()) else kept.uv_modes,
        draw(vector_probabilities()) if draw(st.booleans()) else kept.vectors,
    )
    return inter_header(old, **own, **draw(fields()))
