"""Hitting a bit rate or a quality: what to try next, from what was measured so far. It computes and does nothing else.

One number says how coarse a film is quantised: the logarithm of libvpx's quantizer at its level (cq), plus that of the
scale by which rebase makes all quantizers coarser or finer. What is aimed for runs nearly straight over it: the
logarithm of the bits, or PSNR, or SSIM in decibels. So a survey of samples gives a curve, the curve a first level for
the whole film, and the film itself corrects the curve, mostly by rebasing anew what libvpx has found already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from codec.quantization import AC_FACTORS
from pipelines import libvpx
from pipelines.encode.tally import Tally
from pipelines.errors import SettingsError

PROBES = (8, 30, 52)
"""The levels at which samples are encoded."""
MOST_ATTEMPTS = 6
MOST_SEARCHES = 2
"""Of those attempts, the ones in which libvpx encodes the film; the others rebase only."""

_FARTHEST = math.log(1.2)
"""As far as rebase may go from the quantizers that libvpx searched with: there it costs about 2 % of the bits."""
_NEAR = 0.0005
"""Attempts that are this near are one."""
_FINEST, _COARSEST = (math.log(AC_FACTORS[libvpx.quantizer_index(level)]) for level in (0, 63))
_BITS_SLOPES, _QUALITY_SLOPES = (-2.5, -0.4), (-12.0, -2.0)
"""How steep curves can be: bits, or decibels, by the logarithm of the quantizer."""

Kind = Literal["bitrate", "psnr", "ssim"]


class Aim(msgspec.Struct, frozen=True):
    """What the whole film shall have. Raises SettingsError for what cannot be meant."""

    kind: Kind
    value: float
    """Kilobits (1000 bits) a second of the picture; PSNR of the luma in dB; mean SSIM of the luma."""

    def __post_init__(self) -> None:
        least, most, unit = {"bitrate": (1, 1e6, " kb/s"), "psnr": (10, 70, " dB"), "ssim": (0.1, 0.9999, "")}[
            self.kind
        ]
        if not least <= self.value <= most:
            raise SettingsError(f"{self.kind} must be {least:g} to {most:g}{unit}, not {self.value:g}")

    @property
    def measure(self) -> Literal["bytes", "psnr", "ssim"]:
        """What has to be measured."""
        return "bytes" if self.kind == "bitrate" else self.kind

    def of(self, tally: Tally, seconds: float) -> float:
        """What a film has that came to this."""
        if self.kind == "bitrate":
            return tally.bytes * 8 / seconds / 1000
        return tally.psnr if self.kind == "psnr" else tally.ssim

    def error(self, reached: float) -> float:
        """How far off that is: the share of the bit rate, or the difference of the quality."""
        return reached / self.value - 1 if self.kind == "bitrate" else reached - self.value

    def is_hit(self, reached: float) -> bool:
        """Whether that is as good as it gets: a bit rate within 1 %, a quality that is reached, hardly more."""
        error = self.error(reached)
        return abs(error) <= 0.01 if self.kind == "bitrate" else 0 <= error <= {"psnr": 0.1, "ssim": 0.001}[self.kind]

    def straight(self, reached: float) -> float:
        """The number that runs nearly straight over the logarithm of the quantizer."""
        if self.kind == "bitrate":
            return math.log(max(reached, 1e-3))
        return reached if self.kind == "psnr" else -10 * math.log10(max(1 - reached, 1e-7))

    @property
    def middle(self) -> float:
        """What to aim at, so as to hit."""
        return self.straight(self.value + {"bitrate": 0, "psnr": 0.04, "ssim": 0.0003}[self.kind])

    @property
    def slopes(self) -> tuple[float, float]:
        """The steepest and the flattest that the curve can be."""
        return _BITS_SLOPES if self.kind == "bitrate" else _QUALITY_SLOPES


@dataclass(frozen=True, slots=True)
class Attempt:
    """A way to encode the film."""

    cq: int
    scale: float
    search: bool
    """Whether libvpx has to encode it; else what it made at this level before is rebased."""

    @property
    def coarseness(self) -> float:
        """The logarithm of the quantizer."""
        return coarseness(self.cq) + math.log(self.scale)


def coarseness(cq: int) -> float:
    """The logarithm of libvpx's quantizer at a level."""
    return math.log(AC_FACTORS[libvpx.quantizer_index(cq)])


@dataclass(slots=True)
class Hunt:
    """Finds the attempt that hits: ask for the next, and tell what came of it."""

    aim: Aim
    curve: list[tuple[float, float]]
    """What the film is believed to have: (coarseness, bit rate or quality), coarser and coarser."""
    tried: list[tuple[Attempt, float]] = field(default_factory=list)

    def next(self) -> Attempt | None:
        """The next attempt; None when one has hit, or more would not help."""
        if not self.tried:
            return _search(self._inverse())
        last, reached = self.tried[-1]
        if self.aim.is_hit(reached) or len(self.tried) >= MOST_ATTEMPTS:
            return None
        wanted = self._wanted()
        if abs(wanted - last.coarseness) < _NEAR:
            return None  # an end of the scale, or the quantizer's own steps are in the way
        searches = sum(attempt.search for attempt, _ in self.tried)
        if abs(wanted - coarseness(last.cq)) > _FARTHEST and searches < MOST_SEARCHES:
            return _search(wanted)
        return Attempt(last.cq, math.exp(wanted - coarseness(last.cq)), search=False)

    def tell(self, attempt: Attempt, reached: float) -> bool:
        """Take down what came of an attempt; returns whether it is the best so far."""
        self.tried.append((attempt, reached))
        return self.best[0] is attempt

    @property
    def best(self) -> tuple[Attempt, float]:
        """The attempt that came nearest, and what came of it."""
        return min(self.tried, key=lambda other: self._badness(other[1]))

    def _badness(self, reached: float) -> tuple[bool, float]:
        short = self.aim.kind != "bitrate" and self.aim.error(reached) < 0
        return short, abs(self.aim.error(reached))

    def _wanted(self) -> float:
        """The coarseness that should hit: between two attempts, or else beyond the last."""
        last, reached = self.tried[-1]
        missing = self.aim.middle - self.aim.straight(reached)
        others = [
            (attempt.coarseness, self.aim.straight(value))
            for attempt, value in self.tried
            if (self.aim.middle - self.aim.straight(value)) * missing < 0
        ]
        if not others:
            return _clamped(last.coarseness + missing / self._slope())
        there, value = min(others, key=lambda other: abs(other[0] - last.coarseness))
        share = missing / (value - self.aim.straight(reached))
        # Off the ends, so that a curve with a corner does not stop it.
        return last.coarseness + min(max(share, 0.1), 0.9) * (there - last.coarseness)

    def _slope(self) -> float:
        """How steep the curve is where the last attempt was; by the last two, where they are far enough apart."""
        (last, reached), steepest, flattest = self.tried[-1], *self.aim.slopes
        slope = self._curve_slope(last.coarseness, self.aim.straight(reached))
        if len(self.tried) > 1:
            before, reached_before = self.tried[-2]
            step = last.coarseness - before.coarseness
            if abs(step) > 0.02:
                slope = (self.aim.straight(reached) - self.aim.straight(reached_before)) / step
        return min(max(slope, steepest), flattest)

    def _curve_slope(self, where: float, reached: float) -> float:
        for x, y in (self.curve[0], self.curve[-1]):
            outside = where < x if x == self.curve[0][0] else where > x
            if outside:
                return (self.aim.straight(y) - reached) / (x - where)
        (x0, y0), (x1, y1) = self._segment(where)
        return (self.aim.straight(y1) - self.aim.straight(y0)) / (x1 - x0)

    def _segment(self, where: float) -> tuple[tuple[float, float], tuple[float, float]]:
        for left, right in zip(self.curve, self.curve[1:], strict=False):
            if where <= right[0] or right is self.curve[-1]:
                return left, right
        raise AssertionError("a curve has two points")

    def _inverse(self) -> float:
        """The coarseness at which the curve has what is aimed at."""
        wanted = self.aim.middle
        for (x0, y0), (x1, y1) in zip(self.curve, self.curve[1:], strict=False):
            left, right = self.aim.straight(y0), self.aim.straight(y1)
            where = x0 + (wanted - left) * (x1 - x0) / min(right - left, -1e-3)
            if wanted >= right:
                break
        return _clamped(where)


def _search(wanted: float) -> Attempt:
    cq = min(range(64), key=lambda level: abs(coarseness(level) - wanted))
    return Attempt(cq, math.exp(wanted - coarseness(cq)), search=True)


def _clamped(wanted: float) -> float:
    return min(max(wanted, _FINEST), _COARSEST)
