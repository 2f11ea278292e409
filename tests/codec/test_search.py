"""Motion search: what was moved is found, wherever it went; every build finds the same."""

from __future__ import annotations

import numpy as np
import pytest

from codec.header import Context
from codec.inter import predict_frame
from codec.prices import Prices
from codec.search import MotionSearch, bordered, search_all
from tests.codec import builds, forge

SIZES = [(16, 16), (16, 8), (8, 16), (8, 8), (4, 4)]
COLUMNS, ROWS = 5, 4


def texture(seed: int, columns: int = COLUMNS, rows: int = ROWS) -> bytes:
    """A raster that is smooth enough for a search to slide to the right place, and nowhere the same."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 16 * rows, 0 : 16 * columns]
    luma = 128 + sum(
        rng.uniform(8, 25) * np.sin(rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y + rng.uniform(0, 6))
        for _ in range(6)
    )
    luma = np.clip(luma, 0, 255).astype(np.uint8)
    return luma.tobytes() + bytes(128 * columns * rows)


def moved(raster: bytes, vector: tuple[int, int]) -> bytes:
    """The raster as predicted from itself by one vector (in quarter pixels) everywhere."""
    n = COLUMNS * ROWS
    vectors = np.broadcast_to(np.array(vector, np.int16), (n, 16, 2)).tobytes()
    out = bytearray(len(raster))
    predict_frame(out, raster, COLUMNS, ROWS, vectors, bytes(n), 0)
    return bytes(out)


def prices() -> Prices:
    return Prices(forge.inter_header(Context()))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("vector", [(0, 0), (8, -12), (-20, 4), (2, 0), (-6, 10), (1, -3), (5, 7), (-9, -15)], ids=str)
def test_what_moved_is_found(size: tuple[int, int], vector: tuple[int, int]) -> None:
    reference = texture(7)
    for rounds in (1, 3):
        search = MotionSearch(moved(reference, vector), COLUMNS, ROWS, (reference,) * 3, prices(), 16, rounds)
        found = np.array(search_all(search, 1, size, 16, 16)).reshape(-1, 4)
        hit = (found[:, :2] == vector).all(1)
        assert (found[hit, 2] == 0).all()
        # A small block may look alike elsewhere, and beyond an edge all is alike.
        assert hit.mean() >= (0.8 if size == (16, 16) else 0.15 if size == (4, 4) else 0.4)


def test_each_reference_is_its_own() -> None:
    pictures = [texture(seed) for seed in range(3)]
    search = MotionSearch(pictures[1], COLUMNS, ROWS, (pictures[0], pictures[1], pictures[2]), prices())
    zero = [0, 0, 0]
    assert [search_all(search, which, (16, 16), 16, 16)[:3] == zero for which in (1, 2, 3)] == [False, True, False]


@pytest.mark.parametrize("vector", [(0, -64), (0, 64), (-64, 0), (64, 0), (66, 66), (-67, -67), (-300, 10)], ids=str)
def test_vectors_lead_out_of_the_frame_but_not_too_far(vector: tuple[int, int]) -> None:
    reference = texture(3)
    search = MotionSearch(moved(reference, vector), COLUMNS, ROWS, (reference,) * 3, prices(), 32)
    found = np.array(search_all(search, 1, (16, 16), 16, 16)).reshape(ROWS, COLUMNS, 4)
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    assert (found[..., 0] >= -64 * (row + 1)).all()
    assert (found[..., 0] <= 64 * (ROWS - row)).all()
    assert (found[..., 1] >= -64 * (column + 1)).all()
    assert (found[..., 1] <= 64 * (COLUMNS - column)).all()
    predicted = bytearray(len(reference))
    vectors = np.repeat(found[..., :2].reshape(-1, 1, 2), 16, 1).astype(np.int16)
    predict_frame(predicted, reference, COLUMNS, ROWS, vectors.tobytes(), bytes(COLUMNS * ROWS), 0)
    luma = slice(0, 256 * COLUMNS * ROWS)
    difference = np.frombuffer(bytes(predicted), np.uint8)[luma].astype(int) - np.frombuffer(
        moved(reference, vector), np.uint8)[luma]  # fmt: skip
    if max(map(abs, vector)) <= 64:
        assert (found[..., 2] == 0).mean() >= 0.5
    # What the search has in its border is what prediction makes of the same vectors.
    blocks = np.abs(difference).reshape(ROWS, 16, COLUMNS, 16).sum((1, 3))
    assert ((blocks == 0) == (found[..., 2] == 0)).all()


def test_the_border_repeats_the_edge() -> None:
    raster = texture(1, 2, 1)
    luma = np.frombuffer(raster, np.uint8)[:512].reshape(16, 32)
    for build in ("uncompiled", *builds.HERE):
        plane = builds.load(build).search.bordered(raster, 2, 1)
        assert bytes(plane) == np.pad(luma, 32, mode="edge").tobytes()
    assert bordered(raster, 2, 1)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_build_finds_the_same(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    columns, rows = 2, 2
    reference = texture(9, columns, rows)
    noise = rng.integers(-9, 10, len(reference))
    source = np.clip(np.roll(np.frombuffer(reference, np.uint8), 35) + noise, 0, 255).astype(np.uint8).tobytes()
    for first_step, rounds in ((0, 1), (8, 3)):
        results = []
        for build in ("uncompiled", *builds.HERE):
            package = builds.load(build)
            own = package.prices.Prices(builds.moved(forge.inter_header(Context()), package))
            search = package.search.MotionSearch(source, columns, rows, (reference,) * 3, own, first_step, rounds)
            results.append(package.search.search_all(search, 3, size, 70, 100))
        assert all(result == results[0] for result in results)
