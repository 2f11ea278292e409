"""Going through a VP8 stream: its images, and what each frame says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import msgspec

import codec
from pipelines.errors import InputError

_Y_MODES = ("DC_PRED", "V_PRED", "H_PRED", "TM_PRED", "B_PRED", "NEAREST", "NEAR", "ZERO", "NEW", "SPLIT")
_REFERENCES = ("intra", "last", "golden", "altref")


class FrameInfo(msgspec.Struct):
    """What a frame says of itself; shares are of its macroblocks, 0 to 1."""

    number: int
    type: str
    """key, inter, or empty (no data: the last image again)."""
    shown: bool
    bytes: int
    width: int
    height: int
    q: int
    """Quantizer index, 0 to 127."""
    filter_level: int
    refreshes: list[str]
    """References that become this frame, and copies such as golden<-last."""
    segments: list[int]
    """The quantizer indices of the segments; empty without segmentation."""
    partitions: int
    modes: dict[str, float]
    references: dict[str, float]
    skipped: float


def images(frames: Iterator[bytes]) -> Iterator[codec.Image]:
    """Decode; gives the image of every frame that is shown. Raises CorruptStream, which names the frame."""
    state = None
    for number, data in enumerate(frames):
        try:
            state, image = codec.decode(state, data)
        except codec.CorruptStream as error:
            raise error.at(number) from error
        if image is not None:
            yield image


def describe(frames: Iterator[bytes]) -> Iterator[FrameInfo]:
    """Tell of every frame. Raises CorruptStream, which names the frame."""
    state: codec.State | None = None
    for number, data in enumerate(frames):
        try:
            frame = codec.parse(state, data) if data else None
            state, _ = codec.decode(state, data)
        except codec.CorruptStream as error:
            raise error.at(number) from error
        if frame is None:
            yield FrameInfo(number, "empty", True, 0, state.width, state.height, 0, 0, [], [], 0, {}, {}, 0.0)
        else:
            yield _info(number, len(data), frame)


def write_y4m(file: BinaryIO, pictures: Iterator[codec.Image], rate: Fraction) -> int:
    """Write a YUV4MPEG2 file; returns the number of frames. Raises InputError when the size changes on the way."""
    count = 0
    size = (0, 0)
    for image in pictures:
        if not count:
            size = (image.width, image.height)
            head = f"YUV4MPEG2 W{image.width} H{image.height} F{rate.numerator}:{rate.denominator} Ip A0:0 C420jpeg\n"
            file.write(head.encode())
        if (image.width, image.height) != size:
            raise InputError(f"frame {count} is {image.width}x{image.height}, not {size[0]}x{size[1]}: write .i420")
        file.write(b"FRAME\n")
        file.write(image.to_bytes())
        count += 1
    return count


def _info(number: int, size: int, frame: codec.Frame) -> FrameInfo:
    header, decisions = frame.header, frame.decisions
    macroblocks = decisions.columns * decisions.rows
    segmentation = header.segmentation
    segments: list[int] = []
    if header.segmentation_enabled:
        base = 0 if segmentation.absolute else header.quantizer_index
        segments = [min(127, max(0, base + value)) for value in segmentation.quantizers]
    return FrameInfo(
        number=number,
        type="key" if header.key_frame else "inter",
        shown=header.show,
        bytes=size,
        width=frame.width,
        height=frame.height,
        q=header.quantizer_index,
        filter_level=header.filter_level,
        refreshes=_refreshes(frame),
        segments=segments,
        partitions=1 << header.log2_partitions,
        modes=_shares(decisions.y_modes, _Y_MODES, macroblocks),
        references=_shares(decisions.references, _REFERENCES, macroblocks),
        skipped=round(decisions.skips.count(1) / macroblocks, 4),
    )


def _refreshes(frame: codec.Frame) -> list[str]:
    header = frame.header
    if header.key_frame:
        return ["last", "golden", "altref"]
    found = [name for name in ("last", "golden", "altref") if getattr(header, f"refresh_{name}")]
    if header.copy_to_golden and not header.refresh_golden:
        found.append(("", "golden<-last", "golden<-altref")[header.copy_to_golden])
    if header.copy_to_altref and not header.refresh_altref:
        found.append(("", "altref<-last", "altref<-golden")[header.copy_to_altref])
    return found


def _shares(values: bytes, names: tuple[str, ...], macroblocks: int) -> dict[str, float]:
    counts = {name: values.count(value) for value, name in enumerate(names)}
    return {name: round(count / macroblocks, 4) for name, count in counts.items() if count}
