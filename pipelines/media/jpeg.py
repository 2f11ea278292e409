"""Frames as JPEG pictures, upright and in the size that is wanted."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import Interpolation

from pipelines.media.orientation import UPRIGHT, Orientation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_MATRIX, _LIMITED, _FULL = 5, 1, 2  # swscale's BT.601; ranges
_TICK = Fraction(1, 25)
_LEVELS = np.arange(256)
_LUMA = np.rint((_LEVELS - 16) * 255 / 219).clip(0, 255).astype(np.uint8)
_CHROMA = np.rint((_LEVELS - 128) * 255 / 224 + 128).clip(0, 255).astype(np.uint8)


def encode_jpeg(frame: VideoFrame, width: int, height: int, quantizer: int, upright: Orientation = UPRIGHT) -> bytes:
    """A frame, turned by `upright` and then `width` by `height`; the quantizer is FFmpeg's, 2 (best) to 31."""
    stored = (height, width) if upright.transpose else (width, height)
    small = _turned(_full_range(frame, *stored), upright)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", _TICK
    encoder.thread_count = 1
    # Tables made for the picture take a third of the time and save nothing.
    encoder.options = {"qmin": str(quantizer), "qmax": str(quantizer), "color_range": "pc", "huffman": "default"}
    small.pts, small.time_base = 0, _TICK
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])


def data_address(jpeg: bytes) -> str:
    """A JPEG as an address that has all of it, for the text of a page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _full_range(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """The frame in this size and in full range, which is what JPEG has; see `read` about threads."""
    scaled: dict[str, Any] = {"dst_colorspace": _MATRIX, "interpolation": Interpolation.BICUBIC, "threads": 1}
    if frame.color_range == _FULL or frame.format.is_rgb or frame.format.name.startswith("yuvj"):
        return frame.reformat(width, height, "yuvj420p", dst_color_range=_FULL, **scaled)
    # By our own tables: swscale rounds down here, which makes every picture a level or two greener.
    limited = frame.reformat(width, height, "yuv420p", dst_color_range=_LIMITED, **scaled)
    full = av.VideoFrame(width, height, "yuvj420p")
    for source, target, table in zip(_planes(limited), _planes(full), (_LUMA, _CHROMA, _CHROMA), strict=True):
        np.take(table, source, out=target)
    return full


def _turned(frame: VideoFrame, upright: Orientation) -> VideoFrame:
    if upright == UPRIGHT:
        return frame
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
