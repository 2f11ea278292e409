"""`fastslow doctor`: what is printed, the exit codes, and that `deploy` looks before it asks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from cli import doctor
from cli.main import fastslow
from deploy import cost, tools
from deploy.doctor import machine
from deploy.doctor.finding import Finding
from vision.errors import StoreError

GOOD = Finding("region", "ok", "eu-west-1", facts={"region": "eu-west-1"})
POOR = Finding("bootstrap", "warning", "CDK never deployed anything here", "fastslow deploy does it")
DENIED = Finding("quota", "unknown", "you may not look: servicequotas:GetServiceQuota")
BAD = Finding("concurrency", "failed", "200 are to be reserved\nof 10", "-c concurrency=0")


def run(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(fastslow, list(arguments), **more)


def look(monkeypatch: pytest.MonkeyPatch, *findings: Finding, local: bool = False) -> None:
    checks = [(each.check, lambda each=each: each) for each in findings]
    monkeypatch.setattr("deploy.doctor.checks.account_checks", lambda *_: checks)
    monkeypatch.setattr(machine, "local_checks", lambda: checks)
    monkeypatch.setattr(machine, "checks", list)
    monkeypatch.setattr(doctor, "_model", lambda _: Finding("model", "ok", "none is needed yet"))


@pytest.fixture(autouse=True)
def synthesised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The settings that an app without resources was synthesised with."""
    given: dict[str, str] = {}

    def synthesise(folder: Path, settings: dict[str, str], *, log: Path) -> Path:
        given.update(settings)
        template = tmp_path / "fastslow.template.json"
        template.write_text('{"Resources": {}}')
        return template

    monkeypatch.setattr(tools, "synthesise", synthesise)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    return given


def test_a_line_for_each_check_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, GOOD, POOR, DENIED)
    done = run("doctor")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "ok       region       eu-west-1",
        "warning  bootstrap    CDK never deployed anything here",
        "                      -> fastslow deploy does it",
        "unknown  quota        you may not look: servicequotas:GetServiceQuota",
        "ok       model        none is needed yet",
    ]


def test_what_would_fail_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, GOOD, BAD)
    done = run("doctor")
    assert done.exit_code == 1
    assert "                      of 10\n                      -> -c concurrency=0\n" in done.stdout
    assert done.stderr.endswith("fastslow: fastslow deploy would fail: concurrency\n")


def test_json_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, GOOD, BAD)
    done = run("doctor", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"]) == (1, False)
    assert [each["grade"] for each in told["findings"]] == ["ok", "failed", "ok"]
    assert told["findings"][0] == {
        "check": "region",
        "grade": "ok",
        "found": "eu-west-1",
        "todo": "",
        "facts": {"region": "eu-west-1"},
    }


def test_settings_reach_the_app(monkeypatch: pytest.MonkeyPatch, synthesised: dict[str, str]) -> None:
    def account_checks(_: object, region: str, assembled: Any) -> Any:
        return [("stack", lambda: Finding("stack", "ok", f"{assembled().stack} in {region}"))]

    look(monkeypatch)
    monkeypatch.setattr("deploy.doctor.checks.account_checks", account_checks)
    assert "fastslow in eu-west-1" in run("doctor", "-c", "warm=7", "-c", "tags=a=b").stdout
    assert synthesised == {"warm": "7", "tags": "a=b"}
    assert run("doctor", "-c", "warm").exit_code == 2


def test_without_the_tools_nothing_else_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, synthesised: dict[str, str], tmp_path: Path
) -> None:
    look(monkeypatch, GOOD)
    bad = Finding("checkout", "failed", "there is no app.py", "git clone")
    monkeypatch.setattr(machine, "checks", lambda: [("checkout", lambda: bad)])
    monkeypatch.setattr(tools, "ROOT", tmp_path / "installed")
    done = run("doctor", "-c", "warm=1")
    assert (done.exit_code, "region" in done.stdout) == (1, False)
    done = run("deploy", "-c", "warm=1", "--yes")
    assert (done.exit_code, done.stderr) == (1, "fastslow: checkout: there is no app.py (git clone)\n")
    assert synthesised == {}
    assert not (tmp_path / "installed").exists()


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, Finding("memory", "failed", "0.2 GB free", "a larger machine"))
    done = run("doctor", "--local")
    assert done.exit_code == 1
    assert "memory" in done.stdout
    assert "fastslow local up would fail: memory" in done.stderr


def test_the_model_that_a_deployed_stack_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Finding("stack", "ok", "deployed", facts={"outputs": {"ModelsBucket": "b"}})
    monkeypatch.setattr("vision.store.active", lambda *_: None)
    told = doctor._model([stack])
    assert (told.grade, "--bucket b" in told.todo) == ("warning", True)
    monkeypatch.setattr("vision.store.active", lambda *_: SimpleNamespace(manifest=SimpleNamespace(name="m")))
    assert doctor._model([stack]).facts == {"name": "m"}

    def refuse(*_: object) -> None:
        raise StoreError("AccessDenied")

    monkeypatch.setattr("vision.store.active", refuse)
    assert doctor._model([stack]).grade == "unknown"
    assert doctor._model([Finding("stack", "ok", "not yet", facts={"state": None})]).grade == "ok"
    assert doctor._model([Finding("stack", "unknown", "you may not look")]).grade == "unknown"


def test_deploy_looks_before_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(
        "cli.deploy._cdk", lambda arguments, environment: ran.append([*arguments[:1], environment["AWS_REGION"]])
    )
    monkeypatch.setattr("deploy.account.Account.who", lambda _: "1234")
    monkeypatch.setattr(cost, "estimate", lambda _: [])
    look(monkeypatch, GOOD, POOR, BAD)
    refused = run("deploy", "--yes")
    assert refused.exit_code == 1
    assert "would fail: concurrency" in refused.stderr
    assert "region       eu-west-1" not in refused.stderr, "only what is to be known"
    assert "fastslow deploy does it" in refused.stderr
    assert ran == []

    assert run("deploy", "--yes", "--force").exit_code == 0
    assert ran == [["bootstrap", "eu-west-1"], ["deploy", "eu-west-1"]]

    ran.clear()
    look(monkeypatch, GOOD, DENIED)
    asked = run("deploy", input="n\n")
    assert "Deploy fastslow to account 1234, region eu-west-1?" in asked.stderr
    assert ran == []
    assert run("deploy", input="y\n").exit_code == 0
    assert ran == [["deploy", "eu-west-1"]], "bootstrapped long ago"
