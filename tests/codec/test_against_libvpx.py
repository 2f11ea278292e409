"""Streams that libvpx makes with every knob it has: ours, libvpx and FFmpeg decode them to the same, bit for bit."""

from __future__ import annotations

from collections import Counter

import pytest

import codec
from tests.codec import builds, streams
from tests.codec.peers import Panel, picture


@pytest.mark.parametrize("name", streams.NAMES)
def test_every_frame_and_reference_is_libvpx_s(name: str) -> None:
    packets = streams.stream(name)
    assert len(packets) > 2
    Panel().check_all(packets)


@pytest.mark.parametrize(
    "name", ["tiny 17x15", "profile 1", "profile 3 moving", "altref, still", "regions", "references"]
)
def test_uncompiled_too(name: str) -> None:
    package = builds.load("uncompiled")
    ours = theirs = None
    for data in streams.stream(name)[:3]:
        ours, image = codec.decode(ours, data)
        theirs, same = package.decode(theirs, data)
        assert theirs.to_bytes() == ours.to_bytes()
        assert picture(same) == picture(image)


def test_a_frame_without_data_is_the_last_image_again() -> None:
    packets = streams.stream("dropped frames")
    assert 3 < packets.count(b"") < len(packets) - 3
    state, image = None, None
    for data in packets:
        before, shown = state, image
        state, image = codec.decode(before, data)
        if not data:
            assert state is before
            assert image == shown


def test_the_streams_use_what_their_names_promise() -> None:
    seen: dict[str, Counter[object]] = {}
    for name in streams.NAMES:
        state = None
        for data in streams.stream(name):
            if data:
                for key, values in features(codec.parse(state, data)).items():
                    seen.setdefault(key, Counter()).update(values)
            state, _ = codec.decode(state, data)
    found = {key: set(counts) for key, counts in seen.items()}
    for key, all_of_them in {
        "version": range(4),
        "log2_partitions": range(4),
        "sharpness": range(8),
        "show": range(2),
        "simple_filter": range(2),
        "segmentation_enabled": range(2),
        "update_segment_map": range(2),
        "refresh_last": range(2),
        "refresh_golden": range(2),
        "refresh_altref": range(2),
        "refresh_entropy": range(2),
        "altref_sign_bias": range(2),
        "horizontal scaling": range(4),
        "vertical scaling": range(4),
        "y_modes": range(10),
        "uv_modes": range(4),
        "references": range(4),
        "segments": range(4),
        "skips": range(2),
        "split_shapes": range(4),
        "b_modes": range(10),
        "eobs": range(17),
    }.items():
        assert set(all_of_them) <= found[key], key
    assert {0, 2} <= found["copy_to_altref"]
    assert len(found["quantizer_index"]) > 100
    assert {0, 127} <= found["quantizer_index"]
    assert 63 in found["filter_level"]
    assert any(found["quantizer_deltas"])
    assert max(found["reach"]) > 4 * 64  # quarter pixels: farther than most of these frames are wide


def features(frame: codec.Frame) -> dict[str, list[object]]:
    """What a frame makes use of, by name."""
    header, d = frame.header, frame.decisions
    modes = frame.per_macroblock("y_modes")
    names = "version log2_partitions sharpness show simple_filter segmentation_enabled update_segment_map refresh_last"
    names += (
        " refresh_golden refresh_altref refresh_entropy altref_sign_bias copy_to_altref quantizer_index filter_level"
    )
    used: dict[str, list[object]] = {name: [getattr(header, name)] for name in names.split()}
    used["quantizer_deltas"] = list(header.quantizer_deltas)
    used["horizontal scaling"], used["vertical scaling"] = [header.scaling[0]], [header.scaling[1]]
    for name in ("y_modes", "uv_modes", "references", "segments", "skips"):
        used[name] = list(getattr(d, name))
    used["split_shapes"] = frame.per_macroblock("split_shapes")[modes == 9].tolist()
    used["b_modes"] = frame.per_macroblock("b_modes")[modes == 4].ravel().tolist()
    used["eobs"] = list(frame.eobs)
    used["reach"] = [int(abs(frame.per_macroblock("vectors").astype(int)).max())]
    return used
