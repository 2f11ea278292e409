"""The checks of this machine, each where it has what it takes and where it does not."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from deploy import interpreters, local, tools
from deploy.doctor import local_stack, machine
from deploy.doctor.finding import Finding, examine, failed
from deploy.errors import ToolMissing, Unready


def missing(*_: object, **__: object) -> Any:
    raise ToolMissing("it is not here")


def test_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    assert machine.checkout().grade == "ok"
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name == "cdk_nag" else name)
    assert "no cdk_nag" in machine.checkout().found
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    assert "no app.py" in machine.checkout().found
    assert machine.checkout().grade == "failed"
    assert [name for name, _ in machine.checks()] == ["checkout"], "nothing is fetched for what cannot be deployed"
    assert [name for name, _ in machine.local_checks()] == ["checkout"]
    monkeypatch.setattr(tools, "_PINS", tmp_path)
    with pytest.raises(ToolMissing, match="from a checkout"):
        tools.cdk()


def test_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v22.1.0\n")
    node.chmod(0o755)
    monkeypatch.setattr(tools, "node", lambda: node)
    assert machine.node().facts == {"version": "v22.1.0"}
    node.write_text("#!/bin/sh\nexit 1\n")
    assert machine.node().grade == "failed"
    monkeypatch.setattr(tools, "node", missing)
    assert (machine.node().grade, machine.node().found) == ("failed", "it is not here")

    (tmp_path / "bin").mkdir()
    (tmp_path / "package.json").write_text('{"version": "2.1"}')
    monkeypatch.setattr(tools, "cdk", lambda: ["node", str(tmp_path / "bin" / "cdk")])
    assert machine.cdk().facts == {"version": "2.1"}
    monkeypatch.setattr(tools, "cdk", missing)
    assert machine.cdk().grade == "failed"


def test_without_the_functions_python_the_local_stack_cannot_run_and_packages_can_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpreters, "brought_python", lambda: Path("/somewhere/python"))
    assert machine.python(local=True).grade == "ok"
    monkeypatch.setattr(interpreters, "brought_python", missing)
    assert machine.python(local=True).grade == "failed"
    assert machine.python(local=False).grade == "warning"


def test_a_python_is_fetched_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTSLOW_PYTHON", raising=False)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolMissing, match=r"there is none: looked at [^;]*Install it"):
        interpreters.brought_python()

    uv, fetched = tmp_path / "uv", tmp_path / "fetched"
    uv.write_text(f"#!/bin/sh\necho no network >&2; [ $2 = find ] && exit 2; [ -e {tmp_path}/online ] || exit 1\n")
    uv.chmod(0o755)
    with pytest.raises(ToolMissing, match="uv could not fetch one: no network"):
        interpreters.brought_python()

    uv.write_text(
        "#!/bin/sh\n"
        f'[ "$*" = "python install 3.13" ] && {{ echo "#!/bin/sh" > {fetched}; echo echo 3.13 >> {fetched}; }}\n'
        f'[ "$*" = "python find 3.13" ] && echo {fetched}\n'
        f"{shutil.which('chmod', path='/usr/bin:/bin')} +x {fetched}\n"
    )
    assert interpreters.brought_python() == fetched
    monkeypatch.setenv("FASTSLOW_PYTHON", "/not/there")
    with pytest.raises(ToolMissing, match="/not/there"):
        interpreters.brought_python()


def test_system_and_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="linux"))
    assert machine.system().grade == "ok"
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="darwin"))
    assert machine.system().grade == "failed"
    monkeypatch.setattr(machine, "namespaces_work", lambda: True)
    assert machine.walls().grade == "ok"
    monkeypatch.setattr(machine, "namespaces_work", lambda: False)
    assert machine.walls().grade == "warning", "it works without them"


@pytest.mark.parametrize(("kilobytes", "grade"), [(9_000_000, "ok"), (2_000_000, "warning"), (500_000, "failed")])
def test_memory(kilobytes: int, grade: str, tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text(f"MemTotal: 99 kB\nMemAvailable: {kilobytes} kB\n")
    assert machine.memory(told).grade == grade


@pytest.mark.parametrize(("free", "grade"), [(9e9, "ok"), (2e9, "warning"), (5e8, "failed")])
def test_disk(free: float, grade: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(free)))
    assert machine.disk(tmp_path).grade == grade


def test_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.loopback().grade == "ok"

    def refuse(*_: object) -> None:
        raise OSError("Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert machine.loopback().grade == "failed"


def test_up_fails_early_and_says_what_doctor_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be started or made")

    bad = Finding("memory", "failed", "0.2 GB free, and it takes 1", "a larger machine")
    poor = Finding("walls", "warning", "no user namespaces")
    monkeypatch.setattr(machine, "local_checks", lambda: [("memory", lambda: bad), ("walls", lambda: poor)])
    for module, name in ((local, "_prepare"), (local, "start"), (subprocess, "run")):
        monkeypatch.setattr(module, name, never)
    with pytest.raises(Unready, match=r"^memory: 0.2 GB free, and it takes 1 \(a larger machine\)$"):
        local.up({}, never, tmp_path / "home")
    assert not (tmp_path / "home").exists()

    monkeypatch.setattr(machine, "local_checks", lambda: [("walls", lambda: poor)])
    said: list[str] = []
    with pytest.raises(AssertionError):
        local.up({}, said.append, tmp_path / "home")
    assert said == ["walls: no user namespaces"]


def test_the_stack_here(tmp_path: Path) -> None:
    assert local_stack.running(tmp_path).found == "nothing is up yet"
    gone = '{"pid": 4194303, "started": 1}'
    state = f'{{"cloud": {gone}, "pool": {gone}, "cloud_url": "", "pool_url": "", "deployed": "", "outputs": {{}}}}'
    (tmp_path / "state.json").write_text(state)
    assert local_stack.running(tmp_path).grade == "warning"


def test_the_machine_that_runs_the_tests_is_looked_at() -> None:
    checks = [each for each in machine.local_checks() if each[0] not in ("cdk", "python")]  # these may fetch
    assert not failed(examine(checks))
