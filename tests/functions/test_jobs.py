"""`/jobs` as API Gateway calls it, on a bucket and a queue of moto."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("boto3", reason="the functions need the extra: pip install -e '.[aws]'")

import boto3
import msgspec
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from functions.jobs import work
from functions.jobs.handler import handler
from mu.service.requests import LARGEST_JOB, MOST_TASKS, Cancel, Run, decode_job, read_request

BODY = {
    "name": "film",
    "tasks": [
        {
            "name": "a",
            "program": "pipelines.probe:link",
            "argument": {"x": [1, 2.5, "three", None]},
            "sends": [["b", "state"]],
        },
        {"name": "b", "program": "pipelines.probe:link", "receives": [["a", "state"]], "stores": ["out/b"]},
    ],
    "limits": {"workers": 7},
}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in (
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    work._jobs.cache_clear()
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="results")
        sqs = boto3.client("sqs")
        monkeypatch.setenv("FASTSLOW_QUEUE", sqs.create_queue(QueueName="jobs")["QueueUrl"])
        monkeypatch.setenv("FASTSLOW_RESULTS_BUCKET", "results")
        monkeypatch.setenv("FASTSLOW_PROGRAMS", "pipelines.,mine.")
        yield sqs
    work._jobs.cache_clear()


def ask(method: str, job: str | None = None, body: Any = None, **more: Any) -> tuple[int, Any]:
    event = {"httpMethod": method, "pathParameters": job and {"id": job}, "isBase64Encoded": False}
    event["body"] = body if body is None or isinstance(body, str) else json.dumps(body)
    answer = handler({**event, **more}, None)
    assert answer["headers"]["Content-Type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"])


def asked(sqs: Any) -> list[Any]:
    """What has come into the queue."""
    found = sqs.receive_message(QueueUrl=os.environ["FASTSLOW_QUEUE"], MaxNumberOfMessages=10).get("Messages", [])
    return [read_request(each["Body"]) for each in found]


def test_a_job_is_in_the_bucket_and_then_in_the_queue(cloud: Any) -> None:
    status, told = ask("POST", body=BODY)
    assert (status, told["state"], told["name"]) == (202, "queued", "film")
    assert asked(cloud) == [Run(told["id"])]
    data = boto3.client("s3").get_object(Bucket="results", Key=f"jobs/{told['id']}/job")["Body"].read()
    job = decode_job(data)
    assert (job.id, job.limits.workers) == (told["id"], 7)
    assert msgspec.msgpack.decode(job.tasks[0].argument) == {"x": [1, 2.5, "three", None]}
    assert ask("GET", told["id"]) == (200, {"id": told["id"], "state": "queued"})


def test_the_same_job_twice_is_one_job(cloud: Any) -> None:
    first, second = ask("POST", body=BODY), ask("POST", body=json.dumps(BODY, indent=3))
    assert first == second
    assert len(set(asked(cloud))) == 1
    done = {"id": first[1]["id"], "state": "done"}
    boto3.client("s3").put_object(Bucket="results", Key=f"jobs/{done['id']}/status.json", Body=json.dumps(done))
    cloud.purge_queue(QueueUrl=os.environ["FASTSLOW_QUEUE"])
    assert ask("POST", body=BODY) == (202, done)
    assert asked(cloud) == []
    failed = {**done, "state": "failed"}
    boto3.client("s3").put_object(Bucket="results", Key=f"jobs/{done['id']}/status.json", Body=json.dumps(failed))
    assert ask("POST", body=BODY)[1]["state"] == "queued"
    assert asked(cloud) == [Run(done["id"])]


def test_a_job_is_cancelled_unless_it_is_over(cloud: Any) -> None:
    job = ask("POST", body=BODY)[1]["id"]
    asked(cloud)
    assert ask("DELETE", job)[0] == 202
    assert asked(cloud) == [Cancel(job)]
    over = {"id": job, "state": "done"}
    boto3.client("s3").put_object(Bucket="results", Key=f"jobs/{job}/status.json", Body=json.dumps(over))
    assert ask("DELETE", job) == (202, over)
    assert asked(cloud) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tasks": []}, f"1 to {MOST_TASKS} tasks"),
        ({"name": "../up"}, "no job"),
        ({"limits": {"tries": 0}}, "tries must be 1 to 100"),
        ({"surplus": 1}, "surplus"),
        ({"code": "0" * 64}, "a job with code of its own is not handed in here"),
        ({"code": "../x"}, "no job"),
        (
            {"tasks": [{"name": "a", "program": "os:system"}]},
            r"os:system may not run here, only programs of pipelines\.",
        ),
        ({"tasks": [{"name": "a", "program": "pipelines.x:y", "adds": ["shutil:rmtree"]}]}, "shutil:rmtree may not"),
        (
            {"tasks": [{"name": "a", "program": f"pipelines.x:{each}"} for each in "yz"]},
            "two different tasks are called a",
        ),
        ({"tasks": [{"name": "a", "program": "pipelines.x:y", "receives": [["b", "m"]]}]}, "which is no task"),
        ({"tasks": [{"name": "a", "program": "pipelines.x:y", "argument": "x" * 300_000}]}, "too large"),
    ],
)
def test_what_is_no_job_is_refused_and_said_why(cloud: Any, change: dict[str, Any], what: str) -> None:
    status, told = ask("POST", body={**BODY, **change})
    assert (status, told["error"]["code"]) == (400, "bad_job")
    assert re.search(what, told["error"]["message"])
    assert asked(cloud) == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "\ud800", "[" * 5000, " " * (LARGEST_JOB + 1)])
def test_what_is_no_json_is_refused(cloud: Any, body: str) -> None:
    assert ask("POST", body=body)[0] == 400
    assert ask("POST", body="?", isBase64Encoded=True)[0] == 400


def test_what_is_not_there_and_what_cannot_be_asked(cloud: Any) -> None:
    assert ask("GET", "film-0123456789abcdef")[1]["error"]["code"] == "no_job"
    assert ask("DELETE", "film-0123456789abcdef")[0] == 404
    for name in ("x", "../../secret", "film-0123456789abcdeg", "a" * 500):
        assert ask("GET", name)[1]["error"]["code"] == "bad_id"
    assert ask("PUT", "film-0123456789abcdef")[0] == 405
    assert ask("GET")[0] == 405


def test_a_cloud_that_does_not_answer_is_no_ones_fault_here(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="none")

    monkeypatch.setattr(work._jobs()._cloud._sqs, "send_message", broken)
    status, told = ask("POST", body=BODY)
    assert (status, told["error"]["code"]) == (503, "unavailable")


def test_nothing_of_the_inside_is_told(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTSLOW_PROGRAMS")
    status, told = ask("POST", body=BODY)
    assert status == 500
    assert "FASTSLOW" not in json.dumps(told)
