"""Images: planes in, planes out, cropped, read-only, and refused when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import codec
from codec.errors import Mismatch
from codec.image import macroblocks

SIZES = [(1, 1), (2, 2), (15, 17), (16, 16), (17, 15), (33, 1), (1, 40), (175, 143)]


def planes(width: int, height: int, seed: int = 1) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    rng = np.random.default_rng(seed)
    half = (height + 1) // 2, (width + 1) // 2
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((height, width), half, half)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_there_and_back(width: int, height: int) -> None:
    y, u, v = planes(width, height)
    image = codec.Image.from_planes(y, u, v)
    assert (image.width, image.height) == (width, height)
    for got, plane in ((image.y, y), (image.u, u), (image.v, v)):
        assert got.dtype == np.uint8
        assert got.shape == plane.shape
        assert (got == plane).all()
    i420 = y.tobytes() + u.tobytes() + v.tobytes()
    assert image.to_bytes() == i420
    assert codec.Image.from_bytes(width, height, i420) == image
    assert codec.Image.from_bytes(width, height, memoryview(i420)) == image


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_beyond_the_picture_is_its_nearest_pixel(width: int, height: int) -> None:
    y, u, v = planes(width, height)
    image = codec.Image.from_planes(y, u, v)
    columns, rows = macroblocks(width, height)
    assert len(image.raster) == 384 * columns * rows
    start = 0
    for plane, side in ((y, 16), (u, 8), (v, 8)):
        size = rows * side * columns * side
        whole = np.frombuffer(image.raster[start : start + size], np.uint8).reshape(rows * side, columns * side)
        below, right = rows * side - plane.shape[0], columns * side - plane.shape[1]
        assert (whole == np.pad(plane, ((0, below), (0, right)), mode="edge")).all()
        start += size


def test_views_are_read_only_and_free() -> None:
    image = codec.Image.from_planes(*planes(33, 17))
    for plane in (image.y, image.u, image.v):
        assert not plane.flags.writeable
        assert plane.base is not None
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            plane.flags.writeable = True


def test_any_arrays_that_numpy_can_view() -> None:
    y, u, v = planes(32, 16)
    image = codec.Image.from_planes(y, u, v)
    assert codec.Image.from_planes(np.asfortranarray(y), u[::-1][::-1], v.copy()) == image
    wide = np.repeat(np.repeat(y, 2, 0), 2, 1)
    assert codec.Image.from_planes(wide[::2, ::2], u, v) == image
    y[:] = 0
    assert image.y.any(), "an image does not change with the array it was made of"


def test_equality_sees_the_picture_alone() -> None:
    one = codec.Image.from_planes(*planes(17, 15))
    hidden = bytearray(one.raster)
    hidden[31] ^= 255  # in the first row, right of the picture
    other = codec.Image(17, 15, bytes(hidden))
    assert one == other
    assert hash(one) == hash(other)
    shown = bytearray(one.raster)
    shown[16] ^= 255
    assert one != codec.Image(17, 15, bytes(shown))
    assert one != codec.Image.from_planes(*planes(17, 15, 2))
    assert one != codec.Image.from_planes(*planes(15, 17))
    assert one != one.to_bytes()
    assert len({one, other, codec.Image(17, 15, bytes(shown))}) == 2


def test_a_multiple_of_16_is_not_copied() -> None:
    image = codec.Image.from_planes(*planes(32, 16))
    assert image.to_bytes() is image.raster


def bad_planes() -> list[tuple[object, object, object]]:
    y, u, v = planes(20, 10)
    return [
        (y.astype(np.int32), u, v),
        (y, u.astype(np.float32), v),
        (y, u, v.astype(np.int8)),
        (y[0], u, v),
        (y[None], u, v),
        (y, u[:-1], v),
        (y, u, v[:, :-1]),
        (y, u.T, v),
        (u, u, v),
        (y[:0], u, v),
        (y[:, :0], u[:, :0], v[:, :0]),
        (np.zeros((1, 16384), np.uint8), np.zeros((1, 8192), np.uint8), np.zeros((1, 8192), np.uint8)),
        (np.zeros((16384, 1), np.uint8), np.zeros((8192, 1), np.uint8), np.zeros((8192, 1), np.uint8)),
    ]


@pytest.mark.parametrize("case", range(len(bad_planes())))
def test_planes_that_do_not_fit_are_refused(case: int) -> None:
    with pytest.raises(Mismatch, match=r"plane|pixels"):
        codec.Image.from_planes(*bad_planes()[case])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "height", "size"), [(2, 2, 5), (2, 2, 7), (3, 3, 9), (0, 0, 0), (0, 4, 0), (-2, 2, 0), (16384, 1, 32768)]
)
def test_bytes_that_do_not_fit_are_refused(width: int, height: int, size: int) -> None:
    with pytest.raises(Mismatch):
        codec.Image.from_bytes(width, height, bytes(size))


def test_the_largest_side() -> None:
    image = codec.Image.from_bytes(16383, 1, bytes(range(256)) * 63 + bytes(255) + bytes(2 * 8192))
    assert image.y.shape == (1, 16383)
    assert image.y[0, 255] == 255


def test_what_is_decoded_is_cropped() -> None:
    from tests.codec import streams

    for name, size in (("tiny 17x15", (17, 15)), ("tiny 1x40", (1, 40)), ("tiny 33x1", (33, 1))):
        state, image = codec.decode(None, streams.stream(name)[0])
        assert image is not None
        assert (image.width, image.height) == size == (state.width, state.height)
        assert image.y.shape == (size[1], size[0])
        assert image.u.shape == image.v.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
        assert state.image == image
