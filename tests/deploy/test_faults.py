"""Faults under the deployed stack: what callers see while S3 breaks or environments die, and that it works again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

if not find_spec("aws_cdk"):
    pytest.skip("the stack needs the extra: pip install -e '.[deploy]'", allow_module_level=True)
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from deploy import local
from deploy.pool import sandbox
from tests.deploy.broken_store import BrokenStore, Fault, broken_store
from tests.deploy.conftest import HOME, silence
from tests.functions.made import version
from tests.vision.made import picture
from vision.bucket import Bucket
from vision.store import activate, blob_key, publish

pytestmark = pytest.mark.timeout(900)  # whichever is first builds the packages
NAME = "fastslow-classify"
BUCKET = "models-that-break"
INSIDE = ("127.0.0.1", BUCKET, "blobs/", "active/", "/tmp", "Traceback", "Error", "errorType", "RequestId")
"""What no caller is told, whatever happens."""


class Service:
    """The classifier behind the API, its models behind a store that breaks."""

    def __init__(self, stack: local.Running, store: BrokenStore, folder: Path) -> None:
        self.stack, self.store = stack, store
        self.log = HOME / "pool" / "logs" / f"{NAME}.log"
        self.trial = ""
        self._folder = folder
        self._key = local.api_key(stack)
        self._lambda = local.client("lambda", stack)
        self.s3 = local.client("s3", stack)
        self.s3.create_bucket(Bucket=BUCKET)

    def renew(self) -> None:
        """Publish a version of its own for the alias, so that the next call is the first of its environment."""
        self.trial = uuid.uuid4().hex
        variables = self._lambda.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
        variables |= {"AWS_ENDPOINT_URL_S3": self.store.url, "FASTSLOW_MODELS_BUCKET": BUCKET}
        variables |= {"FASTSLOW_ACTIVE_SECONDS": "0", "FASTSLOW_TRIAL": self.trial}
        self._lambda.update_function_configuration(FunctionName=NAME, Environment={"Variables": variables})
        self.point(self._lambda.publish_version(FunctionName=NAME)["Version"])
        self.store.reads.clear()

    def version(self) -> str:
        """What the alias points at."""
        return str(self._lambda.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"])

    def point(self, version: str) -> None:
        """Let the alias point at a version."""
        self._lambda.update_alias(FunctionName=NAME, Name="live", FunctionVersion=version)

    def reserve(self, count: int) -> None:
        """Let so many environments work at once."""
        self._lambda.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=count)

    def publish(self, number: int) -> str:
        """Publish and activate a version of the model; the key of its file."""
        manifest, data = version(number)
        path = self._folder / manifest.sha256
        path.write_bytes(data)
        bucket = Bucket(BUCKET, self.s3)
        publish(bucket, manifest, path)
        activate(bucket, manifest.name, manifest.version)
        return blob_key(manifest.sha256)

    def ask(self) -> tuple[int, http.client.HTTPMessage, Any]:
        """Have a picture classified, as anyone does, and see that a refusal tells nothing of the inside."""
        address = urlsplit(local.frames_url(self.stack))
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        headers = {"Content-Type": "image/jpeg", "X-Api-Key": self._key}
        connection.request("POST", address.path, picture(), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            assert not [each for each in INSIDE if each in text], text
        return answer.status, answer.headers, json.loads(text)

    def works(self) -> Any:
        """Ask once; the answer, which must be right."""
        status, _, told = self.ask()
        assert status == 200, told
        assert told["labels"][0]["label"] == ("day" if int(told["model"]["version"]) % 2 else "night")
        return told

    def is_unavailable(self) -> str:
        """Ask once: there must be a refusal that says to come again; its sentence."""
        status, headers, told = self.ask()
        assert (status, told["error"]["code"], headers["Retry-After"]) == (503, "no_model", "5")
        return str(told["error"]["message"])

    def processes(self) -> list[int]:
        """The environments of the version that runs now."""
        found = []
        for each in Path("/proc").iterdir():
            try:
                if each.name.isdecimal() and f"FASTSLOW_TRIAL={self.trial}".encode() in (each / "environ").read_bytes():
                    found.append(int(each.name))
            except OSError:  # gone, or another's
                continue
        return found

    def kill(self) -> None:
        """`kill -9` an environment as soon as there is one, and wait until its process is gone."""
        until = time.monotonic() + 60
        while not (found := self.processes()):
            assert time.monotonic() < until, "no environment was started"
        os.kill(found[0], signal.SIGKILL)
        while Path(f"/proc/{found[0]}").exists():
            assert time.monotonic() < until, "the pool has not noticed"
            time.sleep(0.01)

    def fetched(self) -> int:
        """How often a model's file was asked for."""
        return sum("/blobs/" in path for path in self.store.reads)


@pytest.fixture(scope="module")
def everything(stack: local.Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, with the schedule silent, and all as it was afterwards."""
    with broken_store(stack.cloud_url) as store, silence(stack):
        service = Service(stack, store, tmp_path_factory.mktemp("models"))
        before = service.version()
        service.publish(1)
        try:
            yield service
        finally:
            service.point(before)
            service.reserve(3)


@pytest.fixture
def service(everything: Service) -> Service:
    everything.renew()
    return everything


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "/blobs/", 2, status=500),
        Fault("status", "/active/", 2, status=503),
        Fault("cut", "/blobs/", 2),
        Fault("cut", "/active/", 1),
        Fault("other", "/blobs/", 1),
        Fault("slow", "/blobs/", 1, seconds=1.0),
        Fault("slow", "/blobs/", 1, seconds=20.0),  # longer than anyone waits for a byte
    ],
    ids=lambda fault: f"{fault.kind} {fault.where} {fault.seconds or fault.status}",
)
def test_a_fault_that_passes_is_not_seen(service: Service, fault: Fault) -> None:
    with service.store.broken(fault):
        assert service.works()["cold"]
    if fault.where == "/blobs/":
        assert service.fetched() == 1 + (0 if fault.seconds == 1.0 else fault.times)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "/blobs/", status=500),
        Fault("status", "/active/", status=503),
        Fault("status", "/", status=403),
        Fault("cut", "/blobs/"),
        Fault("other", "/blobs/"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.where} {fault.status}",
)
def test_while_s3_is_broken_callers_are_told_to_come_again(service: Service, fault: Fault) -> None:
    with service.store.broken(fault):
        assert service.is_unavailable() == "the model cannot be had just now; try again"
    assert not service.works()["cold"], "the same environment goes on"


def test_a_file_that_was_replaced_in_the_bucket_is_never_run(service: Service) -> None:
    key = service.publish(1)
    good = service.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    service.s3.put_object(Bucket=BUCKET, Key=key, Body=good[:-1] + b"?")
    service.is_unavailable()
    service.s3.put_object(Bucket=BUCKET, Key=key, Body=good)
    service.works()


def test_a_switch_that_fails_leaves_the_old_model_running(service: Service) -> None:
    service.publish(1)
    assert service.works()["model"]["version"] == "1"
    with service.store.broken(Fault("other", "/blobs/")):
        service.publish(2)
        until = time.monotonic() + 60
        while "SwitchFailed" not in service.log.read_text():
            assert service.works()["model"]["version"] == "1"
            assert time.monotonic() < until, "nobody tried to switch"
    while service.works()["model"]["version"] != "2":
        assert time.monotonic() < until, "the switch is not made up for"
    service.publish(1)


def fill(path: Path) -> None:
    """Write until there is no more room."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


@pytest.mark.skipif(not sandbox.namespaces_work(), reason="without namespaces /tmp has no end")
def test_a_full_tmp_is_told_and_serves_again_when_there_is_room(service: Service) -> None:
    with service.store.broken(Fault("status", "/active/", status=500)):
        service.is_unavailable()
    (process,) = service.processes()
    full = Path("/proc", str(process), "root", "tmp", "full")
    with pytest.raises(OSError, match="No space left"):
        fill(full)
    assert service.is_unavailable() == "the model does not fit here; its owner has to give the function more room"
    assert "is on a full disk" in service.log.read_text()
    full.unlink()
    assert not service.works()["cold"]


def test_an_environment_killed_while_it_starts(service: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.ask)
        service.kill()
        status, _, told = asked.result()
    assert (status, told["error"]["code"]) == (502, "failed")
    assert service.works()["cold"]


def test_an_environment_killed_while_it_works(service: Service) -> None:
    with service.store.broken(Fault("slow", "/blobs/", 1, seconds=60.0)), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.ask)
        until = time.monotonic() + 60
        while not service.fetched():
            assert time.monotonic() < until, "no model was asked for"
            time.sleep(0.01)
        service.kill()
        status, _, told = asked.result()
    assert (status, told["error"]["code"]) == (502, "failed")
    assert service.works()["cold"]


def test_an_environment_killed_while_nobody_needs_it(service: Service) -> None:
    service.works()
    service.kill()
    assert service.works()["cold"]


def test_many_first_calls_fetch_once_an_environment(everything: Service) -> None:
    everything.reserve(40)
    everything.renew()
    # A first call takes a second, so that the others do not all find the first environment free.
    with everything.store.broken(Fault("slow", "/blobs/", seconds=1.0)), ThreadPoolExecutor(40) as pool:
        told = [each.result() for each in [pool.submit(everything.works) for _ in range(40)]]
    assert everything.fetched() == sum(each["cold"] for each in told) > 1
