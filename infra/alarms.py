"""Alarms, and who hears them."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct


class Alarms(Construct):
    """A topic that alarms go to, and whose subscriber is the address in the settings."""

    def __init__(self, scope: Construct, name: str, *, email: str) -> None:
        super().__init__(scope, name)
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # The policy that asks for TLS takes the place of the one that lets the account's alarms in.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        if email:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))

    def add(
        self,
        name: str,
        about: str,
        metric: cw.IMetric,
        *,
        above: float = 0,
        below: float | None = None,
        minutes: int = 5,
    ) -> None:
        """Alarm when `metric` is beyond a threshold (`below` is given, or `above`) in `minutes` minutes on end.

        No data is no trouble.
        """
        more, less = cw.ComparisonOperator.GREATER_THAN_THRESHOLD, cw.ComparisonOperator.LESS_THAN_THRESHOLD
        alarm = cw.Alarm(
            self,
            name,
            alarm_description=about,
            metric=metric,
            threshold=above if below is None else below,
            comparison_operator=more if below is None else less,
            evaluation_periods=minutes,
            treat_missing_data=cw.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
