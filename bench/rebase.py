"""What rebasing a frame takes beside decoding it: `python -m bench.rebase`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import codec
from bench.clips import frames, vp8_stream
from bench.paired import Spread, paired
from bench.table import Row, show
from codec.policy import Policy
from codec.rebase import rebase_frame

ROUNDS = 7
COUNT = 48
WAYS = {"vectors mended": Policy(), "all decisions kept": Policy(redecide=0)}
TRIED = (
    "mending takes 1.5 decodes for 3 to 4 % of the bits: slopes instead of trials, 4.7 to 3.8; only macroblocks whose "
    "vectors are written or that leave much, 3.8 to 3.0, for half of the gain (decision 8)"
)


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

        def rebase_all(policy: Policy, parsed: list[codec.Frame] = parsed) -> None:
            state = None
            for image, frame in zip(images, parsed, strict=True):
                state = rebase_frame(state, image, frame, policy).state

        def decode_all(packets: tuple[bytes, ...] = packets) -> None:
            state = None
            for data in packets:
                state, _ = codec.decode(state, data)

        *all_rebased, decoded = paired([*(partial(rebase_all, policy) for policy in WAYS.values()), decode_all], rounds)
        for way, rebased in zip(WAYS, all_rebased, strict=True):
            ratio = Spread.of([a / b for a, b in zip(rebased, decoded, strict=True)])
            milliseconds = [1000 * Spread.of(times).median / COUNT for times in (rebased, decoded)]
            what = f"rebase a frame, {way}, 720p, {megabits:g} Mb/s, against our decode of it"
            what += " ({:.2f} ms, {:.2f} ms)".format(*milliseconds)
            at_least, aim = (2.5, 2) if megabits == 1.5 else (None, None)
            yield Row(what, ratio.text(), ratio.median, at_least, aim, more_is_better=False, unit=" x", tried=TRIED)


if __name__ == "__main__":
    show(f"Rebase, one thread, build {codec.BUILD}, median of {ROUNDS} rounds (spread)", rows())
