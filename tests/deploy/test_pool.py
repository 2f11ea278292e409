"""Environments of the pool beside what Lambda promises: isolation, limits, cold and warm, lines in the log."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("awslambdaric", reason="environments run it: pip install -e '.[dev]'")

from deploy.pool import sandbox
from deploy.pool.deployed import Function
from deploy.pool.environment import Call, Result
from deploy.pool.pool import MOST_BYTES, Place, Pool, Throttled, TooLarge

HANDLER = """
import os, subprocess, sys, tempfile, time
import layered

calls = 0

def trusts():
    if "AWS_CA_BUNDLE" not in os.environ:
        return None
    with open(os.environ["AWS_CA_BUNDLE"]) as file:
        return file.read(), sorted(os.listdir(os.path.dirname(file.name)))

def handler(event, context):
    global calls
    calls += 1
    print("hears", event.get("say"), flush=True)
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "allocate" in event:
        return len(bytearray(event["allocate"] << 20))
    if "fill" in event:
        with open(os.path.join(tempfile.gettempdir(), "full"), "wb") as out:
            for _ in range(event["fill"]):
                out.write(bytes(1 << 20))
    if "answer" in event:
        return "x" * event["answer"]
    if "exit" in event:
        os._exit(3)
    if "raise" in event:
        raise ValueError(event["raise"])
    marker = os.path.join(tempfile.gettempdir(), "marker")
    found = os.path.exists(marker)
    open(marker, "w").close()
    return {
        "calls": calls, "found": found, "pid": os.getpid(), "layer": layered.NAME, "tmp": sorted(os.listdir("/tmp")),
        "task": os.environ["LAMBDA_TASK_ROOT"], "left_ms": context.get_remaining_time_in_millis(),
        "trusts": trusts(),
        "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"], "mine": os.environ["MINE"], "request": context.aws_request_id,
    }
"""

Run = Callable[[Callable[[Pool], Awaitable[Any]]], Any]


def write_function(folder: Path, text: str = HANDLER, **more: Any) -> Function:
    task, opt = folder / "task" / "deep", folder / "opt"
    (opt / "python").mkdir(parents=True, exist_ok=True)
    task.mkdir(parents=True, exist_ok=True)
    (task / "main.py").write_text(textwrap.dedent(text))
    (opt / "python" / "layered.py").write_text("NAME = 'from the layer'\n")
    given: dict[str, Any] = {
        "name": "trial",
        "version": "1",
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:trial:1",
        "handler": "main.handler",
        "role": "role",
        "memory": 256,
        "tmp": 8,
        "timeout": 20.0,
        "environment": (("MINE", "yes"),),
        "log_group": "/aws/lambda/trial",
        "task": task,
        "opt": opt,
    }
    return Function(**{**given, **more})


class Trial:
    """A pool for a test, and what it said."""

    def __init__(self, folder: Path, isolated: bool, **place: Any) -> None:
        self.said: list[str] = []
        where = Place(python=Path(sys.executable), folder=folder / "pool", isolated=isolated, **place)
        self.pool = Pool(
            where, lambda function: {"AWS_REGION": "us-east-1"}, lambda function, line: self.said.append(line)
        )

    async def call(self, function: Function, **event: Any) -> Any:
        result = await self.raw(function, **event)
        return json.loads(result.body)

    async def raw(self, function: Function, **event: Any) -> Result:
        return await self.pool.call(function, Call(f"request-{event.get('say', '')}", json.dumps(event).encode()))

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            try:
                await work()
            finally:
                await self.pool.close()

        asyncio.run(whole())


KINDS = [
    pytest.param(
        True,
        marks=pytest.mark.skipif(not sandbox.namespaces_work(), reason="this machine refuses user namespaces"),
        id="namespaces",
    ),
    pytest.param(False, id="plain"),
]


@pytest.mark.parametrize("isolated", KINDS)
def test_an_environment_is_kept_and_has_its_own_tmp(tmp_path: Path, isolated: bool) -> None:
    trial, function = Trial(tmp_path, isolated), write_function(tmp_path)

    async def work() -> None:
        first = await trial.call(function, say="one")
        again = await trial.call(function, say="two")
        assert (first["calls"], first["found"], again["calls"], again["found"]) == (1, False, 2, True)
        assert first["pid"] == again["pid"]
        assert first["layer"] == "from the layer"
        assert (first["name"], first["mine"], first["request"]) == ("trial", "yes", "request-one")
        assert 15_000 < first["left_ms"] <= 20_000
        if isolated:
            assert first["task"] == "/var/task"
            assert set(first["tmp"]) <= {"marker", *Path(sys.prefix).parts, *Path(sys.base_prefix).parts}
        for seconds in (1, 4, 16):  # until the second environment is there before the first is free again
            both = await asyncio.gather(*(trial.call(function, sleep=seconds) for _ in range(2)))
            if len({each["pid"] for each in both}) == 2:
                break
        assert len({each["pid"] for each in both}) == 2
        assert sorted(each["found"] for each in both) == [False, True], "a new environment has an empty /tmp"
        assert trial.pool.counts() == {"trial": {"busy": 0, "free": 2}}

    trial.run(work)
    reports = [line for line in trial.said if line.startswith("REPORT")]
    assert ["Init Duration" in line for line in reports[:2]] == [True, False]
    assert sum("Init Duration" in line for line in reports) == 2
    assert all("Max Memory Used: 0 MB" not in line for line in reports)
    start, said, end = (
        trial.said.index(line)
        for line in ("START RequestId: request-one Version: 1", "hears one", "END RequestId: request-one")
    )
    assert start < end
    assert start < said


@pytest.mark.parametrize("isolated", KINDS)
def test_what_functions_trust_is_seen_and_not_the_key_beside_it(tmp_path: Path, isolated: bool) -> None:
    certificate = tmp_path / "a folder" / "certificate.pem"
    certificate.parent.mkdir()
    certificate.write_text("trust")
    (certificate.parent / "key.pem").write_text("secret")
    trial, function = Trial(tmp_path, isolated, trusted=str(certificate)), write_function(tmp_path)

    async def work() -> None:
        text, beside = (await trial.call(function))["trusts"]
        assert text == "trust"
        if isolated and str(tmp_path).startswith("/tmp/"):
            assert beside == ["certificate.pem"]

    trial.run(work)


@pytest.mark.parametrize("isolated", KINDS)
def test_what_goes_wrong_in_a_function_is_told_as_lambda_tells_it(tmp_path: Path, isolated: bool) -> None:
    trial, function = Trial(tmp_path, isolated), write_function(tmp_path, timeout=1.0)

    async def work() -> None:
        raised = await trial.raw(function, **{"raise": "no good"})
        assert raised.failed
        assert json.loads(raised.body)["errorType"] == "ValueError"
        before = (await trial.call(function))["pid"]
        began = time.monotonic()
        late = await trial.raw(function, sleep=30)
        assert time.monotonic() - began < 25
        assert late.failed
        assert json.loads(late.body)["errorMessage"].endswith("Task timed out after 1.00 seconds")
        gone = await trial.raw(function, exit=True)
        assert json.loads(gone.body)["errorType"] == "Runtime.ExitError"
        after = await trial.call(function)
        assert (after["calls"], after["found"]) == (1, False)
        assert after["pid"] != before

    trial.run(work)


@pytest.mark.parametrize("isolated", KINDS)
def test_memory_is_limited(tmp_path: Path, isolated: bool) -> None:
    trial, function = Trial(tmp_path, isolated), write_function(tmp_path, memory=200)

    async def work() -> None:
        assert await trial.call(function, allocate=100) == 100 << 20
        refused = await trial.raw(function, allocate=250)
        assert json.loads(refused.body)["errorType"] == "MemoryError"

    trial.run(work)


@pytest.mark.skipif(not sandbox.namespaces_work(), reason="this machine refuses user namespaces")
def test_tmp_is_limited(tmp_path: Path) -> None:
    trial, function = Trial(tmp_path, isolated=True), write_function(tmp_path, tmp=8)

    async def work() -> None:
        assert (await trial.call(function, fill=4))["calls"] == 1
        full = json.loads((await trial.raw(function, fill=12)).body)
        assert full["errorType"] == "OSError"
        assert "No space left" in full["errorMessage"]

    trial.run(work)


def test_payloads_are_limited(tmp_path: Path) -> None:
    trial, function = Trial(tmp_path, isolated=False), write_function(tmp_path)

    async def work() -> None:
        with pytest.raises(TooLarge):
            await trial.raw(function, say="x" * MOST_BYTES)
        answer = await trial.raw(function, answer=MOST_BYTES)
        assert json.loads(answer.body)["errorType"] == "Function.ResponseSizeTooLarge"
        assert len(await trial.call(function, answer=MOST_BYTES - 2)) == MOST_BYTES - 2

    trial.run(work)


def test_an_import_that_fails_is_told(tmp_path: Path) -> None:
    trial, function = Trial(tmp_path, isolated=False), write_function(tmp_path, "import not_there")

    async def work() -> None:
        failed = await trial.raw(function)
        assert failed.failed
        assert "not_there" in json.loads(failed.body)["errorMessage"]
        assert trial.pool.counts() == {}

    trial.run(work)


def test_no_more_environments_than_allowed(tmp_path: Path) -> None:
    trial, function = Trial(tmp_path, isolated=False, limit=2), write_function(tmp_path)

    async def work() -> None:
        results = await asyncio.gather(*(trial.call(function, sleep=0.5) for _ in range(3)), return_exceptions=True)
        assert [isinstance(each, Throttled) for each in results] == [False, False, True]

    trial.run(work)


def test_a_call_takes_the_environment_that_is_ready_first(tmp_path: Path) -> None:
    trial = Trial(tmp_path, isolated=False, starts=1)
    function = write_function(tmp_path, f"import time; time.sleep(0.5)\n{HANDLER}")

    async def work() -> None:
        told = await asyncio.gather(*(trial.call(function) for _ in range(20)))
        assert len({each["pid"] for each in told}) < 10
        assert sorted(each["calls"] for each in told)[-1] > 2

    trial.run(work)


def test_what_is_reserved_counts_for_all_versions(tmp_path: Path) -> None:
    trial = Trial(tmp_path, isolated=False)
    versions = [write_function(tmp_path, version=str(number), reserved=2) for number in (1, 2)]

    async def work() -> None:
        calls = [trial.call(versions[number % 2], sleep=0.5) for number in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(each, Throttled) for each in results) == 2
        assert await trial.call(versions[0], allocate=1)

    trial.run(work)


def test_what_nobody_uses_ends(tmp_path: Path) -> None:
    trial, function = Trial(tmp_path, isolated=False, idle_s=0.0), write_function(tmp_path)

    async def work() -> None:
        pid = (await trial.call(function))["pid"]
        await trial.pool.reap()
        assert not Path(f"/proc/{pid}").exists()
        assert trial.pool.counts() == {}

    trial.run(work)
