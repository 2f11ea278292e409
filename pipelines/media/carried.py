"""Sound and subtitles as bytes: read and encoded on one machine, joined to the picture on another.

The bytes hold what becomes of each packet of the file, in the order of the file. So whoever reads them instead of the
file puts the same into the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar

import msgspec

from pipelines.media.matroska import Block
from pipelines.media.matroska_head import Sound, Subtitles
from pipelines.media.others import Step, Steps

__all__ = ["carried", "carry"]

T = TypeVar("T", Sound, Subtitles)


class _Part(msgspec.Struct, Generic[T]):
    tracks: list[T]
    steps: list[msgspec.Raw]
    """Not decoded before they are needed: three hours of sound are half a million packets."""
    damaged: int


class _Film(msgspec.Struct):
    sound: _Part[Sound] | None
    subtitles: _Part[Subtitles] | None


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return value.numerator, value.denominator
    raise NotImplementedError(type(value))


def _fraction(kind: type, value: Any) -> Any:
    if kind is not Fraction:
        raise NotImplementedError(kind)
    numerator, denominator = value
    return Fraction(numerator, denominator)


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_step = msgspec.msgpack.Decoder(tuple[list[Block], Fraction | None], dec_hook=_fraction).decode
_film = msgspec.msgpack.Decoder(_Film, dec_hook=_fraction).decode


def carry(sound: Steps[Sound] | None, subtitles: Steps[Subtitles] | None) -> bytes:
    """Read both to their ends. Raises InputError."""
    heard, shown = None if sound is None else _read(sound), None if subtitles is None else _read(subtitles)
    return _encode(_Film(heard, shown))


def _read(file: Steps[T]) -> _Part[T]:
    steps = []
    while (step := file.next()) is not None:
        steps.append(msgspec.Raw(_encode((step.blocks, step.reached))))
    return _Part(list(file.tracks), steps, file.damaged)


def carried(data: bytes | memoryview) -> tuple[Steps[Sound] | None, Steps[Subtitles] | None]:
    """What `carry` made these bytes of, as if it were read from the file."""
    film = _film(data)
    heard = None if film.sound is None else _Carried(film.sound)
    return heard, None if film.subtitles is None else _Carried(film.subtitles)


class _Carried(Generic[T]):
    def __init__(self, part: _Part[T]) -> None:
        self.tracks: Sequence[T] = part.tracks
        self.damaged = part.damaged
        self._steps = iter(part.steps)

    def next(self) -> Step | None:
        for step in self._steps:
            return Step(*_step(step))
        return None

    def close(self) -> None:
        pass
