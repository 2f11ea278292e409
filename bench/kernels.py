"""Nanoseconds a macroblock for each pixel kernel: `python bench/kernels.py [--size 80x45] [--repeats 15] [name...]`."""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

import codec
from codec import distortion, forward, inter, loopfilter, transform

Case = tuple[str, Callable[[], object]]


def scene(rng: np.random.Generator, mbw: int, mbh: int) -> bytes:
    """A raster with the slopes, edges and faint noise of a decoded picture."""
    parts = []
    for size in (16, 8, 8):
        y, x = np.mgrid[0 : size * mbh, 0 : size * mbw] * (16 / size)
        plane = 128 + 50 * np.sin(x / 37) * np.cos(y / 29) + 30 * ((x // 53 + y // 41) % 2)
        blocks = rng.normal(0, 2, (size * mbh // 4, size * mbw // 4)).repeat(4, 0).repeat(4, 1)
        parts.append(np.clip(plane + blocks + rng.normal(0, 1, plane.shape), 0, 255).astype(np.uint8).tobytes())
    return b"".join(parts)


def inter_cases(rng: np.random.Generator, mbw: int, mbh: int) -> Iterator[Case]:
    """Macroblocks that all move alike, and mixtures."""
    n = mbw * mbh
    ref, dst = scene(rng, mbw, mbh), bytearray(384 * n)

    def case(name: str, mvs: NDArray[np.int64], split: int, version: int = 0) -> Case:
        vectors = np.broadcast_to(mvs, (n, 16, 2)).astype(np.int16).tobytes()
        call = partial(inter.predict_frame, dst, ref, mbw, mbh, vectors, bytes([split]) * n, version)
        return f"inter/{name}", call

    def vector(row: int, col: int) -> NDArray[np.int64]:
        return np.array([row, col])

    few = rng.integers(-12, 13, (n, 16, 2))
    yield case("still", vector(0, 0), 0)
    yield case("whole pixels, chroma too", vector(8, -16), 0)
    yield case("x and y in chroma only", vector(-12, 4), 0)
    yield case("x", vector(8, -6), 0)
    yield case("y", vector(5, 16), 0)
    yield case("x and y", vector(-9, 6), 0)
    yield case("random small vectors", few[:, :1], 0)
    yield case("8x8 parts, random vectors", few.reshape(n, 2, 2, 2, 2, 2)[:, :, :1, :, :1].repeat(2, 2).repeat(2, 4)
               .reshape(n, 16, 2), 1)  # fmt: skip
    yield case("16x8 parts, random vectors", few[:, :2].repeat(8, 1), 1)
    yield case("8x16 parts, random vectors", np.tile(few[:, :2].repeat(2, 1), (1, 4, 1)), 1)
    yield case("4x4 parts, random vectors", few, 2)
    yield case("outside the frame, x and y", vector(-16 * 64 * mbh - 9, 6), 0)
    yield case("bilinear, x and y", vector(-9, 6), 0, 1)


def filter_cases(rng: np.random.Generator, mbw: int, mbh: int) -> Iterator[Case]:
    """Frames filtered again and again: the kernels' work does not depend on what they find."""
    n = mbw * mbh
    for name, level, inner, simple in (
        ("nothing", 0, 0, 0),
        ("macroblock edges", 20, 0, 0),
        ("all edges", 20, 1, 0),
        ("all edges, strong", 60, 1, 0),
        ("random half with inner edges", 20, 2, 0),
        ("simple, all edges", 20, 1, 1),
    ):
        frame = bytearray(scene(rng, mbw, mbh))
        flags = bytes(rng.integers(0, 2, n).tolist()) if inner == 2 else bytes([inner]) * n
        yield (
            f"loopfilter/{name}",
            partial(loopfilter.filter_frame, frame, mbw, mbh, bytes([level]) * n, flags, bool(simple), 0, False),
        )


def transform_cases(rng: np.random.Generator, mbw: int, mbh: int) -> Iterator[Case]:
    """Macroblocks with few and with many coefficients."""
    n = mbw * mbh
    src, dst = scene(rng, mbw, mbh), bytearray(scene(rng, mbw, mbh))
    factors = np.array([8, 9, 16, 14, 8, 9], np.int32).tobytes()
    levels = rng.integers(-3, 4, (n, 25, 16)).astype(np.int16)
    for name, share_dc, share_ac in (("Y2 alone", 0.0, 0.0), ("a block in eight", 0.1, 0.125), ("all", 0.0, 1.0)):
        u = rng.random((n, 25))
        eobs = np.where(u < share_ac, 9, np.where(u < share_ac + share_dc, 1, 0)).astype(np.uint8)
        eobs[:, 24] = 9
        some = np.where(np.arange(16) < eobs[..., None], levels, 0).astype(np.int16)
        call = partial(transform.add_frame, dst, mbw, mbh, some.tobytes(), eobs.tobytes(), b"\1" * n, factors)
        yield f"transform/add, {name}", call
    out = bytearray(800 * n)
    pred = bytes(scene(rng, mbw, mbh))
    yield "transform/forward", partial(forward.forward_frame, src, pred, mbw, mbh, b"\1" * n, out)


def distance_cases(rng: np.random.Generator, mbw: int, mbh: int) -> Iterator[Case]:
    """Every block of a plane against the one at its place in another."""
    width, height = 16 * mbw, 16 * mbh
    a, b = (scene(rng, mbw, mbh)[: width * height] for _ in range(2))
    for name in distortion.MEASURES:
        for size in ((16, 16), (8, 8), (4, 4)):
            what = f"distortion/{name}, {256 // size[0] // size[1]} of {size[0]}x{size[1]}"
            yield what, partial(distortion.distances, name, a, b, width, height, size)


def measure(call: Callable[[], object], n: int, repeats: int) -> list[float]:
    """Sorted processor times of one macroblock in nanoseconds; a repeat lasts some milliseconds."""
    call()
    start = time.process_time()
    call()
    loops = max(1, round(0.004 / (time.process_time() - start)))
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(loops):
            call()
        times.append((time.process_time() - start) / loops / n * 1e9)
    return sorted(times)


def main() -> None:
    """Print a line for each kernel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="only the kernels whose name contains one of these")
    parser.add_argument("--size", default="80x45", help="macroblocks across and down (default: 80x45, which is 720p)")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    mbw, mbh = (int(x) for x in args.size.split("x"))
    machine = platform.processor() or platform.machine()
    print(f"{codec.BUILD} on {machine}, {mbw}x{mbh} macroblocks, {args.repeats} repeats")
    print(f"{'ns a macroblock':42s}{'median':>9s}{'fastest':>9s}{'slowest':>9s}")
    for cases in (inter_cases, filter_cases, transform_cases, distance_cases):
        for name, call in cases(np.random.default_rng(1), mbw, mbh):
            if not args.names or any(part in name for part in args.names):
                times = measure(call, mbw * mbh, args.repeats)
                print(f"{name:42s}{statistics.median(times):9.1f}{times[0]:9.1f}{times[-1]:9.1f}", flush=True)


if __name__ == "__main__":
    main()
