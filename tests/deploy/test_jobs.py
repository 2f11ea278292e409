"""Jobs on the deployed stack: through API, queue, coordinator, environments and bucket, while things are killed."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_cdk", reason="the stack needs the extra: pip install -e '.[deploy]'")
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from click.testing import CliRunner

from cli.main import fastslow
from deploy import local
from mu import Job, Limits, Task
from mu.service.requests import job_to_json, store_prefix
from pipelines.probe import probe_job, probe_results
from tests.deploy.conftest import HOME
from tests.pipelines import clips

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages


class Jobs:
    """The API as anyone calls it, and what may be killed behind it."""

    def __init__(self, stack: local.Running) -> None:
        self.stack, self._key = stack, local.api_key(stack)

    def ask(self, method: str, path: str = "", body: bytes | None = None, *, key: bool = True) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} | ({"X-Api-Key": self._key} if key else {})
        url = f"{local.jobs_url(self.stack)}{path}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def submit(self, job: Job) -> dict[str, Any]:
        status, told = self.ask("POST", body=job_to_json(job))
        assert (status, told["id"]) == (202, job.id), told
        return dict(told)

    def status(self, job: Job) -> dict[str, Any]:
        status, told = self.ask("GET", f"/{job.id}")
        assert status == 200, told
        return dict(told)

    def until(self, job: Job, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the status is so; the limit is for a machine that does much else."""
        end = time.monotonic() + 240
        while not holds(told := self.status(job)):
            assert time.monotonic() < end, (told, (HOME / "coordinator.log").read_text()[-3000:])
            assert told["state"] not in ("failed", "refused"), told
            time.sleep(0.1)
        return told

    def results(self, job: Job) -> dict[str, bytes]:
        s3, bucket, prefix = local.client("s3", self.stack), self.stack.outputs["ResultsBucket"], store_prefix(job.id)
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in found
        }

    def media(self) -> set[str]:
        """The keys in the bucket that films are read from."""
        found = local.client("s3", self.stack).list_objects_v2(Bucket=self.stack.outputs["MediaBucket"])
        return {each["Key"] for each in found.get("Contents", [])}

    def environments(self) -> list[int]:
        """The processes that are this stack's workers."""
        ours = {b"AWS_LAMBDA_FUNCTION_NAME=fastslow-worker-0", f"AWS_ENDPOINT_URL={self.stack.cloud_url}".encode()}
        found = []
        for each in Path("/proc").iterdir():
            with suppress(OSError):
                if each.name.isdecimal() and ours <= set((each / "environ").read_bytes().split(b"\0")):
                    found.append(int(each.name))
        return found

    def restart_coordinator(self) -> None:
        """`kill -9`, and what systemd does then."""
        running = local.running(HOME)
        assert running is not None
        assert running.coordinator is not None
        os.kill(running.coordinator.pid, signal.SIGKILL)
        self.stack = local.coordinate(running, HOME)


@pytest.fixture(scope="module")
def jobs(stack: local.Running) -> Iterator[Jobs]:
    yield Jobs(stack)
    running = local.running(HOME)
    if running and not running.coordinates:
        local.coordinate(running, HOME)


def committed(least: int) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told.get("counts", {}).get("committed", 0) >= least


def over(told: dict[str, Any]) -> bool:
    return told["state"] in ("done", "cancelled")


def test_a_job_ends_with_the_same_bytes_though_environments_and_coordinator_are_killed(jobs: Jobs) -> None:
    job = probe_job(20, size=300_000, work_s=0.3, workers=3)
    assert jobs.submit(job)["state"] == "queued"
    jobs.until(job, committed(3))
    os.kill(jobs.environments()[0], signal.SIGKILL)
    jobs.until(job, committed(6))
    jobs.restart_coordinator()
    told = jobs.until(job, over)
    assert (told["state"], told["counts"]["committed"], told["counts"]["tasks"]) == ("done", 20, 20)
    assert told["epoch"] == 2
    assert told["launched"] >= 3
    assert told["worker_s"] > 1
    assert jobs.results(job) == probe_results(20, size=300_000)
    assert jobs.submit(job)["state"] == "done", "the same job is not done twice"


def test_a_job_is_cancelled_and_its_workers_leave(jobs: Jobs) -> None:
    # Long enough for a message that the queue gave to the coordinator which was killed, and gives to another later.
    job = probe_job(400, work_s=1.0, workers=2, name="long")
    jobs.submit(job)
    jobs.until(job, committed(1))
    assert jobs.ask("DELETE", f"/{job.id}")[0] == 202
    assert jobs.until(job, over)["state"] == "cancelled"
    end = time.monotonic() + 60
    while local.environments(jobs.stack)["fastslow-worker-0"]["busy"]:
        assert time.monotonic() < end, "a worker works on"
        time.sleep(0.1)


def test_a_program_that_is_not_there_fails_with_the_reason(jobs: Jobs) -> None:
    job = Job("wrong", (Task("a", "pipelines.probe:none"),), Limits(tries=1))
    jobs.submit(job)
    end = time.monotonic() + 120
    while (told := jobs.status(job))["state"] != "failed":
        assert time.monotonic() < end, told
        time.sleep(0.1)
    assert "pipelines.probe has no none" in told["counts"]["failures"][0]["reason"]


def test_what_makes_no_sense_is_refused_at_each_door(jobs: Jobs) -> None:
    assert jobs.ask("POST", body=job_to_json(probe_job(2)), key=False)[0] == 403
    assert jobs.ask("POST", body=b"{}")[0] == 400
    assert jobs.ask("POST", body=job_to_json(Job("bad", (Task("a", "os:system"),))))[1]["error"]["code"] == "bad_job"
    assert jobs.ask("GET", "/none-0123456789abcdef")[0] == 404
    sqs, outputs = local.client("sqs", jobs.stack), jobs.stack.outputs
    sqs.send_message(QueueUrl=outputs["JobsQueue"], MessageBody="nonsense")
    end = time.monotonic() + 60
    while True:
        found = sqs.receive_message(
            QueueUrl=outputs["RefusedQueue"], WaitTimeSeconds=1, MessageAttributeNames=["All"]
        ).get("Messages", [])
        if found:
            break
        assert time.monotonic() < end, "nobody lays it aside"
    assert found[0]["Body"] == "nonsense"
    assert "this is no request" in found[0]["MessageAttributes"]["reason"]["StringValue"]


def test_the_command_line_tries_lists_shows_resumes_and_cleans(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local.credentials(jobs.stack.cloud_url).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(fastslow, ["jobs", *arguments])
        assert done.exit_code == code, done.output
        return done

    done = run("try", "--links", "3", "--json")
    told = json.loads(done.stdout)
    assert (told["state"], told["counts"]["committed"]) == ("done", 3)
    assert 0 < told["dollars"] < 0.01
    assert "may cost" in done.stderr
    assert told["id"] in run("list").stdout
    assert json.loads(run("show", told["id"], "--json").stdout)["id"] == told["id"]
    assert "nothing failed" in run("logs", told["id"]).stderr
    assert "is done: there is nothing" in run("resume", told["id"]).stderr
    assert "is done already" in run("cancel", told["id"]).stderr
    assert "objects deleted" in run("clean", told["id"], "--yes").stderr
    assert "there is no job" in run("show", told["id"], code=1).stderr
    assert "there is no stack other" in run("list", "--stack", "other", code=1).stderr


def test_above_the_limit_it_asks_before_anything_is_spent(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in local.credentials(jobs.stack.cloud_url).items():
        monkeypatch.setenv(name, value)
    job = probe_job(30, name="dear")
    (tmp_path / "job.json").write_bytes(job_to_json(job))
    arguments = ["jobs", "submit", str(tmp_path / "job.json"), "--task-seconds", "900", "--max-cost", "0.5"]
    done = CliRunner().invoke(fastslow, arguments, input="n\n")
    assert done.exit_code == 1
    assert "That is more than 0.5 $" in done.stderr
    assert jobs.ask("GET", f"/{job.id}")[0] == 404


def test_a_film_is_the_same_bytes_as_on_this_machine(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in local.credentials(jobs.stack.cloud_url).items():
        monkeypatch.setenv(name, value)
    source = clips.make(tmp_path / "in.mkv", frames=40)
    how = ["--chunk-frames", "6", "--chain", "3", "--speed", "5", "--cq", "40"]

    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(fastslow, ["encode", *arguments, *how])
        assert done.exit_code == 0, done.output
        return done

    run(str(source), str(tmp_path / "here.webm"), "--workers", "2")
    others = jobs.media()
    done = run(str(source), str(tmp_path / "away.webm"), "--backend", "aws", "--workers", "3", "--json")
    assert (tmp_path / "away.webm").read_bytes() == (tmp_path / "here.webm").read_bytes()
    assert json.loads(done.stdout)["frames"] == 40
    assert "it cost" in done.stderr
    (uploaded,) = jobs.media() - others
    again = run(str(source), str(tmp_path / "again.webm"), "--backend", "aws", "--workers", "3", "--max-cost", "0")
    assert "may cost" not in again.stderr
    place = f"s3://{jobs.stack.outputs['MediaBucket']}/{uploaded}"
    result = f"s3://{jobs.stack.outputs['ResultsBucket']}/films/out.webm"
    run(place, result, "--backend", "aws", "--workers", "3")
    got = local.client("s3", jobs.stack).get_object(Bucket=jobs.stack.outputs["ResultsBucket"], Key="films/out.webm")
    assert got["Body"].read() == (tmp_path / "here.webm").read_bytes()
