"""What is written is what is read: booleans, header, modes and vectors, tokens, each at its extremes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
from codec.boolcoder import BoolReader, BoolWriter
from codec.coefficient_tables import COEFFICIENT_UPDATES, DEFAULT_COEFFICIENTS, ZIGZAG
from codec.decisions import Decisions
from codec.decode import context_of
from codec.errors import CorruptStream, TooLarge
from codec.header import Context, Header, frame_tag, read_header, write_header
from codec.mode_tables import DEFAULT_MV_PROBS, MV_UPDATES
from codec.state import FilterDeltas, Probabilities, Segmentation
from tests.codec import builds, forge
from tests.codec.peers import Panel

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
B_PRED, ZERO, NEW, SPLIT = 4, 7, 8, 9


# Booleans


class PlainReader:
    """Reads booleans as §7.3 tells it: two bytes of window, shifted bit by bit."""

    def __init__(self, data: bytes) -> None:
        self.data = iter(data)
        self.value = next(self.data, 0) << 8 | next(self.data, 0)
        self.range, self.shifts = 255, 0

    def flag(self, prob: int) -> int:
        split = 1 + ((self.range - 1) * prob >> 8)
        bit = int(self.value >= split << 8)
        self.range = self.range - split if bit else split
        self.value -= bit * (split << 8)
        while self.range < 128:
            self.value, self.range, self.shifts = self.value << 1, self.range << 1, self.shifts + 1
            if self.shifts == 8:
                self.value, self.shifts = self.value | next(self.data, 0), 0
        return bit


probabilities = st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 2, 127, 128, 129, 253, 254, 255]))
booleans = st.lists(st.tuples(probabilities, st.integers(0, 1)), max_size=400)


@given(booleans)
@settings(SETTINGS, max_examples=200)
def test_booleans(pairs: list[tuple[int, int]]) -> None:
    written = set()
    for build in ("uncompiled", *builds.HERE):
        writer = builds.load(build).boolcoder.BoolWriter(len(pairs) + 16)
        for prob, value in pairs:
            writer.flag(value, prob)
        assert not writer.full
        written.add(writer.finish())
        (data,) = written
        reader = builds.load(build).boolcoder.BoolReader(b"??" + data + b"??", 2, 2 + len(data))
        assert [reader.flag(prob) for prob, _ in pairs] == [value for _, value in pairs]
        assert not reader.ended_early()
    plain = PlainReader(data)
    assert [plain.flag(prob) for prob, _ in pairs] == [value for _, value in pairs]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 20, 128, 255]))
@settings(SETTINGS, max_examples=40)
def test_long_runs_carry(seed: int, prob: int) -> None:
    """Thousands of unlikely and of likely booleans: carries through long rows of 255."""
    rng = np.random.default_rng(seed)
    values = (rng.random(4000) < rng.choice([0.001, 0.5, 0.999])).astype(int).tolist()
    writer = BoolWriter(8000)
    for value in values:
        writer.flag(value, prob)
    data = writer.finish()
    reader, plain = BoolReader(data, 0, len(data)), PlainReader(data)
    assert [reader.flag(prob) for _ in values] == values
    assert [plain.flag(prob) for _ in values] == values


@given(st.lists(st.tuples(st.integers(1, 24), st.integers(0, 2**24 - 1)), max_size=60))
@settings(SETTINGS, max_examples=100)
def test_literals(numbers: list[tuple[int, int]]) -> None:
    writer = BoolWriter(4 * len(numbers) + 16)
    for bits, value in numbers:
        writer.literal(bits, value & (1 << bits) - 1)
    data = writer.finish()
    reader = BoolReader(data, 0, len(data))
    assert [reader.literal(bits) for bits, _ in numbers] == [value & (1 << bits) - 1 for bits, value in numbers]


@given(st.lists(st.tuples(probabilities, st.integers(0, 1)), min_size=60, max_size=100))
@settings(SETTINGS, max_examples=30)
def test_a_partition_that_is_cut_short_is_noticed(pairs: list[tuple[int, int]]) -> None:
    writer = BoolWriter(1000)
    for prob, value in pairs:
        writer.flag(value, prob)
    data = writer.finish()
    early = []
    for size in range(len(data) + 1):
        readers = [builds.load(build).boolcoder.BoolReader(data, 0, size) for build in (codec.BUILD, "uncompiled")]
        said = {(tuple(reader.flag(prob) for prob, _ in pairs), bool(reader.ended_early())) for reader in readers}
        assert len(said) == 1
        ((values, ended),) = said
        assert ended or values == tuple(value for _, value in pairs)
        early.append(ended)
    assert early == sorted(early, reverse=True)  # noticed up to some size, and from there on all is there
    assert not early[-1]


def test_a_full_writer_says_so() -> None:
    for capacity in (0, 1, 5):
        writer = BoolWriter(capacity)
        for _ in range(200):
            writer.literal(8, 0xA5)
        writer.finish()
        assert writer.full
    writer = BoolWriter(220)
    for _ in range(200):
        writer.literal(8, 0xFF)
    writer.finish()
    assert not writer.full


@pytest.mark.parametrize("width", [8, 7])
def test_updates_of_probabilities(width: int) -> None:
    odds, old = {8: (COEFFICIENT_UPDATES, DEFAULT_COEFFICIENTS), 7: (MV_UPDATES, DEFAULT_MV_PROBS)}[width]
    rng = np.random.default_rng(1)
    for share in (0, 0.02, 1):
        new = rng.integers(0, 256, len(old))
        if width == 7:
            new = np.where(new < 2, 1, new & ~1)
        new = np.where(rng.random(len(old)) < share, new, np.frombuffer(old, np.uint8)).astype(np.uint8).tobytes()
        for build in ("uncompiled", *builds.HERE):
            module = builds.load(build).boolcoder
            writer = module.BoolWriter(4000)
            writer.updates(odds, old, new, width)
            data = writer.finish()
            assert module.BoolReader(data, 0, len(data)).updates(odds, old, width) == new


# Headers


@given(st.data())
@settings(SETTINGS, max_examples=120)
def test_headers(data: st.DataObject) -> None:
    check_header(data.draw(forge.key_headers(st.tuples(st.integers(1, 16383), st.integers(1, 16383)))), Context())
    table = Probabilities(data.draw(forge.coefficient_probabilities()))
    old = Context(table, data.draw(forge.segmentations), data.draw(forge.filter_deltas))
    check_header(data.draw(forge.inter_headers(old)), old)


def check_header(header: Header, old: Context, *names: str) -> None:
    """Write a header and read it, in the build that the tests run on and in others, which must write the same."""
    written = set()
    for package in (codec, *(builds.load(build) for build in names)):
        own, context = builds.moved(header, package), builds.moved(old, package)
        writer = package.boolcoder.BoolWriter(4096)
        package.header.write_header(writer, own, context)
        part = writer.finish()
        data = package.header.frame_tag(own, len(part)) + part
        written.add(data)
        got, reader, end = package.header.read_header(data, context)
        assert end == len(data)
        assert not reader.ended_early()
        assert got == own
    assert len(written) == 1


# Each field of a header at its ends, on an interframe or on a key frame.
EXTREMES: list[dict[str, Any]] = [
    *({"version": version} for version in range(4)),
    {"show": False},
    {"width": 16383, "height": 1, "scaling": (3, 0), "key_frame": True},
    {"width": 1, "height": 16383, "scaling": (0, 3), "key_frame": True},
    {"color_space": 1, "key_frame": True},
    {"clamping_type": 1, "key_frame": True},
    {"segmentation_enabled": True, "segmentation": Segmentation(True, (127, -127, 1, -1), (63, -63, 1, -1))},
    {"segmentation_enabled": True, "segmentation": Segmentation(False, (0, 0, 0, -127), (0, 0, 0, -63))},
    {"segmentation_enabled": True, "update_segment_map": True, "segment_probs": (0, 254, 255)},
    {"simple_filter": True, "filter_level": 63, "sharpness": 7},
    {"filter_deltas_enabled": True, "filter_deltas": FilterDeltas((63, -63, 1, 0), (0, 1, -63, 63))},
    {"log2_partitions": 3},
    {"quantizer_index": 127, "quantizer_deltas": (15, -15, 1, -1, 0)},
    {"refresh_golden": True},
    {"refresh_altref": True},
    {"copy_to_golden": 1, "copy_to_altref": 2},
    {"copy_to_golden": 2, "copy_to_altref": 1},
    {"golden_sign_bias": True},
    {"altref_sign_bias": True},
    {"refresh_entropy": False},
    {"refresh_entropy": False, "key_frame": True},
    {"refresh_last": False},
    {"may_skip": True, "prob_skip": 255},
    {"may_skip": True, "prob_skip": 0},
    {"prob_intra": 0, "prob_last": 0, "prob_golden": 0},
    {"prob_intra": 255, "prob_last": 255, "prob_golden": 255},
    {"probabilities": Probabilities(bytes(1056), bytes(4), bytes(3), bytes([1]) * 38)},
    {"probabilities": Probabilities(bytes([255]) * 1056, bytes([255]) * 4, bytes([255]) * 3, bytes([254]) * 38)},
]


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: ", ".join(extreme))
def test_a_field_at_its_end(extreme: dict[str, Any]) -> None:
    old = Context()
    if extreme.get("key_frame"):
        check_header(forge.key_header(**{"width": 5, "height": 5, **extreme}), old, *builds.OTHERS)
    else:
        check_header(forge.inter_header(old, **extreme), old, *builds.OTHERS)


def test_every_field_of_a_header_is_written() -> None:
    named = {name for extreme in EXTREMES for name in extreme}
    assert named == {field.name for field in fields(Header)}


def test_a_first_partition_that_no_tag_can_announce() -> None:
    header = forge.key_header(16, 16)
    assert len(frame_tag(header, (1 << 19) - 1)) == 10
    with pytest.raises(TooLarge, match="524288 bytes"):
        frame_tag(header, 1 << 19)


def test_a_header_cut_short_anywhere() -> None:
    old = Context(Probabilities(bytes(1056)))
    header = forge.inter_header(old, probabilities=Probabilities(), segmentation_enabled=True)
    writer = BoolWriter(4096)
    write_header(writer, header, old)
    part = writer.finish()
    for size in range(1, len(part) - 2):
        with pytest.raises(CorruptStream, match="within the frame header"):
            read_header(frame_tag(header, size) + part[:size], old)


# Modes and vectors

SHAPES = ([0] * 8 + [1] * 8, [0, 0, 1, 1] * 4, [0, 0, 1, 1] * 2 + [2, 2, 3, 3] * 2, list(range(16)))
far = st.one_of(st.integers(-500, 500), st.sampled_from([0, 0, 1, -1, 500, -500]))


@st.composite
def macroblock(draw: st.DrawFn, key_frame: bool) -> dict[str, Any]:
    """A macroblock that says what is drawn; whole vectors are new or zero, for the others follow from neighbours."""
    one: dict[str, Any] = {"segments": draw(st.integers(0, 3)), "skips": 1}
    one["references"] = 0 if key_frame else draw(st.sampled_from([0, 1, 1, 2, 3]))
    if not one["references"]:
        one["y_modes"] = draw(st.integers(0, 4))
        one["uv_modes"] = draw(st.integers(0, 3))
        if one["y_modes"] == B_PRED:
            one["b_modes"] = draw(st.lists(st.integers(0, 9), min_size=16, max_size=16))
        return one
    one["y_modes"] = draw(st.sampled_from([ZERO, NEW, SPLIT, SPLIT]))
    if one["y_modes"] == NEW:
        one["vectors"] = [draw(st.tuples(far, far))] + [(0, 0)] * 15
    elif one["y_modes"] == SPLIT:
        shape = one["split_shapes"] = draw(st.integers(0, 3))
        parts = draw(st.lists(st.tuples(far, far), min_size=16, max_size=16))
        one["vectors"] = [parts[part] for part in SHAPES[shape]]
    return one


def decisions(columns: int, rows: int, macroblocks: list[dict[str, Any]]) -> Decisions:
    d = Decisions(columns, rows)
    vectors = np.zeros((columns * rows, 16, 2), np.int16)
    for at, one in enumerate(macroblocks):
        for name, value in one.items():
            if name == "vectors":
                vectors[at] = value
            elif name == "b_modes":
                d.b_modes[16 * at : 16 * at + 16] = bytes(value)
            else:
                getattr(d, name)[at] = value
    d.vectors[:] = vectors.tobytes()
    return d


@given(st.data())
@settings(SETTINGS, max_examples=50)
def test_modes_and_vectors(data: st.DataObject) -> None:
    """All modes on all edges, all ways to split, vectors far outside: read as written, shown as by libvpx."""
    columns, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    known = {"segmentation_enabled": True, "update_segment_map": True, "segment_probs": (90, 200, 30)}
    known |= {"may_skip": True, "prob_skip": 10}
    panel = Panel()
    first = forge.key_header(16 * columns, 16 * rows)
    panel.check(forge.noise_frame(first, Context(), columns * rows, data.draw(forge.seeds())))
    for key_frame in (False, True, False):
        assert panel.state is not None
        drawn = [data.draw(macroblock(key_frame)) for _ in range(columns * rows)]
        wanted = decisions(columns, rows, drawn)
        old = Context() if key_frame else context_of(panel.state)
        settings_of = {**known, "version": data.draw(st.integers(0, 3)), "filter_level": data.draw(st.integers(0, 63))}
        if key_frame:
            header = forge.key_header(panel.state.width, panel.state.height, **settings_of)
        else:
            biases = {"golden_sign_bias": data.draw(st.booleans()), "altref_sign_bias": data.draw(st.booleans())}
            header = forge.inter_header(old, **settings_of, **biases)
        frame = forge.written_frame(header, old, wanted)
        parsed = codec.parse(panel.state, frame)
        assert parsed.decisions == wanted
        if not forge.is_predicted(parsed):
            return
        panel.check(frame)
        raw = builds.load("uncompiled")
        writer = raw.boolcoder.BoolWriter(8192)
        raw.header.write_header(writer, builds.moved(header, raw), builds.moved(old, raw))
        raw.modes.write_modes(writer, header, raw.decisions.Decisions(columns, rows, wanted.buffers()))
        assert forge.assemble(header, writer.finish(), [bytes(4)]) == frame


# Tokens

LEVELS = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 18, 19, 34, 35, 66, 67, 68, 2047, 2048, 2113, 2114]


@given(st.integers(0, 2**32 - 1), forge.coefficient_probabilities(), st.integers(0, 3))
@settings(SETTINGS, max_examples=16)
def test_tokens(seed: int, table: bytes, log2: int) -> None:
    """Every level that can be said, at both ends of each category, on every place of a block."""
    rng = np.random.default_rng(seed)
    count = 4
    d = Decisions(2, 2)
    d.y_modes[:] = bytes(rng.integers(0, 5, count).tolist())
    d.skips[:] = bytes((rng.random(count) < 0.2).tolist())
    levels = rng.choice(LEVELS, (count, 25, 16), p=[0.4] + [0.6 / (len(LEVELS) - 1)] * (len(LEVELS) - 1))
    levels *= rng.choice([-1, 1], levels.shape)
    eobs = rng.choice([0, 0, 0, 1, 2, 15, 16], (count, 25))
    has_y2 = np.frombuffer(d.y_modes, np.uint8) != B_PRED
    eobs[has_y2, :16] = np.where(eobs[has_y2, :16] == 1, 0, eobs[has_y2, :16])
    eobs[~has_y2, 24] = 0
    eobs[np.frombuffer(d.skips, np.uint8) > 0] = 0
    coded = np.zeros_like(levels)
    for place in range(16):
        at = (eobs > place) & ~(has_y2[:, None] & (np.arange(25) < 16) & (place == 0))
        coded[:, :, ZIGZAG[place]] = np.where(at, levels[:, :, ZIGZAG[place]], 0)
        last = (eobs == place + 1) & (place < 15) & (coded[:, :, ZIGZAG[place]] == 0)
        coded[:, :, ZIGZAG[place]] += last & at  # only the sixteenth may be a zero that is coded
    coded = coded.astype(np.int16)
    own = {"may_skip": True, "prob_skip": 99, "log2_partitions": log2, "probabilities": Probabilities(table)}
    header = forge.key_header(32, 32, **own)
    blocks = coded.reshape(-1, 16)[eobs.ravel() > 0]
    wanted = codec.Frame(32, 32, header, d.frozen(), bytes(eobs.ravel().tolist()), blocks.tobytes(), ())
    data = forge.rewritten_frame(wanted, Context())
    assert replace(codec.parse(None, data), sizes=()) == wanted
    for build in builds.OTHERS:
        package = builds.load(build)
        assert package.parse(None, data).levels == wanted.levels
        assert package.decode(None, data)[0].to_bytes() == codec.decode(None, data)[0].to_bytes()
