"""The test vectors of VP8: every frame compiled, the first ones uncompiled, and what ``parse`` says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.ivf import read_ivf
from tests.codec import builds

NUMBERS = range(1, 18)
LARGE = 8  # two frames of 1432 x 888 pixels: uncompiled, one takes ten seconds


def frames(shared: Path, number: int) -> Iterator[bytes]:
    with (shared / "vectors" / f"vp80-00-comprehensive-{number:03}.ivf").open("rb") as file:
        _, packets = read_ivf(file)
        for _, data in packets:
            yield data


def digests(shared: Path, number: int) -> list[str]:
    """The MD5 of every frame that is shown."""
    text = (shared / "vectors" / f"vp80-00-comprehensive-{number:03}.ivf.md5").read_text()
    return [line.split()[0] for line in text.splitlines()]


@pytest.mark.parametrize("build", builds.HERE)
@pytest.mark.parametrize("number", NUMBERS)
def test_every_frame(shared: Path, number: int, build: str) -> None:
    package = builds.load(build)
    state, seen = None, []
    for data in frames(shared, number):
        state, image = package.decode(state, data)
        if image is not None:
            seen.append(hashlib.md5(image.to_bytes()).hexdigest())
    assert seen == digests(shared, number)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "n"),
    [
        (number, n)
        for number in sorted(NUMBERS, key=lambda number: number != LARGE)
        for n in range(2 + (number != LARGE))
    ],
)
def test_the_first_frames_uncompiled(shared: Path, number: int, n: int) -> None:
    """Frame ``n`` gives the same state and pixels on the state that the compiled build made of the frames before."""
    data = list(frames(shared, number))[: n + 1]
    before, package = None, builds.load("uncompiled")
    for frame in data[:-1]:
        before, _ = codec.decode(before, frame)
    raw = before and package.State.from_bytes(before.to_bytes())
    state, image = package.decode(raw, data[-1])
    assert state.to_bytes() == codec.decode(before, data[-1])[0].to_bytes()
    assert hashlib.md5(image.to_bytes()).hexdigest() == digests(shared, number)[n]
    if n == 1 and len(state.segment_map) < 100:
        assert contents(package.parse(raw, data[-1])) == contents(codec.parse(before, data[-1]))


def contents(frame: codec.Frame) -> list[object]:
    """All that a frame holds, comparable between builds."""
    return [
        frame.width,
        frame.height,
        repr(frame.header),
        frame.decisions.buffers(),
        frame.eobs,
        frame.levels,
        frame.sizes,
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_parse_agrees_with_decode(shared: Path, number: int) -> None:
    state = without_images = None
    for data in frames(shared, number):
        frame = codec.parse(state, data)
        assert codec.parse(without_images, data) == frame
        without_images = codec.advance(without_images, frame)
        after, image = codec.decode(state, data)
        header, d = frame.header, frame.decisions
        assert (frame.width, frame.height) == (after.width, after.height)
        assert frame.key_frame == header.key_frame == (not data[0] & 1)
        assert header.show == (image is not None)
        assert frame.sizes[0] == (10 if frame.key_frame else 3)
        assert sum(frame.sizes) == len(data)
        assert len(frame.sizes) == 2 + (1 << header.log2_partitions)
        assert d.segments == after.segment_map
        assert header.segmentation == after.segmentation
        assert header.filter_deltas == after.filter_deltas
        if header.refresh_entropy:
            assert header.probabilities == after.probabilities
        check_decisions(frame)
        bare = codec.parse(state, data, coefficients=False)
        assert bare == replace(frame, eobs=b"", levels=b"")
        with pytest.raises(codec.Mismatch, match="without its coefficients"):
            _ = bare.coefficients
        assert without_images == replace(after, last=b"", golden=b"", altref=b"")
        state = after
    with pytest.raises(codec.Mismatch):
        codec.decode(without_images, b"")


def check_decisions(frame: codec.Frame) -> None:
    """Everything is in its range, and what does not apply is zero."""
    d = frame.decisions
    modes, references = frame.per_macroblock("y_modes"), frame.per_macroblock("references")
    split, inter = modes == 9, references > 0
    assert all(isinstance(buffer, bytes) for buffer in (d.y_modes, d.vectors, frame.eobs, frame.levels))
    assert ((modes > 4) == inter).all()
    assert not frame.per_macroblock("uv_modes")[inter].any()
    assert not frame.per_macroblock("split_shapes")[~split].any()
    assert not frame.per_macroblock("b_modes")[modes != 4].any()
    assert not frame.per_macroblock("vectors")[~inter].any()
    assert not frame.per_macroblock("vectors")[~split, 1:].any()
    assert not (frame.key_frame and inter.any())
    eobs = np.frombuffer(frame.eobs, np.uint8).reshape(d.rows, d.columns, 25)
    assert len(frame.levels) == 32 * np.count_nonzero(eobs)
    assert not eobs[frame.per_macroblock("skips") > 0].any()
    assert not eobs[split | (modes == 4), 24].any()
    coefficients = frame.coefficients
    assert coefficients.shape == (d.rows, d.columns, 25, 16)
    has_y2 = ~(split | (modes == 4))
    assert not coefficients[has_y2][:, :16, 0].any()
    assert not coefficients[eobs == 0].any()
