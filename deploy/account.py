"""An account: what of a stack is in it, and emptying its buckets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.errors import CloudRefused

T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """A bucket of a stack and what lies in it; every version of an object counts."""

    bucket: str
    objects: int
    bytes: int


class Account:
    """The account and region that the environment's credentials are for. Every method raises CloudRefused."""

    def __init__(self, client: Callable[[str], Any] = boto3.client) -> None:
        self._client = client

    def who(self) -> str:
        """The number of the account, which also tells whether there are credentials."""
        return str(self._ask(lambda: self._client("sts").get_caller_identity()["Account"]))

    def resources(self, stack: str) -> list[tuple[str, str]]:
        """Kind and name of everything in a stack; empty when there is no such stack."""

        def ask() -> list[tuple[str, str]]:
            pages = self._client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
            found = [each for page in pages for each in page["StackResourceSummaries"]]
            return [(each["ResourceType"], each.get("PhysicalResourceId", "")) for each in found]

        try:
            return self._ask(ask)
        except CloudRefused as error:
            if "does not exist" in str(error):
                return []
            raise

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

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (ClientError, BotoCoreError) as error:
            raise CloudRefused(str(error)) from error
