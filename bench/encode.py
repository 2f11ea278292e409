"""What encoding a frame takes beside libvpx, in time and in bits: `python -m bench.encode [--quick] [--curve]`.

Both encoders keep one quantizer for all frames, and what libvpx says that a frame refreshes and copies is what ours is
told. BD-rate of PSNR-Y (of the frames' mean squared error) at four quantizers: of the interframes alone, both from
libvpx's key frame, and of whole streams, each with a key frame of its own. Speed side by side at one quantizer, of the
interframes, one thread each. What libvpx encodes is kept in build/bench.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import log10
from statistics import fmean
from typing import Literal

import codec
from bench.bdrate import clip, kept, rate_of
from bench.clips import MEDIA, shared
from bench.paired import Spread
from bench.table import Row, show
from codec import Effort, Refresh
from codec.encode import encode_frame
from pipelines import libvpx
from pipelines.quality import bd_rate, squared_error

QUANTIZERS = (16, 28, 40, 52)
"""Of libvpx's scale, 0 to 63."""
MIDDLE = 28
COUNT, QUICK_COUNT = 60, 30
TIMED, TIMED_CLIP = 24, "bigbuckbunny"
ROUNDS = 7

Made = tuple[int, int]
"""A frame's bytes and its luma's squared error."""
Point = tuple[int, float]
"""Bytes, and the PSNR of luma."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A way in which libvpx encodes, and what ours should be beside it with which effort."""

    effort: Effort
    speed: int
    deadline: Literal["good", "realtime"]
    bits: tuple[int, int]
    """By how many percent more bits ours may have: at least and aim."""

    @property
    def name(self) -> str:
        """As libvpx's own tools spell it."""
        return f"libvpx {self.deadline} cpu-used {self.speed}"

    def settings(self, name: str, quantizer: int) -> libvpx.Settings:
        """Return libvpx's settings for a clip."""
        image = clip(name, 1)[0]
        return libvpx.Settings(
            image.width,
            image.height,
            rate_of(name),
            quantizer,
            self.speed,
            quantizer=quantizer,
            deadline=self.deadline,
        )


GOOD = Rival(Effort.GOOD, 2, "good", (10, 0))
REALTIME = Rival(Effort.REALTIME, -5, "realtime", (15, 0))
RIVALS = (GOOD, REALTIME)
SPEED = (0.5, 1.0)
"""What ours should reach of libvpx's speed: at least and aim."""


@dataclass(frozen=True, slots=True)
class Task:
    """A clip as libvpx has encoded it, ready for ours to do the same."""

    images: Sequence[codec.Image]
    start: codec.State
    """The state after libvpx's key frame."""
    q_index: int
    refreshes: Sequence[Refresh]
    """What each frame leaves behind."""
    theirs: Sequence[Made]
    """Every frame of libvpx's."""

    def ours(self, effort: Effort, state: codec.State | None) -> list[Made]:
        """Encode the interframes on a state, or all frames on none."""
        made = []
        first = 0 if state is None else 1
        for image, refresh in zip(self.images[first:], self.refreshes[first:], strict=True):
            coded = encode_frame(state, image, q_index=self.q_index, effort=effort, refresh=refresh)
            assert coded.image is not None
            made.append((len(coded.data), squared_error(image.y, coded.image.y)))
            state = coded.state
        return made

    def point(self, made: Sequence[Made]) -> Point:
        """Return the size and the PSNR of luma of frames."""
        sizes, errors = zip(*made, strict=True)
        return sum(sizes), 10 * log10(255**2 * self.images[0].y.size * len(made) / sum(errors))


@cache
def task(rival: Rival, name: str, quantizer: int, count: int) -> Task:
    """Encode a clip with libvpx."""
    images = clip(name, count)
    packets = kept(libvpx.encode)([image.raster for image in images], rival.settings(name, quantizer), padded=True)
    state, made, refreshes = None, [], []
    for image, packet in zip(images, packets, strict=True):
        header = codec.parse(state, packet.data, coefficients=False).header
        refreshes.append(
            Refresh(
                last=header.refresh_last,
                golden=header.refresh_golden,
                altref=header.refresh_altref,
                copy_to_golden=header.copy_to_golden,
                copy_to_altref=header.copy_to_altref,
                golden_sign_bias=header.golden_sign_bias,
                altref_sign_bias=header.altref_sign_bias,
                entropy=header.refresh_entropy,
            )
        )
        state, shown = codec.decode(state, packet.data)
        assert shown is not None
        made.append((len(packet.data), squared_error(image.y, shown.y)))
    start, _ = codec.decode(None, packets[0].data)
    return Task(images, start, header.quantizer_index, refreshes, made)


def bits(rival: Rival, effort: Effort, count: int, key: bool) -> dict[str, float]:
    """Return by how many percent ours needs more bits, clip by clip: with a key frame of its own, or interframes."""
    costs = {}
    for name in MEDIA:
        theirs, ours = [], []
        for one in (task(rival, name, quantizer, count) for quantizer in QUANTIZERS):
            theirs.append(one.point(one.theirs[0 if key else 1 :]))
            ours.append(one.point(one.ours(effort, None if key else one.start)))
        costs[name] = bd_rate(theirs, ours)
    return costs


def seconds(rival: Rival, count: int) -> float:
    """Return the processor time that libvpx takes for the interframes of the timed clip."""
    images = clip(TIMED_CLIP, count)
    stamps: list[float] = []
    libvpx.encode(
        [image.raster for image in images],
        rival.settings(TIMED_CLIP, MIDDLE),
        lambda _: stamps.append(time.process_time()),
        padded=True,
    )
    return stamps[-1] - stamps[0]


def own_seconds(rival: Rival, effort: Effort, count: int) -> float:
    """Return the processor time that ours takes for the same frames."""
    job = task(rival, TIMED_CLIP, MIDDLE, count)
    state = job.start
    start = time.process_time()
    for image, refresh in zip(job.images[1:], job.refreshes[1:], strict=True):
        state = encode_frame(state, image, q_index=job.q_index, effort=effort, refresh=refresh).state
    return time.process_time() - start


def speed(rival: Rival, effort: Effort, rounds: int, count: int = TIMED) -> tuple[Spread, float, float]:
    """Return our speed as a part of the rival's, in turn frame for frame, and both in frames a second."""
    own_seconds(rival, effort, 2)
    pairs = [(seconds(rival, count), own_seconds(rival, effort, count)) for _ in range(rounds)]
    ratio = Spread.of([theirs / ours for theirs, ours in pairs])
    theirs, ours = ((count - 1) / Spread.of(times).median for times in zip(*pairs, strict=True))
    return ratio, theirs, ours


def rows(count: int = COUNT, rounds: int = ROUNDS, curve: bool = True) -> Iterator[Row]:
    """Measure both rivals, then every effort against libvpx's good one; bits need the real clips."""
    for rival in RIVALS:
        ratio, theirs, ours = speed(rival, rival.effort, rounds)
        what = (
            f"encode, effort {rival.effort.name}, speed against {rival.name}, 720p ({ours:.0f}, {theirs:.0f} frames/s)"
        )
        yield Row(what, ratio.text(), ratio.median, *SPEED, unit=" x")
        if shared() is not None:
            yield _bits(rival, rival.effort, count, rival.bits, False)
            yield _bits(rival, rival.effort, count, rival.bits, True)
    if curve and shared() is not None:
        for effort in Effort:
            ratio, _, ours = speed(GOOD, effort, rounds)
            what = f"effort {effort.name}: speed against {GOOD.name}, 720p ({ours:.0f} frames/s)"
            yield Row(what, ratio.text(), ratio.median, unit=" x")
            yield _bits(GOOD, effort, count, (None, None), True)


def _bits(rival: Rival, effort: Effort, count: int, goals: tuple[int | None, int | None], key: bool) -> Row:
    costs = bits(rival, effort, count, key)
    each = ", ".join(f"{name} {cost:+.1f}" for name, cost in costs.items())
    frames = f"{count} frames" if key else f"{count - 1} interframes"
    what = f"effort {effort.name}, BD-rate of PSNR-Y against {rival.name}, {frames}: {each}"
    mean = fmean(costs.values())
    return Row(what, f"{mean:+.1f}", mean, *goals, more_is_better=False, unit=" %")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Speed and bits of encode beside libvpx.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} frames a clip instead of {COUNT}")
    parser.add_argument("--curve", action="store_true", help="every effort against libvpx's good one, too")
    args = parser.parse_args()
    count, rounds = (QUICK_COUNT, 3) if args.quick else (COUNT, ROUNDS)
    show(f"Encoding beside libvpx, one thread, codec build {codec.BUILD}", rows(count, rounds, args.curve))


if __name__ == "__main__":
    main()
