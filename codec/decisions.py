"""What an encoder decided for each macroblock: the content of a frame's first partition (RFC 6386 §19.3).

Buffers hold the macroblocks in raster order. In a ``Frame`` they are ``bytes``; while one is read or made they
are ``bytearray``. Compiled code reaches them through the pointers beside them (``y_mode`` for ``y_modes`` and so on).
"""

from __future__ import annotations

from collections.abc import Mapping

import cython

__all__ = ["BUFFERS", "Decisions"]

# The buffers and how many bytes of each a macroblock has.
BUFFERS = {
    "y_modes": 1,
    "uv_modes": 1,
    "references": 1,
    "segments": 1,
    "skips": 1,
    "split_shapes": 1,
    "b_modes": 16,
    "vectors": 64,
}


@cython.final
@cython.cclass
class Decisions:
    """The decisions of all macroblocks of a frame, ``columns`` x ``rows`` of them.

    - ``y_modes``: DC_PRED 0, V_PRED 1, H_PRED 2, TM_PRED 3, B_PRED 4; NEARESTMV 5, NEARMV 6, ZEROMV 7, NEWMV 8,
      SPLITMV 9
    - ``uv_modes``: 0..3 as above; 0 where the macroblock is predicted from another frame
    - ``references``: intra 0, last 1, golden 2, altref 3
    - ``segments``: 0..3; ``skips``: 1 where the stream says that there are no coefficients
    - ``split_shapes``: of SPLITMV: 16x8 0, 8x16 1, quarters 2, sixteenths 3
    - ``b_modes``: of B_PRED, 16 a macroblock: B_DC 0, B_TM 1, B_VE 2, B_HE 3, B_LD 4, B_RD 5, B_VR 6, B_VL 7, B_HD 8,
      B_HU 9
    - ``vectors``: int16, 16 x (row, column) a macroblock, in quarter pixels; the first alone unless SPLITMV
    """

    def __init__(self, columns: int, rows: int, buffers: Mapping[str, bytes | bytearray] | None = None) -> None:
        n: int = columns * rows
        made: dict = dict(buffers) if buffers else {name: bytearray(n * size) for name, size in BUFFERS.items()}
        self.columns = columns
        self.rows = rows
        self.y_modes = made["y_modes"]
        self.uv_modes = made["uv_modes"]
        self.references = made["references"]
        self.segments = made["segments"]
        self.skips = made["skips"]
        self.split_shapes = made["split_shapes"]
        self.b_modes = made["b_modes"]
        self.vectors = made["vectors"]
        self.y_mode = self.y_modes
        self.uv_mode = self.uv_modes
        self.reference = self.references
        self.segment = self.segments
        self.skip = self.skips
        self.split_shape = self.split_shapes
        self.b_mode = self.b_modes
        if cython.compiled:
            self.vector = cython.cast(cython.p_short, cython.cast(cython.p_uchar, self.vectors))
        else:
            self.vector = memoryview(self.vectors).cast("h")

    def buffers(self) -> dict[str, bytes]:
        """Return a copy of every buffer by its name."""
        return {name: bytes(getattr(self, name)) for name in BUFFERS}

    def frozen(self) -> Decisions:
        """Return the same decisions in buffers that nobody can change."""
        return Decisions(self.columns, self.rows, self.buffers())

    def thawed(self) -> Decisions:
        """Return a copy whose buffers can be changed."""
        return Decisions(self.columns, self.rows, {name: bytearray(getattr(self, name)) for name in BUFFERS})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decisions):
            return NotImplemented
        same: Decisions = other
        return (self.columns, self.rows) == (same.columns, same.rows) and self.buffers() == same.buffers()

    def __hash__(self) -> int:
        return hash((self.columns, self.rows, *self.buffers().values()))

    def __reduce__(self) -> tuple:
        return Decisions, (self.columns, self.rows, self.buffers())
