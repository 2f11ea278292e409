"""Settings of libvpx that only the benchmarks use: they mean what they say."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
import pytest

import codec
from pipelines import libvpx


@pytest.mark.parametrize(("deadline", "speed"), [("good", 2), ("realtime", -5)])
def test_one_quantizer_in_one_pass(deadline: Literal["good", "realtime"], speed: int) -> None:
    rng = np.random.default_rng(1)
    texture = rng.integers(0, 256, 64 * 48 * 3 // 2).astype(np.uint8)
    raw = [np.roll(texture, 3 * n).tobytes() for n in range(12)]
    packets = libvpx.encode(
        raw, libvpx.Settings(64, 48, Fraction(25), 30, speed, quantizer=40, deadline=deadline)
    )  # fmt: skip
    assert [packet.key_frame for packet in packets] == [True] + [False] * 11
    state, indices = None, set()
    for packet in packets:
        indices.add(codec.parse(state, packet.data).header.quantizer_index)
        state, _ = codec.decode(state, packet.data)
    assert len(indices) == 1
