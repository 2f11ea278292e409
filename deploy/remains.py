"""What deploying leaves in an account beside the stack, and removing that where nobody else uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account, Clients
from deploy.errors import CloudRefused

TOOLKIT = "CDKToolkit"
"""CDK's bootstrap stack."""


@dataclass(frozen=True)
class Remain:
    """Something that deploying left; `used` says by whom else, and it stays then."""

    what: str
    used: str
    remove: Callable[[], None]
    """Raises CloudRefused."""


def remains(clients: Clients, stack: str) -> list[Remain]:
    """What deploying `stack` leaves in the account once the stack itself is gone. Raises CloudRefused."""
    with _refusals():
        resources = Account(clients).resources(stack)
        apis = [name for kind, name in resources if kind == "AWS::ApiGateway::RestApi"]
        return [*_logs(clients, apis), *_role(clients, stack, apis), *_toolkit(clients, stack)]


def _logs(clients: Clients, apis: Sequence[str]) -> Iterator[Remain]:
    """API Gateway makes the log of an API's executions itself, and leaves it."""
    logs = clients("logs")
    for api in apis:
        for page in logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=f"API-Gateway-Execution-Logs_{api}/"
        ):
            for each in page["logGroups"]:
                name = each["logGroupName"]
                yield Remain(f"log {name}", "", lambda name=name: _drop_log(logs, name))  # type: ignore[misc]


def _drop_log(logs: Any, name: str) -> None:
    with _refusals():
        logs.delete_log_group(logGroupName=name)


def _role(clients: Clients, stack: str, apis: Sequence[str]) -> Iterator[Remain]:
    """The role by which API Gateway writes logs is the account's, though the first stack made it."""
    gateway = clients("apigateway")
    arn = str(gateway.get_account().get("cloudwatchRoleArn") or "")
    name = arn.rpartition("/")[2]
    if not name.startswith(f"{stack}-"):
        return
    pages = gateway.get_paginator("get_rest_apis").paginate()
    others = [each["name"] for page in pages for each in page["items"] if each["id"] not in apis]
    others += [each["Name"] for each in clients("apigatewayv2").get_apis()["Items"]]

    def remove() -> None:
        with _refusals():
            gateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])
            iam = clients("iam")
            for each in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=name, PolicyArn=each["PolicyArn"])
            iam.delete_role(RoleName=name)

    yield Remain(f"API Gateway's role for logs, {name}", _by("other APIs", others), remove)


def _toolkit(clients: Clients, stack: str) -> Iterator[Remain]:
    """What `cdk bootstrap` made is for every CDK app of the account and region; its bucket outlives its stack."""
    account, cloud = Account(clients), clients("cloudformation")
    buckets = [name for kind, name in account.resources(TOOLKIT) if kind == "AWS::S3::Bucket"]
    if not account.stack(TOOLKIT):
        return
    others = [
        each["StackName"]
        for page in cloud.get_paginator("describe_stacks").paginate()
        for each in page["Stacks"]
        if each["StackName"] not in (stack, TOOLKIT)
        and any(given["ParameterKey"] == "BootstrapVersion" for given in each.get("Parameters", []))
    ]

    def remove() -> None:
        for bucket in buckets:
            account.empty(bucket)
        with _refusals():
            cloud.delete_stack(StackName=TOOLKIT)
            cloud.get_waiter("stack_delete_complete").wait(StackName=TOOLKIT)
            for bucket in buckets:
                _drop_bucket(clients("s3"), bucket)

    what = f"CDK's bootstrap stack {TOOLKIT}{''.join(f' and s3://{bucket}' for bucket in buckets)}"
    yield Remain(what, _by("other stacks", others), remove)


def _drop_bucket(s3: Any, bucket: str) -> None:
    try:
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":  # it went with its stack
            raise


def _by(whom: str, names: Sequence[str]) -> str:
    return f"{whom} use it: {', '.join(sorted(names))}" if names else ""


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise CloudRefused(str(error)) from error
