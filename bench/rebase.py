"""What rebasing a frame takes beside decoding it: `python -m bench.rebase`."""

from __future__ import annotations

from collections.abc import Iterator

import codec
from bench.clips import frames, vp8_stream
from bench.paired import Spread, paired
from bench.table import Row, show
from codec.rebase import rebase_frame

ROUNDS = 7
COUNT = 48
TRIED = "vectors are weighed again, for 4 % of the bits; slopes instead of trials: 4.7 to 3.8 (decision 8)"


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Rebase a 720p clip's frames along a chain, after a first frame of another stream, and decode the same frames."""
    images = list(frames("bigbuckbunny", COUNT))
    for megabits in (1.5, 6):
        packets = vp8_stream("bigbuckbunny", COUNT, int(megabits * 1e6))
        parsed = []
        state = None
        for data in packets:
            parsed.append(codec.parse(state, data))
            state, _ = codec.decode(state, data)

        def rebase_all(parsed: list[codec.Frame] = parsed) -> None:
            state = None
            for image, frame in zip(images, parsed, strict=True):
                state = rebase_frame(state, image, frame).state

        def decode_all(packets: tuple[bytes, ...] = packets) -> None:
            state = None
            for data in packets:
                state, _ = codec.decode(state, data)

        rebased, decoded = paired([rebase_all, decode_all], rounds)
        ratio = Spread.of([a / b for a, b in zip(rebased, decoded, strict=True)])
        milliseconds = [1000 * Spread.of(times).median / COUNT for times in (rebased, decoded)]
        what = f"rebase a frame, 720p, {megabits:g} Mb/s, against our decode of it"
        what += " ({:.2f} ms, {:.2f} ms)".format(*milliseconds)
        at_least, aim = (2.5, 2) if megabits == 1.5 else (None, None)
        yield Row(what, ratio.text(), ratio.median, at_least, aim, more_is_better=False, unit=" x", tried=TRIED)


if __name__ == "__main__":
    show(f"Rebase, one thread, build {codec.BUILD}, median of {ROUNDS} rounds (spread)", rows())
