"""Streams for the tests, made by libvpx of small synthetic clips: one recipe for every corner of the format it uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.codec import vpx
from tests.codec.vpx import Encoder, Picture

Clip = Callable[[int, int, int], Picture]
"""Makes frame ``n`` of a clip of this width and height."""


def noise(width: int, height: int, n: int) -> Picture:
    """Nothing but noise: large coefficients, nothing to predict."""
    return _picture(np.random.default_rng(n).integers(0, 256, (2 * height, 2 * width, 3)), width, height)


def still(width: int, height: int, n: int) -> Picture:
    """A picture that stands still, but for a small square every fourth frame: skipped macroblocks."""
    canvas = _texture(width, height, 1).copy()
    canvas[8 : 8 + 4 * (n % 4 == 3), 8:14] = 255
    return _picture(canvas, width, height)


def flat(width: int, height: int, n: int) -> Picture:
    """One colour, brighter every frame."""
    return _picture(np.full((height, width, 3), min(40 + 9 * n, 255)), width, height)


def moving(width: int, height: int, n: int) -> Picture:
    """A picture that runs past at 23 pixels a frame and more: vectors that lead far out of the frame."""
    return _picture(np.roll(_texture(width, height, 2), (-17 * n, 23 * n), (0, 1)), width, height)


def swarm(width: int, height: int, n: int) -> Picture:
    """Patches that all move on their own, by fractions of pixels: split vectors."""
    canvas = _texture(width, height, 3).copy()
    rng = np.random.default_rng(4)
    for _ in range(2 + width * height // 300):
        y, x = rng.integers(0, height), rng.integers(0, width)
        dy, dx = rng.normal(0, 2.5, 2)
        patch = _texture(16, 16, int(rng.integers(1000)))[: rng.integers(4, 13), : rng.integers(4, 13)]
        top, left = int(y + n * dy) % height, int(x + n * dx) % width
        area = canvas[top : top + patch.shape[0], left : left + patch.shape[1]]
        area[:] = patch[: area.shape[0], : area.shape[1]]
    return _picture(canvas, width, height)


def cuts(width: int, height: int, n: int) -> Picture:
    """A new scene every third frame, and back: golden and altref are worth remembering."""
    canvas = np.roll(_texture(width, height, 5 + n // 3 % 2), n, 1)
    return _picture(canvas, width, height)


def fading(width: int, height: int, n: int) -> Picture:
    """A grainy picture that moves a little and changes its brightness."""
    grain = np.random.default_rng(n).normal(0, 6, (2 * height, 2 * width, 3))
    canvas = np.roll(_texture(2 * width, 2 * height, 7), n, 0) * (0.6 + 0.05 * (n % 7))
    return _picture(canvas + grain, width, height)


def drifting(width: int, height: int, n: int) -> Picture:
    """A picture that drifts by a pixel now and then under a little grain: worth an altref frame."""
    grain = np.random.default_rng(n).normal(0, 1.5, (height, width, 3))
    return _picture(np.roll(_texture(width, height, 8), n // 3, 1) + grain, width, height)


@functools.cache
def _texture(width: int, height: int, seed: int) -> NDArray[np.int64]:
    """A picture with shapes of every size, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for size, contrast in ((32, 90), (12, 60), (5, 40), (2, 20)):
        coarse = rng.uniform(-contrast, contrast, (height // size + 2, width // size + 2, 3))
        total += coarse.repeat(size, 0).repeat(size, 1)[:height, :width]
    return np.clip(total + 128, 0, 255).astype(np.int64)


def _picture(canvas: NDArray[Any], width: int, height: int) -> Picture:
    planes = []
    for which in range(3):
        half = int(which > 0)
        plane = canvas[:: 1 + half, :: 1 + half, which][: (height + half) >> half, : (width + half) >> half]
        planes.append(np.clip(plane, 0, 255).astype(np.uint8).tobytes())
    return Picture(width, height, b"".join(planes))


@dataclass(frozen=True)
class Recipe:
    """How libvpx makes a stream; ``each`` is called before every frame: it may turn knobs, and returns the flags."""

    name: str
    clip: Clip = swarm
    size: tuple[int, int] = (64, 48)
    frames: int = 8
    config: Mapping[str, Any] = field(default_factory=dict)
    controls: Mapping[str, int] = field(default_factory=dict)
    deadline: int = vpx.REALTIME
    two_passes: bool = False
    each: Callable[[Encoder, int], int] | None = None

    def __str__(self) -> str:
        return self.name


@functools.cache
def stream(name: str) -> tuple[bytes, ...]:
    """Return the frames of a stream by the name of its recipe; one that libvpx dropped is empty."""
    if name == "sizes":
        return tuple(data for part in ("tiny 33x1", "partitions 1", "tiny 175x143") for data in stream(part))
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    pictures = [recipe.clip(*recipe.size, n) for n in range(recipe.frames)]
    stats = b""
    if recipe.two_passes:
        first = _encoder(recipe, passes=1)
        stats = b"".join(data for picture in pictures for data in first.encode(picture)) + b"".join(first.finish())
    encoder = _encoder(recipe, stats=stats, passes=2 if stats else 0)
    packets: list[bytes] = []
    for n, picture in enumerate(pictures):
        flags = recipe.each(encoder, n) if recipe.each else 0
        made = encoder.encode(picture, flags)
        packets += made or ([] if encoder.config.lag_in_frames else [b""])
    return (*packets, *encoder.finish())


def _encoder(recipe: Recipe, stats: bytes = b"", **config: int) -> Encoder:
    return Encoder(*recipe.size, {**recipe.config, **config}, recipe.controls, recipe.deadline, stats)


# What is done before a frame.


def _regions(encoder: Encoder, n: int) -> int:
    """Segments that change now and then, and once go away."""
    columns, rows = (encoder.config.width + 15) // 16, (encoder.config.height + 15) // 16
    if n % 3 == 1:
        rng = np.random.default_rng(n)
        segments = rng.integers(0, 4, columns * rows).astype(np.uint8).tobytes()
        encoder.roi(segments, (0, -20, 30, 5 * n), (0, 20, -30, -n))
    if n == 8:
        encoder.roi(bytes(columns * rows), (0, 0, 0, 0), (0, 0, 0, 0))
    return 0


def _active(encoder: Encoder, n: int) -> int:
    columns, rows = (encoder.config.width + 15) // 16, (encoder.config.height + 15) // 16
    encoder.active(bytes((k + n) % 3 != 0 for k in range(columns * rows)))
    return 0


def _references(encoder: Encoder, n: int) -> int:
    """Every way to choose and refresh references that an application has."""
    return (
        0,
        vpx.FORCE_GOLDEN | vpx.KEEP_LAST,
        vpx.NO_LAST | vpx.KEEP_ALTREF,
        vpx.FORCE_ALTREF | vpx.KEEP_ENTROPY,
        vpx.NO_LAST | vpx.NO_GOLDEN,
        vpx.KEEP_LAST | vpx.KEEP_GOLDEN | vpx.KEEP_ALTREF,
        vpx.KEEP_ENTROPY | vpx.NO_ALTREF,
        vpx.FORCE_GOLDEN | vpx.FORCE_ALTREF | vpx.NO_GOLDEN,
    )[n % 8]


def _layers(encoder: Encoder, n: int) -> int:
    """Three temporal layers in a pattern of four frames."""
    keep = vpx.KEEP_GOLDEN | vpx.KEEP_ALTREF
    layer = (0, 2, 1, 2)[n % 4]
    encoder.control(vpx.CONTROLS["temporal_layer"], layer)
    return (
        keep | vpx.NO_GOLDEN | vpx.NO_ALTREF,
        keep | vpx.KEEP_LAST | vpx.KEEP_ENTROPY,
        vpx.KEEP_LAST | vpx.KEEP_ALTREF | vpx.NO_ALTREF,
        keep | vpx.KEEP_LAST | vpx.KEEP_ENTROPY,
    )[n % 4]


def _scalings(encoder: Encoder, n: int) -> int:
    if n % 3 == 0:
        encoder.scale(n // 3 % 4, n // 6 % 4)
    return 0


def _shrinking(encoder: Encoder, n: int) -> int:
    """Another sharpness and noise filter in mid-stream, and a key frame."""
    encoder.control(vpx.CONTROLS["sharpness"], n % 8)
    return vpx.KEY if n == 5 else 0


TINY = [
    *((1, 1), (2, 2), (1, 40), (33, 1), (3, 7), (15, 17), (16, 16), (17, 15), (16, 1), (1, 16)),
    *((31, 33), (48, 16), (16, 48), (65, 63), (175, 143)),
]
_LAYERED = {
    "layers": 3,
    "layer_bitrate": (100, 150, 250),
    "layer_decimator": (4, 2, 1),
    "layer_period": 4,
    "layer_id": (0, 2, 1, 2),
    "bitrate": 250,
    "error_resilient": 1,
    "end_usage": vpx.CBR,
}


def _recipes() -> Iterator[Recipe]:
    for log2 in range(4):
        yield Recipe(f"partitions {1 << log2}", size=(80, 150), controls={"partitions": log2}, frames=6)
    yield Recipe("more partitions than rows", size=(48, 30), controls={"partitions": 3})
    for size in TINY:
        yield Recipe(f"tiny {size[0]}x{size[1]}", size=size, frames=5 if size == (175, 143) else 7)
        yield Recipe(f"tiny moving {size[0]}x{size[1]}", moving, size, 5, {"error_resilient": 3})
    for profile in range(4):
        quality = {"profile": profile, "max_quantizer": 30}
        yield Recipe(f"profile {profile}", swarm, (96, 80), 8, quality, {"speed": 0}, vpx.GOOD)
        yield Recipe(f"profile {profile} moving", moving, (81, 67), 8, quality, {"speed": 0}, vpx.BEST)
    for sharpness in range(8):
        quality = {"min_quantizer": 40}
        yield Recipe(f"sharpness {sharpness}", fading, frames=4, config=quality, controls={"sharpness": sharpness})
    for q in range(64):
        yield Recipe(f"quantizer {q}", swarm, (48, 32), 3, {"min_quantizer": q, "max_quantizer": q})
    for kind in range(1, 7):
        yield Recipe(f"noise sensitivity {kind}", fading, frames=10, controls={"noise": kind})
    for deadline, name in ((vpx.REALTIME, "realtime"), (vpx.GOOD, "good"), (vpx.BEST, "best")):
        for speed in (-12, 0, 5, 16):
            yield Recipe(f"{name} speed {speed}", cuts, frames=7, controls={"speed": speed}, deadline=deadline)
    altref = {"altref": 1, "arnr_frames": 5, "speed": 0}
    slow = {"lag_in_frames": 12, "key_max": 30, "bitrate": 60}
    for profile in range(4):
        config = {**slow, "profile": profile}
        yield Recipe(f"altref, profile {profile}", drifting, (64, 64), 40, config, altref, vpx.GOOD, two_passes=True)
    yield Recipe("altref, still", still, (64, 64), 40, slow, altref, vpx.GOOD, two_passes=True)
    yield Recipe("error resilient", fading, frames=10, config={"error_resilient": 1})
    yield Recipe("independent partitions", fading, frames=10, config={"error_resilient": 2}, controls={"partitions": 2})
    yield Recipe("noise", noise, (50, 34), 6, {"max_quantizer": 4})
    yield Recipe("noise, coarse", noise, (50, 34), 6, {"min_quantizer": 60})
    yield Recipe("still", still, (96, 96), 12, controls={"static_threshold": 100})
    yield Recipe("flat", flat, frames=12)
    yield Recipe("scene cuts", cuts, frames=20, config={"key_max": 5})
    yield Recipe("best motion", swarm, (112, 96), 8, {"max_quantizer": 20}, {"speed": 0}, vpx.BEST)
    yield Recipe("regions", fading, (96, 80), 12, {"bitrate": 400}, each=_regions)
    yield Recipe("regions, error resilient", swarm, (96, 80), 12, {"error_resilient": 1}, each=_regions)
    screen = {"bitrate": 30, "end_usage": vpx.CBR, "error_resilient": 1}
    yield Recipe("cyclic refresh", fading, (160, 128), 16, screen, {"speed": 10, "screen": 1})
    yield Recipe("active map", swarm, (96, 80), 6, each=_active)
    yield Recipe("references", cuts, (64, 64), 17, each=_references)
    yield Recipe("temporal layers", swarm, (64, 64), 13, _LAYERED, each=_layers)
    yield Recipe("scaling", fading, (120, 90), 20, each=_scalings)
    yield Recipe("knobs in mid-stream", fading, (64, 64), 12, {"min_quantizer": 30}, each=_shrinking)
    drops = {"bitrate": 160, "end_usage": vpx.CBR, "drop_threshold": 60, "undershoot": 100, "max_quantizer": 40}
    drops |= {"buffer_size": 600, "buffer_initial": 400, "buffer_optimal": 500}
    yield Recipe("dropped frames", noise, (64, 48), 24, drops)


RECIPES = tuple(_recipes())
NAMES = (*(recipe.name for recipe in RECIPES), "sizes")
