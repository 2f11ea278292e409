"""Frames that no encoder makes: our decoder, libvpx and FFmpeg must agree on them, and so must reader and writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
import codec.policy
from codec.decisions import Decisions
from codec.decode import context_of
from codec.header import Context
from codec.image import macroblocks
from tests.codec import builds, forge
from tests.codec.peers import Panel

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
NEAREST, NEW = 5, 8


def forged(data: st.DataObject, sizes: st.SearchStrategy[tuple[int, int]] = forge.SIZES) -> Iterator[bytes]:
    """Yield the frames of a stream as they are drawn; each is decoded to draw the next."""
    header = data.draw(forge.key_headers(sizes))
    columns, rows = macroblocks(header.width, header.height)
    state = None
    old = Context()
    for _ in range(data.draw(st.integers(1, 5))):
        if state:
            old = context_of(state)
            header = data.draw(forge.inter_headers(old))
        frame = forge.noise_frame(header, old, columns * rows, data.draw(forge.seeds()))
        assert codec.parse(state, frame).header == header, "what was written is not what is read"
        yield frame
        state, _ = codec.decode(state, frame)


@given(st.data())
@settings(SETTINGS, max_examples=300)
def test_libvpx_shows_the_same(data: st.DataObject) -> None:
    panel = Panel()
    for frame in forged(data):
        if not forge.is_predicted(codec.parse(panel.state, frame)):
            return
        panel.check(frame)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(4200, 16), (16, 4200), (2100, 40)], ids=str)
def test_libvpx_shows_the_same_of_vectors_that_wrap(size: tuple[int, int], seed: int) -> None:
    """Vectors run away by up to 255 pixels a macroblock, until they leave the fifteen bits that libvpx has for them."""
    panel = Panel()
    columns, rows = macroblocks(*size)
    panel.check(forge.noise_frame(forge.key_header(*size), Context(), columns * rows, seed))
    reach = 0
    for n in range(2):
        assert panel.state is not None
        old = context_of(panel.state)
        probs = np.full(38, 128)
        probs[[0, 19]] = 1  # all long
        probs[[1, 20]] = (254, 1, 254, 128, 1, 128)[seed]  # up or down
        probs[9:19] = probs[28:38] = (1, 1, 1, 1, 60, 60)[seed]  # very long
        header = forge.inter_header(
            old,
            version=n,
            prob_intra=1,
            prob_last=100,
            golden_sign_bias=bool(seed & 1),
            altref_sign_bias=bool(n & 1),
            probabilities=replace(old.probabilities, vectors=bytes(probs.tolist())),
            may_skip=True,
            prob_skip=20,
        )
        frame = panel.check(forge.noise_frame(header, old, columns * rows, seed + 100 * n))
        assert frame is not None
        reach = max(reach, int(np.abs(frame.per_macroblock("vectors").astype(int)).max()))
    assert reach > 4000


@given(st.data())
@settings(SETTINGS, max_examples=12)
def test_every_build_gives_the_same(data: st.DataObject) -> None:
    packages = [codec, *(builds.load(build) for build in builds.OTHERS)]
    states: list[codec.State | None] = [None] * len(packages)
    for frame in forged(data, st.tuples(st.integers(1, 32), st.integers(1, 32))):
        seen = set()
        for k, package in enumerate(packages):
            parsed = package.parse(states[k], frame)
            states[k], image = package.decode(states[k], frame)
            state = states[k]
            assert state is not None
            buffers = tuple(sorted(parsed.decisions.buffers().items()))
            raster = image.raster if image else None
            seen.add((state.to_bytes(), raster, repr(parsed.header), buffers, parsed.eobs, parsed.levels, parsed.sizes))
        assert len(seen) == 1


@given(st.data())
@settings(SETTINGS, max_examples=40)
def test_a_frame_written_again_says_the_same(data: st.DataObject) -> None:
    state = None
    for frame in forged(data, st.tuples(st.integers(1, 50), st.integers(1, 50))):
        parsed = codec.parse(state, frame)
        again = forge.rewritten_frame(parsed, context_of(state))
        assert replace(codec.parse(state, again), sizes=()) == replace(parsed, sizes=())
        after, image = codec.decode(state, frame)
        assert codec.decode(state, again) == (after, image)
        state = after


def test_every_mode_and_reference_occurs() -> None:
    """What the strategies draw is worth only what it covers: noise reaches all that the syntax can say."""
    seen: dict[str, set[int]] = {name: set() for name in ("y_modes", "uv_modes", "references", "segments", "skips")}
    shapes, b_modes, vectors = set(), set(), set()
    state = None
    for n in range(40):
        old = context_of(state)
        known = {
            "segmentation_enabled": True,
            "update_segment_map": True,
            "segment_probs": (128, 128, 128),
            "may_skip": True,
            "prob_skip": 128,
        }
        header = forge.inter_header(old, prob_intra=60, **known) if state else forge.key_header(64, 64, **known)
        frame = forge.noise_frame(header, old, 16, n)
        parsed = codec.parse(state, frame)
        state, _ = codec.decode(state, frame)
        for name, values in seen.items():
            values.update(getattr(parsed.decisions, name))
        modes = parsed.per_macroblock("y_modes")
        shapes.update(parsed.per_macroblock("split_shapes")[modes == 9].tolist())
        b_modes.update(parsed.per_macroblock("b_modes")[modes == 4].ravel().tolist())
        vectors.update(parsed.per_macroblock("vectors").ravel().tolist())
    assert {name: len(values) for name, values in seen.items()} == {
        "y_modes": 10,
        "uv_modes": 4,
        "references": 4,
        "segments": 4,
        "skips": 2,
    }
    assert shapes == set(range(4))
    assert b_modes == set(range(10))
    assert {value & 7 for value in vectors} == set(range(8))
    assert min(vectors) < -300
    assert max(vectors) > 300


@pytest.mark.parametrize("axis", [0, 1], ids=["down", "right"])
def test_the_smallest_vector_has_no_opposite(axis: int) -> None:
    """Inverted for a reference of the other sign, -16384 quarter pixels stay what they are, as in libvpx's 16 bits."""
    count = 512
    panel = Panel()
    panel.check(forge.noise_frame(forge.key_header(*((16, 8192), (8192, 16))[axis]), Context(), count, 1))
    assert panel.state is not None
    old = context_of(panel.state)
    vectors = np.zeros((count, 16, 2), np.int16)
    vectors[:16, 0, axis] = 1000 * np.arange(1, 17)
    vectors[16, 0, axis] = -16384  # 384 more than 16000
    d = Decisions(*macroblocks(panel.state.width, panel.state.height))
    d.skips[:] = bytes([1]) * count
    d.vectors[:] = vectors.tobytes()
    d.y_modes[:18] = bytes([NEW] * 17 + [NEAREST])
    d.references[:18] = bytes([1] * 17 + [2])
    header = forge.inter_header(old, may_skip=True, prob_skip=1, golden_sign_bias=True)
    panel.check(forge.written_frame(header, old, d))


@given(st.data())
@settings(SETTINGS, max_examples=80)
def test_any_frame_can_be_rebased(data: st.DataObject) -> None:
    """Whatever its decisions are and whatever it is to show, on a state that it was not made for."""
    policies = (codec.Policy(), codec.policy.LIBVPX, codec.Policy(redecide=0))
    state: codec.State | None = None
    panel = Panel()
    for frame in forged(data):
        parsed = codec.parse(state, frame)
        state, _ = codec.decode(state, frame)
        image = forge.image(parsed.width, parsed.height, data.draw(forge.seeds()))
        last, policy = data.draw(st.booleans()), policies[data.draw(st.integers(0, 2))]
        before = panel.state
        made = codec.rebase_frame(before, image, parsed, policy, last=last)
        assert codec.decode(before, made.data) == (made.state, made.image)
        again = codec.parse(before, made.data)
        stays = ("uv_modes", "references", "b_modes")
        for name in stays if policy.redecide else (*stays, "y_modes", "split_shapes", "vectors"):
            assert getattr(again.decisions, name) == getattr(parsed.decisions, name)
        if last:
            assert made.state.last == made.state.golden == made.state.altref
        if not forge.is_predicted(again):
            return
        panel.check(made.data)
