"""What CDK synthesised, read for what decides whether it can be deployed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ZIPPED_LIMIT = 50 << 20
"""Bytes of a package in a direct upload (Lambda quotas)."""
UNZIPPED_LIMIT = 250 << 20
"""Bytes of a function with all of its layers, unpacked (Lambda quotas)."""


@dataclass(frozen=True)
class Size:
    """Bytes of a package; what is no zip yet counts as it lies there."""

    zipped: int
    unzipped: int


class Assembly:
    """A folder that `cdk synth` wrote, by the template of its one stack."""

    def __init__(self, template: Path) -> None:
        self.template = template
        self.folder = template.parent
        self.stack = template.name.removesuffix(".template.json")
        self.resources: Mapping[str, Any] = json.loads(template.read_text())["Resources"]

    def of_kind(self, kind: str) -> dict[str, Any]:
        """The properties of every resource of a kind, `Lambda::Function`, by logical id."""
        return {
            name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] == f"AWS::{kind}"
        }

    @property
    def reserved(self) -> dict[str, int]:
        """Environments that are reserved, by the name of the function."""
        functions = self.of_kind("Lambda::Function").values()
        found = {each["FunctionName"]: each.get("ReservedConcurrentExecutions", 0) for each in functions}
        return {name: count for name, count in found.items() if count}

    @property
    def warm(self) -> int:
        """Environments of the classifier that are kept warm."""
        functions = self.of_kind("Lambda::Function").values()
        told = [each.get("Environment", {}).get("Variables", {}).get("FASTSLOW_WARM_COUNT") for each in functions]
        return sum(int(each) for each in told if each)

    @property
    def workers(self) -> int:
        """Copies of the worker function."""
        names = [each["FunctionName"] for each in self.of_kind("Lambda::Function").values()]
        return sum(name.startswith(f"{self.stack}-worker-") for name in names)

    @property
    def bootstrap(self) -> tuple[str, int]:
        """The parameter of SSM that has the version of CDK's bootstrap, and the version that this app needs."""
        artifacts = json.loads((self.folder / "manifest.json").read_text())["artifacts"]
        told = artifacts[self.stack]["properties"]
        return told["bootstrapStackVersionSsmParameter"], int(told["requiresBootstrapStackVersion"])

    @property
    def packages(self) -> dict[str, Size]:
        """The layers' sizes, by the name of the layer."""
        layers = self.of_kind("Lambda::LayerVersion")
        return {self._named(each["Content"]): self._size(each["Content"]) for each in layers.values()}

    @property
    def unpacked(self) -> dict[str, int]:
        """Bytes of every function with its layers, unpacked."""
        layers = self.of_kind("Lambda::LayerVersion")
        sizes = {name: self._size(each["Content"]).unzipped for name, each in layers.items()}
        return {
            each["FunctionName"]: self._size(each["Code"]).unzipped
            + sum(sizes[layer["Ref"]] for layer in each.get("Layers", []))
            for each in self.of_kind("Lambda::Function").values()
        }

    @cached_property
    def _assets(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / f"{self.stack}.assets.json").read_text())["files"]
        return found

    def _named(self, content: Mapping[str, str]) -> str:
        return str(self._assets[Path(content["S3Key"]).stem]["displayName"]).split("/")[-2].lower()

    def _size(self, content: Mapping[str, str]) -> Size:
        path = self.folder / self._assets[Path(content["S3Key"]).stem]["source"]["path"]
        if path.is_dir():
            unzipped = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
            return Size(unzipped, unzipped)
        with zipfile.ZipFile(path) as zipped:
            return Size(path.stat().st_size, sum(each.file_size for each in zipped.infolist()))
