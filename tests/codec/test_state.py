"""The state is a value: nothing changes it, every field of it counts, and it survives being stored."""

from __future__ import annotations

import copy
import pickle
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

import codec
from codec.errors import CorruptState, CorruptStream
from codec.serialise import _HEAD, _TABLES
from tests.codec import streams


def states(name: str) -> Iterator[codec.State]:
    """The states after each frame of a stream."""
    state = None
    for data in streams.stream(name):
        state, _ = codec.decode(state, data)
        yield state


@pytest.fixture(scope="module")
def state() -> codec.State:
    """A state in which nothing is as it begins and no reference is like another."""
    rng = np.random.default_rng(1)
    *_, some = states("tiny 31x33")
    rasters = (rng.bytes(len(some.last)) for _ in range(3))
    segmentation = replace(
        some.segmentation, absolute=True, quantizers=(1, -2, 127, -127), filter_levels=(5, -63, 63, 0)
    )
    deltas = replace(some.filter_deltas, references=(1, -1, 63, -63), modes=(2, -2, 60, 9))
    last, golden, altref = rasters
    return replace(
        some,
        last=last,
        golden=golden,
        altref=altref,
        segmentation=segmentation,
        filter_deltas=deltas,
        scaling=(1, 2),
        segment_map=bytes(k % 4 for k in range(len(some.segment_map))),
    )


# Every field counts


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields that hold no further fields."""
    for field in fields(value):
        inner = getattr(value, field.name)
        name = f"{path}{field.name}"
        yield from leaves(inner, f"{name}.") if is_dataclass(inner) else [name]


def changed(value: Any, path: str) -> Any:
    """The same value with one field changed as little as its type allows."""
    name, _, rest = path.partition(".")
    return replace(value, **{name: changed(getattr(value, name), rest) if rest else other(getattr(value, name))})


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, tuple):
        return (*value[:-1], other(value[-1]))
    raise AssertionError(f"a state has a field of type {type(value).__name__}, which this test cannot change")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "path" in metafunc.fixturenames:
        *_, some = states("tiny 1x1")
        metafunc.parametrize("path", list(leaves(some)))


def test_every_field_makes_a_difference(state: codec.State, path: str) -> None:
    another = changed(state, path)
    assert another != state
    assert hash(another) != hash(state)
    assert another.difference(state) == state.difference(another) == (path,)
    assert another.to_bytes() != state.to_bytes()
    assert codec.State.from_bytes(another.to_bytes()) == another


def test_all_fields_are_found(state: codec.State) -> None:
    names = set(leaves(state))
    assert {"width", "altref", "probabilities.vectors", "segmentation.absolute", "filter_deltas.modes"} <= names
    assert len(names) == 16


def test_several_differences_are_all_named(state: codec.State) -> None:
    another = changed(changed(state, "segmentation.quantizers"), "golden")
    assert set(state.difference(another)) == {"golden", "segmentation.quantizers"}
    assert state.difference(state) == ()


def test_a_state_equals_only_states(state: codec.State) -> None:
    assert state != state.to_bytes()
    assert state is not None
    assert len({state, codec.State.from_bytes(state.to_bytes()), changed(state, "width")}) == 2


# Nothing changes it


def test_decoding_leaves_the_old_state_alone() -> None:
    for name in ("references", "regions", "altref, profile 0", "sizes"):
        state = None
        for data in streams.stream(name):
            before = state.to_bytes() if state else b""
            after, _ = codec.decode(state, data)
            codec.parse(state, data)
            with pytest.raises(CorruptStream):
                codec.decode(state, data[: len(data) // 2])
            assert (state.to_bytes() if state else b"") == before
            assert codec.decode(state, data)[0] == after
            state = after


def test_two_futures_of_one_state() -> None:
    packets = streams.stream("quantizer 20"), streams.stream("quantizer 40")
    state, _ = codec.decode(None, packets[0][0])
    one, first = codec.decode(state, packets[0][1])
    two, second = codec.decode(state, packets[1][1])
    assert one != two
    assert codec.decode(state, packets[0][1]) == (one, first)
    assert codec.decode(state, packets[1][1]) == (two, second)


def test_it_is_frozen(state: codec.State) -> None:
    for path in ("width", "last"):
        with pytest.raises(FrozenInstanceError):
            setattr(state, path, 1)
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        state.another = 1  # type: ignore[attr-defined]
    assert all(isinstance(raster, bytes) for raster in (state.last, state.segment_map, state.probabilities.vectors))


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_the_bytes_of_a_frame_may_come_in_any_buffer(kind: Any) -> None:
    state = None
    for data in streams.stream("references"):
        frame, wanted = codec.parse(state, data), codec.decode(state, data)
        buffer = bytearray(data)
        got, parsed = codec.decode(state, kind(buffer)), codec.parse(state, kind(buffer))
        if kind is bytearray:
            buffer[:] = bytes(len(buffer))  # what was decoded does not depend on them any more
        assert got == wanted
        assert parsed == frame
        state = wanted[0]


def test_threads_share_a_state() -> None:
    packets = streams.stream("best motion")
    state, _ = codec.decode(None, packets[0])

    def work(_: int) -> tuple[codec.State, list[codec.Frame]]:
        mine, frames = state, []
        for data in packets[1:]:
            frames.append(codec.parse(mine, data))
            mine, _ = codec.decode(mine, data)
        return mine, frames

    wanted = work(0)
    with ThreadPoolExecutor(8) as pool:
        assert all(result == wanted for result in pool.map(work, range(64)))


# It survives


def test_stored_and_loaded_it_is_the_same_and_goes_on_the_same() -> None:
    for name in ("references", "regions", "altref, still", "tiny 1x1", "scaling"):
        state = None
        for data in streams.stream(name):
            after, image = codec.decode(state, data)
            for pack in (False, True):
                loaded = codec.State.from_bytes(state.to_bytes(pack=pack)) if state else None
                assert loaded == state
                assert hash(loaded) == hash(state)
                assert codec.decode(loaded, data) == (after, image)
            state = after


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies(state: codec.State, way: Any) -> None:
    assert way(state) == state
    data = streams.stream("best motion")[:2]
    before, image = codec.decode(None, data[0])
    frame = codec.parse(before, data[1])
    assert way(frame) == frame
    assert hash(way(frame.header)) == hash(frame.header)
    assert way(image) == image
    with pytest.raises(CorruptStream) as error:
        codec.decode(None, data[1])
    same = way(error.value.at(frame=7))
    assert (same.rule, same.offset, same.frame, str(same)) == (error.value.rule, 0, 7, str(error.value.at(7)))


@pytest.mark.parametrize("pattern", ["aaa", "aab", "aba", "abb", "abc"])
def test_a_reference_is_stored_once(state: codec.State, pattern: str) -> None:
    last, golden, altref = (bytes(state.last[:-1]) + letter.encode() for letter in pattern)
    same = replace(state, last=last, golden=golden, altref=altref)
    stored = same.to_bytes()
    loaded = codec.State.from_bytes(stored)
    assert loaded == same
    distinct = len(set(pattern))
    assert len(stored) - distinct * len(last) < 1300
    assert len({id(raster) for raster in (loaded.last, loaded.golden, loaded.altref)}) == distinct


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_it_is_loaded_from_any_buffer(state: codec.State, kind: Any) -> None:
    buffer = bytearray(state.to_bytes())
    loaded = codec.State.from_bytes(kind(buffer))
    buffer[:] = bytes(len(buffer))  # it does not depend on that any more
    assert loaded == state
    assert type(loaded.last) is type(loaded.probabilities.vectors) is bytes


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("pattern", ["aaa", "aab", "aba", "abb", "abc"])
@pytest.mark.parametrize("had", ["", "a", "b", "ab", "ba", "abc", "xc", "xa"])
def test_pictures_that_the_reader_has_are_left_out(state: codec.State, pattern: str, had: str, pack: bool) -> None:
    rng = np.random.default_rng(5)
    rasters = {letter: rng.bytes(len(state.last)) for letter in "abcx"}
    last, golden, altref = (rasters[letter] for letter in pattern)
    same = replace(state, last=last, golden=golden, altref=altref)
    pictures = [rasters[letter] for letter in had]
    stored = same.to_bytes(pack=pack, without=pictures)
    assert codec.State.from_bytes(stored, pictures=[bytes(bytearray(picture)) for picture in pictures]) == same
    assert len(stored) - len(set(pattern) - set(had)) * len(last) < 1500
    assert (stored == same.to_bytes(pack=pack)) == (not set(pattern) & set(had))


def test_the_same_state_is_stored_as_the_same_bytes(state: codec.State) -> None:
    assert codec.State.from_bytes(state.to_bytes()).to_bytes() == state.to_bytes()


# It refuses everything else


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "packed"])
def stored(request: pytest.FixtureRequest) -> bytes:
    *_, some = states("tiny 16x16")
    return some.to_bytes(pack=request.param)


def test_every_truncation_is_refused(stored: bytes) -> None:
    for size in range(len(stored)):
        with pytest.raises(CorruptState):
            codec.State.from_bytes(stored[:size])
    for more in (b"\0", b"VP8S", stored):
        with pytest.raises(CorruptState):
            codec.State.from_bytes(stored + more)


def test_every_changed_byte_is_refused(stored: bytes) -> None:
    rng = np.random.default_rng(2)
    damaged = bytearray(stored)
    for at in range(len(stored)):
        for flip in (1 << int(rng.integers(8)), int(rng.integers(1, 256))):
            damaged[at] ^= flip
            with pytest.raises(CorruptState):
                codec.State.from_bytes(damaged)
            damaged[at] ^= flip
    assert codec.State.from_bytes(damaged) == codec.State.from_bytes(stored)


def test_other_pictures_are_refused(state: codec.State) -> None:
    pictures = state.golden, state.altref
    stored = state.to_bytes(without=pictures)
    flipped = bytes([state.golden[0] ^ 1]) + state.golden[1:]
    for wrong, says in (
        ((), "without picture 0"),
        (pictures[:1], "without picture 1"),
        (pictures[::-1], "picture 0 is not the one"),
        ((flipped, state.altref), "picture 0 is not the one"),
        ((state.golden, b""), "picture 1 is not the one"),
        ((state.golden, state.altref + b"\0"), "picture 1 is not the one"),
    ):
        with pytest.raises(CorruptState, match=says):
            codec.State.from_bytes(stored, pictures=wrong)
    for size in range(len(stored)):
        with pytest.raises(CorruptState):
            codec.State.from_bytes(stored[:size], pictures=pictures)
    # Of another size, though its checksum is right.
    values = list(_HEAD.unpack_from(stored))
    values[3] += 16
    with pytest.raises(CorruptState):
        codec.State.from_bytes(sealed(_HEAD.pack(*values) + stored[_HEAD.size : -4]), pictures=pictures)


def test_foreign_bytes_are_refused(stored: bytes) -> None:
    rng = np.random.default_rng(3)
    foreign = [b"", b"VP8S", bytes(5000), pickle.dumps(stored), *(rng.bytes(5000) for _ in range(50))]
    for data in (
        *foreign,
        *(b"VP8S" + rng.bytes(2000) for _ in range(50)),
        *(b"VP8S\1" + rng.bytes(2000) for _ in range(50)),
    ):
        with pytest.raises(CorruptState) as error:
            codec.State.from_bytes(data)
        assert "state" in str(error.value)


def test_a_later_version_is_refused_by_name(stored: bytes) -> None:
    with pytest.raises(CorruptState, match="format 2; this version of the codec reads format 1"):
        codec.State.from_bytes(sealed(stored[:4] + b"\2" + stored[5:-4]))


def sealed(data: bytes) -> bytes:
    """The bytes with the checksum that they should have."""
    return data + struct.pack("<I", zlib.crc32(data))


# Values of the head, by their places in what ``struct`` unpacks.
FORGERIES = {
    "packing": {2: 2},
    "no width": {3: 0},
    "no height": {4: 0},
    "too wide": {3: 16384},
    "larger than what is there": {3: 33},
    "as large as a frame can be": {3: 16383, 4: 16383},
    "scaling": {5: 4},
    "first reference elsewhere": {7: 1},
    "second reference not there": {8: 2},
    "third reference not there": {9: 3},
    "third reference skips one": {8: 0, 9: 2},
    "neither absolute nor not": {10: 2},
    "quantizer": {11: -128},
    "filter level": {15: 64},
    "reference delta": {19: -64},
    "mode delta": {26: 100},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_no_stream_can_make_is_refused_even_with_a_good_checksum(stored: bytes, forgery: str) -> None:
    values = list(_HEAD.unpack_from(stored))
    for at, value in FORGERIES[forgery].items():
        values[at] = value
    with pytest.raises(CorruptState):
        codec.State.from_bytes(sealed(_HEAD.pack(*values) + stored[_HEAD.size : -4]))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        zlib.compress(b""),
        zlib.compress(b"\4"),
        zlib.compress(b"\0\0"),
        zlib.compress(bytes(1 << 26)),
        zlib.compress(b"\0") + b"\0",
        zlib.compress(b"\0")[:-1],
        zlib.compress(b"\0")[:-1] + b"\xff",
        b"\0" * 20,
    ],
)
def test_a_segment_map_that_does_not_fit_is_refused(stored: bytes, packed: bytes) -> None:
    at = _HEAD.size + _TABLES
    end = at + 4 + struct.unpack_from("<I", stored, at)[0]
    for claim in (len(packed), len(packed) + 1, 0, 0xFFFFFFFF):
        with pytest.raises(CorruptState):
            codec.State.from_bytes(sealed(stored[:at] + struct.pack("<I", claim) + packed + stored[end:-4]))


def test_an_image_packed_better_than_it_can_be_is_refused_before_it_is_unpacked() -> None:
    """Deflate could make a thousand bytes of one; Huffman codes alone, which is what we write, make eight at most."""
    *_, some = states("tiny 16x16")
    n = 256 * 256
    head = list(_HEAD.unpack_from(some.to_bytes(pack=True)))
    head[3], head[4], head[7:10] = 4096, 4096, [0, 0, 0]
    image = zlib.compress(bytes(384 * n), 9, -15)
    parts = b"".join(struct.pack("<I", len(part)) + part for part in (zlib.compress(bytes(n)), image))
    tracemalloc.start()
    with pytest.raises(CorruptState, match="shorter than it can be"):
        codec.State.from_bytes(sealed(_HEAD.pack(*head) + some.to_bytes()[_HEAD.size : _HEAD.size + _TABLES] + parts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(parts) + 3 * n


def test_a_flat_state_is_packed_as_far_as_can_be() -> None:
    *_, some = states("tiny 16x16")
    for value in (0, 128, 255):
        flat = bytes([value]) * len(some.last)
        state = replace(some, last=flat, golden=flat, altref=flat)
        assert codec.State.from_bytes(state.to_bytes(pack=True)) == state
