"""Comparing two video files picture by picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from pipelines.errors import InputError
from pipelines.media.read import Reader
from pipelines.quality import Comparison


def compare_files(a: str, b: str, watch: Callable[[int], object] = lambda frames: None) -> tuple[Comparison, int, int]:
    """Compare the frames of two videos of any kind, decoded by FFmpeg, the first with the first and so on.

    Returns the comparison of the frames that both have, and how many each has. `watch` hears of every frame compared.
    Raises InputError when they differ in size.
    """
    with Reader(a) as one, Reader(b) as other:
        if (one.source.width, one.source.height) != (other.source.width, other.source.height):
            sizes = " and ".join(f"{r.path} is {r.source.width}x{r.source.height}" for r in (one, other))
            raise InputError(f"{sizes}: only videos of one size can be compared")
        comparison = Comparison()
        frames = [0, 0]
        for left, right in zip_longest(one, other):
            frames[0] += left is not None
            frames[1] += right is not None
            if left is not None and right is not None:
                comparison.add(left.planes, right.planes)
                watch(comparison.frames)
        return comparison, frames[0], frames[1]
