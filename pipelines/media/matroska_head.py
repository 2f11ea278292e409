"""What stands before the first picture of a Matroska or WebM file (RFC 9559): its kind, tracks, chapters and tags.

WebM is a part of Matroska: some flags of tracks and the nesting of chapters are left out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from pipelines.media.ebml import element, real, text, uint
from pipelines.media.source import Chapter, Colour, Label

Kind = Literal["webm", "matroska"]

_OPUS_PRE_ROLL = 80_000_000  # nanoseconds
_FILM = 50
"""TargetTypeValue of a film, an album, an episode."""
_VIDEO, _AUDIO, _SUBTITLES = 1, 2, 17

# Of Matroska, not of WebM.
_ROLES = {
    "hearing_impaired": 0x55AB,
    "visual_impaired": 0x55AC,
    "descriptions": 0x55AD,
    "original": 0x55AE,
    "comment": 0x55AF,
}


@dataclass(frozen=True, slots=True)
class Video:
    """The picture: stored size, shape of a pixel (width to height), colour, and the frame rate if it is constant."""

    width: int
    height: int
    aspect: Fraction = Fraction(1)
    colour: Colour = field(default_factory=Colour)
    constant_rate: Fraction | None = None
    label: Label = field(default_factory=lambda: Label(default=True))


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound track. `delay` is what its decoder puts out before the first sample that counts, in seconds."""

    codec: Literal["opus", "vorbis"]
    private: bytes
    sample_rate: int
    channels: int
    delay: Fraction = Fraction(0)
    label: Label = field(default_factory=Label)


@dataclass(frozen=True, slots=True)
class Subtitles:
    """A track of subtitles, by Matroska's name of its codec."""

    codec: str
    private: bytes = b""
    label: Label = field(default_factory=Label)


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of the film: a title, tags (name and value), chapters, a date."""

    title: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    chapters: tuple[Chapter, ...] = ()
    created: int | None = None
    """When the film was made: nanoseconds since the year 2001 began, UTC."""


def header(kind: Kind) -> bytes:
    """The EBML header, before the segment."""
    numbers = ((0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8))
    fields = b"".join(uint(identifier, value) for identifier, value in numbers)
    return element(0x1A45DFA3, fields + text(0x4282, kind) + uint(0x4287, 4) + uint(0x4285, 2))


def tracks(kind: Kind, video: Video, others: list[Sound | Subtitles]) -> bytes:
    """The entries of all tracks, numbered from 1 on."""
    entries = [_video(kind, video)]
    for number, track in enumerate(others, 2):
        entries.append(_sound(kind, number, track) if isinstance(track, Sound) else _subtitles(kind, number, track))
    return b"".join(element(0xAE, entry) for entry in entries)


def chapters(told: tuple[Chapter, ...]) -> bytes:
    """One edition with these chapters."""
    atoms = b""
    for number, chapter in enumerate(told, 1):
        shown = element(0x80, text(0x85, chapter.title) + text(0x437C, chapter.language or "und"))
        times = uint(0x91, chapter.start) + uint(0x92, chapter.end)
        atoms += element(0xB6, uint(0x73C4, number) + times + (shown if chapter.title else b""))
    return element(0x45B9, uint(0x45BC, 1) + atoms)


def tags(told: tuple[tuple[str, str], ...]) -> bytes:
    """All tags of the film."""
    simple = b"".join(element(0x67C8, text(0x45A3, name) + text(0x4487, value)) for name, value in told)
    return element(0x7373, element(0x63C0, uint(0x68CA, _FILM)) + simple)


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size in square pixels at which pixels of this shape are shown: exact, if that is not far off."""
    if (width * aspect).denominator == 1:
        return int(width * aspect), height
    shape = aspect * Fraction(width, height)
    times = -(-height // shape.denominator)
    if times * shape.denominator <= height * 1.25:
        return times * shape.numerator, times * shape.denominator
    return max(1, round(width * aspect)), height


def _video(kind: Kind, video: Video) -> bytes:
    picture = uint(0xB0, video.width) + uint(0xBA, video.height)
    if video.aspect != 1:
        width, height = display_size(video.width, video.height, video.aspect)
        picture += uint(0x54B0, width) + uint(0x54BA, height)
    colour = video.colour
    points = ((0x55B1, colour.matrix), (0x55BA, colour.transfer), (0x55BB, colour.primaries))
    told = b"".join(uint(identifier, value) for identifier, value in points if value != 2)
    picture += element(0x55B0, told + uint(0x55B9, 1))  # range: limited
    entry = _track(kind, 1, _VIDEO, "V_VP8", video.label)
    if video.constant_rate:
        entry += uint(0x23E383, round(1_000_000_000 / video.constant_rate))
    return entry + element(0xE0, picture)


def _sound(kind: Kind, number: int, sound: Sound) -> bytes:
    entry = _track(kind, number, _AUDIO, {"opus": "A_OPUS", "vorbis": "A_VORBIS"}[sound.codec], sound.label)
    if sound.delay or sound.codec == "opus":
        entry += uint(0x56AA, round(sound.delay * 1_000_000_000))
    if sound.codec == "opus":
        entry += uint(0x56BB, _OPUS_PRE_ROLL)
    audio = real(0xB5, float(sound.sample_rate)) + uint(0x9F, sound.channels)
    return entry + element(0x63A2, sound.private) + element(0xE1, audio)


def _subtitles(kind: Kind, number: int, track: Subtitles) -> bytes:
    entry = _track(kind, number, _SUBTITLES, track.codec, track.label)
    return entry + (element(0x63A2, track.private) if track.private else b"")


def _track(kind: Kind, number: int, what: int, codec: str, label: Label) -> bytes:
    entry = uint(0xD7, number) + uint(0x73C5, number) + uint(0x83, what) + uint(0x9C, 0)  # no lacing
    entry += uint(0x88, int(label.default)) + text(0x86, codec)
    language = label.language.lower()
    entry += text(0x22B59C, language if len(language) == 3 and language.isascii() and language.isalpha() else "und")
    if label.title:
        entry += text(0x536E, label.title)
    if label.forced:
        entry += uint(0x55AA, 1)
    if kind == "matroska":
        entry += b"".join(uint(_ROLES[role], 1) for role in label.roles if role in _ROLES)
    return entry
