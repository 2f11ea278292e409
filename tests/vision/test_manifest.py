"""Manifests: what they say comes back, and what breaks a rule is refused with its name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.made import manifest
from vision.errors import BadManifest
from vision.manifest import LARGEST_MANIFEST, encode, parse


def test_it_comes_back_and_is_the_same_bytes() -> None:
    one = manifest(session={"session.disable_quant_qdq": "1", "mlas.enable_gemm": "0"})
    assert parse(encode(one)) == one
    assert encode(parse(encode(one))) == encode(one)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "Mobile Net", "name"),
        ("name", "../etc", "name"),
        ("version", "", "version"),
        ("version", "1/2", "version"),
        ("file", "../../x.onnx", "file"),
        ("file", ".hidden", "file"),
        ("sha256", "0" * 63, "sha256"),
        ("bytes", 0, "bytes"),
        ("bytes", 1 << 40, "bytes"),
        ("licence", "", "licence"),
        ("task", "guess", "task"),
        ("labels", [], "labels"),
        ("labels", ["x" * 201], "labels"),
        ("outputs", [], "outputs"),
        ("outputs", [{"name": "prob"}], "probabilities or logits"),
        ("session", {"ep.load": "x"}, "session"),
        ("input", {"name": "x", "width": 5000, "height": 1}, "width"),
        ("input", {"name": "x"}, "width and a height"),
        ("input", {"name": "x", "width": 8, "height": 8, "mean": [1.0]}, "3 channels"),
        ("input", {"name": "x", "width": 8, "height": 8, "keep": 0}, "keep"),
        ("more", 1, "more"),
    ],
)
def test_a_broken_rule_is_named(field: str, value: Any, told: str) -> None:
    fields = {**msgspec.json.decode(encode(manifest())), field: value}
    with pytest.raises(BadManifest, match=told):
        parse(msgspec.json.encode(fields))


@pytest.mark.parametrize(
    "field", ["name", "version", "file", "sha256", "bytes", "licence", "input", "outputs", "labels"]
)
def test_nothing_needed_may_be_missing(field: str) -> None:
    fields = msgspec.json.decode(encode(manifest()))
    del fields[field]
    with pytest.raises(BadManifest, match=field):
        parse(msgspec.json.encode(fields))


def test_a_long_one_is_not_read() -> None:
    with pytest.raises(BadManifest, match="at most"):
        parse(b" " * (LARGEST_MANIFEST + 1))


@given(st.one_of(st.binary(max_size=200), st.just(b"[" * 100_000), st.just(b'{"name": "\xff"}')))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(BadManifest):
        parse(data)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_one_is_refused_or_still_keeps_the_rules(place: int, value: int) -> None:
    data = bytearray(encode(manifest()))
    data[place % len(data)] = value
    try:
        read = parse(bytes(data))
    except BadManifest:
        return
    assert parse(encode(read)) == read
