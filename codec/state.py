"""The state of a VP8 decoder as a value.

Everything that one frame leaves behind for the next is here, and nothing else (RFC 6386 §9): three reference
images, the probabilities, the segmentation and the loop-filter deltas. Equality, hash, ``difference`` and the
serialised form are all driven by the fields themselves, so none can be forgotten.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, fields, is_dataclass

from codec.coefficient_tables import DEFAULT_COEFFICIENTS
from codec.errors import CorruptState
from codec.image import MAX_SIDE, Image, macroblocks
from codec.mode_tables import DEFAULT_MV_PROBS, DEFAULT_UV_MODE_PROBS, DEFAULT_Y_MODE_PROBS

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
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

    def to_bytes(self) -> bytes:
        """Return the state as bytes: magic, version, the fields, a CRC-32.

        A reference image that is the same as one before it is stored once.
        """
        rasters: list[bytes] = []
        places = []
        for raster in (self.last, self.golden, self.altref):
            if raster not in rasters:
                rasters.append(raster)
            places.append(rasters.index(raster))
        p, s, d = self.probabilities, self.segmentation, self.filter_deltas
        head = _HEAD.pack(
            _MAGIC,
            _VERSION,
            self.width,
            self.height,
            *self.scaling,
            *places,
            s.absolute,
            *s.quantizers,
            *s.filter_levels,
            *d.references,
            *d.modes,
        )
        tables = p.coefficients + p.y_modes + p.uv_modes + p.vectors
        # The map is mostly runs; the images are left as they are: see docs/decisions.
        segment_map = zlib.compress(self.segment_map, 1)
        parts = [head, tables, struct.pack("<I", len(segment_map)), segment_map, *rasters]
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        return b"".join([*parts, struct.pack("<I", crc)])

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Return the state that ``to_bytes`` made these bytes of.

        Raises CorruptState when they are anything else.
        """
        data = bytes(data)
        if len(data) < _HEAD.size + _TABLES + 8 or data[:4] != _MAGIC:
            raise CorruptState("these bytes are not a serialised state: they do not begin as one")
        values = _HEAD.unpack_from(data)
        if values[1] != _VERSION:
            raise CorruptState(f"this state has format {values[1]}; this version reads format {_VERSION}")
        if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise CorruptState("this state was damaged or cut short: its checksum does not match")
        width, height = values[2:4]
        places = values[6:9]
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise CorruptState(f"this state claims a frame of {width} x {height} pixels")
        columns, rows = macroblocks(width, height)
        size = 384 * columns * rows
        at = _HEAD.size
        tables = data[at : at + _TABLES]
        at += _TABLES
        map_size = struct.unpack_from("<I", data, at)[0]
        at += 4
        segment_map = _inflate(data[at : at + map_size], columns * rows)
        at += map_size
        count = max(places) + 1
        if at + size * count + 4 != len(data) or places[0] != 0 or places[1] > 1 or places[2] > places[1] + 1:
            raise CorruptState("this state does not hold the reference images that it announces")
        rasters = [data[at + i * size : at + (i + 1) * size] for i in range(count)]
        if max(segment_map) > 3 or max(values[4:6]) > 3:
            raise CorruptState("this state holds a value that no stream can make")
        return cls(
            width,
            height,
            values[4:6],
            *(rasters[i] for i in places),
            Probabilities(tables[:1056], tables[1056:1060], tables[1060:1063], tables[1063:]),
            Segmentation(bool(values[9]), values[10:14], values[14:18]),
            segment_map,
            FilterDeltas(values[18:22], values[22:26]),
        )


_MAGIC = b"VP8S"
_VERSION = 1
_HEAD = struct.Struct("<4sBHH2B3BB4b4b4b4b")
_TABLES = 1056 + 4 + 3 + 38


def _inflate(data: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, size)
    except zlib.error as error:
        raise CorruptState(f"this state's segment map does not unpack: {error}") from error
    if len(out) != size or not inflater.eof or inflater.unused_data:
        raise CorruptState("this state's segment map has the wrong size")
    return out


def _differing(a: Any, b: Any, prefix: str) -> list[str]:
    names = []
    for field in fields(a):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if is_dataclass(one):
            names += _differing(one, two, f"{prefix}{field.name}.")
        elif one != two:
            names.append(prefix + field.name)
    return names
