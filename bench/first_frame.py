"""Two ways to get on without a key frame: `python -m bench.first_frame [FRAMES, 96]`.

A chunk that continues a chain has no key frame. Either libvpx spends it on a lead frame before the chunk, or the first
frame is encoded anew on the state before. BD-rates of the second against the first, at cq 16, 28, 40 and 52; and
the processor time of both at cq 28: in parallel (libvpx), and along the chain (rebase, and encode).
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Literal
from unittest import mock

import codec
from bench.bdrate import QUALITIES, Desk, Point, clip, costs, judged, kept, rate_of
from bench.clips import MEDIA, shared
from bench.table import Row, show
from codec.ivf import read_ivf
from pipelines import libvpx
from pipelines.encode.plan import Plan, Settings
from pipelines.encode.worker import encode_chunk
from pipelines.media.source import Colour, Source

SHAPES = ((24, 16), (12, 16), (6, 16))
Way = Literal["lead", "reencode"]


def encoded(name: str, count: int, cq: int, shape: tuple[int, int], way: Way) -> Point:
    """Encode a clip in chunks and chains."""
    images, rate = clip(name, count), rate_of(name)
    size, both = (images[0].width, images[0].height), (rate.numerator, rate.denominator)
    source = Source(name, *size, (1, 1), both[::-1], both, True, len(images), Colour())
    chunks = list(Plan(source, Settings(*shape, cq, first_frame=way)).chunks(len(images)))
    desk = Desk(images, chunks)
    packets = []
    for part in chunks:
        encode_chunk(desk, part)
        packets += [data for _, data in read_ivf(io.BytesIO(desk.results.pop(part.result)))[1]]
    return judged(images, packets, False)


def timed(function: Callable[..., object], into: Counter[str], name: str, *args: object, **options: object) -> object:
    """Call a function and add its processor time up."""
    began = time.process_time()
    try:
        return function(*args, **options)
    finally:
        into[name] += time.process_time() - began  # type: ignore[assignment]  # seconds


def times(name: str, count: int, shape: tuple[int, int], way: Way) -> dict[str, float]:
    """Return the seconds a frame: of libvpx, and along the chain."""
    spent: Counter[str] = Counter()
    with (
        mock.patch.object(libvpx, "encode", partial(timed, libvpx.encode, spent, "libvpx")),
        mock.patch.object(codec, "rebase_frame", partial(timed, codec.rebase_frame, spent, "chain")),
        mock.patch.object(codec, "encode_frame", partial(timed, codec.encode_frame, spent, "chain")),
    ):
        encoded(name, count, 28, shape, way)
    return {part: seconds / count for part, seconds in spent.items()}


def rows(count: int = 96) -> Iterator[Row]:
    """Measure both ways at three lengths of chunks; needs the real clips."""
    if shared() is None:
        return
    for shape in SHAPES:
        with mock.patch.object(libvpx, "encode", kept(libvpx.encode)):
            lead = {name: [encoded(name, count, cq, shape, "lead") for cq in QUALITIES] for name in MEDIA}
            anew = {name: [encoded(name, count, cq, shape, "reencode") for cq in QUALITIES] for name in MEDIA}
        each = {name: costs(lead[name], anew[name]) for name in MEDIA}
        for measure, what in enumerate(("PSNR-Y", "PSNR-YUV", "SSIM")):
            mean = fmean(cost[measure] for cost in each.values())
            clips = ", ".join(f"{name} {cost[measure]:+.1f}" for name, cost in each.items())
            title = f"BD-rate of {what}, [{shape[0]},{shape[1]}], {count} frames, encoded anew against lead: {clips}"
            yield Row(title, f"{mean:+.1f}", mean, more_is_better=False, unit=" %")
        one, other = times("flower", 48, shape, "lead"), times("flower", 48, shape, "reencode")
        for part, what in (("libvpx", "libvpx's time"), ("chain", "time along the chain")):
            ratio = other[part] / one[part]
            title = f"{what}, flower, [{shape[0]},{shape[1]}], encoded anew against lead"
            title += f" ({one[part] * 1000:.1f} ms a frame)"
            yield Row(title, f"{ratio:.2f}", ratio, more_is_better=False, unit=" x")


if __name__ == "__main__":
    show("The first frame of a chunk", rows(*map(int, sys.argv[1:2])))
