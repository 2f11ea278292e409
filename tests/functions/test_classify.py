"""The classifier as API Gateway calls it: answers, every refusal, warmth, and nothing of the inside in either."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions import environment
from functions.classify import handler as entry
from functions.classify import request, work
from functions.environment import First
from tests.functions.made import EVENTS, Store, event, version
from tests.vision.made import picture
from tests.vision.test_picture import png
from vision import picture as pictures
from vision.library import read_labels
from vision.manifest import Input, Manifest, Output

CONTEXT = SimpleNamespace(aws_request_id="6f1d8a5e", function_name="fastslow-classify")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A fresh environment whose bucket is a store in memory, with version 1 active."""
    made = Store()
    made.activate(*version(1))
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FASTSLOW_ACTIVE_SECONDS", "0")
    monkeypatch.setattr(environment, "models", lambda: made)
    monkeypatch.setattr(entry, "_first", First())
    monkeypatch.setattr("functions.cache._PAUSE", 0)
    for each in (environment.name, environment.tmp):
        each.cache_clear()
    work._models.clear()
    yield made
    work._models.clear()
    environment.tmp.cache_clear()


def call(told: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = entry.handler(told, CONTEXT)
    assert set(answer) == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["X-Request-Id"] == "6f1d8a5e"
    return answer["statusCode"], json.loads(answer["body"])


def as_json(data: bytes, **more: Any) -> dict[str, Any]:
    return event("json", json.dumps({"image": base64.b64encode(data).decode(), **more}))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_as_it_is(store: Store, kind: str) -> None:
    status, body = call(event(kind, picture(235, kind=kind.upper())))
    assert status == 200
    assert [each["label"] for each in body["labels"]] == ["day", "night"]
    assert body["labels"][0]["score"] > 0.9
    described = version(1)[0]
    assert body["model"] == {"name": "day-night", "version": "1", "sha256": described.sha256}
    steps = body["timing_ms"]
    assert sum(value for name, value in steps.items() if name != "total") == pytest.approx(steps["total"], abs=0.01)
    assert body["cold"] is True
    assert call(event(kind, picture(20, kind=kind.upper())))[1]["cold"] is False


def test_a_picture_in_json_and_how_many_labels(store: Store) -> None:
    assert [each["label"] for each in call(as_json(picture(20), top=1))[1]["labels"]] == ["night"]
    told = event("json", json.dumps({"image": base64.b64encode(picture(20)).decode()}).encode())
    assert len(call(told)[1]["labels"]) == 2
    data_url = json.dumps({"image": "data:image/jpeg;base64," + base64.b64encode(picture(20)).decode()})
    assert call(event("json", data_url))[0] == 200
    assert len(call(event("jpeg", picture(), queryStringParameters={"top": "1"}))[1]["labels"]) == 1


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        (event("jpeg", ""), 400, "no_image"),
        (event("jpeg", "") | {"body": None}, 400, "no_image"),
        (event("json", ""), 400, "no_image"),
        (event("json", "{}"), 400, "no_image"),
        (event("json", '{"image": ""}'), 400, "no_image"),
        (event("json", "{"), 400, "bad_json"),
        (event("json", "[" * 100_000), 400, "bad_json"),
        (event("json", b"\xff\xfe"), 400, "bad_json"),
        (event("json", "[1]"), 400, "bad_request"),
        (event("json", '{"image": 1}'), 400, "bad_request"),
        (as_json(b"x", top=0), 400, "bad_request"),
        (as_json(b"x", top=1001), 400, "bad_request"),
        (as_json(b"x", top="5"), 400, "bad_request"),
        (as_json(b"x", model="x" * 65), 400, "bad_request"),
        (event("jpeg", picture(), queryStringParameters={"top": "many"}), 400, "bad_request"),
        (event("json", '{"image": "*not base64*"}'), 400, "bad_base64"),
        (event("json", '{"image": "data:image/svg+xml,<svg/>"}'), 400, "bad_base64"),
        (event("json", '{"image": "data:image/jpeg;base64,"}'), 400, "bad_base64"),
        (event("json", '{"image": "QUJD\\nQUJD"}'), 400, "bad_base64"),
        (event("jpeg", "") | {"body": "abc", "isBase64Encoded": True}, 400, "bad_base64"),
        (event("jpeg", "\ufffd\ufffd"), 400, "not_binary"),
        (event("jpeg", b"hello, this is no picture"), 422, "not_an_image"),
        (event("jpeg", picture()[:300]), 422, "damaged_image"),
        (event("png", picture(kind="PNG")[:-40]), 422, "damaged_image"),
        (event("png", png(100_000, 100_000)), 413, "too_many_pixels"),
        (event("jpeg", bytes(request.LARGEST_PICTURE + 1)), 413, "too_large"),
        (as_json(bytes(request.LARGEST_PICTURE + 9)), 413, "too_large"),
        (event("jpeg", picture(), headers={"content-type": "image/gif"}), 415, "wrong_content_type"),
        (event("jpeg", picture(), headers={}), 415, "wrong_content_type"),
        (event("jpeg", picture(), headers=None), 415, "wrong_content_type"),
        (as_json(picture(), model="other"), 404, "unknown_model"),
        (as_json(picture(), model="day-night@2"), 404, "unknown_model"),
    ],
)
def test_a_bad_request_is_told_what_to_do(store: Store, told: dict[str, Any], status: int, code: str) -> None:
    got, body = call(told)
    assert (got, body["error"]["code"]) == (status, code)
    assert set(body) == {"error"}
    assert len(body["error"]["message"]) > 20
    assert call(event("jpeg", picture()))[0] == 200


def test_a_model_may_be_insisted_on(store: Store) -> None:
    for name in ("day-night", "day-night@1", ""):
        assert call(as_json(picture(), model=name))[0] == 200


def test_no_model_is_told_until_there_is_one(store: Store) -> None:
    objects, store.objects = store.objects, {}
    answer = entry.handler(event("jpeg", picture()), CONTEXT)
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "5"
    assert json.loads(answer["body"])["error"]["code"] == "no_model"
    store.objects = objects
    assert call(event("jpeg", picture()))[0] == 200


@pytest.mark.parametrize("fault", ["store", "model", "full", "bug"])
def test_nothing_of_the_inside_leaks(
    store: Store, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if fault == "store":
        store.broken = 99
    elif fault == "model":
        described, _ = version(1)
        store.objects[f"blobs/{described.sha256}"] = bytes(described.bytes)
    elif fault == "full":
        monkeypatch.setenv("FASTSLOW_CACHE_MB", "0")
    else:
        monkeypatch.setattr(pictures.Image, "open", lambda *_, **__: 1 / 0)
    answer = entry.handler(event("jpeg", picture()), CONTEXT)
    assert answer["statusCode"] == (500 if fault == "bug" else 503)
    for inside in ("secret-host", "blobs", "cache", "Error", "Traceback", "functions", "/tmp"):
        assert inside not in answer["body"]
    said = capsys.readouterr().out
    assert {"store": "secret-host", "model": "came", "full": "no room", "bug": "ZeroDivisionError"}[fault] in said


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_call_for_warmth_gets_the_model_and_classifies_nothing(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTSLOW_METRICS", "here")
    told = json.loads((EVENTS / "warmup.json").read_text())
    began = time.monotonic()
    first = entry.handler(told, CONTEXT)
    assert time.monotonic() - began >= 0.05
    assert (first["cold"], first["model"], len(first["environment"])) == (True, "day-night 1", 32)
    assert entry.handler(told, CONTEXT) == {**first, "cold": False}
    assert call(event("jpeg", picture()))[1]["cold"] is False
    warm, again, request_ = lines(capsys)
    assert (warm["WarmUps"], warm["CacheMiss"], warm["CacheHit"], warm["ColdStart"]) == (1, 1, 0, 1)
    assert (again["WarmUps"], again["CacheMiss"], again["CacheHit"], again["ColdStart"]) == (1, 0, 1, 0)
    assert (request_["Requests"], request_["CacheMiss"], request_["ColdStart"]) == (1, 0, 0)
    assert "Requests" not in warm
    assert "WarmUps" not in request_
    about = request_["_aws"]["CloudWatchMetrics"][0]
    assert (about["Namespace"], about["Dimensions"]) == ("here", [["service"]])
    assert {"Name": "LatencyMs", "Unit": "Milliseconds"} in about["Metrics"]
    assert all(each["Name"] in request_ for each in about["Metrics"])


@pytest.mark.parametrize("hold", [{}, None, {"hold_ms": "long"}, {"hold_ms": -5}])
def test_a_call_for_warmth_is_forgiving(store: Store, hold: object) -> None:
    assert entry.handler({"warmup": hold}, CONTEXT)["model"] == "day-night 1"


def test_warmth_without_a_model(store: Store) -> None:
    store.objects.clear()
    assert entry.handler({"warmup": {"hold_ms": 0}}, CONTEXT)["model"] == ""


def test_an_allowed_origin_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Access-Control-Allow-Origin" not in entry.handler(event("jpeg", picture()), CONTEXT)["headers"]
    monkeypatch.setenv("FASTSLOW_CORS_ORIGIN", "https://example.com")
    for body in (picture(), b"no picture"):
        headers = entry.handler(event("jpeg", body), CONTEXT)["headers"]
        assert headers["Access-Control-Allow-Origin"] == "https://example.com"


def test_a_handler_is_short() -> None:
    for path in Path(entry.__file__).parents[1].glob("*/handler.py"):
        assert len(path.read_text().splitlines()) <= 90, path


def test_real_pictures(store: Store, shared: Path) -> None:
    path = shared / "models" / "mobilenet_v2_1.0_224_u8.onnx"
    data = path.read_bytes()
    described = Manifest(
        name="mobilenet-v2",
        version="1",
        file=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence="Apache-2.0",
        input=Input(name="input", width=224, height=224, mean=(128.0,) * 3, scale=(1 / 128,) * 3),
        outputs=(Output(name="prob", kind="probabilities"),),
        labels=read_labels(shared / "models" / "imagenet_labels.txt"),
        session={"session.disable_quant_qdq": "1"},
    )
    store.activate(described, data)
    for name, label in (("cat", "Egyptian cat"), ("hot_dog", "hotdog, hot dog, red hot"), ("parrot", "macaw")):
        body = call(event("jpeg", (shared / "media" / "images" / f"{name}.jpg").read_bytes()))[1]
        assert body["labels"][0]["label"] == label
        assert len(body["labels"]) == 5
