"""What is fuzzed, and what must hold whatever the bytes are. Each target takes any bytes and returns, or raises Broken.

Beside an end without a crash it is asked that errors are the codec's own and say where; that ``decode`` and ``parse``
agree; that libvpx shows the same picture; that what is written is read again; that time and memory keep within bounds.
"""

from __future__ import annotations

import io
import os
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import codec
from codec.decode import context_of
from codec.errors import CorruptState, CorruptStream
from codec.image import macroblocks
from codec.ivf import CorruptContainer, IvfHeader, read_ivf, write_frame, write_header
from codec.policy import LIBVPX, Policy
from tests.codec import forge
from tests.codec.vpx import Decoder, Picture
from tests.fuzz import inputs
from tests.fuzz.inputs import Draws

SLOWDOWN = {"fuzz": 30, "debug": 30}.get(codec.BUILD, 1)
"""How much longer than the normal build this one may take."""
PEERS = int(os.environ.get("FASTSLOW_FUZZ_PEERS", "8"))
"""Every how many-th input is shown to libvpx as well; 0 for none."""
MEASURED = int(os.environ.get("FASTSLOW_FUZZ_MEASURED", "64"))
"""Every how many-th input has its memory measured, which takes long; 0 for none."""
MOST_MACROBLOCKS = 1 << 12  # of a frame that a target goes on with: larger ones are decoded, but nothing more
MOST_FRAMES = 4  # of a stream of choices
FIXED = 1 << 19  # zlib's windows, tables of costs and the like: bytes that any call may take
counts: Counter[str] = Counter()
"""What happened to the inputs of this process."""


class Broken(AssertionError):
    """Something that must hold does not."""


def check(true: bool, what: str) -> None:
    """Raise Broken unless it is true."""
    if not true:
        raise Broken(what)


@contextmanager
def bounded(what: str, size: int, most: int, measured: bool, slower: int = 1) -> Iterator[None]:
    """Hold what happens within the bounds for an input of ``size`` bytes that asks for at most ``most`` macroblocks.

    Time: a second a 100 KB of input, and one for 100,000 macroblocks, for an interframe says in a byte that dozens of
    them stay as they were. Memory: 20 times the planes, 4 times the input, and half a megabyte.
    """
    measured = measured and not tracemalloc.is_tracing()
    if measured:
        tracemalloc.start()
    peak = 0
    start = time.thread_time()
    try:
        yield
    finally:
        seconds = time.thread_time() - start
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            counts["measured"] += 1
    if not measured:
        allowed = SLOWDOWN * slower * (0.05 + size / 100_000 + most / 100_000)
        check(seconds <= allowed, f"{what} of {size} bytes took {seconds:.2f} s, not at most {allowed:.2f}")
    memory = 20 * 384 * most + 4 * size + FIXED
    check(peak <= memory, f"{what} of {size} bytes took {peak} bytes, for {most} macroblocks not over {memory}")


def _is_chosen(data: bytes, one_of: int) -> bool:
    return one_of > 0 and data != b"" and zlib.crc32(data) % one_of == 0


def _asked_for(state: codec.State | None, data: bytes) -> int:
    """At most how many macroblocks a frame can make of the bytes."""
    if len(data) >= 10 and not data[0] & 1:
        sides = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        columns, rows = macroblocks(*sides)
        return min(columns * rows, 8 * len(data))
    return len(state.segment_map) if state else 0


Result = tuple[codec.State, codec.Image | None, codec.Frame]


def decoded(state: codec.State | None, data: bytes) -> Result | CorruptStream:
    """Decode and parse a frame within the bounds; both must come to the same."""
    most, measured = _asked_for(state, data), _is_chosen(data, MEASURED)
    results: list[codec.Frame | tuple[codec.State, codec.Image | None] | CorruptStream] = []
    for function in (codec.decode, codec.parse):
        with bounded(function.__name__, len(data), most, measured):
            try:
                results.append(function(state, data))
            except CorruptStream as error:
                check("(§" in error.rule and 0 <= error.offset <= len(data) and str(error) != "", f"error {error!r}")
                results.append(error)
    first, second = results
    if isinstance(first, CorruptStream) or isinstance(second, CorruptStream):
        same = isinstance(second, CorruptStream) and isinstance(first, CorruptStream) and first.args == second.args
        check(same or not data, f"decode gives {first!r}, parse {second!r}")
        return first if isinstance(first, CorruptStream) else CorruptStream("nothing to parse", 0)
    assert isinstance(first, tuple)
    assert isinstance(second, codec.Frame)
    after = first[0]
    check(second.header.probabilities == after.probabilities or not second.header.refresh_entropy, "probabilities")
    check(second.decisions.segments == after.segment_map, "segment map")
    return *first, second


class Peer:
    """libvpx beside ours, as long as it can be compared."""

    def __init__(self, before: tuple[bytes, ...] = ()) -> None:
        self.decoder = Decoder()
        for data in before:
            self.decoder.decode(data)
        self.comparable = True

    def check(self, data: bytes, result: Result) -> None:
        """Hold a frame that ours decoded against libvpx."""
        self.comparable = self.comparable and forge.is_predicted(result[2])
        if not self.comparable:
            return
        counts["compared with libvpx"] += 1
        theirs = self.decoder.decode(data)
        image = result[1]
        ours = Picture(image.width, image.height, image.to_bytes()) if image else None
        check(theirs == ours, "libvpx shows something else")
        check(not self.decoder.is_corrupt(), "libvpx thinks the frame corrupt")


# The targets


def frame(data: bytes) -> None:
    """Any bytes as a frame on one of some states (the first byte chooses)."""
    start = inputs.starts()[data[0] % len(inputs.starts()) if data else 0]
    result = decoded(start.state, data[1:])
    counts["refused" if isinstance(result, CorruptStream) else "decoded"] += 1
    if not isinstance(result, CorruptStream) and _is_chosen(data, PEERS):
        Peer(start.before).check(data[1:], result)


def stream(data: bytes) -> None:
    """Any bytes as an IVF file whose frames are decoded one after the other, those that are broken left out."""
    state: codec.State | None = None
    good = 0
    with suppress(CorruptContainer):
        for _, packet in read_ivf(io.BytesIO(data))[1]:
            result = decoded(state, packet)
            if not isinstance(result, CorruptStream):
                state = result[0]
                good += 1
                if len(state.segment_map) > MOST_MACROBLOCKS:
                    break
    counts[f"{min(good, 4)} frames decoded"] += 1


def forged(data: bytes) -> None:
    """Choices that make a stream of frames with legal headers; libvpx must show the same pictures."""
    state: codec.State | None = None
    peer = Peer() if _is_chosen(data, PEERS) else None
    d = Draws(data)
    for _ in range(MOST_FRAMES):
        if d.at >= len(data):
            return
        packet = inputs.next_frame(d, state)
        result = decoded(state, packet)
        counts["frames refused" if isinstance(result, CorruptStream) else "frames decoded"] += 1
        if isinstance(result, CorruptStream):
            peer = None  # it shows what it can of such a frame, and goes on from there
            continue
        state = result[0]
        if peer:
            peer.check(packet, result)


def state(data: bytes) -> None:
    """Any bytes as a state; half of them with a checksum that fits. What is read is written and read again.

    The reader has pictures, which some of the seeds are without.
    """
    pictures = inputs.pictures()
    if data and data[0] & 1:
        data = data[: max(len(data) - 4, 0)]
        data = data[1:] + zlib.crc32(data[1:]).to_bytes(4, "little")
    else:
        data = data[1:]
    most = 0
    if len(data) > 10:
        columns, rows = macroblocks(*(int.from_bytes(data[at : at + 2], "little") for at in (6, 8)))
        most = min(columns * rows, 1 << 20) if data[5] else min(columns * rows, len(data))
    with bounded("from_bytes", len(data), most, _is_chosen(data, MEASURED)):
        try:
            read = codec.State.from_bytes(data, pictures=pictures)
        except CorruptState:
            counts["refused"] += 1
            return
    counts["read"] += 1
    for pack in (False, True):
        again = codec.State.from_bytes(read.to_bytes(pack=pack))
        again = codec.State.from_bytes(again.to_bytes(pack=pack, without=pictures), pictures=pictures)
        check(again == read and not again.difference(read), "a state that was written is read as another")
    if len(read.segment_map) <= MOST_MACROBLOCKS:
        packet = inputs.frame(Draws(data[-200:]), context_of(read), len(read.segment_map))
        counts["then decoded"] += not isinstance(decoded(read, packet), CorruptStream)


def ivf(data: bytes) -> None:
    """Any bytes as an IVF file; what is read is written and read again."""
    packets: list[tuple[int, bytes]] = []
    header: IvfHeader | None = None
    with bounded("read_ivf", len(data), 0, _is_chosen(data, MEASURED)):
        try:
            header, packs = read_ivf(io.BytesIO(data))
            packets.extend(packs)
        except CorruptContainer as error:
            check(str(error) != "", "an error without a word")
    if header is None:
        counts["refused"] += 1
        return
    counts["read"] += 1
    file = io.BytesIO()
    write_header(file, header)
    for pts, packet in packets:
        write_frame(file, pts, packet)
    file.seek(0)
    again, packs = read_ivf(file)
    check(again == header and list(packs) == packets, "a file that was written is read as another")


POLICIES = (Policy(), LIBVPX, Policy(trellis=False), Policy(last_share=0.05, key_share=20.0, filter_steps=32))


def rebase(data: bytes) -> None:
    """A frame that was parsed on one state, made anew on another: it decodes to what ``rebase`` says."""
    d = Draws(data)
    start = inputs.starts()[d.below(len(inputs.starts()))]
    onto = inputs.starts()[d.below(len(inputs.starts()))].state
    policy, last, seed, raw = POLICIES[d.below(len(POLICIES))], d.flag(), d.below(256), d.below(4) == 3
    old, count = start.state, len(start.state.segment_map) if start.state else 0
    packet = d.rest() if raw else inputs.frame(d, context_of(old) if old else None, count)
    try:
        parsed = codec.parse(old, packet, coefficients=False)
    except CorruptStream:
        counts["refused"] += 1
        return
    if len(parsed.decisions.segments) > MOST_MACROBLOCKS:
        return
    image = forge.image(parsed.width, parsed.height, seed)
    measured = _is_chosen(data, MEASURED)
    try:
        with bounded("rebase", len(packet), len(parsed.decisions.segments), measured):
            made = codec.rebase_frame(onto, image, parsed, policy, last=last)
    except codec.Mismatch:
        alike = onto and (onto.width, onto.height) == (parsed.width, parsed.height)
        check(not parsed.key_frame and not alike, "rebase finds a mismatch where there is none")
        counts["mismatched"] += 1
        return
    counts["rebased"] += 1
    after, shown = codec.decode(onto, made.data)
    check(after == made.state, f"state: {after.difference(made.state)}")
    check(shown == made.image, "image")


def encode(data: bytes) -> None:
    """A picture encoded on a state by any options, some out of range: refused, or it decodes to what is said."""
    d = Draws(data)
    start = inputs.starts()[d.below(len(inputs.starts()))]
    width, height = (start.state.width, start.state.height) if start.state else inputs.SIZES[d.below(len(inputs.SIZES))]
    columns, rows = macroblocks(width, height)
    options = {
        "q_index": d.below(128),
        "effort": codec.Effort(d.below(16) % 4),
        "key_frame": d.below(8) == 7,
        "show": d.below(8) != 7,
        "partitions": 1 << d.below(4),
        "version": d.below(4),
        "refresh": codec.Refresh(d.flag(), d.flag(), d.flag(), d.below(3), d.below(3), d.flag(), d.flag(), d.flag()),
    }
    if d.flag():
        size = columns * rows
        options["segments"] = bytes(value & 3 for value in d.take(size).ljust(size, b"\1"))
    if d.flag():
        options["segment_q"] = [d.below(128) for _ in range(4)]
    if d.flag():
        options["segment_filter"] = [d.signed(6) for _ in range(4)]
    wrong = d.below(64)
    bad = WRONG.get(wrong)
    if bad:
        options |= bad
    image = forge.image(width, height, d.below(1 << 16))
    measured = _is_chosen(data, MEASURED)
    try:
        with bounded("encode", len(data), columns * rows, measured, slower=20):
            made = codec.encode_frame(start.state, image, **options)
    except (codec.Mismatch, ValueError, TypeError) as error:
        check(bad is not None and str(error) != "", f"encode refuses {options}: {error}")
        counts["refused"] += 1
        return
    check(bad is None, f"encode takes {bad}")
    counts["encoded"] += 1
    after, shown = codec.decode(start.state, made.data)
    check(after == made.state, f"state: {after.difference(made.state)}")
    check(shown == made.image, "image")
    if _is_chosen(data, PEERS):
        Peer(start.before).check(made.data, (after, shown, codec.parse(start.state, made.data)))


WRONG: dict[int, dict[str, Any]] = {
    1: {"q_index": 128},
    2: {"q_index": -1},
    3: {"effort": 4},
    4: {"partitions": 3},
    5: {"partitions": 16},
    6: {"version": 4},
    7: {"segments": b"\0" * 99},
    8: {"segments": b""},
    9: {"segment_q": [0, 1, 2]},
    10: {"segment_q": [0, 1, 2, 128]},
    11: {"segment_filter": [0, 0, 0, 64]},
    12: {"refresh": codec.Refresh(copy_to_golden=3)},
    13: {"refresh": codec.Refresh(copy_to_altref=-1)},
    14: {"segment_filter": [0] * 5},
}

TARGETS: dict[str, Callable[[bytes], None]] = {
    "frame": frame,
    "stream": stream,
    "forged": forged,
    "state": state,
    "ivf": ivf,
    "rebase": rebase,
    "encode": encode,
}
