"""The codec in several builds side by side in one process, so that their results can be compared."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import codec
from codec import _select

COMPILED = Path(codec.__path__[-1]) / "_compiled"
HERE = [name for name in _select._suitable() if (COMPILED / name).is_dir()]
"""The compiled builds that this machine has and runs."""
OTHERS = [name for name in ("uncompiled", *HERE) if name != codec.BUILD]
"""Every build but the one that the tests run on."""


@functools.cache
def load(build: str) -> ModuleType:
    """Return the package ``codec`` in a build of its own, whichever one the tests run on.

    Its modules are attributes of it, not entries of ``sys.modules``. Its values (states, images, frames) are not
    equal to those of another build, for their classes are others: compare what they hold.
    """
    if build == codec.BUILD:
        return codec
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "codec"}
    before = os.environ.get("FASTSLOW_CODEC")
    os.environ["FASTSLOW_CODEC"] = build
    try:
        package = importlib.import_module("codec")
        for path in sorted(Path(package.__path__[-1]).glob("*.py")):
            if path.stem not in ("__init__", "build"):
                importlib.import_module(f"codec.{path.stem}")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "codec"]:
            del sys.modules[name]
        sys.modules.update(ours)
        if before is None:
            del os.environ["FASTSLOW_CODEC"]
        else:
            os.environ["FASTSLOW_CODEC"] = before
    assert build == package.BUILD
    return package


def moved(value: Any, package: ModuleType) -> Any:
    """Return a state, a header or what else is a dataclass as the same thing of another build's classes."""
    if not is_dataclass(value):
        return value
    module = getattr(package, type(value).__module__.removeprefix("codec."))
    return getattr(module, type(value).__name__)(
        **{field.name: moved(getattr(value, field.name), package) for field in fields(value)}
    )
