"""`python -m layers.lock`: write layers/locks anew, from the versions in constraints.txt and the wheels there are.

Names, versions and hashes only: where the wheels come from is pip's business, and the hashes make sure of the rest.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from layers.errors import LayerError
from layers.recipes import ARCHITECTURES, PYTHON, RECIPES, Arch
from layers.wheels import LOCKS, ROOT, Pin, digest, download

_HEAD = (
    "# Wheels of the layers for {arch}, CPython {python}; `python -m layers.lock` writes this from constraints.txt.\n"
)


def lock(arch: Arch) -> list[Pin]:
    """The pins of every wheel that a recipe names, for `arch`."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    versions = {name.lower(): version for name, version in (line.split("==") for line in lines)}
    pins = []
    for name in sorted({name for recipe in RECIPES.values() for name in recipe.wheels}):
        with tempfile.TemporaryDirectory() as folder:
            download([f"{name}=={versions[name]}"], arch, Path(folder))
            pins += [Pin(name, versions[name], digest(path)) for path in Path(folder).glob("*.whl")]
    return pins


def main() -> None:
    """Lock every architecture."""
    try:
        for arch in ARCHITECTURES:
            text = _HEAD.format(arch=arch, python=PYTHON) + "".join(f"{pin}\n" for pin in lock(arch))
            (LOCKS / f"{arch}.txt").write_text(text)
    except LayerError as error:
        sys.exit(f"layers.lock: {error}")


if __name__ == "__main__":
    main()
