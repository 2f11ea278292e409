"""Where the code of layers and functions comes from: zips that a builder makes while CDK stages assets."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jsii
from aws_cdk import AssetHashType, BundlingOptions, BundlingOutput, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.settings import Arch

ROOT = Path(__file__).resolve().parents[1]

# Makes the package NAME for a processor as NAME.zip in a folder.
Build = Callable[[str, Arch, Path], object]


@jsii.implements(ILocalBundling)
class _Bundler:
    """Fills the folder that becomes the asset. No Docker stands behind it: an error ends the synthesis."""

    def __init__(self, fill: Callable[[Path], object]) -> None:
        self._fill = fill

    def try_bundle(self, output_dir: str, _options: BundlingOptions) -> bool:
        self._fill(Path(output_dir))
        return True


class Packages:
    """What is uploaded, for one kind of processor; what several use is made and uploaded once."""

    def __init__(self, *, arch: Arch, build: Build) -> None:
        self._arch = arch
        self._build = build

    def functions(self) -> lambda_.Code:
        """The package `functions`: every function has all of it, and names its own entry point."""

        def copy(folder: Path) -> None:
            shutil.copytree(ROOT / "functions", folder / "functions", ignore=shutil.ignore_patterns("__pycache__"))

        return lambda_.Code.from_asset(
            **_asset("functions", "functions", self._arch, copy, BundlingOutput.NOT_ARCHIVED)
        )

    def layer(self, name: str) -> lambda_.Code:
        """The zip of a layer."""
        return lambda_.Code.from_asset(**self._layer(name))

    def layer_as_object(self, scope: Construct, name: str, layer: str) -> assets.Asset:
        """The zip of a layer as an object in S3, for something that is no function."""
        return assets.Asset(scope, name, **self._layer(layer))

    def _layer(self, name: str) -> dict[str, Any]:
        def build(folder: Path) -> None:
            self._build(name, self._arch, folder)

        return _asset("layers", name, self._arch, build, BundlingOutput.ARCHIVED)


def _asset(source: str, name: str, arch: str, fill: Callable[[Path], None], output: BundlingOutput) -> dict[str, Any]:
    return {
        "path": str(ROOT / source),
        "asset_hash_type": AssetHashType.OUTPUT,
        "bundling": BundlingOptions(
            image=DockerImage.from_registry("none"),
            local=cast(ILocalBundling, _Bundler(fill)),
            output_type=output,
            # CDK bundles what has the same source and options once, whatever the bundler.
            environment={"PACKAGE": name, "ARCH": arch},
        ),
    }
