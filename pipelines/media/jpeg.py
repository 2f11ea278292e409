"""Frames as JPEG pictures, upright and in the size that is wanted."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from pipelines.media.orientation import UPRIGHT, Orientation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_MATRIX, _RANGE = 5, 2  # swscale's BT.601; full range
_TICK = Fraction(1, 25)


def encode_jpeg(frame: VideoFrame, width: int, height: int, quantizer: int, upright: Orientation = UPRIGHT) -> bytes:
    """A frame, turned by `upright` and then `width` by `height`; the quantizer is FFmpeg's, 2 (best) to 31."""
    stored = (height, width) if upright.transpose else (width, height)
    small = frame.reformat(*stored, "yuvj420p", dst_colorspace=_MATRIX, dst_color_range=_RANGE)
    if upright != UPRIGHT:
        small = _turned(small, upright)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", _TICK
    encoder.options = {"qmin": str(quantizer), "qmax": str(quantizer), "color_range": "pc"}
    small.pts, small.time_base = 0, _TICK
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])


def data_address(jpeg: bytes) -> str:
    """A JPEG as an address that has all of it, for the text of a page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _turned(frame: VideoFrame, upright: Orientation) -> VideoFrame:
    size = (frame.height, frame.width) if upright.transpose else (frame.width, frame.height)
    turned = av.VideoFrame(*size, frame.format.name)
    for source, target in zip(_planes(frame), _planes(turned), strict=True):
        target[:] = upright.apply(source)
    return turned


def _planes(frame: VideoFrame) -> list[NDArray[np.uint8]]:
    """The planes as arrays over the frame's own memory."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]
