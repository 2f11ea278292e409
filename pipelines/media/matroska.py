"""Writing Matroska and WebM (RFC 9559): one VP8 track, any number of sound and subtitle tracks, packets as they come.

Why not FFmpeg's muxer: PyAV cannot tell it the shape of a pixel, and a full disk would show only as a damaged file.
Nothing here depends on the clock or on chance: equal input gives equal bytes.

    EBML header
    Segment ┬ SeekHead     where the parts below lie (written last, into room left for it)
            ├ Info         unit of time (1 ms), title, duration (written last)
            ├ Tracks, Chapters, Tags
            ├ Cluster ...  up to 5 s of blocks, a new one at every key frame
            └ Cues         the time and place of every key frame
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from pipelines.media import matroska_head
from pipelines.media.ebml import UNKNOWN_SIZE, element, ident, long_size, real, sint, text, uint, vint, void
from pipelines.media.matroska_head import About, Kind, Sound, Subtitles, Video

_MILLISECOND = 1_000_000  # nanoseconds
_CLUSTER_MILLISECONDS = 5_000
_CLUSTER_BYTES = 4 << 20
_SEEK_HEAD_ROOM = 128
_KEY = 0x80

VIDEO = 1
"""The number of the video track; those of sound, then those of subtitles follow it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A packet of a track; times are in seconds. `time` is when it is shown or heard."""

    track: int
    time: Fraction
    data: bytes
    key: bool = True
    duration: Fraction = Fraction(0)
    discard: Fraction = Fraction(0)
    """How much of the end of what it decodes to is thrown away."""


class Writer:
    """Writes a file from its start to its end; blocks must come in the order of their times, or nearly so."""

    def __init__(
        self, file: BinaryIO, kind: Kind, video: Video, others: list[Sound | Subtitles], about: About | None = None
    ) -> None:
        self._file, self._about = file, about or About()
        self._delays = [Fraction(0), *(track.delay if isinstance(track, Sound) else Fraction(0) for track in others)]
        self._texts = {number for number, track in enumerate(others, VIDEO + 1) if isinstance(track, Subtitles)}
        self._frame_duration = 1 / video.constant_rate if video.constant_rate else None
        self._last_time = [0] * (len(others) + 1)
        self._end = Fraction(0)
        self._cluster = bytearray()
        self._cluster_time = 0
        self._cues: list[tuple[int, int, int]] = []
        self._places: dict[int, int] = {}
        file.write(matroska_head.header(kind))
        file.write(ident(0x18538067) + UNKNOWN_SIZE)  # Segment
        self._start = file.tell()
        file.write(void(_SEEK_HEAD_ROOM))
        self._write_part(0x1549A966, self._info())
        self._write_part(0x1654AE6B, matroska_head.tracks(kind, video, others))
        if self._about.chapters:
            self._write_part(0x1043A770, matroska_head.chapters(self._about.chapters))
        if self._about.tags:
            self._write_part(0x1254C367, matroska_head.tags(self._about.tags))

    def write(self, block: Block) -> None:
        """Append a packet."""
        stored = block.time + self._delays[block.track - 1]
        time = max(0, math.floor(stored * 1000 + Fraction(1, 2)))
        if block.track not in self._texts:  # a film is not longer for a subtitle that stays
            self._end = max(self._end, block.time + block.duration - block.discard)
        video_key = block.track == VIDEO and block.key
        full = len(self._cluster) > _CLUSTER_BYTES or abs(time - self._cluster_time) > _CLUSTER_MILLISECONDS
        if not self._cluster or full or video_key:
            self._flush()
            self._cluster_time = time
            self._cluster += uint(0xE7, time)
        if video_key:
            self._cues.append((time, self._file.tell() - self._start, len(self._cluster)))
        self._cluster += self._block(block, time)
        self._last_time[block.track - 1] = time

    def finish(self) -> None:
        """Write what is known only now: the cues, the duration, the sizes. Does not close the file."""
        self._flush()
        self._write_part(0x1C53BB6B, b"".join(_cue(*cue) for cue in self._cues))
        size = self._file.tell() - self._start
        self._file.seek(self._start - len(UNKNOWN_SIZE))
        self._file.write(long_size(size))
        self._file.write(self._seek_head())
        self._file.seek(self._start + self._places[0x1549A966])
        self._file.write(element(0x1549A966, self._info()))
        self._file.seek(0, 2)

    def _block(self, block: Block, time: int) -> bytes:
        start = vint(block.track) + struct.pack(">h", time - self._cluster_time)
        expected = self._frame_duration if block.track == VIDEO else block.duration
        if block.track in self._texts:
            expected = None  # nobody can tell from the next one how long it stays
        if not block.discard and expected is not None and abs(block.duration - expected) <= Fraction(1, 1000):
            return element(0xA3, start + bytes((_KEY if block.key else 0,)) + block.data)  # SimpleBlock
        group = element(0xA1, start + b"\0" + block.data)
        if block.duration:
            group += uint(0x9B, max(1, round(block.duration * 1000)))
        if not block.key:
            group += sint(0xFB, self._last_time[block.track - 1] - time)  # ReferenceBlock
        if block.discard:
            group += sint(0x75A2, round(block.discard * 1000 * _MILLISECOND))
        return element(0xA0, group)

    def _flush(self) -> None:
        if self._cluster:
            self._file.write(element(0x1F43B675, bytes(self._cluster)))
            self._cluster.clear()

    def _write_part(self, identifier: int, payload: bytes) -> None:
        self._places[identifier] = self._file.tell() - self._start
        self._file.write(element(identifier, payload))

    def _info(self) -> bytes:
        app = text(0x4D80, "fastslow") + text(0x5741, "fastslow")
        title = text(0x7BA9, self._about.title) if self._about.title else b""
        if self._about.created is not None:
            title += element(0x4461, struct.pack(">q", self._about.created))
        return uint(0x2AD7B1, _MILLISECOND) + title + app + real(0x4489, float(self._end * 1000))

    def _seek_head(self) -> bytes:
        seeks = [
            element(0x4DBB, element(0x53AB, ident(part)) + element(0x53AC, struct.pack(">Q", place)))
            for part, place in self._places.items()
        ]
        head = element(0x114D9B74, b"".join(seeks))
        return head + void(_SEEK_HEAD_ROOM - len(head))


def _cue(time: int, cluster: int, block: int) -> bytes:
    place = uint(0xF7, VIDEO) + uint(0xF1, cluster) + uint(0xF0, block)
    return element(0xBB, uint(0xB3, time) + element(0xB7, place))
