"""The function behind `/jobs`: hands jobs to the coordinator and tells what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra import grants
from infra.packages import Packages
from infra.program import Program
from infra.queue import Queue
from infra.settings import Settings


class Jobs(Construct):
    """Takes a job into the bucket and its id to the queue; reads below `jobs/`, and writes `jobs/ID/job` alone.

    Who has the API's key may have workers run what is deployed, not what he wrote himself.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        packages: Packages,
        layers: Sequence[lambda_.ILayerVersion],
        results: s3.IBucket,
        queue: Queue,
    ) -> None:
        super().__init__(scope, name)
        self.program = Program(
            self,
            "Program",
            function_name=f"{settings.name}-jobs",
            about="Takes jobs and tells what became of them",
            handler="functions.jobs.handler.handler",
            code=packages.functions(),
            layers=layers,
            arch=settings.arch,
            memory=512,
            tmp=512,
            timeout=28,
            log_days=settings.log_days,
            tracing=settings.tracing,
            environment={
                "FASTSLOW_RESULTS_BUCKET": results.bucket_name,
                "FASTSLOW_QUEUE": queue.jobs.queue_url,
                "FASTSLOW_PROGRAMS": settings.programs,
                **({"FASTSLOW_CORS_ORIGIN": settings.cors} if settings.cors else {}),
            },
        )
        grants.read(self.program.role, results, "jobs/")
        grants.write(self.program.role, results, "jobs/*/job")
        grants.send(self.program.role, queue.jobs)
