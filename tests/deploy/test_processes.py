"""Processes outlive their starter, end with all that they started, and nobody else's number is ended."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

import pytest

from deploy import interpreters, processes
from deploy.errors import ToolMissing

PARENT = "import subprocess, time; subprocess.Popen(['sh', '-c', {child!r}]); time.sleep(60)"


def start(folder: Path, code: str) -> processes.Process:
    return processes.start([sys.executable, "-c", code], env=os.environ, folder=folder, log=folder / "log")


def said(folder: Path) -> str:
    """The first line of the log, once it is there."""
    while not (told := (folder / "log").read_text()).endswith("\n"):
        time.sleep(0.01)
    return told.strip()


def runs(pid: str) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize(
    ("child", "patience", "last"),
    [
        pytest.param("echo $$; exec sleep 60", 30.0, "", id="hears"),
        pytest.param("trap '' TERM; echo $$; sleep 0.3; echo done", 30.0, "done", id="takes its time"),
        pytest.param("trap '' TERM; echo $$; sleep 60; echo done", 0.2, "", id="does not hear"),
    ],
)
def test_a_process_ends_with_its_children(tmp_path: Path, child: str, patience: float, last: str) -> None:
    process = start(tmp_path, PARENT.format(child=child))
    assert process.alive
    number = said(tmp_path)
    assert runs(number)
    process.end(patience)
    assert not process.alive
    assert not runs(number)
    assert (tmp_path / "log").read_text().split() == [number, *last.split()]


def test_a_process_that_will_not_hear_is_killed(tmp_path: Path) -> None:
    process = start(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    said(tmp_path)
    process.end(patience=0.2)
    assert not process.alive


def test_another_process_of_the_same_number_is_left_alone(tmp_path: Path) -> None:
    process = start(tmp_path, "import time; time.sleep(60)")
    earlier = dataclasses.replace(process, started=process.started - 1)
    assert not earlier.alive
    earlier.end()
    assert process.alive
    process.end()


def test_a_python_that_is_not_lambdas_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 3.9\n")
    fake.chmod(0o755)
    monkeypatch.setenv("FASTSLOW_PYTHON", str(fake))
    with pytest.raises(ToolMissing, match=r"under Python 3\.13.*FASTSLOW_PYTHON"):
        interpreters.functions_python()
    fake.write_text("#!/bin/sh\necho 3.13\n")
    assert interpreters.functions_python() == fake


def test_a_python_is_found_where_pyenv_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTSLOW_PYTHON", raising=False)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/nothing/here")
    binary = tmp_path / "versions" / "3.13.7" / "bin" / "python"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\necho 3.13\n")
    binary.chmod(0o755)
    assert interpreters.functions_python() in (binary, Path("/bin/python3.13"))
