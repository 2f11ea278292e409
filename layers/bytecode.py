"""Bytecode for the functions' Python, made when a package is built.

A layer lies where nothing can be written, so an environment would compile every module that it imports at every cold
start. The bytecode is valid by its hash alone and names the place in the layer, and is the same whoever builds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from layers.errors import LayerError
from layers.recipes import PYTHON

# Run by the functions' Python in a folder of sources. In one process and in order, since marshal writes down which
# objects were shared. Flags 1: valid by its hash, which is never compared (PEP 552).
_PROGRAM = """
import importlib.util, marshal, pathlib, sys
for name in sys.stdin.read().split("\\0"):
    source = pathlib.Path(name).read_bytes()
    try:
        code = compile(source, "/opt/" + name, "exec", dont_inherit=True)
    except SyntaxError:
        continue  # a template, or for another Python
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    target = pathlib.Path(importlib.util.cache_from_source(name, optimization=""))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(head + marshal.dumps(code))
"""


@cache
def functions_python() -> str | None:
    """A CPython of the functions' version that runs here, or None; FASTSLOW_PYTHON names one."""
    for candidate in _candidates():
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
        except OSError:
            continue
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


def compile_all(files: Mapping[str, bytes], python: str) -> dict[str, bytes]:
    """The bytecode of every module among `files` (names in the zip to bytes), by its own name in the zip."""
    names = sorted(name for name in files if name.endswith(".py"))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
        command = [python, "-S", "-s", "-W", "ignore", "-c", _PROGRAM]
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PYTHONHASHSEED": "0"},
            input="\0".join(names),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LayerError(f"{python} could not compile the modules: {done.stderr.strip()[-500:]}")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.pyc")}
