"""What the stages of a 4K chunk cost on this machine, as `fastslow encode` runs them: `python -m bench.mu_stages`.

The film is a 720p clip, nine copies of it to a picture: the detail and the motion of real pictures, 3840x2160 pixels.
Processor time, so that a busy machine matters less.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import av
import numpy as np

import codec
from bench.clips import frames
from bench.table import Row, show
from pipelines import libvpx
from pipelines.encode.plan import Settings
from pipelines.encode.shared import Look, look_at
from pipelines.media.pieces import Piece, key_frames, pictures
from pipelines.media.read import Reader
from pipelines.media.source import Footage, Place

__all__ = ["Reading", "Stages", "measure", "read", "rows"]

N = 6
TILES = 3
GOP = 24
ROUNDS = 3
Value = TypeVar("Value")


@dataclass(frozen=True)
class Stages:
    """Processor seconds of a 4K frame, and bytes."""

    search: float
    """libvpx, both passes."""
    parse: float
    first: float
    """Of the first frame of a chunk that continues a chain: encoded anew."""
    rebase: float
    decode: float
    """Of a frame that was rebased, by whoever has the state before it."""
    pack: float
    """Of a state: to bytes, and from bytes."""
    state_bytes: int
    raw_bytes: int
    coded_bytes: int


@dataclass(frozen=True)
class Reading:
    """Processor seconds of reading a 4K film (H.264, three B-frames, a key frame every second) where it lies."""

    open: float
    """To open it, which every task does."""
    look: float
    """Of a frame that is looked at: decoded, its thumbnail, what is decoded twice at a key frame."""
    passed: float
    """Of a frame between the key frame and a chunk."""
    decode: float
    """Of a chunk's own frame: decoded and written as the codec has it."""
    alone: float
    """Of a frame where one task reads the film and stores it raw."""


def measure(rounds: int = ROUNDS) -> Stages:
    """Encode two chunks of a chain, so often; the median of each stage of the second."""
    images = [_tiled(image) for image in frames("bigbuckbunny", 2 * N)]
    one, other = images[:N], images[N:]
    state = _rebased(one, _parsed(_searched(one)), None)[0]
    rounds_of = [_round(other, state) for _ in range(rounds)]
    return Stages(*(median(each) for each in zip(*rounds_of, strict=True)))


def _round(images: list[codec.Image], state: codec.State) -> tuple[float, ...]:
    search, packets = _timed(lambda: _searched(images))
    parse, decisions = _timed(lambda: _parsed(packets))
    pack, came = _timed(lambda: codec.State.from_bytes(state.to_bytes()))
    whole, (_, coded, first) = _timed(lambda: _rebased(images, decisions, came))
    decode, _ = _timed(lambda: _decoded(came, coded))
    size, bits = len(state.to_bytes()), sum(map(len, coded))
    raw = len(images[0].raster)
    return search / N, parse / N, first, (whole - first) / (N - 1), decode / N, pack, size, raw, bits / N


def _timed(work: Callable[[], Value]) -> tuple[float, Value]:
    began = time.process_time()
    value = work()
    return time.process_time() - began, value


def _searched(images: list[codec.Image]) -> list[libvpx.Packet]:
    usual = Settings()
    settings = libvpx.Settings(images[0].width, images[0].height, Fraction(24), usual.cq, usual.speed)
    return libvpx.encode([memoryview(image.raster) for image in images], settings, lambda _: None, padded=True)


def _parsed(packets: list[libvpx.Packet]) -> list[codec.Frame]:
    state, decisions = None, []
    for packet in packets:
        decisions.append(codec.parse(state, packet.data, coefficients=False))
        state = codec.advance(state, decisions[-1])
    return decisions


def _rebased(
    images: list[codec.Image], decisions: list[codec.Frame], state: codec.State | None
) -> tuple[codec.State, list[bytes], float]:
    """The state at the end, the frames, and what the first of them took."""
    policy, coded, first = codec.Policy(), [], 0.0
    usual = sorted(frame.header.quantizer_index for frame in decisions if not frame.key_frame)[(N - 1) // 2]
    for number, (image, frame) in enumerate(zip(images, decisions, strict=True)):
        began = time.process_time()
        if number == 0 and state is not None:
            everything = codec.Refresh(golden=True, altref=True)
            made = codec.encode_frame(state, image, q_index=policy.first(usual, N), refresh=everything)
        else:
            made = codec.rebase_frame(state, image, frame, policy)
        first = first or time.process_time() - began
        state = made.state
        coded.append(made.data)
    assert state is not None
    return state, coded, first


def _decoded(state: codec.State, coded: list[bytes]) -> codec.State:
    for data in coded:
        state, _ = codec.decode(state, data)
    return state


def read(rounds: int = ROUNDS) -> Reading:
    """Read three seconds of a film, so often; the median of each."""
    with tempfile.TemporaryDirectory(prefix="fastslow-") as folder:
        path = str(Path(folder, "film.mp4"))
        _film(path)
        return Reading(*(median(each) for each in zip(*(_reading(path) for _ in range(rounds)), strict=True)))


def _reading(path: str) -> tuple[float, ...]:
    with Reader(path) as reader:
        footage = Footage(path, "", *reader.stored)
        raster = memoryview(bytearray(footage.frame_size))
        times = []

        def alone() -> None:
            for picture in reader:
                times.append(picture.pts)
                picture.write_raster(raster)

        whole, _ = _timed(alone)
    keys = key_frames(path)

    def chunk(first: int, frames: int) -> float:
        def own() -> None:
            for picture in pictures(Place(footage, keys[1], times[first], times[first + frames - 1]), frames):
                picture.write_raster(raster)

        return _timed(own)[0]

    opened, film = _timed(lambda: Piece(footage))
    film.__exit__()
    look, _ = _timed(lambda: look_at(_Nowhere(), Look(0, footage, [keys[1]], keys[2], scenes=True)))
    begin, end = chunk(GOP, N), chunk(2 * GOP - N, N)
    decode = (begin - opened) / N
    return opened, (look - opened) / GOP, (end - begin) / (GOP - N), decode, whole / len(times)


class _Nowhere:
    """A `mu.Context` for a task that only stores."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_: None


def _film(path: str) -> None:
    options = {"preset": "veryfast", "crf": "20", "x264-params": f"keyint={GOP}:bframes=3:b-adapt=0:scenecut=0"}
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libx264", rate=24, options=options)
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(map(_tiled, frames("bigbuckbunny", 3 * GOP))):
            if number == 0:
                stream.width, stream.height = image.width, image.height
            planes = np.concatenate([plane.ravel() for plane in (image.y, image.u, image.v)])
            shaped = planes.reshape(image.height * 3 // 2, image.width)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shaped, format="yuv420p")))
        container.mux(stream.encode())


def _tiled(image: codec.Image) -> codec.Image:
    return codec.Image.from_planes(*(np.tile(plane, (TILES, TILES)) for plane in (image.y, image.u, image.v)))


def rows() -> Iterator[Row]:
    """A row a stage."""
    stages = measure()
    for what, seconds in (
        ("search: libvpx, good, cpu-used 2, both passes", stages.search),
        ("parse, without coefficients", stages.parse),
        ("first frame of a chunk, encoded anew", stages.first),
        ("rebase", stages.rebase),
        ("decode", stages.decode),
        ("a state to bytes and back", stages.pack),
    ):
        yield Row(f"{what}, a frame", f"{1000 * seconds:.0f}", 1000 * seconds, unit=" ms")
    film = read()
    yield Row("a film in place: open it", f"{1000 * film.open:.0f}", 1000 * film.open, unit=" ms")
    for what, seconds in (
        ("look at it, key frames every second", film.look),
        ("between a key frame and a chunk", film.passed),
        ("a chunk's own: decode, write as the codec has it", film.decode),
        ("where one task reads all of it: the same", film.alone),
    ):
        yield Row(f"{what}, a frame", f"{1000 * seconds:.0f}", 1000 * seconds, unit=" ms")
    for what, size in (
        ("a raw frame", stages.raw_bytes),
        ("a state between chunks", stages.state_bytes),
        ("a coded frame", stages.coded_bytes),
    ):
        yield Row(what, f"{size / 1e6:.2f}", size / 1e6, unit=" MB")


if __name__ == "__main__":
    show("Stages of a 4K chunk, one thread, processor time", rows())
