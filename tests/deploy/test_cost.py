"""The estimate is read out of the template (tests/infra compares the documents with it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import cost
from functions.telemetry import METRICS

EVENTS = Path(__file__).resolve().parents[2] / "functions" / "events.md"


def template(
    folder: Path, *, machine: str = "t4g.small", minutes: str = "5 minutes", warm: int = 4, more: Any = None
) -> Path:
    def function(name: str, memory: int, **variables: str) -> dict[str, object]:
        given = {"FunctionName": name, "MemorySize": memory, "Architectures": ["arm64"]}
        return {"Type": "AWS::Lambda::Function", "Properties": given | {"Environment": {"Variables": variables}}}

    disks = {"BlockDeviceMappings": [{"Ebs": {"VolumeSize": 20}}], "InstanceType": machine}
    resources = {
        "a": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": disks}},
        **{f"alarm{n}": {"Type": "AWS::CloudWatch::Alarm"} for n in range(13)},
        "d": {"Type": "AWS::CloudWatch::Dashboard"},
        "r": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": f"rate({minutes})"}},
        "c": function("x-classify", 1769),
        "w": function("x-warmup", 256, FASTSLOW_WARM_COUNT=str(warm)),
        **(more or {}),
    }
    path = folder / "x.template.json"
    path.write_text(json.dumps({"Resources": resources}))
    return path


def test_it_counts_the_metrics_that_functions_write_and_documents_name() -> None:
    assert sum(map(len, METRICS.values())) == cost.OWN_METRICS
    told = EVENTS.read_text()
    assert not [name for names in METRICS.values() for name in names if f"`{name}`" not in told]


def test_it_grows_with_what_is_asked_for(tmp_path: Path) -> None:
    def warm(**more: object) -> float:
        return cost.estimate(template(tmp_path, **more))[-1].dollars or 0.0  # type: ignore[arg-type]

    assert 0.3 < warm() < 0.6
    assert 4.9 < warm(minutes="1 minute") / warm() < 5.1
    assert warm(warm=40) > 9 * warm()


def test_a_machine_without_a_price_is_said_to_be_one(tmp_path: Path) -> None:
    lines = cost.estimate(template(tmp_path, machine="x9.huge"))
    assert lines[0] == cost.Line("coordinator, x9.huge", None)
    assert cost.total(lines).endswith("and what has no price here")


def test_what_settings_add_has_its_price(tmp_path: Path) -> None:
    more = {
        "n": {"Type": "AWS::EC2::NatGateway"},
        "gateway": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"RouteTableIds": ["a"]}},
        "interface": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"SubnetIds": ["a", "b"]}},
        "s": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"FunctionName": "x-fast", "MemorySize": 2048, "SnapStart": {"ApplyOn": "PublishedVersions"}},
        },
    }
    lines = {line.what: line.dollars for line in cost.estimate(template(tmp_path, more=more))}
    assert round(lines["1 NAT gateways"] or 0, 2) == 32.85
    assert round(lines["interface endpoints in 2 zones"] or 0, 2) == 14.60
    assert round(lines["snapshot of x-fast, for each version that is kept"] or 0, 1) == 7.9


def test_a_job_costs_what_its_parts_do() -> None:
    fleet = cost.Fleet(1024, "arm64", "t4g.small")
    work = cost.Work(worker_s=3600, launched=1_000_000, wall_s=3600, objects=1_000_000, message_bytes=10**9)
    lines = cost.of_job(work, fleet)
    assert [round(line.dollars or 0, 4) for line in lines] == [0.048, 0.2, 5.436, 0.02, 0.0168]
    assert cost.dollars(lines) == pytest.approx(5.7208, abs=1e-4)
    assert cost.of_job(work, cost.Fleet(1024, "arm64", "x9.huge"))[-1].dollars is None
    lost = cost.of_job(cost.Work(7200, 1_000_000, 3600, 1_000_000, 10**9), fleet)
    assert cost.dollars(lost) > cost.dollars(lines), "lost workers are paid for, too"
