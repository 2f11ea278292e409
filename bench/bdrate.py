"""What chunks and chains cost in bits: `python -m bench.bdrate [--quick] [--chains] [--frame-mean]`.

BD-rate against one libvpx run over the whole clip, with the same settings and two passes, at cq 16, 28, 40 and 52; and
against the best that libvpx has, which makes hidden altref frames from 25 frames to come.
What is measured is the worker's own program, fed and read here; what libvpx encodes is kept in build/bench.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields
from fractions import Fraction
from functools import cache
from math import log10
from statistics import fmean
from unittest import mock

import av
import msgspec
import numpy as np

import codec
from bench.clips import MEDIA, ROOT, frames, shared
from bench.table import Row, show
from codec.ivf import read_ivf
from mu import Task
from pipelines import libvpx
from pipelines.encode.plan import Chunk, Plan, Settings
from pipelines.encode.worker import encode_chunk
from pipelines.media.source import Colour, Source
from pipelines.quality import bd_rate, psnr, squared_error, ssim

QUALITIES = (16, 28, 40, 52)
COUNT, QUICK_COUNT = 240, 96
CACHE = ROOT / "build" / "bench"
MEASURES = ("PSNR-Y", "PSNR-YUV", "SSIM")
# Frames a chunk, chunks a chain: at least and aim in percent, by each measure.
GOALS = {
    (24, 16): ((3, -6), (5, -3), (5, -3)),
    (12, 16): ((4, -5), (5, -3), (5, -3)),
    (6, 16): ((3, -6), (5, -3), (5, -3)),
}
WORST = 11
"""What the luma of no clip may exceed, in percent."""
PLAIN = ((24, 1), (12, 1), (6, 1))
"""Chunks by libvpx alone, for scale."""
PEERS = {
    "altref frames": libvpx.Altref(),
    "altref frames averaged over seven": libvpx.Altref(frames=7, strength=5),
}
"""The best that libvpx has: as vpxenc does it, and better."""
BEST_GOALS = {(24, 16): ((10, 3), (None, None), (None, None))}

Point = tuple[int, tuple[float, ...]]
"""Bytes, and the quality by each of ``MEASURES`` in dB: luma, planes weighted 6:1:1, -10 log10(1 - SSIM) of luma."""
Encode = Callable[..., list[libvpx.Packet]]


class Desk:
    """The world of a worker, in memory (see `mu.Context`)."""

    def __init__(self, images: Sequence[codec.Image], chunks: Sequence[Chunk]) -> None:
        self.images = images
        self.chunks = {chunk.source: chunk for chunk in chunks}
        self.messages: dict[tuple[str, str], bytes] = {}
        self.results: dict[str, bytes] = {}

    def fetch(self, name: str) -> memoryview:
        """Raw video of a chunk."""
        chunk = self.chunks[name]
        wanted = self.images[chunk.first - chunk.lead : chunk.first + chunk.frames]
        return memoryview(b"".join(image.raster for image in wanted))

    def store(self, name: str, payload: bytes | memoryview) -> None:
        """Keep a result."""
        self.results[name] = bytes(payload)

    def buffer(self, size: int) -> memoryview:
        """Memory."""
        return memoryview(bytearray(size))

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        """Keep a message."""
        self.messages[receiver, name] = bytes(payload)

    def receive(self, sender: str, name: str) -> memoryview:
        """Give a message out: chunks are encoded in order, so it is there, and the only one of its name."""
        (key,) = (key for key in self.messages if key[1] == name)
        return memoryview(self.messages.pop(key))

    def add(self, tasks: Sequence[Task]) -> None:
        """All tasks are known."""
        raise NotImplementedError

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        """Nobody watches."""


def kept(encode: Encode) -> Encode:
    """Return libvpx's two passes with a memory in files; settings at their defaults leave no mark on its names."""

    def kept_encode(
        raw: Sequence[bytes | memoryview], settings: libvpx.Settings, *_: object, **layout: bool
    ) -> list[libvpx.Packet]:
        values = ", ".join(
            f"{field.name}={getattr(settings, field.name)!r}"
            for field in fields(settings)
            if field.default in (MISSING, False) or getattr(settings, field.name) != field.default
        )
        digest = hashlib.sha256(f"(Settings({values}), {layout!r}, {libvpx.version()!r})".encode())
        for frame in raw:
            digest.update(frame)
        path = CACHE / digest.hexdigest()
        if path.exists():
            return msgspec.msgpack.decode(path.read_bytes(), type=list[libvpx.Packet])
        packets = encode(raw, settings, **layout)
        CACHE.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(msgspec.msgpack.encode(packets))
        new.replace(path)
        return packets

    return kept_encode


@cache
def clip(name: str, count: int) -> list[codec.Image]:
    """Return the first frames of a clip."""
    return list(frames(name, count))


def rate_of(name: str) -> Fraction:
    """Return a clip's frames a second."""
    folder = shared()
    assert folder is not None
    with av.open(str(folder / "media" / MEDIA[name])) as container:
        return Fraction(container.streams.video[0].average_rate or 25)


@cache
def whole(name: str, count: int, cq: int, frame_mean: bool, altref: libvpx.Altref | None = None) -> Point:
    """Encode a clip in one libvpx run."""
    images = clip(name, count)
    size = images[0].width, images[0].height
    settings = libvpx.Settings(*size, rate_of(name), cq, Settings().speed, altref=altref)
    packets = libvpx.encode([image.raster for image in images], settings, padded=True)
    return judged(images, [packet.data for packet in packets], frame_mean)


def chained(name: str, count: int, cq: int, frame_mean: bool, chunk: int, chain: int) -> Point:
    """Encode a clip in chunks and chains."""
    images = clip(name, count)
    rate = rate_of(name)
    both = rate.numerator, rate.denominator
    size = images[0].width, images[0].height
    source = Source(name, *size, (1, 1), both[::-1], both, True, len(images), Colour())
    chunks = list(Plan(source, Settings(chunk_frames=chunk, chain=chain, cq=cq)).chunks(len(images)))
    desk = Desk(images, chunks)
    packets = []
    for part in chunks:
        encode_chunk(desk, part)
        packets += [data for _, data in read_ivf(io.BytesIO(desk.results.pop(part.result)))[1]]
    return judged(images, packets, frame_mean)


def separate(name: str, count: int, cq: int, frame_mean: bool, chunk: int) -> Point:
    """Encode a clip in chunks by libvpx alone, each with a key frame of its own."""
    images = clip(name, count)
    settings = libvpx.Settings(images[0].width, images[0].height, rate_of(name), cq, Settings().speed)
    rasters = [image.raster for image in images]
    packets = []
    for start in range(0, len(images), chunk):
        packets += libvpx.encode(rasters[start : start + chunk], settings, padded=True)
    return judged(images, [packet.data for packet in packets], frame_mean)


def judged(images: Sequence[codec.Image], packets: Sequence[bytes], frame_mean: bool) -> Point:
    """Return size and quality of a stream; of the mean squared error, or the mean of the frames' PSNRs."""
    state = None
    errors, decibels, likeness = np.zeros(3), np.zeros(3), 0.0
    wanted = iter(images)
    for data in packets:
        state, shown = codec.decode(state, data)
        if shown is None:
            continue
        image = next(wanted)
        pairs = [(image.y, shown.y), (image.u, shown.u), (image.v, shown.v)]
        errors += [squared_error(a, b) / a.size for a, b in pairs]
        decibels += [psnr(a, b) for a, b in pairs]
        likeness += ssim(image.y, shown.y)
    assert next(wanted, None) is None
    psnrs = decibels / len(images) if frame_mean else 10 * np.log10(255**2 * len(images) / errors)
    planes = float(psnrs @ [0.75, 0.125, 0.125])
    return sum(map(len, packets)), (float(psnrs[0]), planes, -10 * log10(1 - likeness / len(images)))


@cache
def points(name: str, count: int, frame_mean: bool, chunk: int, chain: int) -> list[Point]:
    """Encode a clip in chunks at all qualities, rebased if there is more than one in a chain."""
    if chain == 1:
        return [separate(name, count, cq, frame_mean, chunk) for cq in QUALITIES]
    return [chained(name, count, cq, frame_mean, chunk, chain) for cq in QUALITIES]


def costs(alone: Sequence[Point], parts: Sequence[Point]) -> list[float]:
    """Return the BD-rates in percent, by each measure."""
    return [
        bd_rate([(size, quality[i]) for size, quality in alone], [(size, quality[i]) for size, quality in parts])
        for i in range(len(MEASURES))
    ]


def table(
    what: str, each: dict[str, list[float]], goals: Sequence[tuple[float | None, float | None]], worst: float | None
) -> Iterator[Row]:
    """Yield the rows of one shape: the mean of the clips by each measure, and the worst clip."""
    for i, measure in enumerate(MEASURES):
        mean = fmean(costs[i] for costs in each.values())
        clips = ", ".join(f"{name} {costs[i]:+.1f}" for name, costs in each.items())
        at_least, aim = goals[i]
        yield Row(f"{measure}, {what}: {clips}", f"{mean:+.1f}", mean, at_least, aim, more_is_better=False, unit=" %")
    if worst is not None:
        name, (most, *_) = max(each.items(), key=lambda item: item[1][0])
        yield Row(f"{MEASURES[0]}, {what}, worst clip: {name}", f"{most:+.1f}", most, worst, worst, False, " %")


def rows(
    count: int = COUNT, frame_mean: bool = False, shapes: Sequence[tuple[int, int]] = (*GOALS, *PLAIN)
) -> Iterator[Row]:
    """Measure chains of rebased chunks, then chunks by libvpx alone; needs the real clips."""
    if shared() is None:
        return
    nothing: tuple[tuple[float | None, float | None], ...] = ((None, None),) * len(MEASURES)
    with mock.patch.object(libvpx, "encode", kept(libvpx.encode)):
        for name_of_peer, peer in {"": None, **PEERS}.items():
            goals = BEST_GOALS if peer else GOALS
            alone = {name: [whole(name, count, cq, frame_mean, peer) for cq in QUALITIES] for name in MEDIA}
            for shape in shapes if peer is None else goals:
                each = {name: costs(alone[name], points(name, count, frame_mean, *shape)) for name in MEDIA}
                what = "[{},{}], {} frames".format(*shape, count) + (f", against {name_of_peer}" if peer else "")
                worst = WORST if peer is None and shape in goals else None
                yield from table(what, each, goals.get(shape, nothing), worst)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="BD-rate of chains against one libvpx run.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} frames a clip instead of {COUNT}")
    parser.add_argument(
        "--frame-mean", action="store_true", help="the mean of the frames' PSNRs, not the PSNR of the mean error"
    )
    parser.add_argument("--chains", action="store_true", help="without the plain chunks")
    args = parser.parse_args()
    count = QUICK_COUNT if args.quick else COUNT
    shapes = tuple(GOALS) if args.chains else (*GOALS, *PLAIN)
    show(f"Compression, codec build {codec.BUILD}", rows(count, args.frame_mean, shapes))


if __name__ == "__main__":
    main()
