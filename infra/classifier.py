"""The function that says what is in a picture."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.packages import Packages
from infra.program import Program
from infra.settings import Settings


class Classifier(Construct):
    """The function, and `live`, the alias that all callers use: it points at a published version."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        packages: Packages,
        layers: Sequence[lambda_.ILayerVersion],
        models: s3.IBucket,
    ) -> None:
        super().__init__(scope, name)
        self.program = Program(
            self,
            "Program",
            function_name=f"{settings.name}-classify",
            about="Says what is in a picture",
            handler="functions.classify.handler.handler",
            code=packages.functions(),
            layers=layers,
            arch=settings.arch,
            memory=settings.memory,
            tmp=settings.tmp,
            timeout=settings.timeout,
            log_days=settings.log_days,
            concurrency=settings.concurrency or None,
            snapstart=settings.snapstart,
            tracing=settings.tracing,
            environment={
                "FASTSLOW_MODELS_BUCKET": models.bucket_name,
                "FASTSLOW_CORS_ORIGIN": settings.cors,
                "FASTSLOW_METRICS": settings.name,
            },
        )
        self.alias = lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.program.function.current_version,
            description="What the API calls",
        )
