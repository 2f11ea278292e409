"""From the bytes of a JPEG, PNG or WebP to the tensor that a model wants, however hostile the bytes are."""

from __future__ import annotations

import io
import math
import zlib
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin

from vision.errors import DamagedPicture, LargePicture, NotAPicture
from vision.manifest import Input

__all__ = ["FORMATS", "LARGEST", "least_size", "read", "tensor"]

FORMATS = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
LARGEST = 50_000_000
"""Pixels of a picture that is decoded: 8K video has 33 million; as RGB they take 150 MB."""

Image.MAX_IMAGE_PIXELS = None  # it would count on the way in, and warn; we count before a pixel is decoded
_MOST_WORK = 5_000_000_000
"""Pixels times scans of a JPEG: some seconds of work. Encoders write about ten scans; each may have a dozen bytes, and
goes over the whole picture."""
_SCAN = b"\xff\xda"  # begins one, and is nowhere within its data

_ORIENTATION = 0x0112  # of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(data: bytes, *, largest: int = LARGEST, wanted: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture, upright; of an animation the first frame.

    A JPEG may come at half, a quarter or an eighth of its size if it still is no smaller than `wanted` (width, height),
    which takes a fraction of the time. Raises NotAPicture, DamagedPicture, or LargePicture (above `largest` pixels).
    """
    if not data:
        raise NotAPicture("there is no picture: the body is empty")
    _check_size(_webp_size(data), largest)
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or _is_webp(data):
            raise DamagedPicture(
                "the picture ends within its header, or its header is broken; send it again"
            ) from error
        raise NotAPicture("this is no JPEG, PNG or WebP; send one of these") from error
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
        raise DamagedPicture("the picture's header is broken; send it again, or save it anew") from error
    _check_size(picture.size, largest)
    if picture.format == "JPEG" and (scans := data.count(_SCAN)) * picture.width * picture.height > _MOST_WORK:
        raise DamagedPicture(f"the picture is a JPEG in {scans:,} scans, which takes too long to decode; save it anew")
    try:
        if wanted:
            picture.draft("RGB", wanted)
        picture.load()
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1)) if "exif" in picture.info else None
        upright = picture.transpose(turn) if turn is not None else picture
        return _eight_bits(upright).convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error, IndexError, TypeError, KeyError) as error:
        # Pillow's decoders tell of broken data in all these ways.
        raise DamagedPicture("the picture ends early or is broken; send it again, or save it anew") from error


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8, of which Pillow's `convert` would make white all that is over 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def _check_size(size: tuple[int, int] | None, largest: int) -> None:
    if size and size[0] * size[1] > largest:
        raise LargePicture(
            f"the picture is {size[0]}x{size[1]}; at most {largest:,} pixels are decoded: make it smaller"
        )


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """The size a WebP's header tells. Pillow takes the memory for all of it already when the file is opened."""
    if not _is_webp(data) or len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def least_size(want: Input) -> tuple[int, int]:
    """Width and height below which a picture must not be decoded, or what is cropped would have to be enlarged."""
    keep = want.keep if want.fit == "crop" else 1.0
    return math.ceil(want.width / keep), math.ceil(want.height / keep)


def tensor(picture: Image.Image, want: Input) -> np.ndarray[Any, Any]:
    """The picture as the one item of a batch: NCHW or NHWC as the manifest says, float32 or uint8."""
    if want.width and want.height:
        box = _crop(picture.size, want) if want.fit == "crop" else None
        picture = picture.resize((want.width, want.height), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    if want.colours == "Y":
        picture = picture.convert("L")
    samples = np.asarray(picture)
    samples = samples.reshape(*samples.shape[:2], -1)
    if want.colours == "BGR":
        samples = samples[:, :, ::-1]
    if want.type == "float32":
        samples = (samples - np.array(want.mean, np.float32)) * np.array(want.scale, np.float32)
    if want.layout == "NCHW":
        samples = samples.transpose(2, 0, 1)
    return np.ascontiguousarray(samples[np.newaxis])


def _crop(size: tuple[int, int], want: Input) -> tuple[float, float, float, float]:
    """The part in the middle that has the input's proportions, and `keep` of what such a part could have."""
    ratio = min(size[0] / want.width, size[1] / want.height) * want.keep
    width, height = ratio * want.width, ratio * want.height
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height
