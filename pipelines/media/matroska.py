"""Writing Matroska and WebM (RFC 9559): one VP8 track, any number of Opus and Vorbis tracks, packets as they come.

Why not FFmpeg's muxer: PyAV cannot tell it the shape of a pixel, and a full disk would show only as a damaged file.
Nothing here depends on the clock or on chance: equal input gives equal bytes.

    EBML header
    Segment ┬ SeekHead     where the parts below lie (written last, into room left for it)
            ├ Info         unit of time (1 ms), duration (written last)
            ├ Tracks
            ├ Cluster ...  up to 5 s of blocks, a new one at every key frame
            └ Cues         the time and place of every key frame
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, Literal

from pipelines.media.source import Colour

_MILLISECOND = 1_000_000  # nanoseconds
_CLUSTER_MILLISECONDS = 5_000
_CLUSTER_BYTES = 4 << 20
_SEEK_HEAD_ROOM = 96
_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_KEY = 0x80
_OPUS_PRE_ROLL = 80 * _MILLISECOND

VIDEO = 1
"""The number of the video track; sound tracks follow it."""


@dataclass(frozen=True, slots=True)
class Video:
    """The picture: stored size, shape of a pixel (width to height), colour, and the frame rate if it is constant."""

    width: int
    height: int
    aspect: Fraction = Fraction(1)
    colour: Colour = field(default_factory=Colour)
    constant_rate: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound track. `delay` is what its decoder puts out before the first sample that counts, in seconds."""

    codec: Literal["opus", "vorbis"]
    private: bytes
    sample_rate: int
    channels: int
    delay: Fraction = Fraction(0)
    language: str = ""
    title: str = ""
    default: bool = False


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

    def __init__(self, file: BinaryIO, kind: Literal["webm", "matroska"], video: Video, sounds: list[Sound]) -> None:
        self._file = file
        self._delays = [Fraction(0), *(sound.delay for sound in sounds)]
        self._frame_duration = 1 / video.constant_rate if video.constant_rate else None
        self._last_time = [0] * (len(sounds) + 1)
        self._end = Fraction(0)
        self._cluster = bytearray()
        self._cluster_time = 0
        self._cues: list[tuple[int, int, int]] = []
        self._places: dict[int, int] = {}
        file.write(_header(kind))
        file.write(_id(0x18538067) + _UNKNOWN_SIZE)  # Segment
        self._start = file.tell()
        file.write(_void(_SEEK_HEAD_ROOM))
        self._write_part(0x1549A966, self._info())
        tracks = [_video_track(video)]
        tracks += [_sound_track(number, sound) for number, sound in enumerate(sounds, VIDEO + 1)]
        self._write_part(0x1654AE6B, b"".join(tracks))

    def write(self, block: Block) -> None:
        """Append a packet."""
        stored = block.time + self._delays[block.track - 1]
        time = max(0, math.floor(stored * 1000 + Fraction(1, 2)))
        self._end = max(self._end, block.time + block.duration - block.discard)
        video_key = block.track == VIDEO and block.key
        full = len(self._cluster) > _CLUSTER_BYTES or abs(time - self._cluster_time) > _CLUSTER_MILLISECONDS
        if not self._cluster or full or video_key:
            self._flush()
            self._cluster_time = time
            self._cluster += _uint(0xE7, time)
        if video_key:
            self._cues.append((time, self._file.tell() - self._start, len(self._cluster)))
        self._cluster += self._block(block, time)
        self._last_time[block.track - 1] = time

    def finish(self) -> None:
        """Write what is known only now: the cues, the duration, the sizes. Does not close the file."""
        self._flush()
        self._write_part(0x1C53BB6B, b"".join(_cue(*cue) for cue in self._cues))
        size = self._file.tell() - self._start
        self._file.seek(self._start - len(_UNKNOWN_SIZE))
        self._file.write(struct.pack(">Q", size | 1 << 56))
        self._file.write(self._seek_head())
        self._file.seek(self._start + self._places[0x1549A966])
        self._file.write(_element(0x1549A966, self._info()))
        self._file.seek(0, 2)

    def _block(self, block: Block, time: int) -> bytes:
        start = bytes((0x80 | block.track,)) + struct.pack(">h", time - self._cluster_time)
        expected = self._frame_duration if block.track == VIDEO else block.duration
        if not block.discard and expected is not None and abs(block.duration - expected) <= Fraction(1, 1000):
            return _element(0xA3, start + bytes((_KEY if block.key else 0,)) + block.data)  # SimpleBlock
        group = _element(0xA1, start + b"\0" + block.data)
        if block.duration:
            group += _uint(0x9B, max(1, round(block.duration * 1000)))
        if not block.key:
            group += _int(0xFB, self._last_time[block.track - 1] - time)  # ReferenceBlock
        if block.discard:
            group += _int(0x75A2, round(block.discard * 1000 * _MILLISECOND))
        return _element(0xA0, group)

    def _flush(self) -> None:
        if self._cluster:
            self._file.write(_element(0x1F43B675, bytes(self._cluster)))
            self._cluster.clear()

    def _write_part(self, identifier: int, payload: bytes) -> None:
        self._places[identifier] = self._file.tell() - self._start
        self._file.write(_element(identifier, payload))

    def _info(self) -> bytes:
        app = _text(0x4D80, "fastslow") + _text(0x5741, "fastslow")
        return _uint(0x2AD7B1, _MILLISECOND) + app + _float(0x4489, float(self._end * 1000))

    def _seek_head(self) -> bytes:
        seeks = [
            _element(0x4DBB, _element(0x53AB, _id(part)) + _element(0x53AC, struct.pack(">Q", place)))
            for part, place in self._places.items()
        ]
        head = _element(0x114D9B74, b"".join(seeks))
        return head + _void(_SEEK_HEAD_ROOM - len(head))


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size in square pixels at which pixels of this shape are shown: exact, if that is not far off."""
    if (width * aspect).denominator == 1:
        return int(width * aspect), height
    shape = aspect * Fraction(width, height)
    times = -(-height // shape.denominator)
    if times * shape.denominator <= height * 1.25:
        return times * shape.numerator, times * shape.denominator
    return max(1, round(width * aspect)), height


def _header(kind: str) -> bytes:
    numbers = ((0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8))
    fields = b"".join(_uint(identifier, value) for identifier, value in numbers)
    return _element(0x1A45DFA3, fields + _text(0x4282, kind) + _uint(0x4287, 4) + _uint(0x4285, 2))


def _video_track(video: Video) -> bytes:
    picture = _uint(0xB0, video.width) + _uint(0xBA, video.height)
    if video.aspect != 1:
        width, height = display_size(video.width, video.height, video.aspect)
        picture += _uint(0x54B0, width) + _uint(0x54BA, height)
    colour = video.colour
    points = ((0x55B1, colour.matrix), (0x55BA, colour.transfer), (0x55BB, colour.primaries))
    told = b"".join(_uint(identifier, value) for identifier, value in points if value != 2)
    picture += _element(0x55B0, told + _uint(0x55B9, 1))  # range: limited
    entry = _track(VIDEO, 1, "V_VP8", default=True)
    if video.constant_rate:
        entry += _uint(0x23E383, round(1000 * _MILLISECOND / video.constant_rate))
    return _element(0xAE, entry + _element(0xE0, picture))


def _sound_track(number: int, sound: Sound) -> bytes:
    entry = _track(number, 2, {"opus": "A_OPUS", "vorbis": "A_VORBIS"}[sound.codec], sound.default)
    entry += _text(0x22B59C, sound.language if len(sound.language) == 3 and sound.language.isascii() else "und")
    if sound.title:
        entry += _text(0x536E, sound.title)
    if sound.delay or sound.codec == "opus":
        entry += _uint(0x56AA, round(sound.delay * 1000 * _MILLISECOND))
    if sound.codec == "opus":
        entry += _uint(0x56BB, _OPUS_PRE_ROLL)
    audio = _float(0xB5, float(sound.sample_rate)) + _uint(0x9F, sound.channels)
    return _element(0xAE, entry + _element(0x63A2, sound.private) + _element(0xE1, audio))


def _track(number: int, kind: int, codec: str, default: bool) -> bytes:
    entry = _uint(0xD7, number) + _uint(0x73C5, number) + _uint(0x83, kind) + _uint(0x9C, 0)  # no lacing
    return entry + _uint(0x88, int(default)) + _text(0x86, codec)


def _cue(time: int, cluster: int, block: int) -> bytes:
    place = _uint(0xF7, VIDEO) + _uint(0xF1, cluster) + _uint(0xF0, block)
    return _element(0xBB, _uint(0xB3, time) + _element(0xB7, place))


def _element(identifier: int, payload: bytes) -> bytes:
    return _id(identifier) + _size(len(payload)) + payload


def _id(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _size(size: int) -> bytes:
    """A number of up to 8 bytes whose leading zeros tell how many; all ones are kept for "unknown"."""
    length = 1
    while size >= (1 << 7 * length) - 1:
        length += 1
    return (size | 1 << 7 * length).to_bytes(length, "big")


def _uint(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _int(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _float(identifier: int, value: float) -> bytes:
    return _element(identifier, struct.pack(">d", value))


def _text(identifier: int, value: str) -> bytes:
    return _element(identifier, value.encode())


def _void(size: int) -> bytes:
    """An element of nothing that takes `size` bytes (2 to 128) in all."""
    return b"\xec" + _size(size - 2) + bytes(size - 2)
