"""The functions' Python on this machine, and virtual environments under it for the cloud and for the functions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import ToolFailed, ToolMissing
from deploy.locks import locked

VERSION = "3.13"
"""Of Lambda's Python that the packages are built for."""
_PINS = Path(__file__).with_name("pins")


def functions_python() -> Path:
    """An interpreter of VERSION: FASTSLOW_PYTHON, PATH's, pyenv's or uv's. Raises ToolMissing with where it looked."""
    looked = []
    for candidate in _candidates():
        looked.append(str(candidate))
        check = [str(candidate), "-c", "import ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"]
        try:
            done = subprocess.run(check, capture_output=True, text=True, check=False, timeout=30)
        except OSError:
            continue
        if done.stdout.strip() == VERSION:
            return candidate
    raise ToolMissing(
        f"functions run under Python {VERSION}, as in Lambda, and there is none: looked at "
        f"{', '.join(looked)}. Install it (by your system's packages, pyenv or `uv python install {VERSION}`), or name "
        "it in FASTSLOW_PYTHON"
    )


def brought_python() -> Path:
    """An interpreter of VERSION, fetched by uv if there is none. Raises ToolMissing with where it looked, and why."""
    try:
        return functions_python()
    except ToolMissing as missing:
        uv = next(_uv(), None)
        if os.environ.get("FASTSLOW_PYTHON") or not uv:
            raise
        done = subprocess.run([uv, "python", "install", VERSION], capture_output=True, text=True, check=False)
        if done.returncode:
            why = done.stderr.strip().splitlines()
            raise ToolMissing(f"{missing}. uv could not fetch one: {why[-1] if why else done.returncode}") from missing
    return functions_python()


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("FASTSLOW_PYTHON"):
        yield Path(named)
        return
    yield Path(sys.executable)
    if found := shutil.which(f"python{VERSION}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for folder in sorted(pyenv.glob(f"{VERSION}*"), reverse=True):
        yield folder / "bin" / "python"
    for uv in _uv():
        done = subprocess.run([uv, "python", "find", VERSION], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            yield Path(done.stdout.strip())


def _uv() -> Iterator[str]:
    for uv in (shutil.which("uv"), str(Path(sys.executable).with_name("uv"))):
        if uv and Path(uv).exists():
            yield uv


def environment(name: str, folder: Path) -> Path:
    """The Python of a virtual environment with what deploy/pins/NAME.txt pins, made now if it is not there.

    Raises ToolMissing without an interpreter of VERSION, ToolFailed when pip fails.
    """
    pins = _PINS / f"{name}.txt"
    python = folder / "bin" / "python"
    stamp = folder / "installed.txt"
    with locked(folder.with_suffix(".lock")):
        if not (stamp.exists() and python.exists() and stamp.read_bytes() == pins.read_bytes()):
            shutil.rmtree(folder, ignore_errors=True)
            _run([str(brought_python()), "-m", "venv", str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(pins)])
            shutil.copy(pins, stamp)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailed(f"{' '.join(command[:4])} ... failed:\n{done.stderr.strip()[-2000:]}")
