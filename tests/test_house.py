"""The rules of the house: layers, sizes, public names, dependencies, licence, documents."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

# What each package may import of the house, from the top down. None of them imports bench or tests.
LAYERS = {
    "functions": {"pipelines", "mu", "vision", "codec", "pages"},
    "cli": {"pipelines", "mu", "vision", "codec", "deploy"},
    "pipelines": {"mu", "vision", "codec", "pages"},
    "mu": {"codec", "pages"},
    "vision": {"codec"},
    "codec": set(),
    "pages": set(),
    "infra": set(),
    "deploy": set(),
    "layers": set(),
}
HOUSE = {*LAYERS, "bench", "tests"}
# What the codec may import from outside: it must fit into a function that has nothing else.
CODEC_NEEDS = {"cython", "numpy"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked(*patterns: str) -> list[Path]:
    """The files of the project (not what it makes) that match, as paths from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [Path(name) for name in names if (ROOT / name).exists()]


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, wherever in it; a cimport counts as the import of its module."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            parts = name.removeprefix("cython.cimports.").split(".")
            if parts[0] not in ("libc", "cpython"):
                yield parts[0]


SOURCES = tracked("*.py")
LAYERED = [path for path in SOURCES if path.parts[0] in LAYERS]


@pytest.mark.parametrize("path", LAYERED, ids=str)
def test_an_import_points_down(path: Path) -> None:
    package = path.parts[0]
    above = (set(imports(path)) & HOUSE) - LAYERS[package] - {package}
    assert not above, f"{package} imports {', '.join(above)}"


# Packages whose name on PyPI is another one.
DISTRIBUTIONS = {"PIL": "pillow", "aws_cdk": "aws-cdk-lib"}
# What a package may import of an optional extra, besides what every installation has.
EXTRAS = {
    "infra": "deploy",
    "layers": "deploy",
    "deploy": "aws",
    "functions": "aws",
    "vision": "aws",
    "pipelines": "aws",
    "cli": "aws",
    "mu": "mu",
}


def test_what_is_imported_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for path in LAYERED:
        outside = set(imports(path)) - sys.stdlib_module_names - HOUSE
        lines = [*PROJECT["project"]["dependencies"], *extras.get(EXTRAS.get(path.parts[0], ""), [])]
        declared = {canonicalize_name(Requirement(line).name) for line in lines}
        allowed = CODEC_NEEDS if path.parts[0] == "codec" else declared
        assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in outside} <= allowed, path


def test_every_dependency_is_pinned_within_its_range() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "nothing but name==version"
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    wanted += [line for extra in project["optional-dependencies"].values() for line in extra]
    for requirement in map(Requirement, wanted):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("path", [p for p in SOURCES if "tables" not in p.stem], ids=str)
def test_a_file_is_short(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 500


def public_names(path: Path) -> tuple[set[str], list[str]]:
    """The public names that a package's module defines or takes from its own modules, and its `__all__`."""
    found: set[str] = set()
    exported: list[str] = []
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == path.parts[0]:
            found.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if names == ["__all__"] and node.value:
                exported = ast.literal_eval(node.value)
            found.update(names)
    return {name for name in found if not name.startswith("_")}, exported


@pytest.mark.parametrize("path", [p for p in LAYERED if p.name == "__init__.py"], ids=str)
def test_all_of_a_package_is_complete(path: Path) -> None:
    found, exported = public_names(path)
    assert found <= set(exported)
    package = importlib.import_module(".".join(path.parent.parts))
    for name in exported:
        assert getattr(package, name) is not None


def test_the_licence_is_apache() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    suspicious = re.compile(r"https?://[\w.]*(pypi|pythonhosted|npmjs)\.\w+|index-url|(?<![\w.])/(work|root|home)/\w")
    for path in tracked():
        if path != Path(__file__).relative_to(ROOT) and path.suffix not in (".png", ".webm", ".ivf", ".zip"):
            assert not (found := suspicious.search((ROOT / path).read_text())), f"{path}: {found and found[0]}"


DOCUMENTS = tracked("*.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_a_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / path).read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text):
        target = "".join(link)
        if not re.match(r"\w+:", target):
            assert (ROOT / path.parent / target).exists(), target


def test_the_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        mentioned = re.findall(r"\bmake ([a-z]+)\b(?=[`\n ]*[`\n#])", (ROOT / path).read_text())
        assert set(mentioned) <= targets, path


@pytest.mark.parametrize("path", tracked("*.svg"), ids=str)
def test_a_picture_says_what_it_shows_by_day_and_by_night(path: Path) -> None:
    text = (ROOT / path).read_text()
    picture = ET.fromstring(text)
    assert picture.find("{*}title") is not None
    assert "prefers-color-scheme: dark" in text


def test_the_changelog_knows_this_version() -> None:
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()
