"""The clips that are measured on: real ones where they are at hand, else one that is made here.

Real clips are looked for in the folder that FASTSLOW_SHARED names, or in `shared` beside the project; what was
measured on which is in every table's first column.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from codec import Image

__all__ = ["MEDIA", "frames", "shared", "vp8_stream"]

ROOT = Path(__file__).resolve().parents[1]
MEDIA = {
    "bigbuckbunny": "anim_bigbuckbunny_1280x720.mp4",
    "flower": "natural_flower_960x540.mp4",
    "dashcam": "traffic_dashcam_960x540.mp4",
    "people": "people_onebyone_768x432.mp4",
}


def shared() -> Path | None:
    """Return the folder with real clips, if there is one."""
    folder = Path(os.environ.get("FASTSLOW_SHARED") or ROOT.parent / "shared")
    return folder if (folder / "media").is_dir() else None


def frames(name: str, count: int) -> Iterator[Image]:
    """Yield the first frames of a clip of ``MEDIA``; a synthetic 720p one where it is not at hand."""
    folder = shared()
    if folder is None:
        yield from (_drawn(number) for number in range(count))
        return
    with av.open(str(folder / "media" / MEDIA[name])) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == count:
                return
            picture = frame.reformat(format="yuv420p")
            i420 = np.ascontiguousarray(picture.to_ndarray()).tobytes()
            yield Image.from_bytes(picture.width, picture.height, i420)


def _drawn(number: int) -> Image:
    """Return a frame of moving texture: slopes, edges and detail that drift at different speeds."""
    y, x = np.mgrid[0:720, 0:1280].astype(np.float32)
    t = number * 1.3
    luma = 128 + 45 * np.sin((x + 2 * t) / 37) * np.cos((y - t) / 29) + 30 * (((x - 3 * t) // 53 + y // 41) % 2)
    luma += 10 * np.sin((x * 1.7 + y * 0.9 + 5 * t) / 3.1)
    u = 128 + 40 * np.sin((x[::2, ::2] + t) / 111)
    v = 128 + 40 * np.cos((y[::2, ::2] - t) / 87)
    return Image.from_planes(*(np.clip(plane, 0, 255).astype(np.uint8) for plane in (luma, u, v)))


@cache
def vp8_stream(name: str, count: int, bitrate: int) -> tuple[bytes, ...]:
    """Return a clip as libvpx encodes it in one pass at ``bitrate`` bits a second, altref off: a packet a frame."""
    packets: list[bytes] = []
    encoder = None
    for number, image in enumerate(frames(name, count)):
        if encoder is None:
            encoder = av.codec.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = image.width, image.height, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            encoder.bit_rate, encoder.thread_count = bitrate, 1
            encoder.options = {"deadline": "good", "cpu-used": "2", "auto-alt-ref": "0"}
        frame = av.VideoFrame(image.width, image.height, "yuv420p")
        for plane, pixels in zip(frame.planes, (image.y, image.u, image.v), strict=True):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : pixels.shape[1]] = pixels
            plane.update(padded.tobytes())
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    if encoder is not None:
        packets += [bytes(packet) for packet in encoder.encode(None)]
    return tuple(packets)
