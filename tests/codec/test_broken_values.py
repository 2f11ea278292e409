"""States, images and frames that a caller put together wrongly: refused by a word, whatever they would point to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import codec
from codec.assemble import MAX_PARTITION, partition_sizes
from codec.decisions import Decisions
from codec.decode import context_of
from codec.errors import Mismatch, TooLarge
from codec.header import MAX_FIRST_PARTITION, Context, frame_tag
from codec.state import FilterDeltas, Probabilities, Segmentation
from tests.codec import forge

KEY = forge.noise_frame(forge.key_header(64, 48), Context(), 12, 1)
STATE, IMAGE = codec.decode(None, KEY)
OLD = context_of(STATE)
INTER = forge.noise_frame(forge.inter_header(OLD, prob_intra=100, prob_last=100), OLD, 12, 2)
FRAME, KEY_FRAME = codec.parse(STATE, INTER), codec.parse(None, KEY)
assert IMAGE is not None

STATES: dict[str, dict[str, Any]] = {
    "no width": {"width": 0},
    "too wide": {"width": 1 << 14},
    "another width": {"width": 16},
    "short last": {"last": STATE.last[:-1]},
    "long golden": {"golden": STATE.golden + b"\0"},
    "no altref": {"altref": b""},
    "a raster that can change": {"last": bytearray(STATE.last)},
    "no probabilities": {"probabilities": Probabilities(b"")},
    "few vector probabilities": {"probabilities": Probabilities(vectors=bytes(19))},
    "short map": {"segment_map": b"\0"},
    "a segment 4": {"segment_map": bytes(11) + b"\4"},
}


@pytest.mark.parametrize("changes", STATES.values(), ids=STATES.keys())
@pytest.mark.parametrize(
    "call",
    [
        lambda state: codec.decode(state, INTER),
        lambda state: codec.decode(state, b""),
        lambda state: codec.rebase(state, IMAGE, FRAME),
        lambda state: codec.encode(state, IMAGE, q_index=40),
    ],
    ids=["decode", "decode nothing", "rebase", "encode"],
)
def test_a_state(changes: dict[str, Any], call: Callable[[codec.State], object]) -> None:
    with pytest.raises(Mismatch):
        call(replace(STATE, **changes))


@pytest.mark.parametrize("changes", STATES.values(), ids=STATES.keys())
def test_parsing_takes_a_state_for_what_is_no_image(changes: dict[str, Any]) -> None:
    """A state without images will do to parse; workers have such."""
    state = replace(STATE, **changes)
    if changes.keys() <= {"last", "golden", "altref"}:
        assert codec.parse(state, INTER).decisions == FRAME.decisions
    else:
        with pytest.raises(Mismatch):
            codec.parse(state, INTER)


@pytest.mark.parametrize("image", [codec.Image(64, 48, b""), codec.Image(64, 49, IMAGE.raster), codec.Image(0, 0, b"")])
def test_an_image(image: codec.Image) -> None:
    with pytest.raises(Mismatch):
        codec.rebase(STATE, image, FRAME)
    with pytest.raises(Mismatch):
        codec.encode(STATE, image, q_index=40)


def decisions(frame: codec.Frame, **changes: bytes) -> Decisions:
    return Decisions(4, 3, {**frame.decisions.buffers(), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        *({name: b""} for name in FRAME.decisions.buffers()),
        *({name: b"\xff" * 12} for name in ("y_modes", "uv_modes", "references", "segments", "skips", "split_shapes")),
        {"b_modes": b"\x0a" * 192},
        {"y_modes": b"\x0a" * 12, "references": b"\1" * 12},
        {"y_modes": b"\4" * 12, "references": b"\1" * 12},
        {"y_modes": b"\7" * 12, "references": b"\0" * 12},
    ],
    ids=lambda changes: f"{next(iter(changes))} {[*map(len, changes.values())]}",
)
def test_decisions(changes: dict[str, bytes]) -> None:
    with pytest.raises(Mismatch):
        codec.rebase(STATE, IMAGE, replace(FRAME, decisions=decisions(FRAME, **changes)))


def test_a_key_frame_cannot_refer_to_another() -> None:
    wrong = decisions(KEY_FRAME, y_modes=b"\7" * 12, references=b"\1" * 12)
    with pytest.raises(Mismatch, match="the decisions of macroblock 0"):
        codec.rebase(None, IMAGE, replace(KEY_FRAME, decisions=wrong))


def test_decisions_of_another_size() -> None:
    with pytest.raises(Mismatch, match="macroblocks"):
        codec.rebase(STATE, IMAGE, replace(FRAME, decisions=Decisions(3, 4, FRAME.decisions.buffers())))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("version", "log2_partitions", "prob_skip", "prob_intra") for value in (-1, 256)),
        {"quantizer_index": 128},
        {"filter_level": 64},
        {"sharpness": 8},
        {"quantizer_deltas": (0, 0, 0, 0, 16)},
        {"quantizer_deltas": (0, 0)},
        {"segment_probs": (0, 0, 256)},
        {"segmentation": Segmentation(False, (0, 0, 0, 128))},
        {"segmentation": Segmentation(False, (0, 0, 0, 0), (-64, 0, 0, 0))},
        {"filter_deltas": FilterDeltas((0, 0, 0, 64))},
        {"filter_deltas": FilterDeltas((0, 0, 0, 0), (64, 0, 0, 0))},
        {"probabilities": Probabilities(y_modes=b"")},
    ],
    ids=str,
)
def test_a_header(changes: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        codec.rebase(STATE, IMAGE, replace(FRAME, header=replace(FRAME.header, **changes)))


def test_what_has_no_room_in_a_frame() -> None:
    frame_tag(FRAME.header, MAX_FIRST_PARTITION)
    with pytest.raises(TooLarge, match=r"first partition would be 524288 bytes, and 524287 is the most \(§9\.1\)"):
        frame_tag(FRAME.header, MAX_FIRST_PARTITION + 1)
    assert partition_sizes([b"12", b""]) == b"\2\0\0"
    assert partition_sizes([bytes(MAX_PARTITION), b""]) == b"\xff\xff\xff"
    with pytest.raises(TooLarge, match=r"token partition would be 16777216 bytes"):
        partition_sizes([bytes(MAX_PARTITION + 1), b""])
