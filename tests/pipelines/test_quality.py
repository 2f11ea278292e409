"""PSNR and SSIM against FFmpeg's own filters; BD-rate against its properties and published values."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import quality


def ffmpeg_metric(name: str, key: str, a: np.ndarray, b: np.ndarray) -> float:
    height, width = a.shape
    gray, time_base = av.VideoFormat("gray", width, height), Fraction(1, 25)
    graph = av.filter.Graph()
    sources = [graph.add_buffer(width=width, height=height, format=gray, time_base=time_base) for _ in range(2)]
    metric, sink = graph.add(name), graph.add("buffersink")
    for port, source in enumerate(sources):
        source.link_to(metric, 0, port)
    metric.link_to(sink)
    graph.configure()
    for source, plane in zip(sources, (a, b), strict=True):
        frame = av.VideoFrame.from_ndarray(plane, format="gray")
        frame.pts, frame.time_base = 0, time_base
        source.push(frame)
    for source in sources:
        source.push(None)
    return float(sink.pull().metadata[key])


def noisy(shape: tuple[int, int], seed: int, strength: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    a = np.clip(np.cumsum(random.integers(-9, 10, shape), axis=1) + 128, 0, 255).astype(np.uint8)
    return a, np.clip(a + random.integers(-strength, strength + 1, shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(96, 128), (98, 131), (144, 176)])
@pytest.mark.parametrize("strength", [1, 20, 200])
def test_psnr_and_ssim_are_those_of_ffmpeg(shape: tuple[int, int], strength: int) -> None:
    a, b = noisy(shape, strength, strength)
    expected = ffmpeg_metric("psnr", "lavfi.psnr.psnr_avg", a, b)
    assert quality.psnr(a, b) == pytest.approx(expected, abs=0.01)
    assert quality.ssim(a, b) == pytest.approx(ffmpeg_metric("ssim", "lavfi.ssim.All", a, b), abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 9), (8, 8), (720, 1280)])
def test_equal_planes_are_perfect(shape: tuple[int, int]) -> None:
    a, _ = noisy(shape, 1, 1)
    assert quality.psnr(a, a) == quality.PERFECT
    assert quality.ssim(a, a) == 1


def test_the_widest_row_of_the_greatest_difference_does_not_overflow() -> None:
    black, white = np.zeros((2, 16383), np.uint8), np.full((2, 16383), 255, np.uint8)
    assert quality.squared_error(black, white) == 2 * 16383 * 255**2
    assert quality.psnr(black, white) == 0


def test_a_clip_is_measured_by_its_mean_error() -> None:
    clip = quality.Comparison()
    planes = [noisy((32, 32), seed, strength) for seed, strength in ((1, 2), (2, 40))]
    for a, b in planes:
        clip.add((a, a[:16, :16], a[:16, :16]), (b, a[:16, :16], b[:16, :16]))
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in planes])
    assert clip.psnr_y == pytest.approx(10 * math.log10(255**2 / error))
    assert clip.psnr_u == quality.PERFECT
    assert clip.psnr_yuv == pytest.approx((6 * clip.psnr_y + clip.psnr_u + clip.psnr_v) / 8)
    assert clip.ssim_y == pytest.approx(np.mean([quality.ssim(a, b) for a, b in planes]))


CURVE = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)]
OTHER = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)]


def test_bd_rate_of_curves_whose_integral_is_known() -> None:
    def rate(decibels: float, more: float) -> float:
        return math.exp(1e-4 * decibels**3 + 0.1 * decibels + more * (decibels - 30) ** 2)

    points = [[(rate(decibels, more), decibels) for decibels in (30, 32, 36, 40)] for more in (0.0, 0.003)]
    # The mean of 0.003 (q - 30)^2 from 30 to 40 is 0.1.
    assert quality.bd_rate(*points, "cubic") == pytest.approx((math.exp(0.1) - 1) * 100, abs=1e-9)
    assert quality.bd_rate(*points) == pytest.approx((math.exp(0.1) - 1) * 100, abs=0.2)


def test_there_and_back_are_inverse() -> None:
    there, back = quality.bd_rate(CURVE, OTHER), quality.bd_rate(OTHER, CURVE)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)
    assert 25 < there < 35


@given(factor=st.floats(0.2, 5), curve=st.sampled_from(["pchip", "cubic"]))
def test_so_many_times_the_bits_is_so_many_percent(factor: float, curve: str) -> None:
    more = [(rate * factor, decibels) for rate, decibels in CURVE]
    assert quality.bd_rate(CURVE, more, curve) == pytest.approx((factor - 1) * 100, abs=1e-6)


def test_curves_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="share no quality"):
        quality.bd_rate(CURVE, [(rate, decibels + 20) for rate, decibels in CURVE])
    with pytest.raises(ValueError, match="must grow"):
        quality.bd_rate(CURVE, [(100, 30), (200, 29)])
    with pytest.raises(ValueError, match="four points"):
        quality.bd_rate(CURVE[:3], OTHER[:3], "cubic")


def test_pchip_keeps_to_a_curve_that_a_polynomial_would_overshoot() -> None:
    steps = [(100, 30.0), (101, 31.0), (1000, 31.5), (1010, 38.0)]
    assert quality.bd_rate(steps, steps) == 0
