"""The deployed stack, driven end to end: the real app, by the real `cdk`, on the cloud on this machine."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import pytest

if not find_spec("aws_cdk"):
    pytest.skip("the stack needs the extra: pip install -e '.[deploy]'", allow_module_level=True)
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from deploy import interpreters, local, tools
from deploy.errors import ToolMissing

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages
HOME = tools.ROOT / "build" / f"local-{os.environ.get('PYTEST_XDIST_WORKER', 'tested')}"


@pytest.fixture(scope="module")
def stack() -> Iterator[local.Running]:
    try:
        interpreters.functions_python()
    except ToolMissing as error:
        pytest.skip(str(error))
    said: list[str] = []
    try:
        yield local.up({"workers": "1", "warm": "2"}, said.append, HOME)
    finally:
        local.down(HOME)


def post(stack: local.Running, body: bytes, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(local.frames_url(stack), data=body, headers=named, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def test_all_of_the_stack_is_there(stack: local.Running) -> None:
    names = {each["FunctionName"] for each in local.client("lambda", stack).list_functions()["Functions"]}
    assert {"fastslow-classify", "fastslow-warmup", "fastslow-worker-0"} <= names
    buckets = {each["Name"] for each in local.client("s3", stack).list_buckets()["Buckets"]}
    assert {stack.outputs[f"{kind}Bucket"] for kind in ("Models", "Media", "Results")} <= buckets
    (group,) = local.client("autoscaling", stack).describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"]) == (1, 1)


def test_a_second_up_has_nothing_to_do(stack: local.Running) -> None:
    said: list[str] = []
    assert local.up({"workers": "1", "warm": "2"}, said.append, HOME) == stack
    assert said == ["nothing changed since it was deployed"]


def test_workers_say_that_they_have_no_jobs_yet(stack: local.Running) -> None:
    answer = local.client("lambda", stack).invoke(FunctionName="fastslow-worker-0", Payload=b"{}")
    assert answer["FunctionError"]
    assert b"NoJobsYet" in answer["Payload"].read()
    log = local.logs(HOME)["fastslow-worker-0"].read_text()
    assert "START RequestId" in log
    assert "Init Duration" in log


def test_many_calls_at_once_meet_many_environments(stack: local.Running) -> None:
    client = local.client("lambda", stack)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.invoke(FunctionName="fastslow-worker-0", Payload=b"{}"), range(12)))
    counts = local.environments(stack)["fastslow-worker-0"]
    assert counts["busy"] == 0
    assert 1 <= counts["free"] <= 5


def test_nobody_gets_in_without_the_key(stack: local.Running) -> None:
    assert post(stack, b"{}", Content_Type="application/json")[0] == 403
    assert post(stack, b"{}", Content_Type="application/json", X_Api_Key="guessed")[0] == 403
