"""The queue through which the coordinator hears of jobs."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledge import acknowledge

TAKEN_S = 30
"""For so long a message that the coordinator took is nobody else's; it has the job on its disk long before."""
TRIES = 5


class Queue(Construct):
    """Encrypted, TLS alone; what cannot be done lies in the queue `refused` until somebody looks."""

    def __init__(self, scope: Construct, name: str, *, prefix: str) -> None:
        super().__init__(scope, name)
        self.refused = sqs.Queue(
            self,
            "Refused",
            queue_name=f"{prefix}-jobs-refused",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.refused, {"SQS3": "this is where the other queue's dead letters go"})
        self.jobs = sqs.Queue(
            self,
            "Jobs",
            queue_name=f"{prefix}-jobs",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(TAKEN_S),
            receive_message_wait_time=Duration.seconds(20),
            retention_period=Duration.days(4),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.refused, max_receive_count=TRIES),
        )
