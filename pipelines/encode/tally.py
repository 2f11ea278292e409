"""What chunks came to: bytes and errors, which add up to those of the film."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from codec import Image
    from pipelines.encode.plan import Task

_PERFECT = 100.0  # dB, as in pipelines.quality


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """Some frames: their sizes and how far they are from the input, as far as that was asked for."""

    frames: int = 0
    bytes: int = 0
    error: int = 0
    """Squared errors of the luma."""
    pixels: int = 0
    likeness: float = 0.0
    """The sum of the frames' SSIM."""

    def __add__(self, other: Tally) -> Tally:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Tally(*(one + another for one, another in pairs))

    @property
    def psnr(self) -> float:
        """PSNR of the luma in dB: of the mean error of all frames."""
        return min(_PERFECT, 10 * math.log10(255**2 * self.pixels / self.error)) if self.error else _PERFECT

    @property
    def ssim(self) -> float:
        """Mean SSIM of the luma."""
        return self.likeness / self.frames if self.frames else 1.0


def tally(task: Task, data: bytes, original: Image, shown: Image | None) -> Tally:
    """Measure a frame, which may be one that is not shown."""
    from pipelines import quality

    if shown is None:
        return Tally(bytes=len(data))
    error = quality.squared_error(original.y, shown.y) if task.measure == "psnr" else 0
    likeness = quality.ssim(original.y, shown.y) if task.measure == "ssim" else 0.0
    return Tally(1, len(data), error, original.y.size, likeness)
