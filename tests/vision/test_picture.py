"""Pictures become tensors as the manifest says; bombs, halves and noise are refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.vision.made import picture
from vision.errors import BadPicture, DamagedPicture, LargePicture, NotAPicture
from vision.manifest import Input
from vision.picture import read, tensor

KINDS = ("JPEG", "PNG", "WEBP")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read(kind: str) -> None:
    image = read(picture(200, kind=kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (9, 7)).save(file, "JPEG" if mode == "CMYK" else "PNG")
    assert read(file.getvalue()).mode == "RGB"


def test_grey_of_sixteen_bits_is_as_bright_as_grey_of_eight() -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16)
    file = io.BytesIO()
    Image.fromarray(grey * 257).save(file, "PNG")
    np.testing.assert_array_equal(np.asarray(read(file.getvalue()))[:, :, 0], grey)


def test_a_jpeg_in_scans_without_end_is_refused() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    assert read(data, wanted=(100, 100)).mode == "RGB"
    begins = data.rindex(b"\xff\xda")
    with pytest.raises(DamagedPicture, match="scans"):
        read(data[:-2] + data[begins:-2] * 1000 + data[-2:])


def test_a_turned_picture_is_set_upright() -> None:
    image = Image.new("RGB", (64, 32))
    image.paste((250, 250, 250), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    upright = np.asarray(read(file.getvalue()))
    assert upright.shape == (64, 32, 3)
    assert upright[:24].mean() > 200 > 50 > upright[40:].mean()


def test_a_jpeg_comes_smaller_but_not_smaller_than_wanted() -> None:
    data = picture(200, (800, 600))
    assert read(data, wanted=(100, 100)).size == (134, 100) or read(data, wanted=(100, 100)).size == (200, 150)
    assert read(data, wanted=(700, 100)).size == (800, 600)


def test_the_tensor_is_what_the_manifest_says() -> None:
    image = Image.new("RGB", (40, 20), (10, 20, 30))
    want = Input(name="x", width=8, height=4, mean=(1.0, 2.0, 3.0), scale=(0.5, 0.25, 2.0))
    made = tensor(image, want)
    assert (made.shape, made.dtype) == ((1, 3, 4, 8), np.float32)
    assert [made[0, channel].mean() for channel in range(3)] == [4.5, 4.5, 54.0]
    bgr = tensor(image, Input(name="x", width=8, height=4, colours="BGR", layout="NHWC", type="uint8"))
    assert (bgr.shape, bgr.dtype, bgr[0, 0, 0].tolist()) == ((1, 4, 8, 3), np.uint8, [30, 20, 10])
    luma = tensor(image, Input(name="x", colours="Y", mean=(0.0,), scale=(1 / 255,)))
    assert luma.shape == (1, 1, 20, 40)


def test_the_crop_is_the_middle_and_stretching_takes_all() -> None:
    image = Image.new("RGB", (300, 100))
    image.paste((255, 255, 255), (100, 0, 200, 100))
    crop = tensor(image, Input(name="x", width=10, height=10, keep=0.8))
    assert crop.min() == 255
    stretched = tensor(image, Input(name="x", width=10, height=10, fit="stretch"))
    assert stretched.min() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_picture_is_told_apart(kind: str) -> None:
    data = picture(200, (200, 160), kind)
    for length in (13, len(data) // 2, len(data) - 30):
        with pytest.raises(BadPicture) as told:
            read(data[:length])
        assert told.type in (DamagedPicture, NotAPicture)
    with pytest.raises(DamagedPicture, match="send it again"):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a" + bytes(50), b"BM" + bytes(100), bytes(10_000)])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        read(data)


def png(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with little in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def webp(kind: str) -> bytes:
    """A WebP that says it is 16383 by 16383."""
    if kind == "VP8X":
        body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16382).to_bytes(3, "little") * 2 + bytes(20)
    elif kind == "VP8L":
        body = b"VP8L" + struct.pack("<I", 20) + b"\x2f" + (16382 | 16382 << 14).to_bytes(4, "little") + bytes(20)
    else:
        body = b"VP8 " + struct.pack("<I", 20) + b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(20)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("data", [png(100_000, 100_000), webp("VP8X"), webp("VP8L"), webp("VP8 ")])
def test_a_bomb_is_refused_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(LargePicture, match="make it smaller"):
        read(data)
    assert read(picture(size=(50, 50)), largest=2500)
    with pytest.raises(LargePicture):
        read(picture(size=(50, 50)), largest=2499)


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_a_damaged_picture_never_does_worse_than_be_refused(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(picture(90, (32, 24), kind))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(BadPicture):
        assert read(bytes(data), largest=100_000).mode == "RGB"
