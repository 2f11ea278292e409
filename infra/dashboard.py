"""The dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigw
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

MINUTE = Duration.minutes(1)


class Dashboard(Construct):
    """One page: what callers see, what the classifier does, what its cache does, what jobs and workers do."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        prefix: str,
        rest: apigw.RestApi,
        classifier: lambda_.Function,
        workers: Sequence[lambda_.Function],
        jobs: sqs.IQueue | None,
    ) -> None:
        super().__init__(scope, name)

        def own(metric: str) -> cw.Metric:
            # What the function counts itself (functions/telemetry.py).
            names = {"service": "classify"}
            return cw.Metric(namespace=prefix, metric_name=metric, dimensions_map=names, statistic="sum", period=MINUTE)

        def latency(metric: cw.Metric, label: str) -> list[cw.IMetric]:
            return [metric.with_(statistic=p, label=f"{label} {p}", period=MINUTE) for p in ("p50", "p90", "p99")]

        board = cw.Dashboard(self, "Page", dashboard_name=prefix, default_interval=Duration.hours(3))
        board.add_widgets(
            _graph(
                "Requests",
                rest.metric_count(period=MINUTE),
                rest.metric_client_error(period=MINUTE),
                rest.metric_server_error(period=MINUTE),
            ),
            _graph("What callers wait for, ms", *latency(rest.metric_latency(), "API")),
            _graph("The classifier, ms", *latency(classifier.metric_duration(), "function")),
        )
        board.add_widgets(
            _graph("Calls", own("Requests"), own("WarmUps")),
            _graph("Cold starts", own("ColdStart")),
            _graph("Models in /tmp", own("CacheHit"), own("CacheMiss"), own("NoModel"), own("SwitchFailed")),
        )
        board.add_widgets(
            _graph(
                "Errors and throttles",
                classifier.metric_errors(period=MINUTE),
                classifier.metric_throttles(period=MINUTE),
            ),
            _graph("Environments", classifier.metric("ConcurrentExecutions", statistic="max", period=MINUTE)),
            _graph(
                "Workers", *(w.metric_invocations(period=MINUTE, label=f"worker {n}") for n, w in enumerate(workers))
            ),
        )

        if jobs:
            running = [w.metric("ConcurrentExecutions", statistic="max", period=MINUTE) for w in workers]
            board.add_widgets(
                _graph(
                    "Jobs that wait",
                    jobs.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="max"),
                ),
                _graph(
                    "The oldest waits for, s",
                    jobs.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="max"),
                ),
                _graph("Workers at a time", *running),
            )


def _graph(title: str, *metrics: cw.IMetric) -> cw.GraphWidget:
    return cw.GraphWidget(title=title, left=list(metrics), width=8)
