"""docs/mu.md is true: its programs run and print what it says, its picture is that of the tables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from mu.core.draw import picture
from mu.job import Limits

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/mu.md").read_text()


def run(name: str, folder: Path) -> str:
    """Write a program of the guide into a folder, run it there, and return what it prints."""
    (source,) = re.findall(rf"```python\n# {name}\.py\n(.*?)```", GUIDE, re.DOTALL)
    (folder / f"{name}.py").write_text(source)
    done = subprocess.run(
        [sys.executable, f"{name}.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_function_over_many_items(tmp_path: Path) -> None:
    assert run("squares", tmp_path) == f"{[number * number for number in range(10)]}\n"


def test_tasks_that_hear_from_each_other(tmp_path: Path) -> None:
    printed = run("words", tmp_path)
    assert printed == '{"the":4,"and":3}\n'
    assert f"prints `{printed.strip()}`" in GUIDE


def test_every_limit_is_explained() -> None:
    table = GUIDE.split("## Limits")[1].split("## ")[0]
    for field in msgspec.structs.fields(Limits):
        assert f"`{field.name}`" in table, field.name


def test_the_picture_is_current() -> None:
    drawn = (ROOT / "docs/pictures/mu-states.svg").read_text()
    assert drawn == picture(), "python -m mu.core.draw > docs/pictures/mu-states.svg"
