"""What there is to know of a video file before its first picture is encoded, as plain data."""

from __future__ import annotations

from fractions import Fraction

import msgspec


class Colour(msgspec.Struct, frozen=True):
    """What the numbers in the planes mean, in the code points of ITU-T H.273; 2 is "not told"."""

    matrix: int = 2
    transfer: int = 2
    primaries: int = 2


class Track(msgspec.Struct, frozen=True):
    """A sound track of the input."""

    index: int
    """The number of its stream in the file."""
    codec: str
    language: str = ""
    title: str = ""
    default: bool = False


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
    tracks: tuple[Track, ...] = ()
    subtitles: int = 0
    """How many subtitle tracks there are; none of them is kept."""

    @property
    def frame_size(self) -> int:
        """Bytes of a frame of raw video: a raster of the codec, planes padded to whole macroblocks."""
        return 384 * ((self.width + 15) // 16) * ((self.height + 15) // 16)

    @property
    def seconds_a_tick(self) -> Fraction:
        """The time base as a fraction."""
        return Fraction(*self.time_base)

    @property
    def fps(self) -> Fraction:
        """The frame rate as a fraction."""
        return Fraction(*self.rate)
