"""What there is to know of a video file before its first picture is encoded, as plain data."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from pipelines.media.orientation import UPRIGHT, Orientation


class Colour(msgspec.Struct, frozen=True):
    """What the numbers in the planes mean, in the code points of ITU-T H.273; 2 is "not told"."""

    matrix: int = 2
    transfer: int = 2
    primaries: int = 2


class Label(msgspec.Struct, frozen=True):
    """What a file says of a track to those who choose one."""

    language: str = ""
    """By its three letters of ISO 639-2, if the file has it so."""
    title: str = ""
    default: bool = False
    forced: bool = False
    """Whether it is to be shown even to those who want none: signs in a foreign language."""
    roles: tuple[str, ...] = ()
    """What it is for: hearing_impaired, comment, ... as FFmpeg calls them."""


class Track(msgspec.Struct, frozen=True):
    """A sound or subtitle track of the input."""

    index: int
    """The number of its stream in the file."""
    codec: str
    label: Label = Label()


class Chapter(msgspec.Struct, frozen=True):
    """A part of the film; times in nanoseconds."""

    start: int
    end: int
    title: str = ""
    language: str = ""

    def moved(self, by: int) -> Chapter:
        """The same part, so much later, and not before 0."""
        return msgspec.structs.replace(self, start=max(0, self.start + by), end=max(0, self.end + by))


class Source(msgspec.Struct, frozen=True):
    """A video file: the picture as it will be shown (upright), its clock, its sound."""

    path: str
    width: int
    height: int
    aspect: tuple[int, int]
    """Width to height of a pixel."""
    time_base: tuple[int, int]
    """The unit of the timestamps in seconds, as numerator and denominator."""
    rate: tuple[int, int]
    """Frames a second, on average."""
    constant_rate: bool
    frames: int
    """About how many frames there are (files need not know); 0: not known."""
    colour: Colour
    label: Label = Label()
    """Of the picture."""
    tracks: tuple[Track, ...] = ()
    """Of sound."""
    subtitles: tuple[Track, ...] = ()
    title: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    """What else the file says of the film: names in capitals, and values."""
    chapters: tuple[Chapter, ...] = ()
    created: int | None = None
    """When the film was made, if the file says: nanoseconds since the year 2001 began, UTC."""
    dropped: int = 0
    """Chapters and tags that were too many or too long."""
    version: str = ""
    """Of an object in a bucket: its ETag, so that no other is read in its place."""

    @property
    def frame_size(self) -> int:
        """Bytes of a frame of raw video: a raster of the codec, planes padded to whole macroblocks."""
        return _raster_size(self.width, self.height)

    @property
    def seconds_a_tick(self) -> Fraction:
        """The time base as a fraction."""
        return Fraction(*self.time_base)

    @property
    def fps(self) -> Fraction:
        """The frame rate as a fraction."""
        return Fraction(*self.rate)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A key frame at which one can begin to decode."""

    time: int
    """Of its packet in the stream's time base, by which it is found."""
    clock: Literal["dts", "pts"] = "dts"
    """Which of a packet's times that is."""


class Footage(msgspec.Struct, frozen=True):
    """What there is to know of a film to decode pieces of it."""

    path: str
    version: str
    width: int
    """Of the pictures as they are stored."""
    height: int
    orientation: Orientation = UPRIGHT

    @property
    def frame_size(self) -> int:
        """Bytes of a frame of raw video."""
        return _raster_size(self.width, self.height)


class Place(msgspec.Struct, frozen=True):
    """Where frames that follow each other lie in a film."""

    footage: Footage
    entry: Entry | None
    """Where to begin to decode; None: at the film's beginning."""
    first: int
    """When the first of them is shown, in the stream's time base."""
    last: int


def _raster_size(width: int, height: int) -> int:
    return 384 * ((width + 15) // 16) * ((height + 15) // 16)
