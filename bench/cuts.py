"""What key frames at scene cuts gain: `python -m bench.cuts`.

The film is made of parts of the real clips, scaled to one size, with a cut every 20 to 60 frames. BD-rate against one
libvpx run that may place key frames where it likes, at cq 16, 28, 40 and 52; and how many scenes are found in
each of the clips, which have no cut.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from unittest import mock

import av
import numpy as np

import codec
from bench.bdrate import QUALITIES, Desk, Point, costs, judged, kept
from bench.clips import MEDIA, shared
from bench.table import Row, show
from codec.ivf import read_ivf
from pipelines import libvpx
from pipelines.encode.cuts import marked
from pipelines.encode.plan import Plan, Settings
from pipelines.encode.worker import encode_chunk
from pipelines.media.source import Colour, Source

SIZE = 640, 360
RATE = Fraction(25)
PARTS = (
    ("flower", 0, 30),
    ("dashcam", 0, 50),
    ("bigbuckbunny", 0, 40),
    ("people", 60, 20),
    ("flower", 70, 60),
    ("bigbuckbunny", 70, 36),
    ("dashcam", 100, 44),
    ("people", 0, 28),
)
"""Clip, first frame, frames."""
SHAPES = ((24, 16), (12, 16))


def pictures(name: str, size: tuple[int, int] | None = None) -> Iterator[codec.Image]:
    """Yield the frames of a clip, scaled."""
    folder = shared()
    assert folder is not None
    with av.open(str(folder / "media" / MEDIA[name])) as container:
        for frame in container.decode(video=0):
            picture = frame.reformat(*(size or (frame.width, frame.height)), format="yuv420p")
            i420 = np.ascontiguousarray(picture.to_ndarray()).tobytes()
            yield codec.Image.from_bytes(picture.width, picture.height, i420)


@cache
def film() -> tuple[list[codec.Image], list[int]]:
    """Return the film with cuts, and where its scenes begin."""
    clips = {name: list(pictures(name, SIZE)) for name in MEDIA if name != "people"}
    clips["people"] = [image for image, _ in zip(pictures("people", SIZE), range(120), strict=False)]
    parts = [clips[name][first : first + frames] for name, first, frames in PARTS]
    starts = np.cumsum([len(part) for part in parts])[:-1].tolist()
    return [image for part in parts for image in part], starts


def alone(cq: int, key_frames: bool) -> Point:
    """Encode the film in one libvpx run."""
    images, _ = film()
    settings = libvpx.Settings(*SIZE, RATE, cq, Settings().speed, key_frames=key_frames)
    packets = libvpx.encode([image.raster for image in images], settings, padded=True)
    return judged(images, [packet.data for packet in packets], False)


def chained(cq: int, chunk: int, chain: int, scenes: Sequence[int]) -> Point:
    """Encode the film in chunks, with a chain for each of these scenes at least."""
    images, _ = film()
    both = RATE.numerator, RATE.denominator
    source = Source("film", *SIZE, (1, 1), both[::-1], both, True, len(images), Colour())
    chunks = list(Plan(source, Settings(chunk, chain, cq)).chunks(len(images), scenes))
    desk = Desk(images, chunks)
    packets = []
    for part in chunks:
        encode_chunk(desk, part)
        packets += [data for _, data in read_ivf(io.BytesIO(desk.results.pop(part.result)))[1]]
    return judged(images, packets, False)


def rows() -> Iterator[Row]:
    """Measure; needs the real clips."""
    if shared() is None:
        return
    images, starts = film()
    found = [number for number, (_, begins) in enumerate(marked(images, lambda image: image.y)) if begins]
    wrong = len(set(found) ^ set(starts))
    what = f"scenes of the film missed or invented, of {len(starts)}"
    yield Row(what, f"{wrong}", wrong, 0, 0, more_is_better=False)
    for name in MEDIA:
        number = sum(begins for _, begins in marked(pictures(name), lambda image: image.y))
        yield Row(f"scenes found in {name}, which has no cut", f"{number}", number, 0, 0, more_is_better=False)
    with mock.patch.object(libvpx, "encode", kept(libvpx.encode)):
        reference = [alone(cq, key_frames=True) for cq in QUALITIES]
        measured = {"one libvpx run without key frames": [alone(cq, key_frames=False) for cq in QUALITIES]}
        for chunk, chain in SHAPES:
            for what, scenes in (("chains by number alone", ()), ("a chain for each scene", found)):
                points = [chained(cq, chunk, chain, scenes) for cq in QUALITIES]
                measured[f"[{chunk},{chain}], {what}"] = points
    for what, points in measured.items():
        luma, planes, likeness = costs(reference, points)
        title = f"BD-rate, {len(images)} frames with {len(starts)} cuts, {what}: PSNR-Y (PSNR-YUV, SSIM)"
        yield Row(title, f"{luma:+.1f} % ({planes:+.1f} %, {likeness:+.1f} %)", luma, more_is_better=False)


if __name__ == "__main__":
    show("Scene cuts against one libvpx run with key frames where it likes", rows())
