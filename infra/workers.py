"""The functions that do the jobs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.network import Network
from infra.packages import Packages
from infra.program import Program
from infra.settings import Settings


class Workers(Construct):
    """Copies of one function in the workers' subnets: Lambda adds 1,000 environments in 10 s *per function*."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        packages: Packages,
        layers: Sequence[lambda_.ILayerVersion],
        network: Network,
        environment: dict[str, str],
    ) -> None:
        super().__init__(scope, name)
        code = packages.functions()
        self.programs = [
            Program(
                self,
                f"Worker{number}",
                function_name=f"{settings.name}-worker-{number}",
                about=f"Does a part of a job; copy {number} of {settings.workers}",
                handler="functions.worker.handler.handler",
                code=code,
                layers=layers,
                arch=settings.arch,
                memory=settings.worker_memory,
                tmp=settings.worker_tmp,
                timeout=settings.worker_timeout,
                log_days=settings.log_days,
                tracing=settings.tracing,
                vpc=network.vpc,
                security_group=network.workers,
                environment=environment,
            )
            for number in range(settings.workers)
        ]
        for program in self.programs:
            # The coordinator starts another worker itself, and sooner; one that comes late has nothing to do.
            program.function.configure_async_invoke(retry_attempts=0, max_event_age=Duration.seconds(60))
