"""Turning a picture upright as its display matrix says.

The matrix is nine numbers, FFmpeg's `AV_FRAME_DATA_DISPLAYMATRIX`: its first two rows hold, in 16.16 fixed point, where
the axes of the stored picture point to on the screen (x right, y down). Cameras use eight of them: four turns, each
mirrored or not. Any other matrix (a tilt, a scale) leaves the picture as it is stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes an upright one: first rows and columns change places, then it is mirrored."""

    transpose: bool = False
    flip_rows: bool = False
    """Top becomes bottom."""
    flip_columns: bool = False
    """Left becomes right."""

    def apply(self, plane: Plane) -> Plane:
        """The plane as it is to be seen (a view)."""
        if self.transpose:
            plane = plane.T
        if self.flip_rows:
            plane = plane[::-1]
        if self.flip_columns:
            plane = plane[:, ::-1]
        return plane


UPRIGHT = Orientation()


def from_display_matrix(data: bytes) -> Orientation:
    """The orientation that a display matrix (36 bytes, native order) asks for."""
    if len(data) < 36:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", data)
    one = 1 << 16
    if {abs(a), abs(d)} == {one} and b == c == 0:
        return Orientation(False, flip_rows=d < 0, flip_columns=a < 0)
    if {abs(b), abs(c)} == {one} and a == d == 0:
        return Orientation(True, flip_rows=b < 0, flip_columns=c < 0)
    return UPRIGHT
