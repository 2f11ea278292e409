"""Permissions, narrower than CDK's `grant_read` and its like, which allow all that begins with `Get` and `List`."""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnElement, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets

from infra.acknowledge import acknowledge


def read(role: iam.Role, bucket: s3.IBucket) -> None:
    """Let a role read objects. It may list names, too, or S3 answers 403 where nothing is and not 404."""
    _objects(role, bucket, "s3:GetObject")
    _allow(role, bucket.bucket_arn, "s3:ListBucket")


def write(role: iam.Role, bucket: s3.IBucket) -> None:
    """Let a role write objects, in one piece or in parts; it cannot delete any."""
    _objects(role, bucket, "s3:PutObject", "s3:AbortMultipartUpload")


def delete(role: iam.Role, bucket: s3.IBucket) -> None:
    """Let a role delete objects."""
    _objects(role, bucket, "s3:DeleteObject")


def read_asset(role: iam.Role, asset: assets.Asset) -> None:
    """Let a role read one asset, and no other."""
    _allow(role, asset.bucket.arn_for_objects(asset.s3_object_key), "s3:GetObject")


def call(role: iam.Role, function: lambda_.IFunction) -> None:
    """Let a role call a function or an alias; `grant_invoke` would allow every version besides."""
    _allow(role, function.function_arn, "lambda:InvokeFunction")


def anything(role: iam.Role, actions: list[str], reason: str) -> None:
    """Let a role do what cannot be narrowed to a resource, for a reason."""
    _allow(role, "*", *actions)
    acknowledge(role, {"IAM5[Resource::*]": reason})


def _objects(role: iam.Role, bucket: s3.IBucket, *actions: str) -> None:
    _allow(role, bucket.arn_for_objects("*"), *actions)
    element = Stack.of(bucket).get_logical_id(cast(CfnElement, bucket.node.default_child))
    acknowledge(role, {f"IAM5[Resource::<{element}.Arn>/*]": "jobs and models choose the names of their objects"})


def _allow(role: iam.Role, resource: str, *actions: str) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
