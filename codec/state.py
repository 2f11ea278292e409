"""The state of a VP8 decoder as a value.

Everything that one frame leaves behind for the next is here, and nothing else (RFC 6386 §9): three reference
images, the probabilities, the segmentation and the loop-filter deltas. Equality, hash, ``difference`` and the
serialised form are all driven by the fields themselves, so none can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass

from codec.coefficient_tables import DEFAULT_COEFFICIENTS
from codec.image import Image
from codec.mode_tables import DEFAULT_MV_PROBS, DEFAULT_UV_MODE_PROBS, DEFAULT_Y_MODE_PROBS

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["FilterDeltas", "Probabilities", "Segmentation", "State"]

Four = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Probabilities:
    """The probabilities that persist from frame to frame (§9.9 to §9.11).

    ``coefficients`` is [block type 4][band 8][context 3][node 11], ``y_modes`` [4], ``uv_modes`` [3] and
    ``vectors`` [row, column][19], all as flat bytes.
    """

    coefficients: bytes = DEFAULT_COEFFICIENTS
    y_modes: bytes = DEFAULT_Y_MODE_PROBS
    uv_modes: bytes = DEFAULT_UV_MODE_PROBS
    vectors: bytes = DEFAULT_MV_PROBS


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the four segments mean (§9.3): values that replace the frame's (``absolute``) or are added to them.

    ``quantizers`` are quantizer indices (-127..127), ``filter_levels`` loop-filter levels (-63..63).
    """

    absolute: bool = False
    quantizers: Four = (0, 0, 0, 0)
    filter_levels: Four = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class FilterDeltas:
    """Changes of the loop-filter level (-63..63) by reference frame and by mode (§9.6).

    ``references`` are for intra, last, golden, altref; ``modes`` for B_PRED, ZEROMV, other whole vectors, SPLITMV.
    """

    references: Four = (0, 0, 0, 0)
    modes: Four = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class State:
    """All that decoding one frame leaves behind for the next.

    ``width`` and ``height`` in pixels, ``scaling`` the two scaling codes of the key frame (horizontal, vertical),
    ``last``, ``golden`` and ``altref`` rasters (see ``codec.image``), ``segment_map`` a byte (0..3) a macroblock.
    """

    width: int
    height: int
    scaling: tuple[int, int]
    last: bytes
    golden: bytes
    altref: bytes
    probabilities: Probabilities
    segmentation: Segmentation
    segment_map: bytes
    filter_deltas: FilterDeltas

    @property
    def image(self) -> Image:
        """The last reference as an image."""
        return Image(self.width, self.height, self.last)

    def difference(self, other: State) -> tuple[str, ...]:
        """Return the names of the fields in which two states differ, as paths such as ``segmentation.absolute``."""
        return tuple(_differing(self, other, ""))

    def to_bytes(self, *, pack: bool = False, without: Sequence[bytes] = ()) -> bytes:
        """Return the state as bytes, with a version and a checksum; a reference held three times is there once.

        ``pack`` halves the size of the images, and takes longer than a fast network saves: see ``serialise``.
        ``without``: rasters, at most 255, that whoever reads it has already. A reference that is one of them is left
        out.
        """
        from codec.serialise import dump  # here, since serialise makes states

        return dump(self, pack, without)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, pictures: Sequence[bytes] = ()) -> State:
        """Return the state that ``to_bytes`` made these bytes of.

        ``pictures`` are the rasters without which they were made, in the same order. Raises CorruptState when the bytes
        or the pictures are anything else.
        """
        from codec.serialise import load

        return load(data, pictures)


def _differing(a: Any, b: Any, prefix: str) -> list[str]:
    names = []
    for field in fields(a):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if is_dataclass(one):
            names += _differing(one, two, f"{prefix}{field.name}.")
        elif one != two:
            names.append(prefix + field.name)
    return names
