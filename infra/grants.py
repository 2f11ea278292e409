"""Permissions, narrower than CDK's `grant_read` and its like, which allow all that begins with `Get` and `List`."""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnElement, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sqs as sqs

from infra.acknowledge import acknowledge


def read(role: iam.Role, bucket: s3.IBucket, prefix: str = "") -> None:
    """Let a role read objects, those below a prefix that ends with `/` or the one of this name.

    It may list names, too, or S3 answers 403 where nothing is and not 404.
    """
    _objects(role, bucket, prefix, "s3:GetObject")
    _allow(role, bucket.bucket_arn, "s3:ListBucket")


def write(role: iam.Role, bucket: s3.IBucket, prefix: str = "") -> None:
    """Let a role write objects, in one piece or in parts; it cannot delete any."""
    _objects(role, bucket, prefix, "s3:PutObject", "s3:AbortMultipartUpload")


def delete(role: iam.Role, bucket: s3.IBucket, prefix: str = "") -> None:
    """Let a role delete objects."""
    _objects(role, bucket, prefix, "s3:DeleteObject")


def read_asset(role: iam.Role, asset: assets.Asset) -> None:
    """Let a role read one asset, and no other."""
    _allow(role, asset.bucket.arn_for_objects(asset.s3_object_key), "s3:GetObject")


def call(role: iam.Role, function: lambda_.IFunction) -> None:
    """Let a role call a function or an alias; `grant_invoke` would allow every version besides."""
    _allow(role, function.function_arn, "lambda:InvokeFunction")


def replace_itself(role: iam.Role, group: str) -> None:
    """Let a machine tell its group, by name, that another must take its place."""
    stack = Stack.of(role)
    where = f"arn:{stack.partition}:autoscaling:{stack.region}:{stack.account}"
    arn = f"{where}:autoScalingGroup:*:autoScalingGroupName/{group}"
    _allow(role, arn, "autoscaling:SetInstanceHealth")
    name = arn.replace(stack.partition, "<AWS::Partition>").replace(stack.region, "<AWS::Region>")
    reason = "the middle of a group's ARN is made up when the group is"
    acknowledge(role, {f"IAM5[Resource::{name.replace(stack.account, '<AWS::AccountId>')}]": reason})


def anything(role: iam.Role, actions: list[str], reason: str) -> None:
    """Let a role do what cannot be narrowed to a resource, for a reason."""
    _allow(role, "*", *actions)
    acknowledge(role, {"IAM5[Resource::*]": reason})


def send(role: iam.Role, queue: sqs.IQueue) -> None:
    """Let a role put messages into a queue."""
    _allow(role, queue.queue_arn, "sqs:SendMessage")


def receive(role: iam.Role, queue: sqs.IQueue) -> None:
    """Let a role take messages out of a queue."""
    _allow(role, queue.queue_arn, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")


def _objects(role: iam.Role, bucket: s3.IBucket, prefix: str, *actions: str) -> None:
    names = prefix if prefix and not prefix.endswith("/") else f"{prefix}*"
    _allow(role, bucket.arn_for_objects(names), *actions)
    element = Stack.of(bucket).get_logical_id(cast(CfnElement, bucket.node.default_child))
    acknowledge(role, {f"IAM5[Resource::<{element}.Arn>/{names}]": "jobs and models choose the names of their objects"})


def _allow(role: iam.Role, resource: str, *actions: str) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
