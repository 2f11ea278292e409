"""`fastslow local` where nothing is up, used wrongly, and with what `up` leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from cli.main import fastslow
from deploy import local, processes, tools
from deploy.errors import ToolFailed


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("up", "down", "running", "logs", "warm"):
        function = getattr(local, name)
        defaults = tuple(tmp_path if each == local.HOME else each for each in function.__defaults__)
        monkeypatch.setattr(function, "__defaults__", defaults)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(fastslow, ["local", *arguments])


def test_nothing_is_up() -> None:
    assert run("status").exit_code == 1
    assert "the local stack is not up" in run("status").stderr
    assert run("down").exit_code == 0
    assert run("logs").exit_code == 0
    assert run("logs", "classify").exit_code == 2


def test_a_setting_wants_a_value() -> None:
    done = run("up", "-c", "warm")
    assert done.exit_code == 2
    assert "-c wants NAME=VALUE, not 'warm'" in done.stderr


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Mapping[str, str], *_: Any) -> None:
        raise ToolFailed(f"cdk synth failed: setting warm: wants 0 to 200, not {settings['warm']}")

    monkeypatch.setattr(local, "_prepare", refuse)
    done = run("up", "-c", "warm=300")
    assert done.exit_code == 1
    assert "setting warm: wants 0 to 200, not 300" in done.stderr


def test_the_last_lines_of_a_function(home: Path) -> None:
    folder = home / "pool" / "logs"
    folder.mkdir(parents=True)
    (folder / "fastslow-classify.log").write_text("one\ntwo\nthree\n")
    (folder / "fastslow-warmup.log").write_text("warm\n")
    assert run("logs", "classify", "-n", "2").stdout == "two\nthree\n"
    assert "warm" in run("logs").stdout


def test_what_ended_by_itself_is_not_up(home: Path) -> None:
    gone = {"pid": 2**22 - 1, "started": 1}
    state = {"cloud": gone, "pool": gone, "cloud_url": "http://127.0.0.1:1", "pool_url": "http://127.0.0.1:2"}
    (home / "state.json").write_text(json.dumps(state | {"deployed": "", "outputs": {}, "trusted": ""}))
    assert not processes.Process(**gone).alive
    assert "half up" in run("status").stderr
    assert run("down").exit_code == 0
    assert not (home / "state.json").exists()


def test_a_state_that_is_damaged_is_none(home: Path) -> None:
    for text in ("", "{", "[]", '{"cloud": 1}', '{"cloud": {"pid": 1}, "pool": {}}'):
        (home / "state.json").write_text(text)
        assert local.running() is None


def test_the_fingerprint_knows_sources_and_settings(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    for name in local.SOURCES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if "." in name:
            path.write_text("1")
        else:
            path.mkdir(parents=True, exist_ok=True)
    before = local.fingerprint({"warm": "1"}, tmp_path)
    assert before == local.fingerprint({"warm": "1"}, tmp_path)
    assert before != local.fingerprint({"warm": "2"}, tmp_path)
    (tmp_path / "infra" / "new.py").write_text("")
    assert before != local.fingerprint({"warm": "1"}, tmp_path)
    assert (tools.ROOT / "app.py").exists()


def test_what_was_synthesised_of_the_same_sources_is_taken_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def synthesise(folder: Path, settings: dict[str, str], *, log: Path) -> Path:
        asked.append(settings["warm"])
        folder.mkdir(exist_ok=True)
        (folder / "x.template.json").write_text("{}")
        return folder / "x.template.json"

    monkeypatch.setattr(tools, "synthesise", synthesise)
    monkeypatch.setattr(local.interpreters, "environment", lambda *_: None)
    for settings, wanted in (("1", "a"), ("1", "a"), ("2", "b"), ("1", "a")):
        template = local._prepare({"warm": settings}, wanted, lambda said: None, home)
        assert template == home / "cdk" / "x.template.json"
    assert asked == ["1", "2", "1"]
    (home / "cdk" / "x.template.json").unlink()
    local._prepare({"warm": "1"}, "a", lambda said: None, home)
    assert asked == ["1", "2", "1", "1"]
