"""The frames that make the codec work longest for their bytes, and what they take: python -m tests.fuzz.worst."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import codec
from codec.decisions import Decisions
from codec.decode import context_of
from codec.header import Context
from tests.codec import forge

DC_PRED, B_PRED, ZEROMV = 0, 4, 7
SIDE = 8192


def claimed(filling: bytes) -> bytes:
    """A key frame that claims as many macroblocks as its 103 KB let it."""
    return forge.assemble(forge.key_header(14400, 14400), filling * 51_000, [filling * 52_000])


def smallest(mode: int, state: codec.State | None = None) -> bytes:
    """The fewest bytes for a frame whose macroblocks are all of a mode, without coefficients, filtered at most."""
    d = Decisions(SIDE // 16, SIDE // 16)
    n = d.columns * d.rows
    d.y_modes[:], d.skips[:] = bytes([mode]) * n, b"\1" * n
    said = {"may_skip": True, "prob_skip": 0, "filter_level": 63}
    if state is None:
        return forge.written_frame(forge.key_header(SIDE, SIDE, **said), Context(), d)
    d.references[:] = b"\1" * n
    old = context_of(state)
    return forge.written_frame(forge.inter_header(old, prob_intra=1, prob_last=255, **said), old, d)


def frames() -> Iterator[tuple[str, codec.State | None, bytes]]:
    """Names, states and frames."""
    for filling in (b"\0", b"\x55", b"\xff"):
        yield f"claims 14400 x 14400, filled with {filling.hex()}", None, claimed(filling)
    plain = smallest(DC_PRED)
    yield f"smallest {SIDE} x {SIDE} key frame", None, plain
    yield "the same of B_PRED", None, smallest(B_PRED)
    state, _ = codec.decode(None, plain)
    yield "an interframe where nothing changes", state, smallest(ZEROMV, state)


def main() -> None:
    """Print what each takes."""
    for name, state, data in frames():
        start = time.thread_time()
        try:
            after, _ = codec.decode(state, data)
            n = len(after.segment_map)
        except codec.CorruptStream:
            n = 14400**2 // 256
        seconds = time.thread_time() - start
        rates = f"{seconds * 1e5 / len(data):5.2f} s for 100 KB, {seconds * 1e5 / n:5.3f} s for 100,000 macroblocks"
        sys.stdout.write(f"{name:44} {len(data):7,} bytes, {n:7,} macroblocks: {rates}\n")


if __name__ == "__main__":
    main()
