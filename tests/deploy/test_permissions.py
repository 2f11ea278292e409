"""With every permission enforced, over TLS: each role can do its work and nothing else; without it the work fails."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import pytest

if not find_spec("aws_cdk"):
    pytest.skip("the stack needs the extra: pip install -e '.[deploy]'", allow_module_level=True)
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

import boto3
from botocore.exceptions import ClientError

from deploy import interpreters, local, tools
from deploy.errors import ToolMissing
from mu.service.requests import Run, encode_job, encode_request, job_key, status_key, store_prefix
from pipelines.probe import probe_job, probe_results
from tests.deploy.conftest import silence

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages
HOME = tools.ROOT / "build" / f"local-strict-{os.environ.get('PYTEST_XDIST_WORKER', 'tested')}"


@pytest.fixture(scope="module")
def stack() -> Iterator[local.Running]:
    try:
        interpreters.functions_python()
    except ToolMissing as error:
        pytest.skip(str(error))
    try:
        state = local.up({"workers": "1", "warm": "2"}, lambda said: None, HOME, strict=True)
        for kind, key in PLACES.values():
            local.client("s3", state).put_object(Bucket=state.outputs[f"{kind}Bucket"], Key=key, Body=b"x")
        yield state
    finally:
        local.down(HOME)


def role_of(stack: local.Running, who: str) -> str:
    """The role of a function, or of the coordinator's machine, as it is deployed."""
    if who == "coordinator":
        iam = local.client("iam", stack)
        (profile,) = iam.list_instance_profiles()["InstanceProfiles"]
        return str(profile["Roles"][0]["Arn"])
    return str(local.client("lambda", stack).get_function(FunctionName=f"fastslow-{who}")["Configuration"]["Role"])


def attempt(stack: local.Running, who: str, what: str, where: str) -> str:
    """Do something as a role would: `allowed`, or the code of the refusal."""
    given = local.client("sts", stack).assume_role(RoleArn=role_of(stack, who), RoleSessionName="tested")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], local.REGION)
    options = {"endpoint_url": stack.cloud_url, "verify": stack.trusted}
    s3, sqs = session.client("s3", **options), session.client("sqs", **options)
    kind, key = PLACES.get(where, ("", ""))
    bucket, queue = stack.outputs.get(f"{kind}Bucket", ""), stack.outputs.get(f"{where}Queue", "")
    try:
        match what:
            case "read":
                s3.get_object(Bucket=bucket, Key=key)
            case "write":
                s3.put_object(Bucket=bucket, Key=key, Body=b"y")
            case "delete":
                s3.delete_object(Bucket=bucket, Key=f"{key}, not")
            case "send":
                sqs.send_message(QueueUrl=queue, MessageBody="tested")
            case "receive":
                sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=0)
            case "call":
                session.client("lambda", **options).invoke(FunctionName=where, InvocationType="DryRun")
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


# Bucket and key of an object, and who may do what with such ones.
PLACES = {
    "Models": ("Models", "there"),
    "Media": ("Media", "there"),
    "Results": ("Results", "there"),
    "Job": ("Results", "jobs/film-0/job"),
    "Status": ("Results", "jobs/film-0/status.json"),
    "Code": ("Results", "jobs/film-0/code/0123"),
    "Store": ("Results", "jobs/film-0/store/out/there"),
}
BELOW_JOBS = ("Job", "Status", "Code", "Store")
MAY = {
    "classify": {("read", "Models")},
    "warmup": {("call", "fastslow-classify:live")},
    "jobs": {*(("read", where) for where in BELOW_JOBS), ("write", "Job"), ("send", "Jobs")},
    "worker-0": {*(("read", where) for where in ("Models", "Media", "Store", "Code")), ("write", "Store")},
    "coordinator": {
        *((what, where) for what in ("read", "write", "delete") for where in BELOW_JOBS),
        *(("call", "fastslow-worker-0"), ("receive", "Jobs"), ("send", "Refused")),
    },
}


@pytest.mark.parametrize("who", MAY)
def test_a_role_can_do_its_work_and_nothing_else(stack: local.Running, who: str) -> None:
    everything = [(what, place) for what in ("read", "write", "delete") for place in PLACES]
    everything += [(what, queue) for what in ("send", "receive") for queue in ("Jobs", "Refused")]
    everything += [("call", f"fastslow-{name}") for name in ("classify:live", "jobs", "warmup", "worker-0")]
    met = {each: attempt(stack, who, *each) for each in everything}
    assert {each for each, came in met.items() if came == "allowed"} == MAY[who]
    assert {came for came in met.values() if came != "allowed"} <= {"AccessDenied", "AccessDeniedException"}


def test_a_job_is_done_with_the_permissions_there_are(stack: local.Running) -> None:
    job, s3 = probe_job(3, work_s=0.01), local.client("s3", stack)
    bucket = stack.outputs["ResultsBucket"]
    s3.put_object(Bucket=bucket, Key=job_key(job.id), Body=encode_job(job))
    local.client("sqs", stack).send_message(
        QueueUrl=stack.outputs["JobsQueue"], MessageBody=encode_request(Run(job.id))
    )
    end, told = time.monotonic() + 200, ""
    while '"state":"done"' not in told:
        assert time.monotonic() < end, (told, (HOME / "coordinator.log").read_text()[-2000:])
        time.sleep(0.2)
        with suppress(ClientError):
            told = s3.get_object(Bucket=bucket, Key=status_key(job.id))["Body"].read().decode()
    found = s3.list_objects_v2(Bucket=bucket, Prefix=store_prefix(job.id))["Contents"]
    assert len(found) == len(probe_results(3))


def test_without_its_permission_the_warm_up_fails_and_nothing_else(stack: local.Running) -> None:
    with silence(stack):
        assert local.warm(stack, HOME) == ""
        iam, role = local.client("iam", stack), role_of(stack, "warmup").rpartition("/")[2]
        (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
        assert "AccessDenied" in local.warm(stack, HOME)
        assert warm_by_hand(stack)["model"] == ""
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
        assert local.warm(stack, HOME) == ""


def warm_by_hand(stack: local.Running) -> dict[str, Any]:
    event = b'{"warmup": {"hold_ms": 1}}'
    answer = local.client("lambda", stack).invoke(FunctionName=stack.outputs["ClassifierAlias"], Payload=event)
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found


def test_a_stranger_may_do_nothing(stack: local.Running) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=stack.cloud_url,
        verify=stack.trusted,
        region_name=local.REGION,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="none",
    )
    with pytest.raises(ClientError):
        s3.get_object(Bucket=stack.outputs["ModelsBucket"], Key="there")
