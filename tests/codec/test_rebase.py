"""Rebase: a frame's own levels again on its own state, and on any other what every decoder makes of the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import codec
from codec.decisions import Decisions
from codec.policy import LIBVPX, Policy
from tests.codec import builds, streams, vpx
from tests.codec.peers import Panel, picture
from tests.codec.vpx import Encoder

RECIPES = {recipe.name: recipe for recipe in streams.RECIPES}
ANY_STATE = [
    *("partitions 8", "tiny 1x1", "tiny moving 17x15", "tiny 33x1", "profile 1", "profile 2 moving", "profile 3"),
    *("sharpness 5", "quantizer 0", "quantizer 63", "altref, profile 0", "altref, still", "error resilient"),
    *("independent partitions", "noise", "still", "scene cuts", "best motion", "regions", "cyclic refresh"),
    *("references", "temporal layers", "scaling", "knobs in mid-stream"),
]


def encoded(clip: streams.Clip, size: tuple[int, int], count: int, **config: int) -> list[bytes]:
    """Return a clip as libvpx encodes it in one pass at deadline good, cpu-used 2, a packet a frame."""
    encoder = Encoder(*size, config, {"speed": 2}, vpx.GOOD)
    return [data for n in range(count) for data in encoder.encode(clip(*size, n))]


def parsed(packets: Iterator[bytes] | list[bytes]) -> Iterator[tuple[codec.State | None, codec.Frame, codec.Image]]:
    """Yield the state before each frame, the frame, and what it reconstructs to, shown or not."""
    state = None
    for data in packets:
        if data:
            frame = codec.parse(state, data)
            after, image = codec.decode(state, data)
            yield state, frame, image or codec.Image(after.width, after.height, after.altref)
            state = after


def decibels(image: codec.Image, like: bytes) -> float:
    a = np.frombuffer(image.to_bytes(), np.uint8)[: image.width * image.height].astype(float)
    b = np.frombuffer(like, np.uint8)[: image.width * image.height]
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


@pytest.mark.parametrize("clip", [streams.fading, streams.swarm, streams.drifting])
@pytest.mark.parametrize("quantizer", [10, 40])
def test_on_its_own_state_libvpx_s_frame_comes_back(clip: streams.Clip, quantizer: int) -> None:
    size, count = (208, 160), 8
    packets = encoded(clip, size, count, min_quantizer=quantizer, max_quantizer=quantizer, bitrate=20000)
    sizes, gains = [0, 0], []
    for n, ((state, frame, image), data) in enumerate(zip(parsed(packets), packets, strict=True)):
        source = clip(*size, n).data
        again = codec.rebase_frame(state, codec.Image.from_bytes(*size, source), frame, LIBVPX)
        sizes[0] += len(data)
        sizes[1] += len(again.data)
        gains.append(decibels(again.image, source) - decibels(image, source))
    # Each of our two partitions ends with up to two bytes of zeros, for FFmpeg's sake: little, but so are these frames.
    assert abs(sizes[1] / sizes[0] - 1) < 0.005 + 4 * count / sizes[0]
    assert max(map(abs, gains)) < 0.02


def another_state(size: tuple[int, int], version: int) -> list[bytes]:
    """Return frames that leave nothing of a state as it was: pictures, probabilities, segments, filter deltas."""
    encoder = Encoder(*size, {"max_quantizer": 30, "profile": version}, {"speed": 3})
    cells = ((size[0] + 15) // 16) * ((size[1] + 15) // 16)
    packets = []
    for n in range(4):
        if n == 1:
            segments = np.random.default_rng(9).integers(0, 4, cells).astype(np.uint8).tobytes()
            encoder.roi(segments, (0, -9, 12, 5), (0, 8, -9, 3))
        packets += encoder.encode(streams.moving(*size, n + 20), vpx.FORCE_GOLDEN if n == 2 else 0)
    return packets


@pytest.mark.parametrize("name", ANY_STATE)
def test_on_any_state_the_decoders_see_what_rebase_says(name: str) -> None:
    recipe = RECIPES[name]
    panel = Panel()
    panel.check_all(another_state(recipe.size, recipe.config.get("profile", 0)))
    state = panel.state
    for n, (_, frame, image) in enumerate(parsed(streams.stream(name))):
        if n == 0:
            continue  # a chain throws its key frame away
        policy = LIBVPX if n % 5 == 4 else Policy(share=0.7) if n % 3 else Policy()
        last = n % 4 == 3 and not frame.key_frame
        rebased = codec.rebase_frame(state, image, frame, policy, last=last)
        assert panel.check(rebased.data) is not None
        assert panel.state == rebased.state, rebased.state.difference(panel.state)
        assert (rebased.image is None) == (not frame.header.show)
        if rebased.image:
            assert picture(rebased.image) == picture(codec.decode(state, rebased.data)[1])
        if last:
            assert rebased.state.last == rebased.state.golden == rebased.state.altref
        state = rebased.state


def test_a_key_frame_needs_no_state() -> None:
    packets = streams.stream("best motion")
    _, frame, image = next(parsed(packets))
    alone = codec.rebase_frame(None, image, frame)
    assert alone == codec.rebase_frame(codec.decode(None, packets[0])[0], image, frame)
    assert codec.decode(None, alone.data) == (alone.state, alone.image)


def test_decisions_stay() -> None:
    *_, (before, _, _), (_, frame, image) = parsed(streams.stream("best motion"))
    again = codec.parse(before, codec.rebase(before, image, frame, Policy(redecide=0)))
    mended = codec.parse(before, codec.rebase(before, image, frame))
    for name in ("y_modes", "uv_modes", "references", "segments", "split_shapes", "b_modes", "vectors"):
        assert getattr(again.decisions, name) == getattr(frame.decisions, name)
        if name in ("uv_modes", "references", "segments", "b_modes"):
            assert getattr(mended.decisions, name) == getattr(frame.decisions, name)


def waves(width: int, height: int, n: int) -> streams.Picture:
    """A smooth picture that moves by three quarters of a pixel down and half a pixel to the right each frame."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = y - 0.75 * n, x - 0.5 * n
    luma = 128 + 50 * np.sin(x / 3 + np.cos(y / 11)) + 50 * np.cos(y / 4 - np.sin(x / 13))
    chroma = np.full((height // 2) * (width // 2) * 2, 128, np.uint8)
    return streams.Picture(width, height, luma.round().astype(np.uint8).tobytes() + chroma.tobytes())


def test_vectors_are_found_where_the_slopes_point() -> None:
    size = 208, 160
    packets = encoded(waves, size, 2, min_quantizer=20, max_quantizer=20, bitrate=20000)
    _, (state, frame, _) = parsed(packets)
    image = codec.Image.from_bytes(*size, waves(*size, 1).data)
    buffers = frame.decisions.buffers()
    zero = bytes(7 if reference else 0 for reference in buffers["references"])
    buffers |= {"y_modes": zero, "vectors": bytes(len(buffers["vectors"]))}
    still = replace(frame, decisions=Decisions(frame.decisions.columns, frame.decisions.rows, buffers))
    kept, mended, best = (
        len(codec.rebase(state, image, one, policy))
        for one, policy in ((still, Policy(redecide=0)), (still, Policy()), (frame, Policy()))
    )
    assert mended < 0.5 * kept
    assert mended < 1.2 * best


def test_rebase_is_pure() -> None:
    *_, (before, _, _), (_, frame, image) = parsed(streams.stream("regions"))
    kept = before.to_bytes(), hash(frame), image.to_bytes()
    one, two = (codec.rebase_frame(before, image, frame, last=True) for _ in range(2))
    assert one == two
    assert (before.to_bytes(), hash(frame), image.to_bytes()) == kept
    assert codec.rebase(before, image, frame, last=True) == one.data


@pytest.mark.parametrize("build", builds.OTHERS)
@pytest.mark.parametrize("name", ["tiny 31x33", "altref, still", "profile 3 moving"])
def test_every_build_makes_the_same_bytes(build: str, name: str) -> None:
    package = builds.load(build)
    state = same_state = None
    packets = streams.stream(name)[:3]
    theirs = None
    for (_, frame, image), data in zip(parsed(packets), packets, strict=True):
        same_frame = package.parse(theirs, data)
        theirs, _ = package.decode(theirs, data)
        rebased = codec.rebase_frame(state, image, frame)
        same = package.rebase_frame(same_state, package.Image(image.width, image.height, image.raster), same_frame)
        assert same.data == rebased.data
        assert same.state.to_bytes() == rebased.state.to_bytes()
        state, same_state = rebased.state, same.state


def test_what_does_not_fit_is_refused() -> None:
    (_, key, image), (state, frame, _) = list(parsed(streams.stream("best motion")))[:2]
    (_, _, small), (other, _, _) = list(parsed(streams.stream("tiny 17x15")))[:2]
    with pytest.raises(codec.Mismatch, match="the image is 17 x 15, the frame 112 x 96"):
        codec.rebase(state, small, frame)
    with pytest.raises(codec.Mismatch, match="the state is 17 x 15, the frame 112 x 96"):
        codec.rebase(other, image, frame)
    with pytest.raises(codec.Mismatch, match="on no state"):
        codec.rebase(None, image, frame)
    assert codec.rebase(None, image, key) == codec.rebase(other, image, key)
