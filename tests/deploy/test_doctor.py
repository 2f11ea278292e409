"""Every check of `fastslow doctor` on an account, where all is well and where it is not; AWS is moto or set answers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

import boto3
from botocore import exceptions as aws
from moto import mock_aws

from deploy import cost
from deploy.account import clients, region
from deploy.assembly import Assembly
from deploy.doctor import account, packages, quotas
from deploy.doctor.checks import account_checks
from deploy.doctor.finding import Finding, examine, failed
from deploy.errors import ToolFailed

CLASSIFY, WARMUP = "x-classify", "x-warmup"


def refusal(code: str, message: str = "no") -> aws.ClientError:
    return aws.ClientError({"Error": {"Code": code, "Message": message}}, "GetSomething")


def raising(error: Exception) -> Any:
    def refuse(**_: object) -> None:
        raise error

    return refuse


def answering(**services: Mapping[str, Any]) -> Any:
    """Clients that answer with what is given: {service: {operation: answer or error}}, `_` for `-` in names."""

    def client(service: str) -> Any:
        operations = services[service.replace("-", "_")]
        return SimpleNamespace(
            **{
                name: raising(told) if isinstance(told, Exception) else (lambda told=told, **_: told)
                for name, told in operations.items()
            }
        )

    return client


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Clients of an empty account in moto."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with mock_aws():
        yield clients()


def assembly(
    folder: Path, *, reserved: int = 200, warm: int = 4, budget: int = 0, layer: bytes = b"", vpc: bool = True
) -> Assembly:
    """A small app as `cdk synth` leaves it."""
    with zipfile.ZipFile(folder / "asset.l.zip", "w") as zipped:
        zipped.writestr("large", layer)
    (folder / "asset.f").mkdir(exist_ok=True)
    (folder / "asset.f" / "handler.py").write_text("pass\n")
    code = {"S3Key": "f.zip"}

    def function(name: str, count: int = 0, **more: Any) -> dict[str, Any]:
        given = {"FunctionName": name, "Code": code, "MemorySize": 1024, "Architectures": ["arm64"], **more}
        return {
            "Type": "AWS::Lambda::Function",
            "Properties": given | ({"ReservedConcurrentExecutions": count} if count else {}),
        }

    told = {"Variables": {"FASTSLOW_WARM_COUNT": str(warm)}}
    resources: dict[str, Any] = {
        "L": {
            "Type": "AWS::Lambda::LayerVersion",
            "Properties": {"Content": {"S3Key": "l.zip"}},
        },
        "C": function(CLASSIFY, reserved, Layers=[{"Ref": "L"}]),
        "W": function(WARMUP, int(bool(reserved)), Environment=told),
        "J": function("x-worker-0"),
    }
    if budget:
        limit = {"BudgetLimit": {"Amount": budget, "Unit": "USD"}}
        resources["B"] = {"Type": "AWS::Budgets::Budget", "Properties": {"Budget": limit}}
    template = folder / "x.template.json"
    template.write_text(json.dumps({"Resources": resources}))
    files = {
        "l": {"displayName": "Layers/Video/Code", "source": {"path": "asset.l.zip"}},
        "f": {"displayName": "Classifier/Code", "source": {"path": "asset.f"}},
    }
    (folder / "x.assets.json").write_text(json.dumps({"files": files}))
    needs = {"bootstrapStackVersionSsmParameter": "/cdk/version", "requiresBootstrapStackVersion": 6}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"x": {"properties": needs}}}))
    return Assembly(template)


def test_who_asks(cloud: Any) -> None:
    found = account.credentials(cloud)
    assert (found.grade, found.facts["account"]) == ("ok", "123456789012")
    root = answering(sts={"get_caller_identity": {"Account": "1", "Arn": "arn:aws:iam::1:root"}})
    assert account.credentials(root).grade == "warning"


@pytest.mark.parametrize(
    ("error", "found", "todo"),
    [
        (aws.NoCredentialsError(), "there are none", "aws configure"),
        (refusal("ExpiredToken"), "expired", "sign in again"),
        (refusal("ExpiredTokenException"), "expired", "sign in again"),
        (aws.UnauthorizedSSOTokenError(), "expired", "aws sso login"),
        (aws.SSOTokenLoadError(error_msg="gone"), "expired", "aws sso login"),
        (refusal("InvalidClientTokenId"), "does not know them", "aws configure"),
        (refusal("SignatureDoesNotMatch"), "signature", "clock"),
        (aws.ProfileNotFound(profile="work"), "work", "AWS_PROFILE"),
        (aws.EndpointConnectionError(endpoint_url="https://sts"), "cannot be reached", "proxy"),
        (refusal("InternalFailure"), "InternalFailure", "aws configure"),
    ],
)
def test_credentials_that_are_none(error: Exception, found: str, todo: str) -> None:
    told = account.credentials(answering(sts={"get_caller_identity": error}))
    assert told.grade == "failed"
    assert found in told.found
    assert todo in told.todo


def test_the_region_is_the_one_that_cdk_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AMAZON_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    boto3.setup_default_session()
    assert region() == ""
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n[profile other]\nregion = eu-south-1\n")
    assert region() == "eu-north-1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert region() == "eu-south-1"
    monkeypatch.setenv("AWS_PROFILE", "gone")
    assert region() == ""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert region() == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert region() == "eu-west-3"


def test_a_region() -> None:
    assert account.named_region("eu-west-1").grade == "ok"
    assert account.named_region("eu-wset-1").grade == "warning"
    assert account.named_region("").grade == "failed"


def test_bootstrap(cloud: Any, tmp_path: Path) -> None:
    made = assembly(tmp_path)
    found = account.bootstrap(cloud, lambda: made)
    assert (found.grade, found.facts) == ("warning", {"version": "", "needed": 6})
    for version, grade in (("5", "warning"), ("6", "ok"), ("33", "ok")):
        cloud("ssm").put_parameter(Name="/cdk/version", Value=version, Type="String", Overwrite=True)
        assert account.bootstrap(cloud, lambda: made).grade == grade, version


@pytest.mark.parametrize(
    ("state", "grade", "todo"),
    [
        ("CREATE_COMPLETE", "ok", ""),
        ("UPDATE_COMPLETE", "ok", ""),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", "what runs is the one before"),
        ("ROLLBACK_COMPLETE", "warning", "replaces it"),
        ("UPDATE_IN_PROGRESS", "failed", "wait"),
        ("DELETE_FAILED", "failed", "fastslow destroy -c name=x"),
        ("UPDATE_ROLLBACK_FAILED", "failed", "continue-update-rollback"),
    ],
)
def test_the_state_of_the_stack(state: str, grade: str, todo: str, tmp_path: Path) -> None:
    told = {"StackStatus": state, "CreationTime": datetime(2026, 1, 2, tzinfo=UTC), "StackStatusReason": "why"}
    told["Outputs"] = [{"OutputKey": "ModelsBucket", "OutputValue": "b"}]
    made = assembly(tmp_path)
    found = account.stack(answering(cloudformation={"describe_stacks": {"Stacks": [told]}}), lambda: made)
    assert (found.check, found.grade, found.facts["outputs"]) == ("stack", grade, {"ModelsBucket": "b"})
    assert f"x is {state} since 2026-01-02" in found.found
    assert todo in found.todo


def test_a_stack_that_is_not_there(tmp_path: Path) -> None:
    gone = refusal("ValidationError", "Stack with id x does not exist")
    made = assembly(tmp_path)
    none = answering(
        cloudformation={"describe_stacks": gone, "get_paginator": gone},
    )
    assert account.stack(none, lambda: made).found == "x is not deployed yet"


def deployed(*resources: tuple[str, str]) -> dict[str, Any]:
    told = [{"ResourceType": f"AWS::{kind}", "PhysicalResourceId": name} for kind, name in resources]
    return {"paginate": lambda **_: [{"StackResourceSummaries": told}]}


def with_stack(cloud: Any, *resources: tuple[str, str]) -> Any:
    """The account's clients, and a stack of these resources."""
    stack = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(**deployed(*resources)))
    return lambda service: stack if service == "cloudformation" else cloud(service)


def test_health_is_alarms_functions_and_machines(cloud: Any, tmp_path: Path) -> None:
    made = assembly(tmp_path)
    assert account.health(with_stack(cloud), lambda: made).grade == "ok"
    alarm = {"MetricName": "Errors", "Namespace": "AWS/Lambda", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1}
    cloud("cloudwatch").put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", AlarmDescription="Calls fail", **alarm
    )
    sick = with_stack(cloud, ("CloudWatch::Alarm", "errors"))
    assert account.health(sick, lambda: made).grade == "ok"
    cloud("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
    found = account.health(sick, lambda: made)
    assert (found.grade, found.found) == ("warning", "alarm: Calls fail")

    machines = {"DesiredCapacity": 1, "Instances": [{"LifecycleState": "Pending"}]}
    answers = answering(
        autoscaling={"describe_auto_scaling_groups": {"AutoScalingGroups": [machines]}},
        **{"lambda": {"get_function_configuration": {"State": "Failed", "StateReason": "no such key"}}},
    )
    sick = with_stack(answers, ("AutoScaling::AutoScalingGroup", "g"), ("Lambda::Function", "f"))
    found = account.health(sick, lambda: made)
    assert found.found == "function f is Failed: no such key; the coordinator has 0 of 1 machines in service"
    machines["Instances"] = [{"LifecycleState": "InService"}]
    answers = answering(
        autoscaling={"describe_auto_scaling_groups": {"AutoScalingGroups": [machines]}},
        **{"lambda": {"get_function_configuration": {"State": "Active"}}},
    )
    well = with_stack(answers, ("AutoScaling::AutoScalingGroup", "g"), ("Lambda::Function", "f"))
    assert account.health(well, lambda: made).grade == "ok"


def environments(limit: int, unreserved: int, ours: Any = None) -> Any:
    told = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved}
    ours = refusal("ResourceNotFoundException") if ours is None else ours
    return answering(**{"lambda": {"get_account_settings": {"AccountLimit": told}, "get_function_concurrency": ours}})


def test_concurrency_beside_what_is_reserved(tmp_path: Path) -> None:
    made = assembly(tmp_path)

    def look(*account: Any) -> Finding:
        return quotas.concurrency(environments(*account), lambda: made)

    assert (look(1000, 1000).grade, look(1000, 1000).facts["left"]) == ("ok", 799)
    assert look(1000, 301).grade == "ok", "100 stay unreserved"
    short = look(1000, 300)
    assert (short.grade, short.facts["left"]) == ("failed", 99)
    assert "-c concurrency=199 " in short.todo
    assert "--desired-value 1001" in short.todo
    assert look(1000, 100, {"ReservedConcurrentExecutions": 201}).grade == "ok", "what it has already is its own"
    new = look(10, 10)
    assert new.grade == "failed"
    assert "Lambda keeps 10" in new.found
    assert "-c concurrency=0 " in new.todo
    assert "L-B99A9384 --desired-value 1000" in new.todo
    assert look(500, 500).grade == "warning"


def test_concurrency_where_nothing_is_reserved(tmp_path: Path) -> None:
    made = assembly(tmp_path, reserved=0, warm=8)
    found = quotas.concurrency(environments(10, 10), lambda: made)
    assert found.grade == "warning"
    assert "8 are kept warm" in found.found
    assert "-c warm=2" in found.todo
    assert quotas.concurrency(environments(1000, 900), lambda: made).grade == "ok"


def test_a_quota_that_was_asked_for() -> None:
    def service(*requests: dict[str, Any]) -> Any:
        return answering(
            service_quotas={
                "get_service_quota": {"Quota": {"Value": 10.0}},
                "list_requested_service_quota_change_history_by_quota": {"RequestedQuotas": list(requests)},
            }
        )

    assert quotas.quota(service()).facts == {"value": 10, "asked_for": []}
    done = {"Status": "APPROVED", "DesiredValue": 500.0}
    asked = quotas.quota(service(done, {"Status": "CASE_OPENED", "DesiredValue": 1000.0}))
    assert asked.facts["asked_for"] == [1000]
    assert "1,000 were asked for" in asked.found


def test_room_for_a_network(cloud: Any, tmp_path: Path) -> None:
    made = assembly(tmp_path)
    empty = with_stack(cloud)
    assert quotas.network(empty, lambda: made).grade == "ok"
    for _ in range(4):  # beside the one that every account has
        cloud("ec2").create_vpc(CidrBlock="10.0.0.0/16")
    full = quotas.network(empty, lambda: made)
    assert (full.grade, full.facts) == ("failed", {"used": 5, "allowed": 5})
    assert quotas.network(with_stack(cloud, ("EC2::VPC", "v")), lambda: made).grade == "ok"


def test_packages_beside_lambdas_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = assembly(tmp_path, layer=b"1" * 3_000_000)
    found = packages.packages(lambda: made)
    assert found.grade == "ok"
    assert "video 3.0 MB zipped" in found.found
    assert found.facts["unzipped"] == {CLASSIFY: 3_000_005, WARMUP: 5, "x-worker-0": 5}
    monkeypatch.setattr(packages, "ZIPPED_LIMIT", 2_000_000)
    monkeypatch.setattr(packages, "UNZIPPED_LIMIT", 3_000_001)
    found = packages.packages(lambda: made)
    assert found.grade == "failed"
    assert "layer video is 3.0 MB zipped, Lambda takes 2.0 MB" in found.found
    assert f"{CLASSIFY} is 3.0 MB with its layers" in found.found
    broken = packages.packages(raising(ToolFailed("setting warm: wants 0 to 200")))
    assert (broken.grade, broken.found) == ("failed", "setting warm: wants 0 to 200")


def test_the_bill_beside_the_budget(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    found = packages.idle(lambda: made)
    assert (found.grade, found.facts["dollars"]) == ("ok", round(cost.METRIC * cost.OWN_METRICS, 2))
    small = assembly(tmp_path, budget=1)
    assert packages.idle(lambda: small).grade == "warning"
    assert f"-c budget={int(found.facts['dollars']) + 1}" in packages.idle(lambda: small).todo
    large = assembly(tmp_path, budget=500)
    assert packages.idle(lambda: large).grade == "ok"


def test_what_may_not_be_looked_at_stops_nothing_else(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    denied = refusal("AccessDeniedException", "User: me is not authorized to perform: lambda:GetAccountSettings on *")
    some = answering(
        **{"lambda": {"get_account_settings": denied}},
        ssm={"get_parameter": {"Parameter": {"Value": "33"}}},
    )
    found = examine(
        [
            ("concurrency", lambda: quotas.concurrency(some, lambda: made)),
            ("bootstrap", lambda: account.bootstrap(some, lambda: made)),
            ("stack", lambda: account.stack(answering(cloudformation={"describe_stacks": denied}), lambda: made)),
            ("quota", lambda: quotas.quota(answering(service_quotas={"get_service_quota": refusal("ExpiredToken")}))),
            ("health", lambda: account.health(some, raising(ToolFailed("cdk synth failed; the end of x")))),
        ]
    )
    assert [each.grade for each in found] == ["unknown", "ok", "unknown", "unknown", "unknown"]
    assert found[0].found == "you may not look: lambda:GetAccountSettings"
    assert found[2].found == "you may not look: lambda:GetAccountSettings"
    assert found[3].found == "not looked at, for want of credentials"
    assert found[4].found == "not looked at: cdk synth failed"
    assert failed(found) == []


def test_every_check_has_a_name_of_its_own(cloud: Any) -> None:
    names = [name for name, _ in account_checks(cloud, "eu-west-1", raising(ToolFailed("no")))]
    assert len(names) == len(set(names))
