"""Decoding speed beside libvpx and FFmpeg's own decoder, one thread each: `python -m bench.decode`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import av

import codec
from bench.clips import vp8_stream
from bench.paired import Spread, paired
from bench.table import Row, show

ROUNDS = 9


def ours(packets: Sequence[bytes]) -> None:
    """Decode a stream with this project's decoder."""
    state = None
    for data in packets:
        state, _ = codec.decode(state, data)


def theirs(packets: Sequence[bytes], name: str) -> Callable[[], None]:
    """Return what decodes a stream with a decoder of FFmpeg's, ``libvpx`` or ``vp8``."""
    wrapped = [av.Packet(data) for data in packets]

    def decode() -> None:
        context = av.CodecContext.create(name, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        for packet in wrapped:
            context.decode(packet)

    return decode


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Measure two bitrates of a 720p clip."""
    for megabits, count in ((1.5, 132), (6, 132)):
        packets = vp8_stream("bigbuckbunny", count, int(megabits * 1e6))
        calls: list[Callable[[], None]] = [partial(ours, packets), theirs(packets, "libvpx"), theirs(packets, "vp8")]
        mine, libvpx, ffmpeg = paired(calls, rounds)
        ratio = Spread.of([b / a for a, b in zip(mine, libvpx, strict=True)])
        speeds = ", ".join(
            f"{name} {len(packets) / Spread.of(times).median:.0f}"
            for name, times in (("ours", mine), ("libvpx", libvpx), ("FFmpeg", ffmpeg))
        )
        at_least, aim = (0.85, 1.0) if megabits == 1.5 else (None, None)
        what = f"decode 720p, {megabits:g} Mb/s, against libvpx ({speeds} frames/s)"
        yield Row(what, ratio.text(), ratio.median, at_least, aim, unit=" x")


if __name__ == "__main__":
    show(f"Decoding, one thread, build {codec.BUILD}, median of {ROUNDS} rounds (spread)", rows())
