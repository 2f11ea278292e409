"""Settings: each error names the setting and what it wants."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.settings import SettingError, Settings

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"


def test_what_is_not_said_has_its_default() -> None:
    assert Settings.from_context({"@aws-cdk/core:flag": True, "aws:cdk:x": 1}) == Settings()


def test_texts_and_numbers_mean_the_same() -> None:
    assert Settings.from_context({"warm": "8", "snapstart": "true"}) == Settings(warm=8, snapstart=True)
    assert Settings.from_context({"warm": 8, "snapstart": True}) == Settings(warm=8, snapstart=True)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("warm", "many", "wants a whole number, not 'many'"),
        ("warm", True, "wants a whole number"),
        ("warm", "1e3", "wants a whole number"),
        ("warm", "201", "wants 0 to 200, not 201"),
        ("memory", -5, "wants 1024 to 10240, not -5"),
        ("arch", "arm", "wants arm64 or x86_64"),
        ("auth", None, "wants key or iam"),
        ("snapstart", "yes", "wants true or false"),
        ("name", "Fast_Slow", "wants 3 to 20 of"),
        ("name", 7, "wants 3 to 20 of"),
        ("cors", "example.com", "wants an origin"),
        ("log_days", 31, "wants one of 1, 3, 5"),
        ("email", "nobody", "wants an e-mail address"),
        ("tags", "team", "wants key=value"),
        ("tags", "aws:x=1", "wants key=value"),
        ("coordinator_type", "small", "wants an EC2 instance type"),
        ("warn", "4", "did you mean warm?"),
        ("zzz", "4", "there is none of that name"),
    ],
)
def test_an_error_names_the_setting(name: str, value: object, problem: str) -> None:
    with pytest.raises(SettingError, match=re.escape(problem)) as caught:
        Settings.from_context({name: value})
    assert str(caught.value).startswith(f"setting {name}: ")


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("tmp", {"snapstart": "true", "tmp": 1024}),
        ("warm", {"warm": 9, "concurrency": 8}),
        ("email", {"budget": 10}),
        ("coordinator_type", {"coordinator_type": "t3.small"}),
        ("coordinator_type", {"coordinator_type": "t4g.small", "arch": "x86_64"}),
        ("coordinator_type", {"coordinator_type": "g4dn.xlarge"}),
    ],
)
def test_settings_that_do_not_go_together(name: str, context: dict[str, object]) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_context(context)
    assert caught.value.name == name


@pytest.mark.parametrize("kind", ["t4g.nano", "c7g.large", "m8gd.xlarge", "x2gd.medium", "a1.large", "g5g.xlarge"])
def test_graviton_machines_are_known(kind: str) -> None:
    assert Settings.from_context({"coordinator_type": kind}).instance_type == kind


def test_the_documents_list_every_setting() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DEPLOY.read_text(), re.MULTILINE)
    shown = [(name, f"`{default}`" if default else "", about) for name, default, about in Settings.table()]
    assert rows == shown
