"""The layers that functions share."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.packages import Packages
from infra.program import ARCHITECTURES


class Layers(Construct):
    """`video` is numpy and PyAV, `vision` onnxruntime, numpy and Pillow, `code` is this project, codec compiled."""

    def __init__(self, scope: Construct, name: str, *, arch: str, packages: Packages) -> None:
        super().__init__(scope, name)

        def layer(which: str, about: str) -> lambda_.LayerVersion:
            return lambda_.LayerVersion(
                self,
                which.title(),
                description=about,
                code=packages.layer(which),
                compatible_architectures=[ARCHITECTURES[arch]],
                compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            )

        self.video = layer("video", "numpy, PyAV")
        self.vision = layer("vision", "onnxruntime, numpy, Pillow")
        self.code = layer("code", "fastslow's packages and its compiled codec")
