"""A state as bytes and back, without loss.

In order, little-endian: magic, version, packing, size and scaling of the frame, which image each of last, golden and
altref is, segmentation and filter deltas; the probabilities; the segment map, deflated; the different images; a CRC-32
of it all. Each of the two variable parts has its length before it.

An image is stored as it is, or packed: each pixel as its difference from the one before it, Huffman coded. That is all
of zlib that pays on pictures; docs/decisions/0002 has the measurements. Or it is elsewhere: five bytes say which of the
pictures that the reader has it is, and the CRC-32 of that. No image is as short, stored or packed.
"""

from __future__ import annotations

import struct
import zlib

from codec.errors import CorruptState
from codec.image import MAX_SIDE, macroblocks
from codec.quantization import MAX_INDEX
from codec.state import FilterDeltas, Probabilities, Segmentation, State

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["dump", "load"]

_MAGIC = b"VP8S"
_VERSION = 1
_HEAD = struct.Struct("<4sBBHH2B3BB4b4b4b4b")
_LENGTH = struct.Struct("<I")
_ELSEWHERE = struct.Struct("<BI")
_TABLES = 1056 + 4 + 3 + 38
MAX_LEVEL = 63  # §9.6: the loop filter's, six bits


def dump(state: State, pack: bool, without: Sequence[bytes]) -> bytes:
    """Return a state as bytes, without the images that the reader has."""
    images: list[bytes] = []
    places = []
    for raster in (state.last, state.golden, state.altref):
        if raster not in images:
            images.append(raster)
        places.append(images.index(raster))
    p, s, d = state.probabilities, state.segmentation, state.filter_deltas
    head = _HEAD.pack(
        _MAGIC,
        _VERSION,
        pack,
        state.width,
        state.height,
        *state.scaling,
        *places,
        s.absolute,
        *s.quantizers,
        *s.filter_levels,
        *d.references,
        *d.modes,
    )
    parts = [head, p.coefficients, p.y_modes, p.uv_modes, p.vectors]
    for part in (zlib.compress(state.segment_map, 1), *(_part(image, pack, without) for image in images)):
        parts += [_LENGTH.pack(len(part)), part]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return b"".join([*parts, _LENGTH.pack(crc)])


def load(data: bytes | bytearray | memoryview, pictures: Sequence[bytes]) -> State:
    """Return the state that ``dump`` made these bytes of, without these pictures, or raise CorruptState."""
    data = memoryview(data).cast("B")
    if len(data) < _HEAD.size + _TABLES + _LENGTH.size or data[:4] != _MAGIC:
        raise CorruptState("these bytes are not a serialised state: they do not begin as one")
    _, version, packed, width, height, *values = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise CorruptState(f"this state has format {version}; this version of the codec reads format {_VERSION}")
    if zlib.crc32(data[:-4]) != _LENGTH.unpack(data[-4:])[0]:
        raise CorruptState("this state was damaged or cut short: its checksum does not match")
    scaling, places, absolute, numbers = tuple(values[:2]), values[2:5], values[5], tuple(values[6:])
    columns, rows = macroblocks(width, height)
    at = _HEAD.size + _TABLES
    tables = bytes(data[_HEAD.size : at])
    parts = []
    while at + _LENGTH.size < len(data):
        end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
        if end > len(data) - _LENGTH.size:
            raise CorruptState("a part of this state reaches past its end")
        parts.append(data[at + _LENGTH.size : end])
        at = end
    if (
        not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE)
        or max(scaling) > 3
        or max(packed, absolute) > 1
        or places not in ([0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2])
        or len(parts) != max(places) + 2
        or min(numbers[:4]) < -MAX_INDEX
        or any(abs(number) > MAX_LEVEL for number in numbers[4:])
    ):
        raise CorruptState("this state holds a value that no stream can make")
    segment_map = _inflated(parts[0], columns * rows, 15)
    if max(segment_map) > 3:
        raise CorruptState("this state's segment map names a segment that there is not")
    size = 384 * columns * rows
    images = [_image(part, packed, size, pictures) for part in parts[1:]]
    last, golden, altref = (images[place] for place in places)
    return State(
        width,
        height,
        scaling,
        last,
        golden,
        altref,
        Probabilities(tables[:1056], tables[1056:1060], tables[1060:1063], tables[1063:]),
        Segmentation(bool(absolute), numbers[:4], numbers[4:8]),
        segment_map,
        FilterDeltas(numbers[8:12], numbers[12:]),
    )


def _part(image: bytes, pack: bool, without: Sequence[bytes]) -> bytes:
    if image in without:
        return _ELSEWHERE.pack(without.index(image), zlib.crc32(image))
    return _packed(image) if pack else image


def _image(part: memoryview, packed: int, size: int, pictures: Sequence[bytes]) -> bytes:
    if len(part) == _ELSEWHERE.size:
        which, crc = _ELSEWHERE.unpack(part)
        if which >= len(pictures):
            raise CorruptState(f"this state comes without picture {which}, which is to be given to its reader")
        picture = pictures[which]
        if len(picture) != size or zlib.crc32(picture) != crc:
            raise CorruptState(f"picture {which} is not the one that belongs to this state")
        return bytes(picture)
    # Huffman codes are a bit at least. So no few bytes become a picture of 16383 x 16383.
    if packed and 8 * len(part) < size:
        raise CorruptState("an image in this state is shorter than it can be")
    image = _unpacked(part, size) if packed else bytes(part)
    if len(image) != size:
        raise CorruptState("an image in this state has the wrong size")
    return image


def _packed(image: bytes) -> bytes:
    import numpy as np

    pixels = np.frombuffer(image, np.uint8)
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return deflater.compress(np.diff(pixels, prepend=np.uint8(0)).data) + deflater.flush()


def _unpacked(part: memoryview, size: int) -> bytes:
    import numpy as np

    differences = np.frombuffer(_inflated(part, size, -15), np.uint8)
    return np.cumsum(differences, dtype=np.uint8).tobytes()


def _inflated(part: memoryview, size: int, window: int) -> bytes:
    """Inflate to exactly ``size`` bytes; a part that would become more takes no memory for it."""
    inflater = zlib.decompressobj(window)
    try:
        out = inflater.decompress(part, size)
        rest = inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error as error:
        raise CorruptState(f"a part of this state does not unpack: {error}") from error
    if len(out) != size or rest or not inflater.eof or inflater.unused_data:
        raise CorruptState("a part of this state has the wrong size")
    return out
