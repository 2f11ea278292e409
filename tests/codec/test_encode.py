"""Encode: what every decoder makes of our bytes, on any state, with every option; and what may not be asked for."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec import Effort, Image, Refresh, assemble
from codec.boolcoder import BoolWriter
from tests.codec import builds, streams, vpx
from tests.codec.peers import Panel, picture
from tests.codec.vpx import Encoder


def image(clip: streams.Clip, size: tuple[int, int], n: int) -> Image:
    return Image.from_bytes(*clip(*size, n))


def decibels(ours: Image | None, like: Image) -> float:
    assert ours is not None
    return float(10 * np.log10(255**2 / max(np.mean((ours.y.astype(float) - like.y) ** 2), 1e-9)))


def checked(panel: Panel, image: Image, **options: Any) -> codec.Coded:
    """Encode on the panel's state, and let all decoders see the frame."""
    coded = codec.encode_frame(panel.state, image, **options)
    assert panel.check(coded.data) is not None
    assert panel.state == coded.state, coded.state.difference(panel.state) if panel.state else ""
    return coded


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("clip", [streams.swarm, streams.moving, streams.fading, streams.still, streams.noise])
def test_the_decoders_see_what_encode_says(clip: streams.Clip, effort: Effort) -> None:
    panel = Panel()
    size = (80, 64)
    for n, q_index in enumerate((30, 60, 5, 127, 0)):
        source = image(clip, size, n)
        coded = checked(panel, source, q_index=q_index, effort=effort)
        assert picture(coded.image) == picture(codec.decode(panel.state, coded.data)[1]) or n
        if q_index < 10:
            assert decibels(coded.image, source) > 38


@pytest.mark.parametrize("size", streams.TINY, ids=str)
def test_any_size(size: tuple[int, int]) -> None:
    panel = Panel()
    for n, effort in enumerate((Effort.GOOD, Effort.REALTIME, Effort.BEST)):
        checked(panel, image(streams.moving, size, n), q_index=20 * n + 4, effort=effort, partitions=1 << n)


@pytest.mark.parametrize(
    "name", ["regions", "references", "altref, still", "profile 1", "profile 3 moving", "cyclic refresh"]
)
def test_any_state(name: str) -> None:
    recipe = next(recipe for recipe in streams.RECIPES if recipe.name == name)
    panel = Panel()
    packets = [data for data in streams.stream(name)[:12] if data]
    panel.check_all(packets)
    refreshes = [Refresh(golden_sign_bias=True), Refresh(last=False, altref=True, copy_to_golden=1), Refresh()]
    for n, refresh in enumerate(refreshes):
        source = image(recipe.clip, recipe.size, n + 5)
        checked(panel, source, q_index=40, refresh=refresh, version=recipe.config.get("profile", 0))


def test_every_way_to_refresh() -> None:
    panel = Panel()
    size = (48, 33)
    checked(panel, image(streams.swarm, size, 0), q_index=30)
    ways = itertools.product((False, True), (False, True), (False, True), (0, 1, 2), (0, 1, 2))
    for n, (last, golden, altref, to_golden, to_altref) in enumerate(ways):
        refresh = Refresh(last, golden, altref, to_golden, to_altref, n % 3 == 1, n % 4 == 1, n % 5 != 1)
        before = panel.state
        coded = checked(panel, image(streams.swarm, size, n), q_index=50, refresh=refresh, effort=Effort(n % 4))
        assert before is not None
        assert (coded.state.last == before.last) == (not last) or coded.state.last == coded.image.raster  # type: ignore[union-attr]
        assert (coded.state.probabilities == before.probabilities) or refresh.entropy


def test_segments_are_sent_when_they_change() -> None:
    panel = Panel()
    size = (96, 80)
    rng = np.random.default_rng(1)
    maps = [rng.integers(0, 4, 30).astype(np.uint8).tobytes() for _ in range(2)]
    sizes = []
    for n, (segments, quantizers, levels) in enumerate(
        [
            (maps[0], (10, 40, 70, 120), None),
            (maps[0], (10, 40, 70, 120), None),
            (None, (20, 20, 60, 60), (5, -63, 63, 0)),
            (None, None, None),
            (maps[1], None, (0, 9, 0, 9)),
            (None, (127, 0, 1, 2), None),
        ]
    ):
        coded = checked(
            panel, image(streams.swarm, size, n), q_index=50, segments=segments, segment_q=quantizers,
            segment_filter=levels, key_frame=n == 5,
        )  # fmt: skip
        header = codec.parse(panel.state, coded.data).header if n else codec.parse(None, coded.data).header
        sizes.append(header.update_segment_map)
        assert header.segmentation_enabled == (n != 3)
        if n == 0:
            factors = [header.quantizer_index + own for own in header.segmentation.quantizers]
            assert factors == [10, 40, 70, 120]
    assert sizes == [True, False, False, False, True, True]
    assert panel.state is not None
    assert panel.state.segment_map == bytes(30)


def test_a_segment_s_quantizer_counts_where_it_is() -> None:
    size = (128, 64)
    source = image(streams.swarm, size, 0)
    halves = bytes(column >= 4 for _ in range(4) for column in range(8))
    coded = codec.encode_frame(None, source, q_index=60, segments=halves, segment_q=(5, 110, 0, 0))
    assert coded.image is not None
    error = (coded.image.y.astype(float) - source.y) ** 2
    assert error[:, :64].mean() * 20 < error[:, 64:].mean()


@pytest.mark.parametrize("effort", Effort)
def test_a_finer_quantizer_takes_more_and_shows_more(effort: Effort) -> None:
    size = (112, 96)
    before = codec.encode_frame(None, image(streams.swarm, size, 0), q_index=20)
    points = []
    for q_index in (4, 24, 50, 80, 120):
        source = image(streams.swarm, size, 1)
        coded = codec.encode_frame(before.state, source, q_index=q_index, effort=effort)
        points.append((len(coded.data), decibels(coded.image, source)))
    assert points == sorted(points, reverse=True)
    assert points[0][1] > 42


def test_no_worse_than_libvpx() -> None:
    """On a small clip; ``bench.encode`` measures real ones."""
    size, count, sizes, quality = (112, 96), 6, [0, 0], [0.0, 0.0]
    encoder = Encoder(*size, {"min_quantizer": 30, "max_quantizer": 30, "bitrate": 20000}, {"speed": 2}, vpx.GOOD)
    state, theirs = None, None
    for n in range(count):
        source = image(streams.swarm, size, n)
        data = encoder.encode(streams.swarm(*size, n))[0]
        q_index = codec.parse(theirs, data).header.quantizer_index
        theirs, shown = codec.decode(theirs, data)
        coded = codec.encode_frame(state, source, q_index=q_index)
        state = coded.state
        sizes = [sizes[0] + len(data), sizes[1] + len(coded.data)]
        quality = [quality[0] + decibels(shown, source), quality[1] + decibels(coded.image, source)]
    # Six percent of the bits are worth about a quarter of a decibel.
    assert sizes[1] / sizes[0] - 1 < 0.1 + (quality[1] - quality[0]) / count / 4


def test_encode_is_pure() -> None:
    size = (64, 48)
    state = codec.encode_frame(None, image(streams.swarm, size, 0), q_index=30).state
    source = image(streams.swarm, size, 1)
    kept = state.to_bytes(), source.to_bytes()
    one, two = (codec.encode_frame(state, source, q_index=30) for _ in range(2))
    assert one == two
    assert codec.encode(state, source, q_index=30) == one.data
    assert (state.to_bytes(), source.to_bytes()) == kept
    # References that are equal count as one, whether they are the same object or not.
    copies = replace(state, golden=bytes(bytearray(state.golden)), altref=bytes(bytearray(state.altref)))
    assert codec.encode(copies, source, q_index=30) == one.data


def test_threads_may_share_a_state() -> None:
    size = (160, 96)
    state = codec.encode_frame(None, image(streams.swarm, size, 0), q_index=30).state
    sources = [image(streams.swarm, size, n % 3) for n in range(12)]
    with ThreadPoolExecutor(8) as threads:
        coded = list(threads.map(lambda source: codec.encode(state, source, q_index=30), sources))
    assert coded == [codec.encode(state, source, q_index=30) for source in sources]
    assert len(set(coded)) == 3


@pytest.mark.parametrize("build", builds.OTHERS)
@pytest.mark.parametrize("effort", [Effort.REALTIME, Effort.GOOD, Effort.BEST])
def test_every_build_makes_the_same_bytes(build: str, effort: Effort) -> None:
    package = builds.load(build)
    state = same_state = None
    size = (33, 17)
    for n in range(2):
        source = image(streams.swarm, size, n)
        refresh = Refresh(golden=True, altref_sign_bias=n == 1)
        coded = codec.encode_frame(state, source, q_index=20 + 30 * n, effort=effort, refresh=refresh)
        same = package.encode_frame(
            same_state,
            package.Image(*size, source.raster),
            q_index=20 + 30 * n,
            effort=package.Effort(effort),
            refresh=package.Refresh(**asdict(refresh)),
        )
        assert same.data == coded.data
        assert same.state.to_bytes() == coded.state.to_bytes()
        state, same_state = coded.state, same.state


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_the_picture(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    panel = Panel()
    for n in range(3):
        contrast = data.draw(st.sampled_from([0, 1, 20, 255]))
        base = data.draw(st.integers(0, 255))
        planes = [
            np.clip(base + rng.integers(-contrast, contrast + 1, shape), 0, 255).astype(np.uint8)
            for shape in ((height, width), ((height + 1) // 2, (width + 1) // 2), ((height + 1) // 2, (width + 1) // 2))
        ]
        cells = ((width + 15) // 16) * ((height + 15) // 16)
        checked(
            panel, Image.from_planes(*planes), q_index=data.draw(st.integers(0, 127)),
            effort=data.draw(st.sampled_from(Effort)), key_frame=data.draw(st.booleans()),
            partitions=data.draw(st.sampled_from([1, 2, 4, 8])), show=n == 0 or data.draw(st.booleans()),
            segments=data.draw(st.none() | st.lists(st.integers(0, 3), min_size=cells, max_size=cells).map(bytes)),
            segment_q=data.draw(st.none() | st.tuples(*[st.integers(0, 127)] * 4)),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"q_index": 128}, ValueError, "a quantizer index is 0 to 127, not 128"),
        ({"q_index": -1}, ValueError, "not -1"),
        ({"q_index": 9, "partitions": 3}, ValueError, "1, 2, 4 or 8 token partitions, not 3"),
        ({"q_index": 9, "version": 4}, ValueError, "versions of VP8 are 0 to 3, not 4"),
        ({"q_index": 9, "refresh": Refresh(copy_to_golden=3)}, ValueError, "what is copied"),
        ({"q_index": 9, "segments": bytes(5)}, codec.Mismatch, "has 5 bytes, the frame 2 x 3 macroblocks"),
        ({"q_index": 9, "segments": bytes([4] * 6)}, ValueError, "a segment is 0 to 3, not 4"),
        ({"q_index": 9, "segment_q": (1, 2, 3)}, ValueError, "four quantizer indices, each 0 to 127"),
        ({"q_index": 9, "segment_q": (1, 2, 3, 128)}, ValueError, "four quantizer indices, each 0 to 127"),
        ({"q_index": 9, "segment_filter": (0, 0, 0, 64)}, ValueError, "each -63 to 63"),
        ({"q_index": 9, "effort": 7}, ValueError, "7 is not a valid Effort"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        codec.encode(None, image(streams.swarm, (32, 48), 0), **options)


def test_what_does_not_fit_is_refused() -> None:
    source = image(streams.swarm, (32, 48), 0)
    state = codec.encode_frame(None, source, q_index=30).state
    with pytest.raises(codec.Mismatch, match="the state is 32 x 48, the image 16 x 16"):
        codec.encode(state, image(streams.swarm, (16, 16), 0), q_index=30)
    with pytest.raises(codec.Mismatch, match="the image must be a raster of 2304 bytes"):
        codec.encode(state, Image(32, 48, source.raster[:-1]), q_index=30)
    with pytest.raises(codec.Mismatch, match="golden reference must be a raster"):
        codec.encode(replace(state, golden=b"short"), source, q_index=30)


@pytest.mark.parametrize("short", range(6))
def test_a_buffer_that_is_too_small_by_a_few_bytes(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last bytes are written when a partition is finished: they need room, too."""
    picture = image(streams.swarm, (48, 48), 0)
    wanted = codec.encode(None, picture, q_index=20)
    sizes = codec.parse(None, wanted).sizes[1:]
    rooms = iter((sizes[0] - short, sizes[0] + 64, sizes[1] - short, sizes[1] + 64))
    monkeypatch.setattr(assemble, "BoolWriter", lambda _: BoolWriter(next(rooms)))
    assert codec.encode(None, picture, q_index=20) == wanted
