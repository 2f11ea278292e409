"""Who asks, where, and what is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import boto3
from botocore import exceptions as aws

from deploy.account import Account, Clients
from deploy.assembly import Assembly
from deploy.doctor.finding import Check, Finding, code, without_credentials

Assembled = Callable[[], Assembly]
"""Waits for the synthesised app. Raises DeployError."""

_SIGN_IN = "aws configure, aws sso login, or AWS_PROFILE or AWS_ACCESS_KEY_ID in the environment"
# States in which a stack can be deployed anew, though something is to be known; what CloudFormation calls ..._COMPLETE
# and ..._IN_PROGRESS otherwise needs no table.
_ODD = {
    "ROLLBACK_COMPLETE": "its first deployment failed and was undone; the next one replaces it",
    "UPDATE_ROLLBACK_COMPLETE": "its last deployment failed and was undone: what runs is the one before",
    "REVIEW_IN_PROGRESS": "a deployment was planned and never made",
}


def checks(clients: Clients, region: str, assembled: Assembled) -> Sequence[tuple[str, Check]]:
    """The checks of the account itself and of what is deployed there."""
    return [
        ("credentials", partial(credentials, clients)),
        ("region", partial(named_region, region)),
        ("bootstrap", partial(bootstrap, clients, assembled)),
        ("stack", partial(stack, clients, assembled)),
        ("health", partial(health, clients, assembled)),
    ]


def credentials(clients: Clients) -> Finding:
    """Who asks, by STS, which needs no permission."""
    try:
        told = clients("sts").get_caller_identity()
    except (aws.ClientError, aws.BotoCoreError) as error:
        return _nobody(error)
    account, arn = told["Account"], told["Arn"]
    found, facts = f"account {account}, as {arn}", {"account": account, "arn": arn}
    if arn.endswith(":root"):
        return Finding("credentials", "warning", found, "the root user can do anything; use a role or a user", facts)
    return Finding("credentials", "ok", found, facts=facts)


def _nobody(error: Exception) -> Finding:
    say = partial(Finding, "credentials", "failed")
    if isinstance(error, aws.NoCredentialsError):
        return say("there are none", _SIGN_IN)
    if isinstance(error, aws.NoRegionError):
        return Finding("credentials", "unknown", "not looked at, for want of a region")
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectionError | aws.HTTPClientError):
        return say(f"AWS cannot be reached: {error}", "look at network, proxy and AWS_ENDPOINT_URL")
    if code(error).startswith("ExpiredToken") or isinstance(error, aws.SSOError | aws.TokenRetrievalError):
        return say(f"they have expired: {error}", "sign in again: aws sso login, or new keys in the environment")
    if code(error) == "SignatureDoesNotMatch":
        return say(f"AWS does not accept the signature: {error}", "look at the secret key, and at this machine's clock")
    if without_credentials(error):
        return say(f"AWS does not know them: {error}", _SIGN_IN)
    return say(str(error), _SIGN_IN)


def named_region(region: str) -> Finding:
    """Where it goes."""
    if not region:
        return Finding("region", "failed", "none is chosen", "AWS_REGION=eu-west-1, or whichever is near you")
    known = boto3.Session().get_available_regions("lambda")
    facts = {"region": region}
    if region not in known:
        grown = f"{region} is not among the {len(known)} regions of Lambda that boto3 knows"
        return Finding("region", "warning", grown, "a slip of the pen? else it is newer than boto3", facts)
    return Finding("region", "ok", region, facts=facts)


def bootstrap(clients: Clients, assembled: Assembled) -> Finding:
    """What CDK keeps in an account to deploy by, in the version that the app needs."""
    parameter, needed = assembled().bootstrap
    version = Account(clients).parameter(parameter)
    facts = {"version": version and int(version), "needed": needed}
    if not version:
        todo = "fastslow deploy does it; it takes the permission to make roles, a bucket and a key"
        return Finding("bootstrap", "warning", "CDK never deployed anything here", todo, facts)
    if int(version) < needed:
        found = f"CDK's bootstrap stack has version {version}, the app needs {needed}"
        return Finding("bootstrap", "warning", found, "fastslow deploy brings it up to date", facts)
    return Finding("bootstrap", "ok", f"version {version}, {needed} is needed", facts=facts)


def stack(clients: Clients, assembled: Assembled) -> Finding:
    """Whether it is deployed already, and in what state CloudFormation left it."""
    name = assembled().stack
    told = Account(clients).stack(name)
    if not told:
        return Finding("stack", "ok", f"{name} is not deployed yet", facts={"name": name, "state": None})
    state, since = told["StackStatus"], told.get("LastUpdatedTime", told["CreationTime"])
    outputs = {each["OutputKey"]: each["OutputValue"] for each in told.get("Outputs", [])}
    facts = {"name": name, "state": state, "since": since.isoformat(), "outputs": outputs}
    found = f"{name} is {state} since {since:%Y-%m-%d %H:%M}"
    if state in _ODD:
        return Finding("stack", "warning", found, _ODD[state], facts)
    if state.endswith("_IN_PROGRESS"):
        return Finding("stack", "failed", found, "wait until CloudFormation is done with it", facts)
    if state.endswith("_COMPLETE"):
        return Finding("stack", "ok", found, facts=facts)
    why = told.get("StackStatusReason", "")
    if state == "UPDATE_ROLLBACK_FAILED":
        todo = f"aws cloudformation continue-update-rollback --stack-name {name}"
    else:
        todo = f"fastslow destroy -c name={name} removes what is left"
    return Finding("stack", "failed", f"{found}: {why}" if why else found, todo, facts)


def health(clients: Clients, assembled: Assembled) -> Finding:
    """Whether what is deployed does its work: alarms, the classifier, the coordinator's machine."""
    name = assembled().stack
    resources = Account(clients).resources(name)
    if not resources:
        return Finding("health", "ok", "nothing is deployed that could be ill")
    ill = [*_alarms(clients, resources), *_functions(clients, resources), *_machines(clients, resources)]
    facts = {"ill": ill}
    if ill:
        return Finding("health", "warning", "; ".join(ill), "the stack's dashboard and logs say more", facts)
    return Finding("health", "ok", "no alarm, functions active, machines in service", facts=facts)


def _of_kind(resources: Sequence[tuple[str, str]], kind: str) -> list[str]:
    return [name for each, name in resources if each == f"AWS::{kind}" and name]


def _alarms(clients: Clients, resources: Sequence[tuple[str, str]]) -> list[str]:
    names = _of_kind(resources, "CloudWatch::Alarm")
    if not names:
        return []
    told: Any = clients("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return [
        f"alarm: {each.get('AlarmDescription') or each['AlarmName']}" for each in told if each["StateValue"] == "ALARM"
    ]


def _functions(clients: Clients, resources: Sequence[tuple[str, str]]) -> list[str]:
    ill = []
    for name in _of_kind(resources, "Lambda::Function"):
        told = clients("lambda").get_function_configuration(FunctionName=name)
        # A function that nobody calls for weeks is put to rest; its next call wakes it.
        if told.get("State", "Active") not in ("Active", "Inactive"):
            ill.append(f"function {name} is {told['State']}: {told.get('StateReason', '')}")
    return ill


def _machines(clients: Clients, resources: Sequence[tuple[str, str]]) -> list[str]:
    names = _of_kind(resources, "AutoScaling::AutoScalingGroup")
    if not names:
        return []
    told = clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)["AutoScalingGroups"]
    ill = []
    for each in told:
        serving = sum(machine["LifecycleState"] == "InService" for machine in each["Instances"])
        if serving < each["DesiredCapacity"]:
            ill.append(f"the coordinator has {serving} of {each['DesiredCapacity']} machines in service")
    return ill
