"""The template, synthesised from packages that hold one line each: it takes neither a network nor built layers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from deploy import cost

collect_ignore = (
    [] if find_spec("aws_cdk") else ["test_bill.py", "test_template.py"]
)  # the stack needs the extra `deploy`

ROOT = Path(__file__).resolve().parents[2]
FLAGS = json.loads((ROOT / "cdk.json").read_text())["context"]


def line_as_package(name: str, arch: str, folder: Path) -> None:
    """Stands in for `layers.build.build`."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("about"), f"{name} {arch}")


def prices(memory: int, arch: str, machine: str) -> str:
    """As app.py has them."""
    return cost.prices(cost.Fleet(memory, arch, machine))


class Template:
    """A synthesised template, by what is in it and never by its generated names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole: dict[str, Any] = json.loads(path.read_text())

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of a kind, `S3::Bucket`, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.whole["Resources"].items()
            if resource["Type"] == f"AWS::{kind}"
        }

    def one(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of a kind."""
        (only,) = self.all(kind).values()
        return only

    def function(self, name: str) -> dict[str, Any]:
        """The properties of a function by its name."""
        (found,) = [each for each in self.all("Lambda::Function").values() if each["FunctionName"] == name]
        return found

    def statements(self, role: dict[str, Any]) -> list[dict[str, Any]]:
        """All that a role (a reference to it) may do."""
        logical = role["Fn::GetAtt"][0] if "Fn::GetAtt" in role else role["Ref"]
        assert not self.all("IAM::Role")[logical].get("ManagedPolicyArns")
        policies = [each for each in self.all("IAM::Policy").values() if {"Ref": logical} in each["Roles"]]
        return [statement for each in policies for statement in each["PolicyDocument"]["Statement"]]


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Template]:
    """Makes the template for settings, with cdk-nag's findings as errors; the same settings are synthesised once."""
    from infra.application import application

    @cache
    def made(**settings: object) -> Template:
        folder = tmp_path_factory.mktemp("cdk")
        app = application(build=line_as_package, prices=prices, context={**FLAGS, **settings}, outdir=str(folder))
        app.synth()
        return Template(folder / f"{settings.get('name', 'fastslow')}.template.json")

    return made


@pytest.fixture(scope="session")
def template(synthesise: Callable[..., Template]) -> Template:
    """The template of the settings as they are by default."""
    return synthesise()
