"""The warm-up calls overlap, are told apart by environment, and say what came of them."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

pytest.importorskip("boto3", reason="functions need the extra: pip install -e '.[aws]'")

from botocore.exceptions import ClientError

from functions.warmup import handler as warmup


class Lambda:
    """Lambda as it is: a free environment takes the call, or a new one starts; beyond the limit it refuses.

    A call holds until all that are made at once have come, however busy this machine is.
    """

    def __init__(self, at_once: int, limit: int = 1000) -> None:
        self.free: list[str] = []
        self.made = 0
        self.calls: list[dict[str, Any]] = []
        self.at_once, self.limit = at_once, limit
        self.lock = threading.Condition()

    def invoke(self, **call: str) -> dict[str, Any]:
        event = json.loads(call["Payload"])
        with self.lock:
            self.calls.append(event)
            self.lock.notify_all()
            cold = not self.free
            if cold and self.made == self.limit:
                answer = {"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded"}}
                raise ClientError(answer, "Invoke")
            self.made += cold
            name = self.free.pop() if not cold else f"environment {self.made}"
            held_until = -(-len(self.calls) // self.at_once) * self.at_once
            assert self.lock.wait_for(lambda: len(self.calls) >= held_until, 60)
            self.free.append(name)
        return {"Payload": io.BytesIO(json.dumps({"environment": name, "cold": cold}).encode())}


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> int:
    for name, value in {"WARM_FUNCTION": "arn", "WARM_COUNT": "8"}.items():
        monkeypatch.setenv(f"FASTSLOW_{name}", value)
    monkeypatch.setenv("FASTSLOW_METRICS", "fastslow")
    monkeypatch.setattr(warmup, "HOLDS_MS", (100, 200))
    return 8


def use(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    monkeypatch.setattr(warmup, "client", lambda calls: service)


def test_as_many_environments_as_asked_are_warm(
    monkeypatch: pytest.MonkeyPatch, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Lambda(count)
    use(monkeypatch, service)
    assert warmup.handler({}, None) == {"Environments": count, "ColdEnvironments": count}
    assert warmup.handler({"source": "aws.events"}, None) == {"Environments": count, "ColdEnvironments": 0}
    assert service.made == count
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "fastslow"
    assert (line["service"], line["Environments"], line["source"]) == ("warmup", count, "aws.events")


def test_busy_environments_are_warm_anyway(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    service = Lambda(count, limit=5)
    use(monkeypatch, service)
    assert warmup.handler({}, None)["Environments"] == 5
    assert [each["warmup"]["hold_ms"] for each in service.calls] == [100] * count + [200] * count


def test_nothing_warm_is_an_error_that_alarms(
    monkeypatch: pytest.MonkeyPatch, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Lambda(count, limit=0))
    with pytest.raises(warmup.NothingWarm, match="TooManyRequests"):
        warmup.handler({}, None)
    assert "Rate Exceeded" in json.loads(capsys.readouterr().out)["refused"]


def test_an_error_of_the_classifier_is_told(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    class Broken:
        def invoke(self, **_: str) -> dict[str, Any]:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "no model"}')}

    use(monkeypatch, Broken())
    with pytest.raises(warmup.NothingWarm, match="no model"):
        warmup.handler({}, None)
