"""The prices of decisions: to the very sum those of the booleans that say them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
from codec.boolcoder import BoolWriter
from codec.cost import BIT, BOOL_COSTS
from codec.decisions import Decisions
from codec.decode import context_of
from codec.header import Context, Header
from codec.modes import write_modes
from codec.prices import modes_price
from codec.probabilities import probability
from tests.codec import builds, forge, streams

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


class Meter:
    """A boolean writer that only adds up what the booleans cost."""

    def __init__(self) -> None:
        self.price = 0

    def write(self, prob: int, bit: int) -> None:
        self.price += BOOL_COSTS[256 - prob if bit else prob]

    def write_tree(self, tree: bytes, probs: bytes, p: int, value: int) -> None:
        bits = next(_ways(tree, 0, value))
        for node, bit in bits:
            self.write(probs[p + (node >> 1)], bit)


def _ways(tree: bytes, node: int, value: int) -> Any:
    """The (node, bit) on the way to a value."""
    for bit in (0, 1):
        entry = tree[node + bit]
        if entry == 128 + value:
            yield [(node, bit)]
        elif entry < 128:
            for rest in _ways(tree, entry, value):
                yield [(node, bit), *rest]


def metered(header: Header, decisions: Decisions) -> int:
    """What the booleans of a frame's decisions cost, one by one."""
    raw = builds.load("uncompiled")
    meter = Meter()
    raw.modes.write_modes(
        meter, header, raw.decisions.Decisions(decisions.columns, decisions.rows, decisions.buffers())
    )
    return meter.price


@given(st.data())
@settings(SETTINGS, max_examples=25)
def test_prices_are_those_of_the_booleans(data: st.DataObject) -> None:
    columns, rows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    state = None
    for number in range(3):
        old = context_of(state)
        if number == 0:
            header = data.draw(forge.key_headers(st.just((16 * columns, 16 * rows))))
        else:
            header = data.draw(forge.inter_headers(old))
        frame = forge.noise_frame(header, old, columns * rows, data.draw(forge.seeds()))
        decisions = codec.parse(state, frame).decisions
        wanted = metered(header, decisions)
        for build in ("uncompiled", *builds.HERE):
            package = builds.load(build)
            own = package.decisions.Decisions(columns, rows, decisions.buffers())
            assert package.prices.modes_price(builds.moved(header, package), own) == wanted
        state, _ = codec.decode(state, frame)


@pytest.mark.parametrize("name", ["best motion", "regions", "references"])
def test_prices_are_what_is_written(name: str) -> None:
    """On a real stream, with probabilities that fit: a boolean coder takes hardly more bits than they say."""
    state = None
    said = written = 0
    for data in streams.stream(name):
        frame = codec.parse(state, data)
        skips = sum(frame.decisions.skips)
        prob_skip = probability(len(frame.decisions.skips) - skips, skips)
        header = replace(frame.header, may_skip=True, prob_skip=prob_skip)
        writer = BoolWriter(1 << 16)
        write_modes(writer, header, frame.decisions)
        written += 8 * len(writer.finish())
        said += modes_price(header, frame.decisions)
        state, _ = codec.decode(state, data)
    assert said / BIT == pytest.approx(written, rel=0.02, abs=8 * 8 * len(streams.stream(name)))


def test_a_vector_out_of_reach_is_dear() -> None:
    header = forge.inter_header(Context())
    decisions = Decisions(1, 1)
    decisions.references[0], decisions.y_modes[0] = 1, 8
    prices = []
    for row in (1023, 1024, -1023, -1024):
        decisions.vectors[:2] = row.to_bytes(2, "little", signed=True)
        prices.append(modes_price(header, decisions))
    assert max(prices[0], prices[2]) < 64 * BIT
    assert min(prices[1], prices[3]) > 4096 * BIT
