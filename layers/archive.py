"""Zips that are the same bytes every time: sorted, undated, readable by everyone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

_BORN = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can tell
_EXECUTABLE, _PLAIN = 0o100755, 0o100644


def write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (names in the zip to bytes); beside `path` first, so that a half zip never has its name."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _BORN)
            entry.create_system = 3  # Unix, whose permissions Lambda reads
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (_EXECUTABLE if ".so" in Path(name).suffixes else _PLAIN) << 16
            zipped.writestr(entry, files[name])
    beside.replace(path)
