"""Scenes: found where they begin, and nowhere else; key frames there, in a real encode too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.encode.cuts import SHORTEST, marked
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.media.read import Reader
from tests.pipelines import clips

Plane = NDArray[np.uint8]


def scene(seed: int, frame: float, size: tuple[int, int] = (180, 320)) -> Plane:
    """A picture of smooth blobs of its own that move to the right, 3 pixels a frame."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    random = np.random.default_rng(seed)
    luma = np.full(size, 120.0)
    for _ in range(12):
        a, b, phase = random.uniform(-0.06, 0.06, 2).tolist() + [random.uniform(0, 6)]
        luma += 18 * np.sin(a * (x - 3 * frame) + b * y + phase)
    return np.clip(luma, 0, 255).astype(np.uint8)


def found(film: Sequence[Plane]) -> list[int]:
    """Where scenes begin."""
    flags = list(marked(film, lambda luma: luma))
    assert all(one is other for (one, _), other in zip(flags, film, strict=True)), "every frame comes out, in order"
    return [number for number, (_, begins) in enumerate(flags) if begins]


def test_a_cut_is_found_at_its_frame() -> None:
    assert found([scene(1, n) for n in range(30)] + [scene(2, n) for n in range(30)]) == [30]


@pytest.mark.parametrize("seed", range(3))
def test_many_cuts(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(SHORTEST, 25, 6).tolist()
    film = [scene(10 * seed + part, n) for part, length in enumerate(lengths) for n in range(length)]
    assert found(film) == np.cumsum(lengths)[:-1].tolist()


def flash(n: int) -> Plane:
    return np.full((180, 320), 250, np.uint8) if n == 30 else scene(1, n)


def lightning(n: int) -> Plane:
    return np.minimum(scene(1, n).astype(int) + 90 * (30 <= n < 33), 255).astype(np.uint8)


def dissolve(n: int) -> Plane:
    share = min(max((n - 20) / 20, 0), 1)
    return (scene(1, n) * (1 - share) + scene(2, n) * share).astype(np.uint8)


def fade(n: int) -> Plane:
    return (16 + scene(1, n) * min(n / 25, 1) * 0.9).astype(np.uint8)


def strobe(n: int) -> Plane:
    return scene(n // 3, n)


def noise(n: int) -> Plane:
    return np.random.default_rng(n).integers(0, 256, (180, 320), np.uint8)


def inserted(n: int) -> Plane:
    return scene(2 if 30 <= n < 30 + SHORTEST - 2 else 1, n)


@pytest.mark.parametrize("film", [flash, lightning, dissolve, fade, strobe, noise, inserted])
def test_what_is_no_cut(film: Callable[[int], Plane]) -> None:
    assert found([film(n) for n in range(60)]) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 33), (17, 5), (48, 64)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    film = [np.full(size, 40 + (n >= 20) * 160, np.uint8) for n in range(40)]
    assert found(film) == [20]


@pytest.mark.parametrize("frames", [0, 1, SHORTEST, 2 * SHORTEST - 1])
def test_a_film_too_short_for_two_scenes(frames: int) -> None:
    assert found([scene(n // SHORTEST, n) for n in range(frames)]) == []


def test_a_scene_begins_a_chain_with_a_key_frame(tmp_path: Path) -> None:
    """Scenes of 19, 9 and 12 frames in chunks of 8: none is cut where it would leave fewer than 2."""
    raw = tmp_path / "in.y4m"
    starts = (0, 19, 28, 40)
    with raw.open("wb") as file:
        file.write(b"YUV4MPEG2 W160 H96 F25:1 C420jpeg\n")
        for number in range(40):
            part = sum(start <= number for start in starts)
            file.write(b"FRAME\n" + scene(part, number, (96, 160)).tobytes() + bytes([128]) * (160 * 96 // 2))
    keys = {}
    for name, settings in {
        "cuts": Settings(8, 16, 40, 5),
        "none": Settings(8, 16, 40, 5, scene_cuts=False),
        "short": Settings(8, 2, 40, 5),
    }.items():
        target = tmp_path / f"{name}.webm"
        report = encode_file(str(raw), str(target), settings, workers=2)
        keys[name] = [n for n, packet in enumerate(clips.packets(target)) if packet[2]]
        assert (report.frames, report.key_frames) == (40, report.chains)
    assert keys == {"cuts": [0, 19, 28], "none": [0], "short": [0, 16, 19, 28]}


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("anim_bigbuckbunny_1280x720.mp4", []),
        ("natural_flower_960x540.mp4", []),
        ("traffic_dashcam_960x540.mp4", []),
        ("traffic_parking_768x432.mp4", []),
        ("faces_dev.mp4", [30, 170, 201, 415, 517, 547, 598, 734, 764, 829, 880]),
    ],
)
def test_real_clips(name: str, cuts: list[int], shared: Path) -> None:
    with Reader(str(shared / "media" / name)) as reader:
        flags = marked(reader, lambda picture: picture.planes[0])
        assert [number for number, (_, begins) in enumerate(flags) if begins] == cuts
