"""Frames of a finished film as small JPEG pictures in the text of a page."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import codec
from pipelines.media.jpeg import data_address, encode_jpeg
from pipelines.media.packets import open_vp8
from pipelines.media.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 480, 360
"""Width and height in pixels that a picture has at most."""
_QUALITY = 4
"""FFmpeg's quantizer for JPEG: 2 (best) to 31."""


def pictures(path: str, source: Source, wanted: Sequence[int], keys: Sequence[int]) -> dict[int, str]:
    """The frames of these numbers as `data:` addresses; `keys` are the numbers of all key frames, in order.

    The file is read once, and decoded only from the key frame before each wanted frame on.
    """
    return {number: _address(image, source) for number, image in _images(path, set(wanted), keys)}


def shown_size(source: Source) -> tuple[int, int]:
    """Width and height of a picture, in square pixels."""
    width, height = source.width * Fraction(*source.aspect), Fraction(source.height)
    factor = min(Fraction(1), _MOST[0] / width, _MOST[1] / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _images(path: str, wanted: set[int], keys: Sequence[int]) -> Iterator[tuple[int, codec.Image]]:
    needed: set[int] = set()
    for number in wanted:
        key = max((key for key in keys if key <= number), default=0)
        needed.update(range(key, number + 1))
    state: codec.State | None = None
    with open_vp8(path) as stream:
        for number, data in enumerate(stream.frames):
            if number > max(needed):
                return
            if number in needed:
                state, image = codec.decode(state, data)
                if number in wanted and image is not None:
                    yield number, image


def _address(image: codec.Image, source: Source) -> str:
    import av  # here, since it takes a while to load
    import numpy as np

    planes = np.frombuffer(image.to_bytes(), np.uint8)
    frame = av.VideoFrame(image.width, image.height, "yuv420p")
    start = 0
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        size = plane.height * plane.width
        rows[: plane.height, : plane.width] = planes[start : start + size].reshape(plane.height, plane.width)
        start += size
    if source.colour.matrix != 2:
        frame.colorspace = source.colour.matrix
    width, height = shown_size(source)
    return data_address(encode_jpeg(frame, width, height, _QUALITY))
