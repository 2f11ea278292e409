"""Stripping keeps what is loaded, to the byte, and survives what is no library."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.machinery
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.elf import strip

PT_LOAD, PT_DYNAMIC = 1, 2
LIBRARY = next(
    Path(np.__path__[0], "_core").glob(f"_multiarray_umath*{importlib.machinery.EXTENSION_SUFFIXES[0]}")
).read_bytes()


def image(data: bytes) -> list[tuple[int, int, int, int, bytes]]:
    """What a loader maps of a library: type, rights, address and size in memory, and bytes of each segment."""
    table, each, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    segments = []
    for number in range(count):
        kind, rights, offset, address, _, length, size, alignment = struct.unpack_from(
            "<IIQQQQQQ", data, table + number * each
        )
        assert offset + length <= len(data)
        if kind == PT_LOAD:
            assert (address - offset) % alignment == 0
        segments.append((kind, rights, address, size, data[offset : offset + length]))
    return segments


def test_a_library_loads_as_before_and_is_smaller() -> None:
    stripped = strip(LIBRARY)
    assert len(stripped) < len(LIBRARY)
    # The headers themselves lie in the first segment, and name offsets, which move.
    assert [(*s[:4], len(s[4])) for s in image(stripped)] == [(*s[:4], len(s[4])) for s in image(LIBRARY)]
    same = [one[4][4096:] == other[4][4096:] for one, other in zip(image(stripped), image(LIBRARY), strict=True)]
    assert same.count(False) <= 1  # the segment that holds the table, when the table was moved to the end
    assert strip(stripped) == stripped


def test_a_stripped_library_runs(tmp_path: Path) -> None:
    import av

    libraries = list(Path(av.__file__).parent.parent.glob("av.libs/libvpx*"))
    if not libraries:
        pytest.skip("PyAV is not from a wheel here")
    path = tmp_path / "libvpx.so"
    path.write_bytes(strip(libraries[0].read_bytes()))
    version = ctypes.CDLL(str(path)).vpx_codec_version_str
    version.restype = ctypes.c_char_p
    assert version().startswith(b"v1.")


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", LIBRARY[:60], b"\x7fELF\x01\x01" + bytes(99)])
def test_what_is_no_library_stays_as_it_is(data: bytes) -> None:
    assert strip(data) == data


@given(st.lists(st.tuples(st.integers(16, 1000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_library_is_refused_or_kept(changes: list[tuple[int, int]]) -> None:
    data = bytearray(LIBRARY[: 1 << 16])
    for place, value in changes:
        data[place] = value
    with contextlib.suppress(ValueError):
        assert len(strip(bytes(data))) <= 1 << 25
