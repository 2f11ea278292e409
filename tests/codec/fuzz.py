"""Feed the codec with random input for as long as you like: python -m tests.codec.fuzz [--seconds 60] [--seed 1].

Streams are forged (see ``forge``): every frame is decoded as it is, held against libvpx and FFmpeg, and damaged in
several ways. What is found is written to a file each, named by what went wrong, and the counts of all at the end.
With --alone nothing but the codec runs, for builds with sanitizers: python codec/build.py --debug says how.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections import Counter
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import codec
from codec.decode import context_of
from codec.errors import CorruptStream
from codec.header import Context
from codec.image import macroblocks
from tests.codec import forge
from tests.codec.peers import Panel, picture
from tests.codec.vpx import Decoder

BATCH = 200
NOTHING = settings(
    deadline=None,
    max_examples=BATCH,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)


class Fuzzer:
    """Counts what happens and keeps what should not."""

    def __init__(self, alone: bool, folder: Path) -> None:
        self.alone = alone
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.before: list[bytes] = []

    def stream(self, data: st.DataObject) -> None:
        """Draw a stream and check each frame of it, whole and damaged."""
        panel = None if self.alone else Panel()
        header = data.draw(forge.key_headers())
        columns, rows = macroblocks(header.width, header.height)
        rng = np.random.default_rng(data.draw(forge.seeds()))
        state: codec.State | None = None
        old = Context()
        self.before = []
        for _ in range(data.draw(st.integers(1, 5))):
            if state:
                old = context_of(state)
                header = data.draw(forge.inter_headers(old))
            frame = forge.noise_frame(header, old, columns * rows, data.draw(forge.seeds()))
            parsed = codec.parse(state, frame)
            compared = forge.is_predicted(parsed)
            self.counts["frames"] += 1
            self.counts["frames not compared"] += not compared
            if panel and compared:
                try:
                    panel.check(frame)
                except AssertionError as error:
                    self.keep("differs", [*self.before, frame], str(error))
            for _ in range(6):
                self.damaged(state, damage(rng, frame), compared)
            state, _ = codec.decode(state, frame)
            self.before.append(frame)
            if not compared:
                return

    def damaged(self, state: codec.State | None, frame: bytes, compared: bool) -> None:
        """Decode a frame that may be broken."""
        self.counts["damaged frames"] += 1
        try:
            _, image = codec.decode(state, frame)
            parsed = codec.parse(state, frame)
        except CorruptStream as error:
            self.counts["refused"] += 1
            if not 0 <= error.offset <= len(frame):
                self.keep("offset", [*self.before, frame], str(error))
            return
        if self.alone or not (compared and forge.is_predicted(parsed)):
            return
        self.counts["damaged frames compared"] += 1
        peer = Decoder()
        for data in self.before:
            peer.decode(data)
        if peer.decode(frame) != picture(image) or peer.is_corrupt():
            self.keep("damaged", [*self.before, frame], "libvpx shows something else")

    def keep(self, kind: str, frames: list[bytes], why: str) -> None:
        """Write down a stream that went wrong."""
        self.counts[f"FOUND {kind}"] += 1
        path = self.folder / f"{kind}-{self.counts[f'FOUND {kind}']}.pickle"
        path.write_bytes(pickle.dumps(frames))
        sys.stdout.write(f"{path}: {why}\n")


def damage(rng: np.random.Generator, frame: bytes) -> bytes:
    """Return the frame with something about it changed."""
    data = bytearray(frame)
    kind = rng.integers(5)
    if kind == 0:
        return frame[: int(rng.integers(1, len(frame)))]
    if kind == 1:
        at = int(rng.integers(min(40, len(frame))))
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        for at in rng.integers(0, len(frame), 1 + int(rng.integers(20))):
            data[at] = int(rng.integers(256))
    elif kind == 3:
        start = int(rng.integers(len(frame)))
        data[start:] = rng.bytes(int(rng.integers(len(frame))))
    else:
        start, size = int(rng.integers(len(frame))), int(rng.integers(100))
        data[start : start + size] = bytes([rng.choice([0, 255])]) * int(rng.integers(100))
    return bytes(data) or b"\0"


def main() -> None:
    """Run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to leave what is found")
    arguments = parser.parse_args()
    fuzzer = Fuzzer(arguments.alone, arguments.folder)
    end = time.monotonic() + arguments.seconds
    seed = arguments.seed
    while time.monotonic() < end:
        hypothesis.seed(seed)(NOTHING(given(st.data())(fuzzer.stream)))()
        seed += 1
    sys.stdout.write(f"{codec.BUILD}, seeds {arguments.seed} to {seed - 1}\n")
    for what, count in sorted(fuzzer.counts.items()):
        sys.stdout.write(f"{count:9} {what}\n")
    sys.exit(any(what.startswith("FOUND") for what in fuzzer.counts))


if __name__ == "__main__":
    main()
