"""How close two videos are, and what a difference in quality is worth in bits: PSNR, SSIM, BD-rate.

PSNR of a clip is that of its mean squared error (all frames together), not the mean of the frames' PSNRs.
SSIM is that of libvpx, x264 and FFmpeg's `ssim` filter: windows of 8x8 pixels, every 4 pixels each way, all of equal
weight (Wang et al. 2004 with a box instead of the 11x11 Gaussian); a clip's SSIM is the mean of its frames'.
BD-rate is Bjøntegaard's (VCEG-M33), between curves through the measured points.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float64]

PERFECT = 100.0
"""The PSNR in dB that stands for "no difference", as in libvpx and FFmpeg's tools."""


def psnr(a: Plane, b: Plane) -> float:
    """PSNR of two planes (uint8, the same shape) in dB; `PERFECT` when they are equal."""
    return _decibels(squared_error(a, b), a.size)


def squared_error(a: Plane, b: Plane) -> int:
    """The sum of the squared differences of two uint8 planes."""
    difference = a.astype(np.int16) - b
    # 2^31 / 255^2 = 33,025 terms fit 32 bits: enough for a row (at most 16,383 pixels), not for a plane.
    return int(np.einsum("ij,ij->i", difference, difference, dtype=np.int32).sum(dtype=np.int64))


def ssim(a: Plane, b: Plane) -> float:
    """SSIM of two planes (uint8, the same shape): 8x8 windows, every 4 pixels, unweighted; 1 when they are equal."""
    a, b = _at_least_a_window(a), _at_least_a_window(b)
    x, y = a.astype(np.int32), b.astype(np.int32)
    sum_x, sum_y, sum_xy = _windows(x), _windows(y), _windows(x * y)
    sum_squares = _windows(x * x + y * y)
    # The windows' sums, times 64 where a mean was meant; c1 and c2 are scaled by the same 64 and 64 * 63.
    c1, c2 = int(0.01**2 * 255**2 * 64 + 0.5), int(0.03**2 * 255**2 * 64 * 63 + 0.5)
    product, squares = sum_x * sum_y, sum_x * sum_x + sum_y * sum_y
    variance = sum_squares * 64 - squares
    covariance = sum_xy * 64 - product
    # Single precision as in the tools this shall equal; the whole numbers up to here are exact.
    numerator = (2 * product + c1).astype(np.float32) * (2 * covariance + c2).astype(np.float32)
    denominator = (squares + c1).astype(np.float32) * (variance + c2).astype(np.float32)
    return float((numerator / denominator).mean(dtype=np.float64))


@dataclass(slots=True)
class Comparison:
    """Adds up how far one video is from another, frame by frame."""

    frames: int = 0
    errors: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Squared error of Y, U and V."""
    pixels: list[int] = field(default_factory=lambda: [0, 0, 0])
    ssim_sum: float = 0.0
    each_psnr_y: array[float] = field(default_factory=lambda: array("f"))
    """PSNR of the luma of every frame."""
    each_ssim_y: array[float] = field(default_factory=lambda: array("f"))
    """SSIM of the luma of every frame."""

    def add(self, a: Sequence[Plane], b: Sequence[Plane]) -> None:
        """Count a frame in: its three planes in both videos."""
        errors = [squared_error(a[plane], b[plane]) for plane in range(3)]
        for plane in range(3):
            self.errors[plane] += errors[plane]
            self.pixels[plane] += a[plane].size
        ssim_y = ssim(a[0], b[0])
        self.ssim_sum += ssim_y
        self.each_psnr_y.append(_decibels(errors[0], a[0].size))
        self.each_ssim_y.append(ssim_y)
        self.frames += 1

    @property
    def psnr_y(self) -> float:
        """PSNR of the luma in dB."""
        return _decibels(self.errors[0], self.pixels[0])

    @property
    def psnr_u(self) -> float:
        """PSNR of the blue-difference plane in dB."""
        return _decibels(self.errors[1], self.pixels[1])

    @property
    def psnr_v(self) -> float:
        """PSNR of the red-difference plane in dB."""
        return _decibels(self.errors[2], self.pixels[2])

    @property
    def psnr_yuv(self) -> float:
        """The planes' PSNRs in dB, weighted 6:1:1."""
        return (6 * self.psnr_y + self.psnr_u + self.psnr_v) / 8

    @property
    def ssim_y(self) -> float:
        """Mean SSIM of the luma."""
        return self.ssim_sum / self.frames if self.frames else 1.0


def bd_rate(
    reference: Sequence[tuple[float, float]],
    test: Sequence[tuple[float, float]],
    curve: Literal["pchip", "cubic"] = "pchip",
) -> float:
    """How many percent more bits `test` needs than `reference` for equal quality; negative: it needs fewer.

    Both are points (bit rate, quality in dB) in any order, at least two of them, or four for "cubic", Bjøntegaard's own
    polynomial. The mean is taken over the qualities that both reach. Raises ValueError when they share none, or when
    quality does not grow with rate.
    """
    curves = [_rate_by_quality(points) for points in (reference, test)]
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    if not low < high:
        raise ValueError(f"the curves share no quality: one ends at {high:g} dB, the other begins at {low:g} dB")
    integral = _integrate_pchip if curve == "pchip" else _integrate_cubic
    reference_area, test_area = (integral(quality, rate, low, high) for quality, rate in curves)
    return (math.exp((test_area - reference_area) / (high - low)) - 1) * 100


def _decibels(error: int, pixels: int) -> float:
    return PERFECT if not error else min(PERFECT, 10 * math.log10(255**2 * pixels / error))


def _at_least_a_window(plane: Plane) -> Plane:
    height, width = plane.shape
    if height >= 8 and width >= 8:
        return plane
    return np.pad(plane, ((0, max(0, 8 - height)), (0, max(0, 8 - width))), mode="edge")


def _windows(values: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sums over the 8x8 windows that begin every 4 pixels; what fills no block of 4 right and below is left out."""
    height, width = (side & ~3 for side in values.shape)
    values = values[:height, :width]
    rows = values[::4] + values[1::4] + values[2::4] + values[3::4]
    blocks = (rows[:, ::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]).astype(np.int64)
    pairs = blocks[:-1] + blocks[1:]
    windows: NDArray[np.int64] = pairs[:, :-1] + pairs[:, 1:]
    return windows


def _rate_by_quality(points: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    ordered = sorted((quality, math.log(rate)) for rate, quality in points)
    quality, rate = (np.array(column, np.float64) for column in zip(*ordered, strict=True))
    if len(ordered) < 2 or not (np.diff(quality) > 0).all() or not (np.diff(rate) > 0).all():
        raise ValueError(f"quality must grow with rate from point to point, and does not: {sorted(points)}")
    return quality, rate


def _integrate_cubic(x: Floats, y: Floats, low: float, high: float) -> float:
    if len(x) < 4:
        raise ValueError(f"a cubic needs four points, not {len(x)}")
    area = np.polynomial.Polynomial.fit(x, y, 3).integ()
    return float(area(high) - area(low))


def _integrate_pchip(x: Floats, y: Floats, low: float, high: float) -> float:
    """Integral from `low` to `high` of the monotone cubic through the points (Fritsch and Carlson 1980)."""
    steps, rises = np.diff(x), np.diff(y)
    slopes = _pchip_slopes(steps, rises / steps)
    area = 0.0
    for i, step in enumerate(steps):
        start, end = max(low, float(x[i])), min(high, float(x[i + 1]))
        if start < end:
            secant = rises[i] / step
            square = (3 * secant - 2 * slopes[i] - slopes[i + 1]) / step
            cube = (slopes[i] + slopes[i + 1] - 2 * secant) / step**2
            whole = np.polynomial.Polynomial([y[i], slopes[i], square, cube]).integ()
            area += float(whole(end - x[i]) - whole(start - x[i]))
    return area


def _pchip_slopes(steps: Floats, secants: Floats) -> Floats:
    if len(steps) == 1:
        return np.array([secants[0], secants[0]])
    slopes = np.zeros(len(steps) + 1)
    for i in range(1, len(steps)):
        if secants[i - 1] * secants[i] > 0:
            before, after = 2 * steps[i] + steps[i - 1], steps[i] + 2 * steps[i - 1]
            slopes[i] = (before + after) / (before / secants[i - 1] + after / secants[i])
    slopes[0] = _pchip_end(steps[0], steps[1], secants[0], secants[1])
    slopes[-1] = _pchip_end(steps[-1], steps[-2], secants[-1], secants[-2])
    return slopes


def _pchip_end(step: float, next_step: float, secant: float, next_secant: float) -> float:
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return float(slope)
