"""What another machine runs to be compared with this one: only the codec and Python's own modules, no numpy.

As a program it reads a pickle of ``Job``s from its input, and writes one of what ``results`` gives.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Sequence

import codec
from codec.image import macroblocks
from codec.policy import LIBVPX

Job = tuple[str, list[bytes], int]
"""What to do ("decode", "rebase", "encode"), the frames of a stream, a seed."""


def cropped(image: codec.Image) -> bytes:
    """The planes of an image without what fills them up to whole macroblocks."""
    columns, rows = macroblocks(image.width, image.height)
    n = columns * rows
    parts = []
    for start, side, half in ((0, 16, 0), (256 * n, 8, 1), (320 * n, 8, 1)):
        width, height = (image.width + half) >> half, (image.height + half) >> half
        stride = side * columns
        parts += [image.raster[at : at + width] for at in range(start, start + height * stride, stride)]
    return b"".join(parts)


def decoded(packets: Sequence[bytes]) -> list[str]:
    """The MD5 of every frame that is shown, and at last that of the state."""
    state, found = None, []
    for data in packets:
        state, image = codec.decode(state, data)
        if image is not None:
            found.append(hashlib.md5(cropped(image)).hexdigest())
    assert state is not None
    return [*found, hashlib.md5(state.to_bytes()).hexdigest()]


def rebased(packets: Sequence[bytes], seed: int) -> list[str]:
    """The MD5 of what every frame becomes on the state after the one before, by two policies, and of its parts."""
    found = []
    other = bytes((value * seed + 3) & 255 for value in range(256))
    for policy in (codec.Policy(), LIBVPX):
        state, onto = None, None
        for n, data in enumerate(packets):
            frame = codec.parse(state, data)
            state, _ = codec.decode(state, data)
            raster = state.last.translate(other) if n == 2 else state.last
            made = codec.rebase_frame(onto, codec.Image(state.width, state.height, raster), frame, policy, last=n == 3)
            onto = made.state
            parts = (made.data, onto.to_bytes(), frame.eobs, frame.levels, *frame.decisions.buffers().values())
            found.append(hashlib.md5(b"".join(parts)).hexdigest())
    return found


def encoded(packets: Sequence[bytes], seed: int) -> list[str]:
    """The MD5 of what the picture of every frame is encoded to, on the state after the one before, by every effort."""
    state, onto, found = None, None, []
    for n, data in enumerate(packets):
        state, _ = codec.decode(state, data)
        effort, q_index = codec.Effort(n % len(codec.Effort)), (seed * (n + 3)) % 128
        made = codec.encode_frame(
            onto, codec.Image(state.width, state.height, state.last), q_index=q_index, effort=effort
        )
        onto = made.state
        found.append(hashlib.md5(made.data + onto.to_bytes()).hexdigest())
    return found


def results(jobs: Sequence[Job]) -> list[list[str]]:
    """The results of the jobs in their order."""
    found = []
    for kind, packets, seed in jobs:
        if kind == "decode":
            found.append(decoded(packets))
        else:
            found.append((rebased if kind == "rebase" else encoded)(packets, seed))
    return found


if __name__ == "__main__":
    answer = codec.BUILD, results(pickle.load(sys.stdin.buffer))
    sys.stdout.buffer.write(pickle.dumps(answer))
