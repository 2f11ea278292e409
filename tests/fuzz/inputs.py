"""What the fuzzer's bytes mean: a few numbers that choose, then the material that chance and coverage shape.

Mutated bytes hardly ever make a frame that is read to its end. So most targets take theirs for choices: every string
of bytes stands for a header whose fields are all legal, and for partitions behind it. A mutant then differs from its
parent in one field or one token, and gets as deep.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import codec
from codec.boolcoder import BoolWriter
from codec.coefficient_tables import DEFAULT_COEFFICIENTS
from codec.decode import context_of
from codec.header import Context, Header, write_header
from codec.image import macroblocks
from codec.ivf import IvfHeader, write_frame
from codec.ivf import write_header as write_ivf_header
from codec.state import FilterDeltas, Probabilities, Segmentation
from tests.codec import forge

SIZES = ((16, 16), (1, 1), (17, 15), (33, 1), (16, 48), (48, 32), (64, 64), (5, 60))
_MODES, _TOKENS = 160, 640  # bytes that are enough for a macroblock's decisions and for its tokens
_OTHER = bytes(255 - n for n in range(256))
_LONGEST = 1600  # of a partition: beyond, it ends early


class Draws:
    """Takes numbers from the front of some bytes; past their end everything is 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit`` - 1; it uses up one byte, or two above 256."""
        return int.from_bytes(self.take(1 if limit <= 256 else 2), "little") % limit

    def flag(self) -> bool:
        return bool(self.below(2))

    def signed(self, bits: int) -> int:
        """A number of this many bits and a sign."""
        largest = (1 << bits) - 1
        return self.below(2 * largest + 1) - largest

    def take(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.data[self.at :]


def _table(d: Draws, table: bytes, highest: int = 255) -> bytes:
    """The table with some entries changed."""
    new = bytearray(table)
    for _ in range(d.below(8)):
        new[d.below(len(new))] = d.below(highest + 1)
    return bytes(new)


def _coefficients(d: Draws) -> bytes:
    """Probabilities of tokens: whole columns and single ones are changed, so that few bytes change much."""
    table = np.frombuffer(DEFAULT_COEFFICIENTS, np.uint8).reshape(-1, 11).copy()
    for _ in range(d.below(4)):
        table[:, d.below(11)] = d.below(256)
    return _table(d, table.tobytes())


def _vectors(d: Draws, old: bytes) -> bytes:
    """Probabilities of vectors: seven bits each, doubled, and 1 for 0."""
    new = bytearray(_table(d, old))
    if d.flag():
        new[0] = new[19] = d.below(256)  # short or long
        new[18] = new[37] = d.below(256)
    return bytes((p & 254) or 1 for p in new)


def header(d: Draws, old: Context | None) -> Header:
    """A legal header: of a key frame without ``old``, else of an interframe on it."""
    has = d.below(256)  # what is not left as it was
    own: dict[str, Any] = {"version": d.below(4), "show": d.below(8) != 7, "log2_partitions": d.below(4)}
    if has & 1:
        own["segmentation_enabled"] = True
        own["update_segment_map"] = d.flag()
        if own["update_segment_map"]:
            own["segment_probs"] = d.below(256), d.below(256), d.below(256)
        four = [tuple(d.signed(bits) for _ in range(4)) for bits in (7, 6)]
        own["segmentation"] = Segmentation(d.flag(), *four)  # type: ignore[arg-type]
    if has & 2:
        own |= {"simple_filter": d.flag(), "filter_level": d.below(64), "sharpness": d.below(8)}
    if has & 4:
        own["filter_deltas_enabled"] = True
        a, b = (tuple(d.signed(6) for _ in range(4)) for _ in range(2))
        own["filter_deltas"] = FilterDeltas(a, b)  # type: ignore[arg-type]
    if has & 8:
        own["quantizer_index"] = d.below(128)
        if d.flag():
            own["quantizer_deltas"] = tuple(d.signed(4) for _ in range(5))
    if has & 16:
        own |= {"may_skip": True, "prob_skip": d.below(256)}
    own["refresh_entropy"] = d.flag()
    if old is None:
        if has & 32:
            own["probabilities"] = Probabilities(_coefficients(d))
            own |= {"scaling": (d.below(4), d.below(4)), "color_space": d.below(2), "clamping_type": d.below(2)}
        width, height = SIZES[d.below(len(SIZES))]
        return forge.key_header(width, height, **own)
    if has & 32:
        kept = old.probabilities
        coefficients = _coefficients(d) if d.flag() else kept.coefficients
        modes = _table(d, kept.y_modes), _table(d, kept.uv_modes)
        own["probabilities"] = Probabilities(coefficients, *modes, _vectors(d, kept.vectors))
    own |= {"prob_intra": d.below(256), "prob_last": d.below(256), "prob_golden": d.below(256)}
    if has & 64:
        own |= {name: d.flag() for name in ("refresh_golden", "refresh_altref", "refresh_last")}
        own |= {name: d.flag() for name in ("golden_sign_bias", "altref_sign_bias")}
        own |= {f"copy_to_{name}": d.below(3) for name in ("golden", "altref") if not own[f"refresh_{name}"]}
    return forge.inter_header(old, **own)


def _filled(material: bytes, size: int, damaged: bool) -> bytes:
    """The material repeated until it is enough, unless it is to be cut short."""
    if damaged or not material:
        return material
    return (material * (size // len(material) + 1))[:size]


def frame(d: Draws, old: Context | None, count: int) -> bytes:
    """A frame of ``count`` macroblocks (of a key frame: as many as it has) on a context."""
    h = header(d, old)
    if h.key_frame:
        columns, rows = macroblocks(h.width, h.height)
        count = columns * rows
    cut = d.below(32)  # now and then a partition is too short
    writer = BoolWriter(8192 + (_MODES + 8) * count)
    write_header(writer, h, Context() if old is None else old)
    modes = _filled(d.take(4 * d.below(64)), min(_MODES * count, _LONGEST), cut == 31)
    # As probabilities that all change, which takes one call; that they do is next to certain, so it takes no bits.
    writer.updates(bytes(len(modes)), modes.translate(_OTHER), modes, 8)
    material = d.take(4 * d.below(64))
    parts = []
    for n in range(1 << h.log2_partitions):
        part = _filled(material[n:] + material[:n], min(_TOKENS * count, 4 * _LONGEST), cut == 30)
        parts.append(bytes([min(part[0], 254)]) + part[1:] if part else b"\0")
    return forge.assemble(h, writer.finish(), parts)


def next_frame(d: Draws, state: codec.State | None) -> bytes:
    """The next frame of a stream: now and then a key frame, else an interframe on the state."""
    if state is None or d.below(16) == 15:
        return frame(d, None, 0)
    return frame(d, context_of(state), len(state.segment_map))


def frames(data: bytes) -> Iterator[bytes]:
    """The frames of a stream; each is decoded to make the next."""
    d, state = Draws(data), None
    while d.at < len(data):
        made = next_frame(d, state)
        yield made
        with suppress(codec.CorruptStream):
            state, _ = codec.decode(state, made)


def ivf_file(packets: list[bytes]) -> bytes:
    """An IVF file of these frames."""
    file = io.BytesIO()
    write_ivf_header(file, IvfHeader(16, 16, 30, 1, len(packets)))
    for n, packet in enumerate(packets):
        write_frame(file, n, packet)
    return file.getvalue()


class Start(NamedTuple):
    """A state to begin with, and the frames that led there."""

    state: codec.State | None
    before: tuple[bytes, ...]


@functools.cache
def starts() -> tuple[Start, ...]:
    """No state, and two states of every size: of the key frame alone, and after interframes."""
    made = [Start(None, ())]
    rng = np.random.default_rng(1)
    for n in range(len(SIZES)):
        state, before, old = None, [], None
        for k in range(4):
            while True:
                d = Draws(rng.bytes(400))
                made_of = header(d, old)
                if old is None:
                    made_of = replace(made_of, width=SIZES[n][0], height=SIZES[n][1])
                columns, rows = macroblocks(*SIZES[n])
                data = forge.noise_frame(
                    replace(made_of, version=k % 3), old or Context(), columns * rows, int(rng.integers(1 << 30))
                )
                if forge.is_predicted(codec.parse(state, data)):
                    break
            state, _ = codec.decode(state, data)
            old = context_of(state)
            before.append(data)
            if k in (0, 3):
                made.append(Start(state, tuple(before)))
    return tuple(made)


@functools.cache
def pictures() -> tuple[bytes, ...]:
    """Pictures of some of those states, which the reader of a state may have."""
    small = [start.state for start in starts() if start.state and len(start.state.last) < 2000]
    return tuple(dict.fromkeys(raster for state in small[1:4] for raster in (state.golden, state.altref)))
