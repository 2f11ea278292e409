"""What the account allows, beside what the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from botocore import exceptions as aws

from deploy.account import Account, Clients
from deploy.assembly import Assembly
from deploy.doctor.account import Assembled
from deploy.doctor.finding import Check, Finding, code

CONCURRENCY = ("lambda", "L-B99A9384")
"""Service Quotas' names of Lambda's concurrent executions."""
VPCS = ("vpc", "L-F678F1CE")
"""... and of VPCs in a region."""
KEPT = 100
"""Environments that Lambda keeps for functions that reserve none; all of a smaller account's."""
_RAISE = "aws service-quotas request-service-quota-increase --service-code {} --quota-code {} --desired-value {}"


def checks(clients: Clients, assembled: Assembled) -> Sequence[tuple[str, Check]]:
    """The checks of what the account allows."""
    return [
        ("concurrency", partial(concurrency, clients, assembled)),
        ("quota", partial(quota, clients)),
        ("network", partial(network, clients, assembled)),
    ]


def concurrency(clients: Clients, assembled: Assembled) -> Finding:
    """Whether Lambda lets the functions reserve what the settings say, and what that leaves to the workers."""
    assembly, client = assembled(), clients("lambda")
    told = client.get_account_settings()["AccountLimit"]
    limit, unreserved = told["ConcurrentExecutions"], told["UnreservedConcurrentExecutions"]
    wanted = assembly.reserved
    free = unreserved + sum(_reserved(client, name) for name in wanted)  # a new deployment takes them over
    left, kept = free - sum(wanted.values()), min(KEPT, limit)
    facts = {"limit": limit, "unreserved": unreserved, "wanted": wanted, "left": left, "warm": assembly.warm}
    if wanted and left < kept:
        parts = ", ".join(f"{name} {count}" for name, count in sorted(wanted.items()))
        found = f"{parts} are to be reserved of {free} free ones, and Lambda keeps {kept} of these for other functions"
        return Finding("concurrency", "failed", found, _instead(assembly, free - kept, limit - left + kept), facts)
    found = f"{limit:,} environments at once, {sum(wanted.values()):,} of them reserved by this stack"
    found += f"; {left:,} for {assembly.workers} workers and all else"
    if not wanted and assembly.warm > left // 2:
        todo = f"-c warm={left // 4}, or more: {_RAISE.format(*CONCURRENCY, 1000)}"
        return Finding("concurrency", "warning", f"{found}; {assembly.warm} are kept warm", todo, facts)
    if limit < 1000:
        return Finding(
            "concurrency", "warning", found, f"more cost nothing: {_RAISE.format(*CONCURRENCY, 1000)}", facts
        )
    return Finding("concurrency", "ok", found, facts=facts)


def _instead(assembly: Assembly, room: int, needed: int) -> str:
    """What to ask for, and what goes without asking: `room` environments can be reserved."""
    others = sum(assembly.reserved.values()) - max(assembly.reserved.values())
    cap = max(0, room - others)
    now = f"-c concurrency={cap}" + (f" -c warm={cap}" if 0 < cap < assembly.warm else "")
    return f"{now} for now, and more for later: {_RAISE.format(*CONCURRENCY, max(1000, needed))}"


def _reserved(client: Any, function: str) -> int:
    """What a deployed function has reserved."""
    try:
        return int(client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0))
    except aws.ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return 0
        raise


def quota(clients: Clients) -> Finding:
    """What Service Quotas grants of concurrency, and whether more was asked for."""
    client, (service, number) = clients("service-quotas"), CONCURRENCY
    value = int(client.get_service_quota(ServiceCode=service, QuotaCode=number)["Quota"]["Value"])
    told = client.list_requested_service_quota_change_history_by_quota(ServiceCode=service, QuotaCode=number)
    waiting = [each for each in told["RequestedQuotas"] if each["Status"] in ("PENDING", "CASE_OPENED")]
    facts = {"value": value, "asked_for": [int(each["DesiredValue"]) for each in waiting]}
    if waiting:
        found = f"{value:,} concurrent executions, and {int(waiting[0]['DesiredValue']):,} were asked for"
        return Finding("quota", "ok", found, "wait for AWS's answer, which comes by mail", facts)
    return Finding("quota", "ok", f"{value:,} concurrent executions; no more were asked for", facts=facts)


def network(clients: Clients, assembled: Assembled) -> Finding:
    """Whether there is room for the stack's VPC."""
    assembly = assembled()
    if any(kind == "AWS::EC2::VPC" for kind, _ in Account(clients).resources(assembly.stack)):
        return Finding("network", "ok", "the stack has its VPC already")
    pages = clients("ec2").get_paginator("describe_vpcs").paginate()
    used = sum(len(page["Vpcs"]) for page in pages)
    service, number = VPCS
    allowed = int(clients("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=number)["Quota"]["Value"])
    facts = {"used": used, "allowed": allowed}
    found = f"{used} of {allowed} VPCs of this region are taken, the stack makes one"
    if used >= allowed:
        todo = f"delete one, or ask for more: {_RAISE.format(*VPCS, used + 5)}"
        return Finding("network", "failed", found, todo, facts)
    return Finding("network", "ok", found, facts=facts)
