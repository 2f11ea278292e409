"""What a synthesised stack costs in a month in which nobody uses it, by list prices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

AS_OF = "21 November 2026"
"""When the prices below, those of us-east-1 in US dollars without free tiers, were compared with what others quote of
the pages that are named beside them."""
HOURS = 730
# aws.amazon.com/ec2/pricing/on-demand, Linux, an hour
MACHINES = {"t4g.nano": 0.0042, "t4g.micro": 0.0084, "t4g.small": 0.0168, "t4g.medium": 0.0336, "t4g.large": 0.0672}
MACHINES |= {"t3.nano": 0.0052, "t3.micro": 0.0104, "t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832}
MACHINES |= {"c7g.medium": 0.0363, "c7g.large": 0.0725, "c7g.xlarge": 0.145, "c7g.2xlarge": 0.29}
# aws.amazon.com/vpc/pricing and /privatelink/pricing, an hour; an endpoint in each of its zones
ADDRESS, NAT_GATEWAY, ENDPOINT = 0.005, 0.045, 0.01
VOLUME_GB = 0.08  # aws.amazon.com/ebs/pricing, gp3, a month
# aws.amazon.com/cloudwatch/pricing, a month: the first 10,000 metrics, alarms of a minute's resolution
METRIC, ALARM, DASHBOARD = 0.30, 0.10, 3.0
MONITORING_METRICS, OWN_METRICS = 7, 10
"""How many EC2 has of a machine in detail, and how many the functions write (functions/telemetry.py)."""
# aws.amazon.com/lambda/pricing, the first tier; a snapshot is kept, at the function's memory, for every version
GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
SNAPSHOT_GB_SECOND = 0.0000015046
WARM_S = 0.5
"""For which a call for warmth holds its environment."""
CALL = 0.20e-6  # aws.amazon.com/lambda/pricing, a request
# aws.amazon.com/s3/pricing, a PUT and a GET; aws.amazon.com/ec2/pricing/on-demand, a GB to another zone, both ends
PUT, GET, ZONE_GB = 5e-6, 0.4e-6, 0.02
QUEUE_REQUEST = 0.40e-6  # aws.amazon.com/sqs/pricing, the first million free
ASKED_S = 20
"""How long the coordinator's question for jobs waits for an answer."""


@dataclass(frozen=True)
class Line:
    """One part of the bill; None where the price is not known here."""

    what: str
    dollars: float | None


def estimate(template: Path) -> list[Line]:
    """The bill of an idle month, part by part, read out of what would be deployed."""
    resources: Mapping[str, Any] = json.loads(template.read_text())["Resources"]
    by_kind: dict[str, list[Any]] = {}
    for each in resources.values():
        by_kind.setdefault(each["Type"].removeprefix("AWS::"), []).append(each.get("Properties", {}))
    return list(_lines(by_kind))


def total(lines: list[Line]) -> str:
    """The sum, and that it is more where a price is not known."""
    more = " and what has no price here" if any(line.dollars is None for line in lines) else ""
    return f"{sum(line.dollars or 0.0 for line in lines):.2f} $ a month{more}"


@dataclass(frozen=True)
class Fleet:
    """What a stack does jobs with."""

    memory: int
    """MB of a worker."""
    arch: str
    machine: str
    """The coordinator's instance type."""


@dataclass(frozen=True)
class Work:
    """What a job took, or may take; lost workers count like all others."""

    worker_s: float
    launched: int
    wall_s: float
    objects: int = 0
    """Written and read in S3, large messages among them."""
    message_bytes: int = 0
    """That went through the coordinator."""


_NOTHING = Work(0.0, 0, 0.0)


def of_job(work: Work, fleet: Fleet) -> list[Line]:
    """The bill of a job, part by part; the coordinator's machine, which runs anyway, for as long as the job took."""
    gigabytes = work.worker_s * fleet.memory / 1024
    price = MACHINES.get(fleet.machine)
    noted = 2 * work.wall_s  # status and ledger, each second
    return [
        Line(f"workers, {gigabytes:,.0f} GB-seconds", gigabytes * GB_SECOND[fleet.arch]),
        Line(f"their {work.launched:,} calls", work.launched * CALL),
        Line("objects, large messages, status and ledger in S3", (work.objects + noted) * PUT + work.objects * GET),
        Line("messages between zones, half of them", work.message_bytes / 1e9 * ZONE_GB),
        Line(f"coordinator, {fleet.machine}, {work.wall_s:,.0f} s", price and price * work.wall_s / 3600),
    ]


def prices(fleet: Fleet) -> str:
    """What one of each part of a job's work costs, for the coordinator, which has no other prices."""
    lines = {field.name: of_job(replace(_NOTHING, **{field.name: 1}), fleet) for field in fields(Work)}
    return ",".join(f"{name}={dollars(each):.6g}" for name, each in lines.items())


def dollars(lines: list[Line]) -> float:
    """The sum of what has a price."""
    return sum(line.dollars or 0.0 for line in lines)


def _lines(by_kind: Mapping[str, list[Any]]) -> Iterator[Line]:
    for group in by_kind.get("EC2::LaunchTemplate", []):
        data = group["LaunchTemplateData"]
        price = MACHINES.get(data["InstanceType"])
        yield Line(f"coordinator, {data['InstanceType']}", price and price * HOURS)
        yield Line("its public IPv4 address", ADDRESS * HOURS)
        size = sum(disk["Ebs"]["VolumeSize"] for disk in data["BlockDeviceMappings"])
        yield Line(f"its volume, {size} GB gp3", VOLUME_GB * size)
        yield Line(f"its detailed monitoring, {MONITORING_METRICS} metrics", METRIC * MONITORING_METRICS)
        yield Line(f"its queue of jobs, asked every {ASKED_S} s", HOURS * 3600 / ASKED_S * QUEUE_REQUEST)
    if gateways := len(by_kind.get("EC2::NatGateway", [])):
        yield Line(f"{gateways} NAT gateways", NAT_GATEWAY * HOURS * gateways)
    if zones := sum(len(each.get("SubnetIds", [])) for each in by_kind.get("EC2::VPCEndpoint", [])):
        yield Line(f"interface endpoints in {zones} zones", ENDPOINT * HOURS * zones)
    if alarms := len(by_kind.get("CloudWatch::Alarm", [])):
        yield Line(f"{alarms} alarms", ALARM * alarms)
    if pages := len(by_kind.get("CloudWatch::Dashboard", [])):
        yield Line("dashboard (the account's first three are free)", DASHBOARD * pages)
    yield Line(f"the functions' own metrics, at most {OWN_METRICS}", METRIC * OWN_METRICS)
    functions = {each["FunctionName"]: each for each in by_kind.get("Lambda::Function", [])}
    for function in functions.values():
        if "SnapStart" in function:
            price = SNAPSHOT_GB_SECOND * HOURS * 3600 * function["MemorySize"] / 1024
            yield Line(f"snapshot of {function['FunctionName']}, for each version that is kept", price)
    for rule in by_kind.get("Events::Rule", []):
        minutes = int(re.findall(r"rate\((\d+) minutes?\)", rule["ScheduleExpression"])[0])
        (caller,) = (each for name, each in functions.items() if name.endswith("-warmup"))
        (target,) = (each for name, each in functions.items() if name.endswith("-classify"))
        count = int(caller["Environment"]["Variables"]["FASTSLOW_WARM_COUNT"])
        times = HOURS * 60 // minutes
        seconds = times * WARM_S * (count * target["MemorySize"] + caller["MemorySize"]) / 1024
        yield Line(
            f"warm-up, {count} environments every {minutes} min", seconds * GB_SECOND[target["Architectures"][0]]
        )
