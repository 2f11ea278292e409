"""An account: what of a stack is in it, and emptying its buckets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from deploy.errors import CloudRefused

T = TypeVar("T")
Clients = Callable[[str], Any]
"""Makes the client of boto3 for a service."""


def region() -> str:
    """The region that the environment names, in the order in which `cdk` looks; empty when it names none.

    boto3 alone knows nothing of AWS_REGION, and `cdk` alone takes us-east-1 where there is none.
    """
    for name in ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AMAZON_DEFAULT_REGION"):
        if named := os.environ.get(name):
            return named
    try:
        return boto3.Session().region_name or ""
    except ProfileNotFound:
        return ""


def clients() -> Clients:
    """Makes clients for the environment's credentials and region, from any thread; none of them waits for long."""
    lock, config = Lock(), Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3})

    def client(service: str) -> Any:
        with lock:  # boto3's session is not made for threads, its clients are
            return boto3.client(service, region_name=region() or None, config=config)

    return client


@dataclass(frozen=True)
class Held:
    """A bucket of a stack and what lies in it; every version of an object counts."""

    bucket: str
    objects: int
    bytes: int


class Account:
    """The account and region that the environment's credentials are for. Every method raises CloudRefused."""

    def __init__(self, client: Clients | None = None) -> None:
        self._client = client or clients()

    def who(self) -> str:
        """The number of the account, which also tells whether there are credentials."""
        return str(self._ask(lambda: self._client("sts").get_caller_identity()["Account"]))

    def resources(self, stack: str) -> list[tuple[str, str]]:
        """Kind and name of everything in a stack; empty when there is no such stack."""

        def ask() -> list[tuple[str, str]]:
            pages = self._client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
            found = [each for page in pages for each in page["StackResourceSummaries"]]
            return [(each["ResourceType"], each.get("PhysicalResourceId", "")) for each in found]

        return self._unless("does not exist", ask) or []

    def stack(self, name: str) -> dict[str, Any] | None:
        """What CloudFormation says of a stack; None when there is no such stack."""

        def ask() -> dict[str, Any]:
            return dict(self._client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])

        return self._unless("does not exist", ask)

    def parameter(self, name: str) -> str:
        """The value of a parameter in SSM; empty when there is no such parameter."""

        def ask() -> str:
            return str(self._client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

        return self._unless("ParameterNotFound", ask) or ""

    def held(self, stack: str) -> list[Held]:
        """The stack's buckets and what is in them."""
        return [self._held(name) for kind, name in self.resources(stack) if kind == "AWS::S3::Bucket"]

    def empty(self, bucket: str) -> int:
        """Delete every version of every object; how many there were."""

        def ask() -> int:
            s3, deleted = self._client("s3"), 0
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                names = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                if names:
                    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": names, "Quiet": True})
                    if errors := answer.get("Errors"):
                        raise CloudRefused(f"s3://{bucket}/{errors[0]['Key']} stays: {errors[0]['Message']}")
                deleted += len(names)
            return deleted

        return self._ask(ask)

    def _held(self, bucket: str) -> Held:
        def ask() -> Held:
            pages = self._client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
            sizes = [each["Size"] for page in pages for each in page.get("Versions", [])]
            return Held(bucket, len(sizes), sum(sizes))

        return self._ask(ask)

    def _unless(self, missing: str, ask: Callable[[], T]) -> T | None:
        """What `ask` gives, or None where the account says that there is no such thing."""
        try:
            return self._ask(ask)
        except CloudRefused as error:
            if missing in str(error):
                return None
            raise

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (ClientError, BotoCoreError) as error:
            raise CloudRefused(str(error)) from error
