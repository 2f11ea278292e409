"""What is deployed to do jobs with: where the stack takes them, and on what they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account
from deploy.cost import Fleet
from deploy.errors import CloudRefused

__all__ = ["fleet_of", "machine_of", "outputs_of"]

Clients = Callable[[str], Any]


def outputs_of(client: Clients, name: str) -> Mapping[str, str]:
    """The outputs of a stack that takes jobs. Raises CloudRefused."""
    told = Account(client).stack(name)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in (told or {}).get("Outputs", [])}
    if "JobsQueue" not in outputs:
        raise CloudRefused(
            f"the stack {name} takes no jobs: it was deployed without its coordinator"
            if told
            else f"there is no stack {name} where your credentials lead (--stack names another)"
        )
    return outputs


def fleet_of(client: Clients, name: str) -> Fleet:
    """Workers and coordinator of a stack. Raises CloudRefused."""
    try:
        worker = client("lambda").get_function_configuration(FunctionName=f"{name}-worker-0")
        groups = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{name}-coordinator"])
        (group,) = groups["AutoScalingGroups"]
        versions = client("ec2").describe_launch_template_versions(
            LaunchTemplateId=group["LaunchTemplate"]["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
    except (ClientError, BotoCoreError, ValueError, KeyError) as error:
        raise CloudRefused(f"the workers of {name}: {error}") from error
    machine = versions[0]["LaunchTemplateData"]["InstanceType"]
    return Fleet(worker["MemorySize"], (worker.get("Architectures") or ["x86_64"])[0], machine)


def machine_of(client: Clients, name: str) -> str:
    """The id of the coordinator's instance. Raises CloudRefused where none is in service."""
    try:
        groups = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{name}-coordinator"])
        found = [each for group in groups["AutoScalingGroups"] for each in group.get("Instances", [])]
    except (ClientError, BotoCoreError, KeyError) as error:
        raise CloudRefused(f"the coordinator of {name}: {error}") from error
    for each in found:
        if each.get("LifecycleState") == "InService":
            return str(each["InstanceId"])
    raise CloudRefused(f"no machine of {name}-coordinator is in service; fastslow doctor")
