"""The pixel kernels, every build of them and uncompiled, against the formulas of RFC 6386."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
from codec import _select
from tests.codec import formulas

PACKAGE = Path(codec.__path__[-1])
BUILDS = [
    b for b in ("x86_64_v3", "x86_64", "aarch64") if b in _select._suitable() and (PACKAGE / "_compiled" / b).is_dir()
]
SEEDS = st.integers(0, 2**32 - 1)
SLOW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True)


def load(build: str, name: str) -> ModuleType:
    """A kernel module of a given build, beside whichever one the package itself has chosen."""
    path = str(PACKAGE / f"{name}.py" if build == "uncompiled" else PACKAGE / "_compiled" / build / f"{name}.abi3.so")
    spec = importlib.util.spec_from_file_location(f"codec.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["uncompiled", *BUILDS])
def kernels(request: pytest.FixtureRequest) -> SimpleNamespace:
    names = ("transform", "forward", "intra", "inter", "loopfilter", "distortion")
    return SimpleNamespace(**{name: load(request.param, name) for name in names})


def picture(rng: np.random.Generator, n: int) -> bytes:
    """Bytes of one of several characters: noise, near-flat, smooth, only extremes."""
    kind = rng.integers(5)
    if kind == 0:
        x = rng.integers(0, 256, n)
    elif kind == 1:
        x = rng.integers(0, 250) + rng.integers(0, 6, n)
    elif kind == 2:
        x = np.cumsum(rng.integers(-3, 4, n)) + 128
    elif kind == 3:
        x = rng.choice([0, 255], n)
    else:
        x = rng.integers(0, 200) + rng.integers(0, 40, n)
    return bytes(np.clip(x, 0, 255).astype(np.uint8))


def size_of(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(1, 4)), int(rng.integers(1, 4))


def check(got: bytes | bytearray, wanted: bytes) -> None:
    different = np.flatnonzero(np.frombuffer(bytes(got), np.uint8) != np.frombuffer(wanted, np.uint8))
    assert different.size == 0, f"{different.size} bytes differ, at {different[:20].tolist()}"


# Inter prediction


@given(SEEDS, st.integers(0, 3))
@SLOW
def test_inter(kernels: SimpleNamespace, seed: int, version: int) -> None:
    rng = np.random.default_rng(seed)
    mbw, mbh = size_of(rng)
    ref = picture(rng, 384 * mbw * mbh)
    reach = int(rng.choice([9, 70, 300, 8000]))
    mvs = rng.integers(-reach, reach + 1, (mbw * mbh, 16, 2)).astype(np.int16)
    mvs[rng.random(mvs.shape) < 0.3] &= ~7
    mvs[rng.random(mbw * mbh) < 0.3] = mvs[0, 0]
    splits = bytes(rng.integers(0, 3, mbw * mbh).tolist())
    check_inter(kernels, ref, mbw, mbh, mvs, splits, version)


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("split", range(3))
def test_inter_every_fraction(kernels: SimpleNamespace, version: int, split: int) -> None:
    rng = np.random.default_rng(1)
    ref = bytes(rng.choice(np.array([0, 255, 0, 255, 90], np.uint8), 384 * 64))
    mvs = np.zeros((64, 16, 2), np.int16)
    mvs[:, :, 0], mvs[:, :, 1] = (np.arange(64) // 8)[:, None], (np.arange(64) % 8)[:, None]
    check_inter(kernels, ref, 8, 8, mvs, bytes([split]) * 64, version)


def check_inter(
    kernels: SimpleNamespace, ref: bytes, mbw: int, mbh: int, mvs: Any, splits: bytes, version: int
) -> None:
    dst = bytearray(b"\x55" * len(ref))
    kernels.inter.predict_frame(dst, ref, mbw, mbh, mvs.tobytes(), splits, version)
    wanted = formulas.planes(dst, mbw, mbh)
    for n in range(mbw * mbh):
        row, col = divmod(n, mbw)
        parts = formulas.inter(ref, mbw, mbh, col, row, mvs[n], splits[n], version)
        for plane, part, size in zip(wanted, parts, (16, 8, 8), strict=True):
            plane[size * row : size * row + size, size * col : size * col + size] = part
    check(dst, formulas.raster(wanted))


# Loop filter


@given(SEEDS, st.booleans(), st.integers(0, 7), st.booleans())
@SLOW
def test_loop_filter(kernels: SimpleNamespace, seed: int, simple: bool, sharpness: int, key_frame: bool) -> None:
    rng = np.random.default_rng(seed)
    mbw, mbh = size_of(rng)
    n = mbw * mbh
    before = picture(rng, 384 * n)
    if rng.random() < 0.5:  # steps between blocks, as quantisation makes them
        parts = formulas.planes(before, mbw, mbh)
        before = formulas.raster([np.clip(p[::4, ::4].repeat(4, 0).repeat(4, 1) // 4 + p // 32, 0, 255) for p in parts])
    levels = bytes(np.where(rng.random(n) < 0.2, 0, rng.integers(0, 64, n)).tolist())
    inner = bytes(rng.integers(0, 2, n).tolist())
    frame = bytearray(before)
    kernels.loopfilter.filter_frame(frame, mbw, mbh, levels, inner, simple, sharpness, key_frame)
    check(frame, formulas.loop_filter(before, mbw, mbh, levels, inner, simple, sharpness, key_frame))


def test_level_table(kernels: SimpleNamespace) -> None:
    table = kernels.loopfilter.level_table
    assert table(20, False, False, [9] * 4, False, [1] * 4, [1] * 4) == bytes([20]) * 160
    assert table(0, True, True, [9] * 4, False, [0] * 4, [0] * 4) == bytes(160)
    deltas = table(10, True, False, [0, 20, -20, 60], True, [2, 0, -2, -3], [4, -2, 5, 7])
    at = {(s, r, m): deltas[40 * s + 10 * r + m] for s in range(4) for r in range(4) for m in range(10)}
    assert [at[0, 0, m] for m in range(5)] == [12, 12, 12, 12, 16]  # B_PRED alone has a delta among the intra modes
    assert [at[0, 1, m] for m in range(5, 10)] == [15, 15, 8, 15, 17]  # nearest, near, zero, new, split
    assert at[0, 3, 7] == 5
    assert [at[s, 1, 7] for s in range(4)] == [8, 28, 0, 61]
    assert set(table(10, True, True, [1, 2, 3, 63], False, [0] * 4, [0] * 4)[120:]) == {63}


# Transforms


@given(SEEDS, st.booleans())
@SLOW
def test_add_residue(kernels: SimpleNamespace, seed: int, has_y2: bool) -> None:
    rng = np.random.default_rng(seed)
    mbw, mbh = size_of(rng)
    n = mbw * mbh
    pred = picture(rng, 384 * n)
    reach = int(rng.choice([1, 5, 40]))
    levels = rng.integers(-reach, reach + 1, (n, 25, 16)).astype(np.int16)
    keep = rng.choice([0, 1, 2, 16], (n, 25, 1), p=[0.4, 0.2, 0.1, 0.3])
    levels[np.broadcast_to(np.arange(16), levels.shape) >= keep] = 0
    eobs = np.where(keep[..., 0] > 2, 16, keep[..., 0]).astype(np.uint8)
    if has_y2:
        levels[:, :16, 0] = rng.integers(-9, 9)  # what is there must not matter
    factors = rng.integers(4, min(158, 1000 // reach), 6).astype(np.int32)  # no sum leaves 16 bits
    dst = bytearray(pred)
    kernels.transform.add_frame(dst, mbw, mbh, levels.tobytes(), eobs.tobytes(), bytes([has_y2]) * n, factors.tobytes())
    wanted = formulas.planes(pred, mbw, mbh)
    for m in range(n):
        row, col = divmod(m, mbw)
        for plane, part in zip(wanted, formulas.residue(levels[m], has_y2, factors.tolist()), strict=True):
            size = len(part)
            plane[size * row : size * row + size, size * col : size * col + size] += part
    check(dst, formulas.raster([np.clip(p, 0, 255) for p in wanted]))


@pytest.mark.skipif(not BUILDS, reason="the codec is not compiled")
def test_add_residue_overflows_alike() -> None:
    rng = np.random.default_rng(3)
    levels = rng.choice(np.array([0, 1, -1, 2047, -2048, 2114, 300], np.int16), (12, 25, 16)).tobytes()
    eobs, y2 = bytes(rng.choice([1, 2, 16], 300).tolist()), bytes(rng.integers(0, 2, 12).tolist())
    pred, factors = picture(rng, 384 * 12), np.array([157, 157, 314, 243, 132, 157], np.int32).tobytes()
    results = set()
    for build in ("uncompiled", *BUILDS):
        dst = bytearray(pred)
        load(build, "transform").add_frame(dst, 4, 3, levels, eobs, y2, factors)
        results.add(bytes(dst))
    assert len(results) == 1


@given(SEEDS, st.booleans())
@SLOW
def test_forward_residue(kernels: SimpleNamespace, seed: int, has_y2: bool) -> None:
    rng = np.random.default_rng(seed)
    mbw, mbh = size_of(rng)
    n = mbw * mbh
    src, pred = picture(rng, 384 * n), picture(rng, 384 * n)
    out = bytearray(800 * n)
    kernels.forward.forward_frame(src, pred, mbw, mbh, bytes([has_y2]) * n, out)
    got = np.frombuffer(out, np.int16).reshape(n, 25, 16)
    parts = [s - p for s, p in zip(formulas.planes(src, mbw, mbh), formulas.planes(pred, mbw, mbh), strict=True)]
    for m in range(n):
        row, col = divmod(m, mbw)
        wanted = []
        for plane, size in zip(parts, (16, 8, 8), strict=True):
            area = plane[size * row : size * row + size, size * col : size * col + size]
            wanted += [
                formulas.forward_dct(area[i : i + 4, j : j + 4]) for i in range(0, size, 4) for j in range(0, size, 4)
            ]
        last = [0] * 16
        if has_y2:
            last = formulas.forward_wht([block[0] for block in wanted[:16]])
            wanted[:16] = [[0, *block[1:]] for block in wanted[:16]]
        assert got[m].tolist() == [*wanted, last]


def test_there_and_back(kernels: SimpleNamespace) -> None:
    rng = np.random.default_rng(4)
    src, pred = rng.integers(0, 256, (2, 384 * 12)).astype(np.uint8)
    y2 = bytes([0, 1] * 6)
    levels = bytearray(800 * 12)
    kernels.forward.forward_frame(src.tobytes(), pred.tobytes(), 4, 3, y2, levels)
    dst = bytearray(pred.tobytes())
    ones = np.ones(6, np.int32).tobytes()
    kernels.transform.add_frame(dst, 4, 3, bytes(levels), bytes([16]) * 300, y2, ones)
    assert np.abs(np.frombuffer(dst, np.uint8).astype(int) - src).max() <= 3


# Intra prediction


@given(SEEDS, st.sampled_from([8, 16]), st.integers(0, 3), st.booleans(), st.booleans())
@SLOW
def test_intra_block(kernels: SimpleNamespace, seed: int, size: int, mode: int, above: bool, left: bool) -> None:
    edge = picture(np.random.default_rng(seed), 2 * size + 1)
    wanted = formulas.intra_block(mode, size, edge, above, left)
    check(kernels.intra.predict(mode, size, edge, above, left), wanted)


@given(SEEDS, st.integers(0, 9))
@settings(SLOW, max_examples=100)
def test_intra_subblock(kernels: SimpleNamespace, seed: int, mode: int) -> None:
    edge = picture(np.random.default_rng(seed), 13)
    check(kernels.intra.predict(mode, 4, edge), formulas.intra_subblock(mode, edge))


# Distances of blocks


@given(SEEDS, st.sampled_from([(16, 16), (16, 8), (8, 16), (8, 8), (4, 4)]))
@settings(SLOW, max_examples=60)
def test_distances(kernels: SimpleNamespace, seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    mbw, mbh = size_of(rng)
    width, height, (w, h) = 16 * mbw, 16 * mbh, size
    one, other = picture(rng, width * height), picture(rng, width * height)
    if rng.random() < 0.2:
        one, other = bytes([255]) * len(one), bytes(len(one))  # as far as can be
    difference = np.frombuffer(one, np.uint8).astype(np.int64) - np.frombuffer(other, np.uint8)
    difference = difference.reshape(height, width)
    blocks = [difference[i : i + h, j : j + w] for i in range(0, height, h) for j in range(0, width, w)]
    for measure in kernels.distortion.MEASURES:
        got = kernels.distortion.distances(measure, one, other, width, height, size)
        assert got == [formulas.distance(measure, block) for block in blocks]
