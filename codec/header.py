"""The frame header: one description of its syntax that reads it and writes it (RFC 6386 §9, §19.2).

``_describe`` names every element in the order of the bitstream. Handed a ``_Reading`` it takes each from the
stream, handed a ``_Writing`` it puts there what it is given; so the two cannot drift apart. What a header may
leave unsaid (probabilities, segmentation, filter deltas) is handled as ``old`` and new value: an update is sent
where they differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import SimpleNamespace

from codec.boolcoder import BoolReader, BoolWriter
from codec.coefficient_tables import COEFFICIENT_UPDATES
from codec.errors import CorruptStream, TooLarge
from codec.mode_tables import MV_UPDATES
from codec.state import FilterDeltas, Four, Probabilities, Segmentation

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from typing import Any, Protocol, TypeVar

    T = TypeVar("T")

    class _Coder(Protocol):
        """What reading and writing have in common; every method returns the value that is in the stream."""

        def flag(self, value: bool) -> bool: ...
        def literal(self, bits: int, value: int) -> int: ...
        def signed(self, bits: int, value: int) -> int: ...
        def updates(self, odds: bytes, old: bytes, new: bytes, width: int) -> bytes: ...


__all__ = ["Context", "Header", "read_header", "write_header"]

START_CODE = b"\x9d\x01\x2a"
TAG_SIZE = 3
KEY_TAG_SIZE = 10
MAX_FIRST_PARTITION = (1 << 19) - 1


@dataclass(frozen=True, slots=True)
class Context:
    """What a header refers to and may change: the part of a state that is neither image nor segment map."""

    probabilities: Probabilities = field(default_factory=Probabilities)
    segmentation: Segmentation = field(default_factory=Segmentation)
    filter_deltas: FilterDeltas = field(default_factory=FilterDeltas)


@dataclass(frozen=True, slots=True)
class Header:
    """A frame header, with the values in force for the frame after its updates.

    Names follow §9 and §19.2. ``copy_to_golden``: 0 none, 1 last, 2 altref; ``copy_to_altref``: 0 none, 1 last,
    2 golden. ``quantizer_deltas``: Y1 DC, Y2 DC, Y2 AC, chroma DC, chroma AC. ``segment_probs`` counts when
    ``update_segment_map``, ``prob_skip`` when ``may_skip``. Width, height and scaling are 0 on interframes.
    """

    key_frame: bool
    version: int
    show: bool
    width: int
    height: int
    scaling: tuple[int, int]
    color_space: int
    clamping_type: int
    segmentation_enabled: bool
    update_segment_map: bool
    segmentation: Segmentation
    segment_probs: tuple[int, int, int]
    simple_filter: bool
    filter_level: int
    sharpness: int
    filter_deltas_enabled: bool
    filter_deltas: FilterDeltas
    log2_partitions: int
    quantizer_index: int
    quantizer_deltas: tuple[int, int, int, int, int]
    refresh_golden: bool
    refresh_altref: bool
    copy_to_golden: int
    copy_to_altref: int
    golden_sign_bias: bool
    altref_sign_bias: bool
    refresh_entropy: bool
    refresh_last: bool
    may_skip: bool
    prob_skip: int
    prob_intra: int
    prob_last: int
    prob_golden: int
    probabilities: Probabilities

    @property
    def context(self) -> Context:
        """What the frame itself is coded with."""
        return Context(self.probabilities, self.segmentation, self.filter_deltas)

    def references(self, before: tuple[T, T, T] | None, made: T) -> tuple[T, T, T]:
        """Return what last, golden and altref are after the frame, whose own picture is ``made`` (§9.7).

        ``before`` is what they were, of which a key frame needs nothing. Buffers are copied before the new frame goes
        anywhere, altref first: so libvpx does it.
        """
        if self.key_frame or before is None:
            return made, made, made
        last, golden, altref = before
        altref = (altref, last, golden, altref)[self.copy_to_altref]
        golden = (golden, last, altref, golden)[self.copy_to_golden]
        return (
            made if self.refresh_last else last,
            made if self.refresh_golden else golden,
            made if self.refresh_altref else altref,
        )


class _Reading:
    def __init__(self, reader: BoolReader) -> None:
        self._reader = reader

    def flag(self, value: bool) -> bool:
        return bool(self._reader.flag())

    def literal(self, bits: int, value: int) -> int:
        return self._reader.literal(bits)

    def signed(self, bits: int, value: int) -> int:
        magnitude = self._reader.literal(bits)
        return -magnitude if self._reader.flag() else magnitude

    def updates(self, odds: bytes, old: bytes, new: bytes, width: int) -> bytes:
        return self._reader.updates(odds, old, width)


class _Writing:
    def __init__(self, writer: BoolWriter) -> None:
        self._writer = writer

    def flag(self, value: bool) -> bool:
        self._writer.flag(value)
        return value

    def literal(self, bits: int, value: int) -> int:
        self._writer.literal(bits, value)
        return value

    def signed(self, bits: int, value: int) -> int:
        self._writer.literal(bits, abs(value))
        self._writer.flag(value < 0)
        return value

    def updates(self, odds: bytes, old: bytes, new: bytes, width: int) -> bytes:
        self._writer.updates(odds, old, new, width)
        return new


def _describe(c: _Coder, h: Any, old: Context) -> None:
    """Walk through the header in the order of §19.2; ``h`` gives and takes the values by name."""
    if h.key_frame:
        h.color_space = c.literal(1, h.color_space)
        h.clamping_type = c.literal(1, h.clamping_type)
    h.segmentation_enabled = c.flag(h.segmentation_enabled)
    if h.segmentation_enabled:
        _describe_segmentation(c, h, old.segmentation)
    h.simple_filter = c.flag(h.simple_filter)
    h.filter_level = c.literal(6, h.filter_level)
    h.sharpness = c.literal(3, h.sharpness)
    h.filter_deltas_enabled = c.flag(h.filter_deltas_enabled)
    if h.filter_deltas_enabled:
        _describe_filter_deltas(c, h, old.filter_deltas)
    h.log2_partitions = c.literal(2, h.log2_partitions)
    h.quantizer_index = c.literal(7, h.quantizer_index)
    h.quantizer_deltas = tuple(_optional(c, 4, delta) for delta in h.quantizer_deltas)
    if h.key_frame:
        h.refresh_entropy = c.flag(h.refresh_entropy)
    else:
        h.refresh_golden = c.flag(h.refresh_golden)
        h.refresh_altref = c.flag(h.refresh_altref)
        if not h.refresh_golden:
            h.copy_to_golden = c.literal(2, h.copy_to_golden)
        if not h.refresh_altref:
            h.copy_to_altref = c.literal(2, h.copy_to_altref)
        h.golden_sign_bias = c.flag(h.golden_sign_bias)
        h.altref_sign_bias = c.flag(h.altref_sign_bias)
        h.refresh_entropy = c.flag(h.refresh_entropy)
        h.refresh_last = c.flag(h.refresh_last)
    before, p = old.probabilities, h.probabilities
    coefficients = c.updates(COEFFICIENT_UPDATES, before.coefficients, p.coefficients, 8)
    h.may_skip = c.flag(h.may_skip)
    if h.may_skip:
        h.prob_skip = c.literal(8, h.prob_skip)
    y_modes, uv_modes, vectors = before.y_modes, before.uv_modes, before.vectors
    if not h.key_frame:
        h.prob_intra = c.literal(8, h.prob_intra)
        h.prob_last = c.literal(8, h.prob_last)
        h.prob_golden = c.literal(8, h.prob_golden)
        y_modes = _replaced(c, y_modes, p.y_modes)
        uv_modes = _replaced(c, uv_modes, p.uv_modes)
        vectors = c.updates(MV_UPDATES, vectors, p.vectors, 7)
    h.probabilities = Probabilities(coefficients, y_modes, uv_modes, vectors)


def _describe_segmentation(c: _Coder, h: Any, old: Segmentation) -> None:
    h.update_segment_map = c.flag(h.update_segment_map)
    if c.flag(h.segmentation != old):
        s = h.segmentation
        absolute = c.flag(s.absolute)
        quantizers: Any = tuple(_optional(c, 7, value) for value in s.quantizers)
        filter_levels: Any = tuple(_optional(c, 6, value) for value in s.filter_levels)
        h.segmentation = Segmentation(absolute, quantizers, filter_levels)
    else:
        h.segmentation = old
    if h.update_segment_map:
        h.segment_probs = tuple(c.literal(8, prob) if c.flag(prob != 255) else 255 for prob in h.segment_probs)


def _describe_filter_deltas(c: _Coder, h: Any, old: FilterDeltas) -> None:
    if c.flag(h.filter_deltas != old):
        new = h.filter_deltas
        h.filter_deltas = FilterDeltas(_changed(c, old.references, new.references), _changed(c, old.modes, new.modes))
    else:
        h.filter_deltas = old


def _changed(c: _Coder, old: Four, new: Four) -> Four:
    a, b, d, e = (c.signed(6, y) if c.flag(x != y) else x for x, y in zip(old, new, strict=True))
    return a, b, d, e


def _optional(c: _Coder, bits: int, value: int) -> int:
    return c.signed(bits, value) if c.flag(value != 0) else 0


def _replaced(c: _Coder, old: bytes, new: bytes) -> bytes:
    return bytes([c.literal(8, prob) for prob in new]) if c.flag(old != new) else old


def _draft() -> SimpleNamespace:
    """Return what holds of a frame whose header says nothing."""
    values: dict[str, Any] = dict.fromkeys((f.name for f in fields(Header)), 0)
    for name in (f.name for f in fields(Header) if f.type == "bool"):
        values[name] = False
    values.update(
        scaling=(0, 0),
        segmentation=Segmentation(),
        segment_probs=(255, 255, 255),
        filter_deltas=FilterDeltas(),
        quantizer_deltas=(0, 0, 0, 0, 0),
        probabilities=Probabilities(),
    )
    return SimpleNamespace(**values)


_DRAFT = vars(_draft())


def read_header(data: bytes, old: Context) -> tuple[Header, BoolReader, int]:
    """Read a frame's header.

    ``old`` is what the frame starts from; a key frame starts from the defaults, whatever it is. Returns the
    header, the reader of the first partition, standing at the first macroblock (§19.3), and the offset in
    ``data`` at which the first partition ends. Raises CorruptStream.
    """
    if len(data) < TAG_SIZE:
        raise CorruptStream("the frame ends within its 3-byte tag (§9.1)", len(data))
    tag = int.from_bytes(data[:TAG_SIZE], "little")
    h = SimpleNamespace(**_DRAFT)
    h.key_frame = not tag & 1
    h.version = tag >> 1 & 7
    h.show = bool(tag >> 4 & 1)
    start = TAG_SIZE
    if h.version > 3:
        raise CorruptStream(f"version {h.version} is not defined, 0 to 3 are (§9.1)", 0)
    if h.key_frame:
        if len(data) < KEY_TAG_SIZE:
            raise CorruptStream("the key frame ends within its 10-byte start (§9.1)", len(data))
        if data[TAG_SIZE:6] != START_CODE:
            raise CorruptStream("the key frame lacks the start code 9d 01 2a (§9.1)", TAG_SIZE)
        sides = [int.from_bytes(data[at : at + 2], "little") for at in (6, 8)]
        h.width, h.height = (side & 0x3FFF for side in sides)
        h.scaling = sides[0] >> 14, sides[1] >> 14
        if not (h.width and h.height):
            raise CorruptStream(f"the key frame is {h.width} x {h.height} pixels (§9.1)", 6)
        start = KEY_TAG_SIZE
        old = Context()
        h.refresh_golden = h.refresh_altref = h.refresh_last = True
    end = start + (tag >> 5)
    if end == start or end > len(data):
        rule = f"the first partition of {tag >> 5} bytes does not fit the frame of {len(data)} (§9.1)"
        raise CorruptStream(rule, 0)
    h.segmentation, h.filter_deltas = old.segmentation, old.filter_deltas
    h.probabilities = old.probabilities
    reader = BoolReader(data, start, end)
    _describe(_Reading(reader), h, old)
    if reader.ended_early():
        raise CorruptStream("the first partition ends within the frame header (§9.2)", end)
    if 3 in (h.copy_to_golden, h.copy_to_altref):
        raise CorruptStream("a reference is copied from buffer 3, and only 1 and 2 are defined (§9.7)", start)
    return Header(**vars(h)), reader, end


def write_header(writer: BoolWriter, header: Header, old: Context) -> None:
    """Write all of a header that belongs into the first partition; ``frame_tag`` makes what comes before it.

    What is not equal to ``old`` (on a key frame: to the defaults) is written as an update.
    """
    h = SimpleNamespace(**{f.name: getattr(header, f.name) for f in fields(header)})
    _describe(_Writing(writer), h, Context() if header.key_frame else old)


def frame_tag(header: Header, first_partition: int) -> bytes:
    """Return the uncompressed start of a frame (§9.1) whose first partition has this many bytes."""
    if first_partition > MAX_FIRST_PARTITION:
        what = f"the first partition would be {first_partition} bytes, and {MAX_FIRST_PARTITION} is the most (§9.1)"
        raise TooLarge(what)
    tag = (not header.key_frame) | header.version << 1 | header.show << 4 | first_partition << 5
    start = tag.to_bytes(TAG_SIZE, "little")
    if header.key_frame:
        width = header.width | header.scaling[0] << 14
        height = header.height | header.scaling[1] << 14
        start += START_CODE + width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return start
