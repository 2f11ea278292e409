"""Images and the rasters that hold them.

A raster is one ``bytes`` object with the three planes of a frame, each rounded up to whole macroblocks and
without borders: luma (16 x 16 pixels a macroblock), then the two chroma planes (8 x 8 each), row by row.
What lies outside a plane is, at any distance, its nearest edge pixel (RFC 6386 §18).
"""

from __future__ import annotations

from dataclasses import dataclass

from codec.errors import Mismatch

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ["Image", "macroblocks"]

MAX_SIDE = 16383  # §9.1: fourteen bits


def macroblocks(width: int, height: int) -> tuple[int, int]:
    """Return how many macroblocks wide and high a frame of this many pixels is."""
    return (width + 15) >> 4, (height + 15) >> 4


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture in YUV 4:2:0: ``width`` x ``height`` pixels of eight bits.

    ``raster`` holds the planes as the codec keeps them; ``y``, ``u`` and ``v`` are read-only uint8 views of
    them, cropped to the picture: (height, width), and half of it rounded up for the chroma planes.
    Two images are equal when their cropped planes are.
    """

    width: int
    height: int
    raster: bytes

    @property
    def y(self) -> Plane:
        """The luma plane, (height, width)."""
        return self._plane(0)

    @property
    def u(self) -> Plane:
        """The blue-difference plane, half the size rounded up."""
        return self._plane(1)

    @property
    def v(self) -> Plane:
        """The red-difference plane, half the size rounded up."""
        return self._plane(2)

    def _plane(self, which: int) -> Plane:
        import numpy as np  # here, since importing the codec must not cost what importing numpy does

        columns, rows = macroblocks(self.width, self.height)
        n = columns * rows
        start, side = ((0, 16), (256 * n, 8), (320 * n, 8))[which]
        plane = np.frombuffer(self.raster, np.uint8, n * side * side, start)
        half = int(which > 0)
        shown = plane.reshape(rows * side, columns * side)
        return shown[: (self.height + half) >> half, : (self.width + half) >> half]

    def to_bytes(self) -> bytes:
        """Return the cropped planes one after the other: the frame in I420."""
        if not (self.width | self.height) & 15:
            return self.raster
        return self.y.tobytes() + self.u.tobytes() + self.v.tobytes()

    @classmethod
    def from_planes(cls, y: Plane, u: Plane, v: Plane) -> Image:
        """Make an image of three uint8 arrays: (h, w), and twice ((h + 1) // 2, (w + 1) // 2).

        Raises Mismatch when the shapes do not fit each other, the type is not uint8, or a side is over 16383.
        """
        import numpy as np

        planes = [np.asarray(plane) for plane in (y, u, v)]
        if any(plane.dtype != np.uint8 or plane.ndim != 2 for plane in planes):
            raise Mismatch("the planes of an image are two-dimensional arrays of uint8")
        height, width = planes[0].shape
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise Mismatch(f"an image is 1 to {MAX_SIDE} pixels wide and high, not {width} x {height}")
        half = ((height + 1) // 2, (width + 1) // 2)
        if planes[1].shape != half or planes[2].shape != half:
            shapes = " and ".join(str(plane.shape) for plane in planes[1:])
            raise Mismatch(f"chroma planes of a {width} x {height} image have shape {half}, not {shapes}")
        columns, rows = macroblocks(width, height)
        parts = []
        for plane, side in zip(planes, (16, 8, 8), strict=True):
            below, right = rows * side - plane.shape[0], columns * side - plane.shape[1]
            parts.append(np.pad(plane, ((0, below), (0, right)), mode="edge").tobytes())
        return cls(width, height, b"".join(parts))

    @classmethod
    def from_bytes(cls, width: int, height: int, i420: bytes) -> Image:
        """Make an image of the planes of an I420 frame, one after the other without padding."""
        import numpy as np

        half_width, half_height = (width + 1) // 2, (height + 1) // 2
        luma, chroma = width * height, half_width * half_height
        if len(i420) != luma + 2 * chroma:
            raise Mismatch(f"a {width} x {height} frame in I420 is {luma + 2 * chroma} bytes, not {len(i420)}")
        flat = np.frombuffer(i420, np.uint8)
        return cls.from_planes(
            flat[:luma].reshape(height, width),
            flat[luma : luma + chroma].reshape(half_height, half_width),
            flat[luma + chroma :].reshape(half_height, half_width),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image):
            return NotImplemented
        if (self.width, self.height) != (other.width, other.height):
            return False
        return self.raster == other.raster or self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash((self.width, self.height, self.to_bytes()))
