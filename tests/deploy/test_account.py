"""`fastslow deploy` and `destroy` as one would use them on an account; the account is the cloud on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

if not find_spec("aws_cdk"):
    pytest.skip("the stack needs the extra: pip install -e '.[deploy]'", allow_module_level=True)
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from deploy import interpreters, local, tools
from deploy.account import Account
from deploy.errors import CloudRefused, ToolMissing

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages
HOME = tools.ROOT / "build" / f"local-bare-{os.environ.get('PYTEST_XDIST_WORKER', 'tested')}"
SETTINGS = ["-c", "workers=1", "-c", "name=trial", "-c", "arch=x86_64"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[local.Running]:
    """A cloud with nothing in it."""
    try:
        interpreters.functions_python()
    except ToolMissing as error:
        pytest.skip(str(error))
    for name in ("cloud", "functions"):
        interpreters.environment(name, local.HOME / name)
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        yield local.start([], lambda said: None, HOME)
    finally:
        local.down(HOME)


def run(cloud: local.Running, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **local.credentials(cloud.cloud_url)}
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=tools.ROOT, env=environment, input=answer, capture_output=True, text=True, check=False
    )


def test_from_nothing_to_a_stack_and_back(cloud: local.Running) -> None:
    account = Account(lambda service: local.client(service, cloud))
    none = run(cloud, "destroy", *SETTINGS, "--yes")
    assert none.returncode == 1
    assert f"account {local.ACCOUNT} has no stack 'trial'" in none.stderr

    refused = run(cloud, "deploy", *SETTINGS, answer="n\n")
    assert refused.returncode == 1
    assert "coordinator, t3.small" in refused.stderr
    assert "$ a month" in refused.stderr
    assert account.resources("trial") == []

    made = run(cloud, "deploy", *SETTINGS, "--yes")
    assert made.returncode == 0, made.stderr[-3000:]
    kinds = [kind for kind, _ in account.resources("trial")]
    assert kinds.count("AWS::S3::Bucket") == 4
    assert account.resources("CDKToolkit")

    s3 = local.client("s3", cloud)
    buckets = [each.bucket for each in account.held("trial")]
    for bucket in buckets:
        for text in (b"old", b"newer"):
            s3.put_object(Bucket=bucket, Key="there", Body=text)
    (versioned,) = [each for each in account.held("trial") if each.objects == 2]
    assert (versioned.bytes, "models" in versioned.bucket) == (8, True)

    kept = run(cloud, "destroy", *SETTINGS, answer="something else\n")
    assert kept.returncode == 1
    assert "2 objects" in kept.stderr
    assert account.resources("trial")

    gone = run(cloud, "destroy", *SETTINGS, "--everything", answer="trial\n")
    assert gone.returncode == 0, gone.stderr[-3000:]
    assert account.resources("trial") == []
    assert not {each["Name"] for each in s3.list_buckets()["Buckets"]} & set(buckets)

    assert "goes  CDK's bootstrap stack CDKToolkit and s3://cdk-" in gone.stderr
    assert "goes  API Gateway's role for logs, trial-" in gone.stderr
    assert s3.list_buckets()["Buckets"] == []
    assert account.resources("CDKToolkit") == []
    assert local.client("iam", cloud).list_roles()["Roles"] == []
    again = run(cloud, "destroy", *SETTINGS, "--everything", "--yes")
    assert again.returncode == 1
    assert "no stack 'trial' in this region, nor what one leaves" in again.stderr


def test_without_credentials_it_says_so() -> None:
    def client(service: str) -> object:
        import boto3

        return boto3.Session().client(service, region_name="us-east-1", endpoint_url="http://127.0.0.1:9")

    with pytest.raises(CloudRefused):
        Account(client).who()
