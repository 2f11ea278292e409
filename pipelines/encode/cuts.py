"""Where scenes begin: frames that the ones before them do not help to predict, so that a key frame costs nothing there.

Frames are compared as thumbnails of their luma, whose pixels stand for squares of about a 36th of the picture's height.
The distance of two is how badly the one predicts the other, with every pixel free to come from its neighbours (so that
motion does not count), beside how badly neighbours predict each other. A frame begins a scene when its distance from
the frame before stands out among those around it, and when none of the frames shortly before it is near it or anything
shortly after it: flashes, fades, shaking and series of quick cuts are no scenes.

All numbers are whole until the last division, so a film has the same scenes on every machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Thumbnail = NDArray[np.int32]  # whose values fit into 16 bits without a sign

SHORTEST = 8
"""Frames: what does not last as long is no scene."""

_SIDE = 36
_LEVEL = 16
"""What a level of luma counts in a thumbnail."""
_DISTANCE = 2.0
_STANDS_OUT = 3.0
"""How many times the distances around it a cut's distance must be."""

Frame = TypeVar("Frame")


class Seen(NamedTuple):
    """What is kept of a frame to tell whether a scene begins with it."""

    thumbnail: Thumbnail
    distance: float
    """From the frame before; 0 for a film's first."""


def seen(luma: Plane, before: Thumbnail | None) -> Seen:
    """A frame whose luma this is, behind one with that thumbnail."""
    small = thumbnail(luma)
    return Seen(small, 0.0 if before is None else distance(before, small))


def marked(frames: Iterable[Frame], luma: Callable[[Frame], Plane]) -> Iterator[tuple[Frame, bool]]:
    """Every frame, and whether a scene begins with it (the first frame of a film is no cut).

    Frames come out when as many as the shortest scene has are known; no more are held than twice those.
    """
    waiting: deque[Frame] = deque()

    def looked_at() -> Iterator[Seen]:
        last: Thumbnail | None = None
        for frame in frames:
            waiting.append(frame)
            yield (one := seen(luma(frame), last))
            last = one.thumbnail

    for begins in beginnings(looked_at()):
        yield waiting.popleft(), begins


def beginnings(film: Iterable[Seen]) -> Iterator[bool]:
    """Of every frame, whether a scene begins with it; known when as many as the shortest scene has were seen."""
    source = iter(film)
    behind: deque[Seen] = deque(maxlen=SHORTEST)
    ahead: deque[Seen] = deque()
    while True:
        ahead.extend(islice(source, SHORTEST - len(ahead)))
        if not ahead:
            return
        begins = len(behind) == len(ahead) == SHORTEST and _begins(list(behind), list(ahead))
        behind.append(ahead.popleft())
        yield begins


def thumbnail(luma: Plane) -> Thumbnail:
    """The mean of every square of a plane, in sixteenths of a level."""
    height, width = luma.shape
    side = max(1, min(height, width) // _SIDE)
    squares = luma[: height // side * side, : width // side * side].reshape(height // side, side, width // side, side)
    rows = squares[:, :: 1 + (side > 3)]  # every other row will do, and takes half the time
    sums = rows.sum(axis=(1, 3), dtype=np.int32)
    return np.asarray(sums * _LEVEL // (rows.shape[1] * side), np.int32)


def distance(before: Thumbnail, after: Thumbnail) -> float:
    """How badly one thumbnail predicts another of its size: below 1 in a scene, above 3 between strangers."""
    height, width = after.shape
    around = np.pad(before, 1, mode="edge")
    inter = np.abs(before - after)
    for row in range(3):
        for column in range(3):
            np.minimum(inter, np.abs(around[row : row + height, column : column + width] - after), out=inter)
    here = after[1:, 1:]
    intra = np.minimum(np.abs(here - after[1:, :-1]), np.abs(here - after[:-1, 1:]))
    return float(inter.sum() / inter.size / (intra.sum() / max(1, intra.size) + _LEVEL))


def _begins(behind: list[Seen], ahead: list[Seen]) -> bool:
    here = ahead[0]
    around = max(seen.distance for seen in behind[1:] + ahead[1:])
    if here.distance < max(_DISTANCE, _STANDS_OUT * around):
        return False
    returns = (distance(behind[-1].thumbnail, seen.thumbnail) for seen in ahead)
    known = (distance(seen.thumbnail, here.thumbnail) for seen in behind)
    return min(*returns, *known) >= _DISTANCE
