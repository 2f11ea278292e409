"""Keeps environments of the classifier warm."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.packages import Packages
from infra.program import Program
from infra.settings import Settings


class Warmup(Construct):
    """Every few minutes a small function calls the classifier `settings.warm` times at once.

    Calls that overlap land in different environments, and each fetches its model before it answers. The fan-out needs
    a caller that waits for all of them, so EventBridge cannot do it alone.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        packages: Packages,
        target: lambda_.Alias,
    ) -> None:
        super().__init__(scope, name)
        self.program = Program(
            self,
            "Program",
            function_name=f"{settings.name}-warmup",
            about="Keeps environments of the classifier warm",
            handler="functions.warmup.handler.handler",
            code=packages.functions(),
            layers=[],  # what Lambda brings is enough
            arch=settings.arch,
            memory=256,
            tmp=512,
            timeout=60,
            log_days=settings.log_days,
            # One at a time: two would each find the other's environments busy and start more.
            concurrency=1 if settings.concurrency else None,
            environment={
                "FASTSLOW_WARM_FUNCTION": target.function_arn,
                "FASTSLOW_WARM_COUNT": str(settings.warm),
                "FASTSLOW_METRICS": settings.name,
            },
        )
        events.Rule(
            self,
            "Schedule",
            description=f"Keeps {settings.warm} environments of the classifier warm",
            schedule=events.Schedule.rate(Duration.minutes(settings.warm_minutes)),
            targets=[
                # The next one comes soon, so a late or failed one is let go.
                targets.LambdaFunction(self.program.function, retry_attempts=0, max_event_age=Duration.seconds(60))
            ],
        )
