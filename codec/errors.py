"""What can go wrong in the codec.

CodecError
├── CorruptStream    the bytes of a frame break a rule of the format
├── CorruptState     the bytes are no serialised state
├── Mismatch         the caller joined things that do not belong together
└── TooLarge         what is to be written has no room in the format
"""

from __future__ import annotations

__all__ = ["CodecError", "CorruptState", "CorruptStream", "Mismatch", "TooLarge"]


class CodecError(Exception):
    """Anything the codec refuses to do."""


class CorruptStream(CodecError):
    """The bytes of a frame break a rule of RFC 6386.

    ``rule`` says which, ``offset`` at which byte of the frame it was noticed, ``frame`` which frame of the
    stream it was, counted from 0 (None when a single frame was decoded and its number is not known).
    """

    def __init__(self, rule: str, offset: int, frame: int | None = None) -> None:
        super().__init__(rule, offset, frame)
        self.rule = rule
        self.offset = offset
        self.frame = frame

    def __str__(self) -> str:
        where = "this frame" if self.frame is None else f"frame {self.frame}"
        return f"{where} is corrupt at byte {self.offset}: {self.rule}"

    def at(self, frame: int) -> CorruptStream:
        """Return the same error, naming the frame of the stream."""
        return CorruptStream(self.rule, self.offset, frame)


class CorruptState(CodecError):
    """The bytes are not a state that this version of the codec wrote, or they were damaged since."""


class Mismatch(CodecError):
    """The caller joined what does not belong together: other sizes, no state where one is needed, broken values."""


class TooLarge(CodecError):
    """A part of a frame would be longer than its field can say: a smaller frame, or a coarser one, fits."""
