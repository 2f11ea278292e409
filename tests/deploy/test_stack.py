"""The deployed stack, driven end to end: the real app, by the real `cdk`, on the cloud on this machine."""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

if not find_spec("aws_cdk"):
    pytest.skip("the stack needs the extra: pip install -e '.[deploy]'", allow_module_level=True)
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from cli.main import fastslow
from deploy import local
from tests.deploy.conftest import HOME, SETTINGS, busy_here
from vision.bucket import Bucket
from vision.library import Library
from vision.store import activate, publish

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages


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


def test_doctor_finds_it_deployed_and_in_order(stack: local.Running) -> None:
    chosen = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    done = CliRunner().invoke(fastslow, ["doctor", "--json", *chosen], env=local.credentials(stack.cloud_url))
    assert done.exit_code == 0, done.output
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["credentials"]["facts"]["account"] == local.ACCOUNT
    assert found["bootstrap"]["facts"]["version"] >= found["bootstrap"]["facts"]["needed"]
    assert found["stack"]["facts"]["outputs"] == stack.outputs
    assert found["concurrency"]["facts"]["wanted"] == {"fastslow-classify": 3, "fastslow-warmup": 1}
    assert found["concurrency"]["facts"]["left"] == 996, "what is deployed has its own back"
    assert found["packages"]["facts"]["zipped"].keys() == {"video", "vision", "code"}
    assert found["quota"]["grade"] == "unknown", "this cloud has no Service Quotas, which stops nothing else"


def test_a_second_up_has_nothing_to_do(stack: local.Running) -> None:
    said: list[str] = []
    again = local.up(SETTINGS, said.append, HOME)
    assert (again.cloud, again.pool, again.outputs) == (stack.cloud, stack.pool, stack.outputs)
    assert again.coordinates
    assert said == ["nothing changed since it was deployed"]


def test_workers_come_by_invitation_alone(stack: local.Running) -> None:
    answer = local.client("lambda", stack).invoke(FunctionName="fastslow-worker-0", Payload=b"{}")
    assert answer["FunctionError"]
    assert b"JobError" in answer["Payload"].read()
    log = local.logs(HOME)["fastslow-worker-0"].read_text()
    assert "START RequestId" in log
    assert "Init Duration" in log


def test_many_calls_at_once_meet_many_environments(stack: local.Running) -> None:
    client = local.client("lambda", stack)
    before = local.environments(stack).get("fastslow-worker-0", {"free": 0})["free"]  # jobs may have had some
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.invoke(FunctionName="fastslow-worker-0", Payload=b"{}"), range(12)))
    counts = local.environments(stack)["fastslow-worker-0"]
    assert counts["busy"] == 0
    assert 1 <= counts["free"] <= max(8, before + 4)


def test_nobody_gets_in_without_the_key(stack: local.Running) -> None:
    assert post(stack, b"{}", Content_Type="application/json")[0] == 403
    assert post(stack, b"{}", Content_Type="application/json", X_Api_Key="guessed")[0] == 403


def test_what_lambda_would_not_take_is_refused_by_the_api(stack: local.Running) -> None:
    key = local.api_key(stack)
    status, told = post(stack, bytes(5_000_000), X_Api_Key=key, Content_Type="image/jpeg")
    assert (status, told["error"]["code"]) == (413, "too_large")
    assert "4.5 MB" in told["error"]["message"]
    status, told = post(stack, b"", X_Api_Key=key, Content_Type="image/jpeg")
    assert (status, told["error"]["code"]) == (400, "no_image")


def picture(kind: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="module")
def model(stack: local.Running, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A classifier, added, published and activated as anyone would; until then callers are told to wait."""
    status, told = post(stack, picture("PNG"), X_Api_Key=local.api_key(stack), Content_Type="image/png")
    if status == 200:  # tests of this file were here before, and those of another one in between
        return
    assert (status, told["error"]["code"]) == (503, "no_model")
    folder = tmp_path_factory.mktemp("models")
    add = ["models", "add", str(shared / "models" / "mobilenet_v2_1.0_224_u8.onnx"), "--library", str(folder)]
    add += [
        "--name",
        "mobilenet-v2",
        "--version",
        "1",
        "--licence",
        "Apache-2.0",
        "--mean",
        "128",
        "--scale",
        "0.0078125",
    ]
    done = CliRunner().invoke(fastslow, [*add, "--labels", str(shared / "models" / "imagenet_labels.txt")])
    assert done.exit_code == 0, done.output
    manifest, path = Library(folder).find("mobilenet-v2")
    bucket = Bucket(stack.outputs["ModelsBucket"], local.client("s3", stack))
    publish(bucket, manifest, path)
    activate(bucket, "mobilenet-v2", "1")
    until = time.monotonic() + 60
    while post(stack, picture("PNG"), X_Api_Key=local.api_key(stack), Content_Type="image/png")[0] == 503:
        assert time.monotonic() < until, "the function never saw that a model is active"
        time.sleep(1)


@pytest.mark.usefixtures("model")
def test_pictures_are_classified_right_however_they_come(stack: local.Running, shared: Path) -> None:
    key = local.api_key(stack)
    cat, parrot = ((shared / "media" / "images" / f"{name}.jpg").read_bytes() for name in ("cat", "parrot"))
    status, told = post(stack, cat, X_Api_Key=key, Content_Type="image/jpeg")
    assert (status, told["labels"][0]["label"]) == (200, "Egyptian cat")
    body = json.dumps({"image": base64.b64encode(parrot).decode(), "top": 2}).encode()
    status, told = post(stack, body, X_Api_Key=key, Content_Type="application/json")
    assert (status, len(told["labels"])) == (200, 2)
    assert "macaw" in told["labels"][0]["label"]
    for kind in ("PNG", "WEBP"):
        status, told = post(stack, picture(kind), X_Api_Key=key, Content_Type=f"image/{kind.lower()}")
        assert (status, told["model"]["name"]) == (200, "mobilenet-v2")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"not a picture", "image/jpeg", 422),
        (b"hello", "text/plain", 415),
        (b'{"top": 3}', "application/json", 400),
        (b'{"image": "%%%"}', "application/json", 400),
        (b'{"image": "aGVsbG8=", "top": 0}', "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"image": "aGVsbG8=", "model": "other"}', "application/json", 404),
    ],
)
def test_bad_input_is_refused_with_what_to_do(stack: local.Running, body: bytes, kind: str, expected: int) -> None:
    status, told = post(stack, body, X_Api_Key=local.api_key(stack), Content_Type=kind)
    assert status == expected
    assert told["error"]["message"]


@pytest.mark.usefixtures("model")
def test_a_film_is_classified_side_by_side(
    stack: local.Running, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "running", lambda: stack)
    film, page = shared / "media" / "traffic_dashcam_960x540.mp4", tmp_path / "page.html"
    # More at once than the 3 environments that are reserved, so that some are throttled, and tried again.
    asked = ["classify", str(film), "--frames", "30", "--local", "--parallel", "6", "--report", str(page), "--json"]
    done = CliRunner().invoke(fastslow, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["classified"], told["failed"], told["complete"]) == (30, 0, True)
    assert told["models"][0]["name"] == "mobilenet-v2"
    assert [frame["seconds"] for frame in told["frames"]] == sorted(frame["seconds"] for frame in told["frames"])
    assert page.read_bytes().count(b'src="data:image/jpeg') == 30
    key = local.api_key(stack)
    one = ["classify", str(shared / "media" / "images" / "cat.jpg"), "--api", local.frames_url(stack)]
    done = CliRunner().invoke(fastslow, one, env={"FASTSLOW_API_KEY": key})
    assert (done.exit_code, "Egyptian cat" in done.stdout) == (0, True)
    assert key not in done.output
    done = CliRunner().invoke(fastslow, one, env={"FASTSLOW_API_KEY": "guessed"})
    assert (done.exit_code, "403" in done.stderr) == (1, True)


@pytest.mark.usefixtures("model", "silent")
def test_after_a_warm_up_so_many_requests_at_once_are_warm(stack: local.Running) -> None:
    assert local.warm(stack, HOME) == ""
    key = local.api_key(stack)
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(post, stack, picture("PNG"), X_Api_Key=key, Content_Type="image/png") for _ in range(2)]
        assert [(status, told["cold"]) for status, told in (each.result() for each in sent)] == [(200, False)] * 2


@pytest.mark.usefixtures("model", "silent")
def test_no_more_environments_than_reserved(stack: local.Running) -> None:
    def hold(_: int) -> str:
        client, alias = local.client("lambda", stack), stack.outputs["ClassifierAlias"]
        answer = client.invoke(FunctionName=alias, Payload=b'{"warmup": {"hold_ms": 10000}}')
        return "refused" if "FunctionError" in answer else str(json.loads(answer["Payload"].read())["environment"])

    def ask(_: int) -> int:
        return post(stack, picture("PNG"), X_Api_Key=local.api_key(stack), Content_Type="image/png")[0]

    with ThreadPoolExecutor(8) as pool:
        held = pool.map(hold, range(5))
        until = time.monotonic() + 60
        while busy_here(stack, "classify") < 3:
            assert time.monotonic() < until, "they are not taken"
            time.sleep(0.05)
        assert set(pool.map(ask, range(2))) == {429}
        met = list(held)
    assert met.count("refused") == 2
    assert len(set(met)) == 4
    assert ask(0) == 200


def test_the_schedule_fires(stack: local.Running) -> None:
    log = HOME / "pool" / "logs" / "fastslow-warmup.log"
    until = time.monotonic() + 100
    while not log.exists() or '"source": "aws.events"' not in log.read_text():
        assert time.monotonic() < until, "the schedule of one minute did not fire"
        time.sleep(1)
