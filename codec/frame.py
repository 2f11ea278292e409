"""A parsed frame as a value: header, decisions and coefficients (RFC 6386 §9 to §13)."""

from __future__ import annotations

from dataclasses import dataclass

from codec.decisions import Decisions
from codec.errors import Mismatch
from codec.header import Header

TYPE_CHECKING = False  # what type checkers take for true: importing typing costs a tenth of importing the codec
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the bytes of one frame say, before anything is predicted or reconstructed.

    ``width`` and ``height`` in pixels. ``eobs``: a byte a block, 25 blocks a macroblock, how far in coding order
    the block is coded. ``levels``: int16, the 16 quantised levels in raster order of each block whose eob is not
    0, and of no other; both are empty when the coefficients were left unread. Blocks 0-15 are luma, 16-19 U,
    20-23 V, 24 Y2. ``sizes`` are the bytes of the tag, the first partition with the sizes of the others, and each
    token partition.
    """

    width: int
    height: int
    header: Header
    decisions: Decisions
    eobs: bytes
    levels: bytes
    sizes: tuple[int, ...]

    @property
    def key_frame(self) -> bool:
        """Whether the frame can be decoded without a state."""
        return self.header.key_frame

    @property
    def coefficients(self) -> NDArray[np.int16]:
        """All quantised levels, (macroblock rows, columns, 25 blocks, 16). Raises Mismatch if they were left unread."""
        import numpy as np

        d = self.decisions
        if not self.eobs:
            raise Mismatch("this frame was parsed without its coefficients")
        eobs = np.frombuffer(self.eobs, np.uint8)
        dense = np.zeros((eobs.size, 16), np.int16)
        dense[eobs > 0] = np.frombuffer(self.levels, np.int16).reshape(-1, 16)
        return dense.reshape(d.rows, d.columns, 25, 16)

    def per_macroblock(self, name: str) -> NDArray[Any]:
        """Return one of the buffers of ``decisions`` as an array, (rows, columns) and what a macroblock has of it.

        ``vectors`` comes as int16 (rows, columns, 16, 2), ``b_modes`` as uint8 (rows, columns, 16).
        """
        import numpy as np

        d = self.decisions
        flat = np.frombuffer(getattr(d, name), np.int16 if name == "vectors" else np.uint8)
        last = {"vectors": (16, 2), "b_modes": (16,)}.get(name, ())
        return flat.reshape(d.rows, d.columns, *last)
