"""Finds the functions' Python on this machine, so that a package can be used and not only looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from layers.recipes import PYTHON


@cache
def functions_python() -> str | None:
    """A CPython of the functions' version that runs here, or None."""
    for candidate in _candidates():
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.split() == [PYTHON, "cpython"]:
            return candidate
    return None


def _candidates() -> Iterator[str]:
    if named := os.environ.get("FASTSLOW_PYTHON"):
        yield named
    yield sys.executable
    if found := shutil.which(f"python{PYTHON}"):
        yield found
    for folder in (Path.home() / ".pyenv" / "versions", Path.home() / ".local" / "share" / "uv" / "python"):
        yield from map(str, sorted(folder.glob(f"*{PYTHON}.*/bin/python{PYTHON}")))
