"""What deploying leaves in an account: what goes, and what stays because others use it. AWS is moto or set answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from botocore.exceptions import ClientError
from moto import mock_aws

from deploy.account import clients
from deploy.errors import CloudRefused
from deploy.remains import TOOLKIT, remains

BUCKET = "cdk-assets"
ROLE = "arn:aws:iam::123456789012:role/fastslow-ApiCloudWatchRole"


class Stacks:
    """CloudFormation with stacks by their resources, (kind, name) each; all but the toolkit are apps of CDK."""

    def __init__(self, **held: Sequence[tuple[str, str]]) -> None:
        self.held = dict(held)

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, f"_{operation}"))

    def _list_stack_resources(self, StackName: str) -> list[Any]:  # noqa: N803
        told = [{"ResourceType": f"AWS::{kind}", "PhysicalResourceId": name} for kind, name in self._get(StackName)]
        return [{"StackResourceSummaries": told}]

    def _describe_stacks(self) -> list[Any]:
        told = [{"ParameterKey": "BootstrapVersion"}]
        return [{"Stacks": [{"StackName": name, "Parameters": told if name != TOOLKIT else []} for name in self.held]}]

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        self._get(StackName)
        return {"Stacks": [{"StackName": StackName}]}

    def delete_stack(self, StackName: str) -> None:  # noqa: N803
        del self.held[StackName]

    def get_waiter(self, _: str) -> Any:
        return SimpleNamespace(wait=lambda **_: None)

    def _get(self, name: str) -> Sequence[tuple[str, str]]:
        if name not in self.held:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"{name} does not exist"}}, "Describe")
        return self.held[name]


class Gateway:
    """API Gateway with the role of an account and APIs by id."""

    def __init__(self, role: str, **apis: str) -> None:
        self.role, self.apis = role, apis

    def get_account(self) -> dict[str, str]:
        return {"cloudwatchRoleArn": self.role} if self.role else {}

    def update_account(self, patchOperations: Sequence[dict[str, str]]) -> None:  # noqa: N803
        (operation,) = patchOperations
        assert (operation["op"], operation["path"]) == ("replace", "/cloudwatchRoleArn")
        self.role = operation["value"]

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_rest_apis"
        items = [{"id": number, "name": name} for number, name in self.apis.items()]
        return SimpleNamespace(paginate=lambda: [{"items": items}])


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with the role for API Gateway and CDK's bucket."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with mock_aws():
        client = clients()
        may = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": may})
        policy = client("iam").create_policy(PolicyName="push", PolicyDocument=document)["Policy"]
        role = ROLE.rpartition("/")[2]
        client("iam").create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        client("iam").attach_role_policy(RoleName=role, PolicyArn=policy["Arn"])
        client("s3").create_bucket(Bucket=BUCKET)
        client("s3").put_object(Bucket=BUCKET, Key="asset.zip", Body=b"1")
        yield client


def beside(cloud: Any, stacks: Stacks, gateway: Gateway) -> Any:
    told = {
        "cloudformation": stacks,
        "apigateway": gateway,
        "apigatewayv2": SimpleNamespace(get_apis=lambda: {"Items": []}),
    }
    return lambda service: told.get(service) or cloud(service)


def test_all_of_it_goes(cloud: Any) -> None:
    api, gateway = "abc", Gateway(ROLE, abc="fastslow")
    for log in (f"API-Gateway-Execution-Logs_{api}/v1", "API-Gateway-Execution-Logs_other/v1"):
        cloud("logs").create_log_group(logGroupName=log)
    stacks = Stacks(fastslow=[("ApiGateway::RestApi", api)], CDKToolkit=[("S3::Bucket", BUCKET)])
    found = remains(beside(cloud, stacks, gateway), "fastslow")
    assert [each.what for each in found] == [
        f"log API-Gateway-Execution-Logs_{api}/v1",
        "API Gateway's role for logs, fastslow-ApiCloudWatchRole",
        f"CDK's bootstrap stack CDKToolkit and s3://{BUCKET}",
    ]
    assert not any(each.used for each in found)
    for each in found:
        each.remove()
    (log,) = cloud("logs").describe_log_groups()["logGroups"]
    assert log["logGroupName"] == "API-Gateway-Execution-Logs_other/v1"
    assert cloud("iam").list_roles()["Roles"] == []
    assert gateway.role == ""
    assert cloud("s3").list_buckets()["Buckets"] == []
    assert list(stacks.held) == ["fastslow"]
    with pytest.raises(CloudRefused):
        found[0].remove()


def test_what_others_use_stays(cloud: Any) -> None:
    stacks = Stacks(other=[], CDKToolkit=[("S3::Bucket", BUCKET)])
    role, toolkit = remains(beside(cloud, stacks, Gateway(ROLE, xyz="shop")), "fastslow")
    assert role.used == "other APIs use it: shop"
    assert toolkit.used == "other stacks use it: other"


def test_what_others_made_is_not_ours(cloud: Any) -> None:
    assert remains(beside(cloud, Stacks(), Gateway(ROLE)), "another") == []
    assert remains(beside(cloud, Stacks(), Gateway("")), "fastslow") == []
