"""Bad input: whatever comes in, a result or an error of the codec's comes out, soon, and no memory is wasted on it."""

from __future__ import annotations

import contextlib
import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
from codec.decisions import Decisions
from codec.decode import context_of
from codec.errors import CorruptStream
from codec.header import Context
from codec.ivf import CorruptContainer, IvfHeader, read_ivf, write_frame, write_header
from tests.codec import builds, forge, streams
from tests.codec.peers import Pyav, picture
from tests.codec.vpx import Decoder, Refused

ROOT = Path(__file__).resolve().parents[2]
VICTIMS = ("partitions 4", "tiny 17x15", "regions", "altref, still", "profile 3", "noise")


Result = tuple[codec.State, codec.Image | None]


def outcome(state: codec.State | None, data: bytes) -> Result | CorruptStream:
    """What decoding gives, having seen that parsing gives the same."""
    results: list[Result | codec.Frame | CorruptStream] = []
    for function in (codec.decode, codec.parse) if data else (codec.decode,):
        try:
            results.append(function(state, data))
        except CorruptStream as error:
            check_error(error, data)
            results.append(error)
    first, last = results[0], results[-1]
    assert isinstance(first, CorruptStream) == isinstance(last, CorruptStream)
    if isinstance(first, CorruptStream) and isinstance(last, CorruptStream):
        assert first.args == last.args
    assert not isinstance(first, codec.Frame)
    return first


def check_error(error: CorruptStream, data: bytes) -> None:
    """An error names the rule, with its section, and where in the frame it was noticed."""
    assert "(§" in error.rule
    assert 0 <= error.offset <= len(data)
    assert error.frame is None
    assert str(error) == f"this frame is corrupt at byte {error.offset}: {error.rule}"
    assert str(error.at(12)) == f"frame 12 is corrupt at byte {error.offset}: {error.rule}"


def heads(name: str) -> Iterator[tuple[codec.State | None, bytes]]:
    """The first frames of a stream, each with the state to decode it on."""
    state = None
    for data in streams.stream(name)[:4]:
        yield state, data
        state, _ = codec.decode(state, data)


# Damage


@pytest.mark.parametrize("name", VICTIMS)
def test_truncated_anywhere(name: str) -> None:
    """Only bytes that no macroblock needs can be missing unnoticed: then the result is what it would have been."""
    for state, data in heads(name):
        whole = codec.decode(state, data)
        sizes = range(1, len(data)) if len(data) < 2500 else sorted({*range(1, 300), *range(1, len(data), 7)})
        for size in sizes:
            result = outcome(state, data[:size])
            assert isinstance(result, CorruptStream) or result == whole
        assert isinstance(outcome(state, data[: len(data) // 2]), CorruptStream)


@pytest.mark.parametrize("name", VICTIMS)
def test_flipped_bits(name: str) -> None:
    """With a bit flipped it is another frame: refused, or what libvpx makes of it too."""
    rng = np.random.default_rng(1)
    good = bad = 0
    for n, (state, data) in enumerate(heads(name)):
        places = {*range(min(len(data), 40) * 8), *rng.integers(0, 8 * len(data), 250).tolist()}
        for place in sorted(places):
            damaged = bytearray(data)
            damaged[place >> 3] ^= 1 << (place & 7)
            result = outcome(state, bytes(damaged))
            if isinstance(result, CorruptStream):
                bad += 1
            else:
                good += agrees_with_libvpx(name, n, state, bytes(damaged), result)
    assert good > 100
    assert bad > 10


def agrees_with_libvpx(name: str, n: int, state: codec.State | None, data: bytes, result: Result) -> bool:
    """Let libvpx decode the frame after those before it; return whether what it shows can be compared."""
    if not forge.is_predicted(codec.parse(state, data)):
        return False
    peer = Decoder()
    for before in streams.stream(name)[:n]:
        peer.decode(before)
    shown = peer.decode(data)
    assert shown == picture(result[1])
    assert not peer.is_corrupt()
    return True


@pytest.mark.parametrize("name", VICTIMS)
def test_random_bytes(name: str) -> None:
    rng = np.random.default_rng(2)
    for state, data in heads(name):
        for _ in range(60):
            outcome(state, rng.bytes(int(rng.integers(0, 200))))
            start = int(rng.integers(0, min(40, len(data))))
            outcome(state, data[:start] + rng.bytes(int(rng.integers(0, 2 * len(data)))))
            outcome(state, bytes(rng.integers(0, 2, 300, dtype=np.uint8) * 255))


@given(st.binary(max_size=300), st.integers(0, 3))
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_any_bytes(data: bytes, n: int) -> None:
    state = list(heads("tiny 17x15"))[n][0]
    outcome(state, data)
    if data:
        outcome(None, b"\x10\x02\x00\x9d\x01\x2a\x08\x00\x08\x00" + data)


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_a_frame_of_another_stream(data: st.DataObject) -> None:
    """Any interframe may meet any state of any size; some work, all end well."""
    some = st.sampled_from(["tiny 1x1", "tiny 33x1", "tiny 16x48", "regions", "profile 2 moving", "altref, still"])
    state = None
    for name in data.draw(st.lists(some, min_size=2, max_size=5)):
        packets = streams.stream(name)
        result = outcome(state, packets[data.draw(st.integers(0, len(packets) - 1))])
        state = state if isinstance(result, CorruptStream) else result[0]


def test_a_stream_with_frames_lost() -> None:
    """Made for that, it goes on without them, and shows what libvpx shows."""
    packets = streams.stream("error resilient")
    peer, state = Decoder(), None
    for data in (*packets[:3], *packets[4:6], *packets[8:]):
        state, image = codec.decode(state, data)
        assert peer.decode(data) == picture(image)


# Rules


KEY = streams.stream("tiny 33x1")[0]


def altered(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def tagged(data: bytes, **bits: int) -> bytes:
    """The frame with fields of its tag set: key frame is 0, version, show, size of the first partition."""
    tag = int.from_bytes(data[:3], "little")
    for name, value in bits.items():
        shift, size = {"inter": (0, 1), "version": (1, 3), "show": (4, 1), "first": (5, 19)}[name]
        tag = tag & ~((1 << size) - 1 << shift) | value << shift
    return altered(data, 0, tag.to_bytes(3, "little"))


@pytest.mark.parametrize(
    ("data", "rule", "offset"),
    [
        (b"\x10", "ends within its 3-byte tag", 1),
        (KEY[:3], "ends within its 10-byte start", 3),
        (KEY[:9], "ends within its 10-byte start", 9),
        *((tagged(KEY, version=version), f"version {version} is not defined", 0) for version in range(4, 8)),
        *((altered(KEY, at, b"\0"), "lacks the start code 9d 01 2a", 3) for at in (3, 4, 5)),
        (altered(KEY, 6, b"\0\0"), "the key frame is 0 x 1 pixels", 6),
        (altered(KEY, 8, b"\0\x40"), "the key frame is 33 x 0 pixels", 6),
        (tagged(KEY, first=0), "the first partition of 0 bytes does not fit", 0),
        (tagged(KEY, first=len(KEY) - 9), "does not fit the frame", 0),
        (tagged(KEY, first=0x7FFFF), "does not fit the frame", 0),
        (tagged(KEY, first=len(KEY) - 10), "token partition 0 of 1 does not fit", len(KEY)),
        (tagged(KEY, first=3), "the first partition ends within the frame header", 13),
        (tagged(KEY, inter=1), "the first frame of a stream must be a key frame", 0),
        (altered(KEY, 6, b"\xff\x3f\xff\x3f"), "bytes cannot hold a key frame of 16383 x 16383 pixels", 6),
        (b"", "the first frame of a stream must be a key frame", 0),
    ],
)
def test_each_rule_is_named(data: bytes, rule: str, offset: int) -> None:
    with pytest.raises(CorruptStream) as error:
        codec.decode(None, data)
    assert rule in error.value.rule
    assert error.value.offset == offset
    check_error(error.value, data)


def test_an_interframe_without_data_says_nothing() -> None:
    state, _ = codec.decode(None, KEY)
    with pytest.raises(CorruptStream):
        codec.parse(state, b"")


@pytest.mark.parametrize("copy", ["copy_to_golden", "copy_to_altref"])
def test_copying_a_reference_in_way_3_is_refused(copy: str) -> None:
    """The field has two bits and three meanings; libvpx fails in the midst of its work, FFmpeg ignores it."""
    state, _ = codec.decode(None, KEY)
    d = Decisions(3, 1)
    d.skips[:], d.references[:], d.y_modes[:] = b"\1" * 3, b"\1" * 3, b"\7" * 3
    old = context_of(state)
    header = forge.inter_header(old, may_skip=True, prob_skip=1, **{copy: 2})
    codec.decode(state, forge.written_frame(header, old, d))
    header = forge.inter_header(old, may_skip=True, prob_skip=1, **{copy: 3})
    with pytest.raises(CorruptStream, match=r"§9\.7") as error:
        codec.decode(state, forge.written_frame(header, old, d))
    check_error(error.value, bytes(100))


# Token partitions whose sizes lie


@pytest.mark.parametrize("log2", [1, 2, 3])
def test_sizes_of_partitions_that_lie(log2: int) -> None:
    data = streams.stream(f"partitions {1 << log2}")[0]
    frame = codec.parse(None, data)
    start = sum(frame.sizes[:2]) - 3 * ((1 << log2) - 1)
    for n in range((1 << log2) - 1):
        at = start + 3 * n
        size = int.from_bytes(data[at : at + 3], "little")
        assert size == frame.sizes[2 + n]
        for lie in (0, 1, size - 1, size + 1, size + sum(frame.sizes[3 + n :]), 0xFFFFFF):
            result = outcome(None, altered(data, at, lie.to_bytes(3, "little")))
            if lie in (0, 0xFFFFFF) or lie > size + 1:
                assert isinstance(result, CorruptStream)
                assert "token partition" in result.rule
    for cut in range(3 * ((1 << log2) - 1) + 1):
        assert isinstance(outcome(None, data[: start + cut]), CorruptStream)


def test_partitions_that_end_within_the_frame() -> None:
    """All of the tokens but the last few bytes: the partition that is short is named."""
    data = streams.stream("partitions 4")[0]
    sizes = codec.parse(None, data).sizes
    for n in range(4):
        at = sum(sizes[:2]) - 9
        ends = [sum(sizes[: 3 + k]) for k in range(4)]
        short = bytearray(data[: ends[n] - sizes[2 + n] // 2] + data[ends[n] :])
        if n < 3:
            short[at + 3 * n : at + 3 * n + 3] = (sizes[2 + n] - sizes[2 + n] // 2).to_bytes(3, "little")
        result = outcome(None, bytes(short))
        assert isinstance(result, CorruptStream)
        assert f"token partition {n} ends before its last macroblock" in result.rule


# Sizes


def test_a_key_frame_of_another_size_then_interframes() -> None:
    state = None
    small, large = streams.stream("tiny 17x15"), streams.stream("tiny 175x143")
    for data in (*large[:2], *small[:2], *large[:3]):
        state, image = codec.decode(state, data)
        assert image is not None
        assert (image.width, image.height) == (state.width, state.height)
    for data in large[1:]:
        outcome(codec.decode(None, small[0])[0], data)


# Run with a limit of memory, in a Python of its own: what takes more fails there with MemoryError.
_LIMITED = """
import resource, sys, time
import codec
data = sys.stdin.buffer.read()
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
start = time.process_time()
for function in (codec.decode, codec.parse):
    try:
        function(None, data)
        print("fine")
    except codec.CorruptStream as error:
        print(error.rule)
print(time.process_time() - start)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)
"""


def limited(data: bytes, build: str) -> tuple[list[str], float, int]:
    """Decode and parse under the limit: what they say, the seconds and the KiB that they took."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED],
        input=data,
        capture_output=True,
        cwd=ROOT,
        env={"FASTSLOW_CODEC": build, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    *said, seconds, kib = done.stdout.decode().splitlines()
    return said, float(seconds), int(kib)


@pytest.mark.parametrize("build", builds.HERE or ["uncompiled"])
@pytest.mark.parametrize("size", [1, 100, 1024])
def test_a_kilobyte_that_claims_16383_x_16383(size: int, build: str) -> None:
    header = forge.key_header(16383, 16383)
    for tokens in (bytes(size), b"\xff" * size):
        data = forge.assemble(header, bytes(size), [tokens])
        said, seconds, kib = limited(data, build)
        if size > 1:
            assert all("cannot hold a key frame of 16383 x 16383 pixels" in line for line in said)
        assert all("§" in line for line in said)
        assert seconds < 0.5
        assert kib < 1000


@pytest.mark.skipif(not builds.HERE, reason="the codec is not compiled")
def test_the_largest_frame_that_few_bytes_can_claim() -> None:
    """Eight macroblocks a byte is the most that is tried; memory and time are bounded by that."""
    for filling in (b"\0", b"\xff", b"\x55"):
        data = forge.assemble(forge.key_header(1440, 1440), filling * 500, [filling * 540])
        said, seconds, kib = limited(data, codec.BUILD)
        assert all("§" in line or line == "fine" for line in said)
        assert seconds < 1
        assert kib < 20_000


@pytest.mark.skipif(not builds.HERE, reason="the codec is not compiled")
def test_a_large_frame_takes_time_in_proportion() -> None:
    """The worst that half a megapixel can be: vectors without end, all coefficients, the filter on every edge."""
    state, _ = codec.decode(None, forge.noise_frame(forge.key_header(1024, 512), Context(), 2048, 1))
    old = context_of(state)
    header = forge.inter_header(old, prob_intra=1, filter_level=63, log2_partitions=3)
    data = forge.noise_frame(header, old, 2048, 2)
    start = time.process_time()
    codec.decode(state, data)
    assert time.process_time() - start < 1


# Uncompiled


@pytest.mark.parametrize("name", ["tiny 17x15", "tiny moving 31x33"])
def test_uncompiled_refuses_the_same(name: str) -> None:
    package = builds.load("uncompiled")
    rng = np.random.default_rng(3)
    state = None
    for data in streams.stream(name)[:2]:
        before = builds.moved(state, package)
        for _ in range(8):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 2):
                damaged[at] ^= 1 << int(rng.integers(8))
            del damaged[int(rng.integers(len(data) // 2, 2 * len(data))) :]
            result = outcome(state, bytes(damaged))
            if isinstance(result, CorruptStream):
                with pytest.raises(package.CorruptStream) as error:
                    package.decode(before, bytes(damaged))
                assert str(error.value) == str(result)
            else:
                assert (
                    package.decode(builds.moved(state, package), bytes(damaged))[0].to_bytes() == result[0].to_bytes()
                )
        state, _ = codec.decode(state, data)


# IVF


def ivf(packets: list[bytes]) -> bytes:
    file = io.BytesIO()
    write_header(file, IvfHeader(33, 1, 30, 1, len(packets)))
    for n, data in enumerate(packets):
        write_frame(file, 2 * n, data)
    return file.getvalue()


def read(data: bytes) -> tuple[IvfHeader, list[tuple[int, bytes]]]:
    header, frames = read_ivf(io.BytesIO(data))
    return header, list(frames)


def test_ivf_there_and_back() -> None:
    packets = [*streams.stream("tiny 33x1"), b""]
    header, frames = read(ivf(packets))
    assert header == IvfHeader(33, 1, 30, 1, len(packets))
    assert frames == [(2 * n, data) for n, data in enumerate(packets)]
    assert read(ivf([])) == (IvfHeader(33, 1, 30, 1, 0), [])


def test_ivf_truncated_anywhere() -> None:
    packets = list(streams.stream("tiny 33x1")[:3])
    data = ivf(packets)
    ends = {32 + sum(12 + len(packet) for packet in packets[:n]): n for n in range(4)}
    for size in range(len(data) + 1):
        if size in ends:
            assert len(read(data[:size])[1]) == ends[size]
        else:
            with pytest.raises(CorruptContainer):
                read(data[:size])


@pytest.mark.parametrize(
    ("at", "new", "says"),
    [
        (0, b"RIFF", "does not begin with DKIF"),
        (4, b"\1", "version 1"),
        (6, b"\x1f", "a header of 31 bytes"),
        (8, b"VP90", "holds VP90, not VP80"),
        (8, b"\xff\xfe\0\1", "not VP80"),
        (32, b"\xff\xff\xff\xff", "frame 0 of the IVF file claims 4294967295 bytes"),
        (32, b"\0\0\0\x10", "ends within frame 0"),
    ],
)
def test_ivf_says_what_is_wrong(at: int, new: bytes, says: str) -> None:
    with pytest.raises(CorruptContainer, match=says):
        read(altered(ivf([KEY, KEY]), at, new))


def test_ivf_with_a_longer_header() -> None:
    data = ivf([KEY])
    assert read(altered(data, 6, b"\x24")[:32] + b"more" + data[32:])[1] == [(0, KEY)]
    with pytest.raises(CorruptContainer, match="ends within its header of 65535 bytes"):
        read(altered(data, 6, b"\xff\xff"))


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_ivf_any_bytes(data: bytes, at: int, value: int) -> None:
    for bad in (data, ivf([])[:8] + data, altered(ivf([KEY]), at, bytes([value])) + data):
        with contextlib.suppress(CorruptContainer):
            read(bad)


def test_ivf_of_a_claim_takes_no_memory() -> None:
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptContainer, match="are missing"):
        read(altered(ivf([KEY]), 32, (1 << 28).to_bytes(4, "little")))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start < 20_000


# What other decoders do, so that a difference is known


@pytest.mark.parametrize("decode", [Decoder, lambda: Pyav("libvpx"), lambda: Pyav("vp8")])
def test_the_peers_take_versions_that_are_not_defined(decode: Callable[[], Any]) -> None:
    """Ours does not: it is written nowhere what they mean, and libvpx and FFmpeg take them for different ones."""
    data = tagged(KEY, version=4)
    assert decode().decode(data) == picture(codec.decode(None, KEY)[1])
    with pytest.raises(CorruptStream):
        codec.decode(None, data)


def test_libvpx_refuses_what_ours_refuses() -> None:
    for data in (KEY[:3], KEY[:9], altered(KEY, 3, b"\0"), altered(KEY, 6, b"\0\0"), tagged(KEY, first=0x7FFFF)):
        with pytest.raises(Refused):
            Decoder().decode(data)


@pytest.mark.parametrize("y_mode", [0, 1, 3, 4])
def test_the_smallest_key_frame_that_can_be_is_not_taken_for_hostile(y_mode: int) -> None:
    """All macroblocks of the cheapest modes, skipped at the cheapest of odds: still more than two bits each."""
    d = Decisions(256, 256)
    d.y_modes[:], d.skips[:] = bytes([y_mode]) * 65536, bytes([1]) * 65536
    data = forge.written_frame(forge.key_header(4096, 4096, may_skip=True, prob_skip=0), Context(), d)
    assert 8 * len(data) > 2 * 65536
    assert codec.parse(None, data).decisions == d
