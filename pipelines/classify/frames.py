"""Pictures to classify: files, frames of a video evenly by time, or one of every scene.

What is sent is a JPEG whose shorter side has at most SIDE pixels, in FFmpeg's best usual quality. Classifiers look at
a crop of about 256 pixels, so a pixel of theirs is still the mean of three: blocks and rounding even out, and colours,
which JPEG has at half the resolution, are as fine as theirs. It is a little less than twice 256, since from twice on
decoders halve pictures on the way (Pillow's draft), and what comes out of that is no longer filtered before it is
cropped. `python -m bench frames` prints what it changes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from pipelines.classify.answers import Picture
from pipelines.encode.cuts import marked
from pipelines.errors import InputError, TruncatedInput
from pipelines.media.film import Film
from pipelines.media.jpeg import encode_jpeg
from pipelines.media.read import Reader, orientation_of

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SIDE", "clock", "even_frames", "files", "is_picture", "length", "scene_frames", "scenes", "thumbnail_width"]

SIDE = 448
"""Pixels of the shorter side of a frame, at most; nothing is enlarged."""
SENT_AS_IT_IS = 1_000_000
"""Bytes of a file up to which it is sent as it is; a larger one is sent as a frame of a video would be."""
_LONGEST = 4096
_QUANTIZER = 2  # of FFmpeg's 2 to 31
_QUALITY = 92  # of Pillow's 0 to 100: about the same
_SMALL_QUANTIZER, _SMALL_QUALITY = 5, 75
_LARGEST_FILE = 200_000_000  # bytes
_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


def thumbnail_width(count: int) -> int:
    """How wide the thumbnails of so many pictures are, so that all of them take a few MB of a page."""
    return max(96, min(320, math.isqrt(20_000_000 // max(1, count))))


def is_picture(path: str) -> bool:
    """Whether a file begins as a JPEG, PNG or WebP does; what cannot be read does not."""
    try:
        with open(path, "rb") as file:
            return bool(_kind(file.read(16)))
    except OSError:
        return False


def files(paths: Sequence[str], *, thumbnails: bool = False) -> Iterator[Picture]:
    """The pictures in files; what is none comes with its problem."""
    width = thumbnail_width(len(paths)) if thumbnails else 0
    for path in paths:
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            yield Picture(name=path, problem=f"cannot be read: {error.strerror}")
            continue
        if not (kind := _kind(data)):
            yield Picture(name=path, problem="no JPEG, PNG or WebP (a video is given alone)")
        elif len(data) > _LARGEST_FILE:
            yield Picture(name=path, problem=f"has more than {_LARGEST_FILE:,} bytes")
        elif len(data) > SENT_AS_IT_IS or width:
            yield _reduced(path, data, kind, width)
        else:
            yield Picture(name=path, data=data, kind=kind)


def even_frames(path: str, count: int, *, thumbnails: bool = False) -> Iterator[Picture]:
    """Up to `count` frames of a video, each from the middle of its part of equal length; fewer if it has fewer.

    A part whose frame cannot be had comes with its problem. Raises InputError when the file is no video, or when
    nobody can tell how long it is.
    """
    with Film(path) as film:
        seconds = film.seconds or _counted_seconds(path)
        times = [seconds * (2 * number + 1) / (2 * count) for number in range(count)]
        yield from _frames(film, times, thumbnail_width(count) if thumbnails else 0)


def length(path: str) -> float:
    """How many seconds a video takes, as its file says; 0 if it does not."""
    with Film(path) as film:
        return round(float(film.seconds), 3)


def scenes(path: str, watch: Callable[[int, int], object] = lambda *_: None) -> list[tuple[Fraction, Fraction]]:
    """When each scene of a video begins and ends, in seconds; decodes all of it, and tells `watch` of every frame.

    `watch` hears how many there were and about how many there are.
    A film that was cut off has scenes up to there.
    """
    begins: list[Fraction] = []
    end = Fraction(0)
    with Reader(path) as reader:
        tick, first = reader.source.seconds_a_tick, None
        try:
            for number, (picture, cut) in enumerate(marked(reader, lambda picture: picture.planes[0]), 1):
                first = picture.pts if first is None else first
                if cut or number == 1:
                    begins.append((picture.pts - first) * tick)
                end = (picture.pts - first + picture.duration) * tick
                watch(number, reader.source.frames)
        except TruncatedInput:
            if not begins:
                raise
    return list(pairwise([*begins, max(end, begins[-1])]))


def scene_frames(
    path: str, found: Sequence[tuple[Fraction, Fraction]], count: int, *, thumbnails: bool = False
) -> Iterator[Picture]:
    """A frame from the middle of each scene, of the `count` longest scenes if there are more."""
    longest = sorted(found, key=lambda scene: scene[0] - scene[1])[:count]
    times = [(begin + end) / 2 for begin, end in sorted(longest)]
    with Film(path) as film:
        yield from _frames(film, times, thumbnail_width(len(times)) if thumbnails else 0)


def clock(seconds: float) -> str:
    """A time as people write it: 1:02:03.45."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 100:02}.{rest % 100:02}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def _frames(film: Film, times: Sequence[Fraction], width: int) -> Iterator[Picture]:
    last: Fraction | None = None
    for time in times:
        try:
            shown = film.at(time)
        except InputError as error:
            yield Picture(name=clock(float(time)), seconds=round(float(time), 3), problem=str(error))
            continue
        if shown is None:
            problem = "no frame can be decoded there: the file ends before, or is damaged"
            yield Picture(name=clock(float(time)), seconds=round(float(time), 3), problem=problem)
            continue
        at, frame = shown
        if at == last:
            continue  # there are fewer frames than were asked for
        last = at
        upright = orientation_of(frame)
        size, aspect = (frame.width, frame.height), film.aspect
        if upright.transpose:
            size, aspect = size[::-1], 1 / aspect
        wide = size[0] * aspect
        small = encode_jpeg(frame, *_within(wide, size[1], width), _SMALL_QUANTIZER, upright) if width else b""
        data = encode_jpeg(frame, *_fitted(wide, size[1]), _QUANTIZER, upright)
        yield Picture(name=clock(float(at)), seconds=round(float(at), 3), data=data, thumbnail=small)


def _fitted(width: Fraction | int, height: Fraction | int) -> tuple[int, int]:
    """A size in square pixels as it is sent."""
    factor = min(Fraction(1), Fraction(SIDE) / min(width, height), Fraction(_LONGEST) / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _within(width: Fraction | int, height: Fraction | int, most: int) -> tuple[int, int]:
    """A size of no more pixels than a picture of 16:9 that is `most` wide."""
    factor = min(1.0, math.sqrt(most * most * 9 / 16 / float(width * height)))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _counted_seconds(path: str) -> Fraction:
    """How long a film is of which the file does not tell: it is read to its end."""
    with Reader(path) as reader:
        tick, last = reader.source.seconds_a_tick, None
        first: int | None = None
        for picture in reader:
            first = picture.pts if first is None else first
            last = picture
        return (last.pts - (first or 0) + max(last.duration, 1)) * tick if last else Fraction(0)


def _kind(data: bytes) -> str:
    for begins, kind in _KINDS:
        if data.startswith(begins):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _reduced(path: str, data: bytes, kind: str, width: int) -> Picture:
    """A picture with its thumbnail; a large one as it is sent."""
    from vision.errors import BadPicture
    from vision.picture import read

    try:
        picture = read(data, wanted=(SIDE, SIDE))
    except BadPicture as error:
        return Picture(name=path, problem=str(error))
    thumbnail = _saved(picture, _within(*picture.size, width), _SMALL_QUALITY) if width else b""
    if len(data) > SENT_AS_IT_IS:
        data, kind = _saved(picture, _fitted(*picture.size), _QUALITY), "image/jpeg"
    return Picture(name=path, data=data, kind=kind, thumbnail=thumbnail)


def _saved(picture: Image.Image, size: tuple[int, int], quality: int) -> bytes:
    file = io.BytesIO()
    picture.resize(size, reducing_gap=3.0).save(file, "JPEG", quality=quality)
    return file.getvalue()
