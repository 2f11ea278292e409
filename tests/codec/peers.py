"""The decoders that ours is held against: libvpx itself, libvpx as PyAV has it, and FFmpeg's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import av
import numpy as np

import codec
from codec.header import Header
from tests.codec import forge, vpx
from tests.codec.vpx import Picture


class Pyav:
    """A decoder of FFmpeg by its name: "libvpx" or "vp8"."""

    def __init__(self, name: str) -> None:
        self.context = av.codec.CodecContext.create(name, "r")
        self.context.thread_count = 1

    def decode(self, data: bytes) -> Picture | None:
        """Decode a frame and return it unless it is not to be shown. Raises av.FFmpegError."""
        frames = self.context.decode(av.Packet(data))
        assert len(frames) < 2
        return _picture(frames[0]) if frames else None


def _picture(frame: av.VideoFrame) -> Picture:
    parts = []
    for which, plane in enumerate(frame.planes):
        half = int(which > 0)
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        parts.append(rows[: (frame.height + half) >> half, : (frame.width + half) >> half].tobytes())
    return Picture(frame.width, frame.height, b"".join(parts))


def picture(image: codec.Image | None) -> Picture | None:
    """Our image as the peers' pictures are."""
    return None if image is None else Picture(image.width, image.height, image.to_bytes())


def where_ffmpeg_differs(header: Header) -> str:
    """Return in what FFmpeg's decoder departs from libvpx (and §9.3, §9.6) on such a frame, "" if in nothing known."""
    segmentation, deltas = header.segmentation, header.filter_deltas
    if header.segmentation_enabled:
        index, level = (0, 0) if segmentation.absolute else (header.quantizer_index, header.filter_level)
        if any(header.quantizer_deltas) and any(not 0 <= index + own <= 127 for own in segmentation.quantizers):
            return "FFmpeg adds the quantizer deltas to a segment's index before it clamps that to 0..127"
        changed = header.filter_deltas_enabled and any((*deltas.references, *deltas.modes))
        if changed and any(not 0 <= level + own <= 63 for own in segmentation.filter_levels):
            return "FFmpeg adds the filter deltas to a segment's level before it clamps that to 0..63"
    if header.copy_to_golden == 2 and header.copy_to_altref:
        return "FFmpeg copies the old altref to golden, libvpx the one that was just copied from last or golden"
    return ""


@dataclass
class Panel:
    """The peers in a row, fed with the same stream as ours; ``check`` compares a frame, references included.

    Where FFmpeg is known to differ, libvpx decides, and FFmpeg sits out until the next key frame.
    """

    state: codec.State | None = None
    peer: vpx.Decoder = field(default_factory=vpx.Decoder)
    wrapped: Pyav = field(default_factory=lambda: Pyav("libvpx"))
    ffmpeg: Pyav = field(default_factory=lambda: Pyav("vp8"))
    astray: str = ""
    forgot_map: bool = False

    def check(self, data: bytes) -> codec.Frame | None:
        """Decode a frame with all of them; ours goes on from the new state. Return the frame parsed."""
        before = self.state
        self.state, image = codec.decode(before, data)
        if not data:
            return None  # the peers show nothing for a frame that is not there
        frame = codec.parse(before, data)
        shown = picture(image)
        theirs = self.peer.decode(data)
        assert not self.peer.is_corrupt(), "libvpx thinks the frame corrupt"
        assert theirs == shown, f"libvpx: {difference(theirs, shown)}"
        ours = self.state.last, self.state.golden, self.state.altref
        references = self.peer.references(self.state.width, self.state.height)
        for name, a, b in zip(("last", "golden", "altref"), references, ours, strict=True):
            assert a == b, f"{name}: {changes(a, b)}"
        assert self.wrapped.decode(data) == shown, "PyAV's libvpx is not libvpx"
        theirs = self.ffmpeg.decode(data)
        self._follow_ffmpeg(frame)
        assert theirs == shown or self.astray, f"FFmpeg: {difference(theirs, shown)}"
        return frame

    def _follow_ffmpeg(self, frame: codec.Frame) -> None:
        header = frame.header
        if header.key_frame:
            self.astray = ""
        self.astray = self.astray or where_ffmpeg_differs(header)
        if not header.segmentation_enabled:
            self.forgot_map = True
        elif header.update_segment_map:
            self.forgot_map = False
        elif self.forgot_map and any(self.state.segment_map if self.state else b""):
            self.astray = "FFmpeg forgets the segment map in a frame without segmentation, libvpx keeps it"
        if not forge.is_in_range(frame):
            self.astray = "FFmpeg's inverse transforms overflow elsewhere"
        if np.abs(frame.per_macroblock("vectors").astype(int)).max() > 8191:
            self.astray = "FFmpeg sums the four vectors of a chroma block in 16 bits, in its units"

    def check_all(self, packets: Iterable[bytes]) -> list[codec.Frame]:
        """Check a whole stream and return it parsed, without the frames that were dropped."""
        frames = []
        for n, data in enumerate(packets):
            try:
                frame = self.check(data)
            except AssertionError as error:
                raise AssertionError(f"frame {n}: {error}") from error
            frames += [frame] if frame else []
        return frames


def difference(theirs: Picture | None, ours: Picture | None) -> str:
    """Say in words how two pictures differ."""
    if theirs is None or ours is None:
        return f"theirs is {'not ' * (theirs is None)}shown, ours is {'not ' * (ours is None)}shown"
    if theirs[:2] != ours[:2]:
        return f"theirs is {theirs.width} x {theirs.height}, ours {ours.width} x {ours.height}"
    return changes(theirs.data, ours.data)


def changes(a: bytes, b: bytes) -> str:
    """Say where two buffers differ."""
    at = np.flatnonzero(np.frombuffer(a, np.uint8) != np.frombuffer(b, np.uint8))
    return f"{at.size} of {len(a)} bytes differ, at {at[:8].tolist()}" if at.size else "no difference"
