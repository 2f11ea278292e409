"""Starting workers: as fast as Lambda allows and no faster, again where that helps, and told where it does not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import BackendError
from mu.server import LaunchRefused
from mu.service.launcher import Answer, ForJob, Lambda, invoker
from mu.service.shares import shares
from mu.wire import Invitation

INVITATION = Invitation(
    "10.0.0.1:8443", "job-0123456789abcdef", 3, "secret token", "certificate", "s3://results/jobs/x/store/"
)


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def made(invoke: Any, functions: list[str] | None = None, **more: Any) -> tuple[Lambda, Clock]:
    clock = Clock()
    workers = Lambda(functions or ["a"], invoke, clock=clock, sleep=clock.sleep, chance=lambda _, most: most, **more)
    return workers, clock


def test_calls_are_spread_and_no_faster_than_lambda_grows() -> None:
    called: list[tuple[str, float]] = []
    workers, clock = made(lambda name, _: called.append((name, clock.now)) or Answer(202, ""), ["a", "b"])

    async def run() -> None:
        for _ in range(2600):
            await workers.launch(INVITATION)

    asyncio.run(run())
    counts = Counter(name for name, _ in called)
    assert abs(counts["a"] - counts["b"]) <= 1
    assert sum(at == 0 for _, at in called) == 2000
    assert 2.9 < called[-1][1] < 3.1  # 600 more, 200 a second
    assert workers.launched == 2600


def test_what_is_refused_for_the_moment_is_tried_again() -> None:
    answers = [Answer(429, "slow"), Answer(500, "oops"), Answer(202, "")]
    workers, clock = made(lambda *_: answers.pop(0))
    asyncio.run(workers.launch(INVITATION))
    assert not answers
    assert clock.now == pytest.approx(0.4 + 0.8)
    assert (workers.launched, workers.refused) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "tries", "why"),
    [
        (Answer(429, "Rate exceeded"), 4, "a: 429 Rate exceeded; tried 4 times"),
        (Answer(503, ""), 4, "a: 503 ; tried 4 times"),
        (Answer(403, "not authorized"), 1, "a: 403 not authorized"),
        (ConnectionError("nobody there"), 4, "a: no answer: nobody there; tried 4 times"),
    ],
)
def test_then_the_coordinator_is_told(answer: Any, tries: int, why: str) -> None:
    calls = []

    def invoke(*_: Any) -> Answer:
        calls.append(1)
        if isinstance(answer, Exception):
            raise answer
        return answer

    workers, _ = made(invoke)
    with pytest.raises(LaunchRefused) as raised:
        asyncio.run(workers.launch(INVITATION))
    assert (str(raised.value), len(calls)) == (why, tries)
    assert raised.value.wait_s > 1


def test_there_must_be_functions() -> None:
    with pytest.raises(BackendError, match="FASTSLOW_WORKERS"):
        Lambda([], lambda *_: Answer(202, ""))


def test_a_call_is_signed_asynchronous_and_has_nothing_secret_but_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), body))
            self.send_response(202 if "good" in self.path else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    given = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very secret",
        "AWS_REGION": "eu-west-1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    try:
        invoke = invoker()
        workers = ForJob(Lambda(["good"], invoke))
        asyncio.run(workers.launch(INVITATION, lambda _: None))
        assert invoke("none", b"{}").status == 404
    finally:
        server.shutdown()
        server.server_close()
    path, headers, body = asked[0]
    assert path == "/2015-03-31/functions/good/invocations"
    assert headers["X-Amz-Invocation-Type"] == "Event"
    assert "Credential=key/" in headers["Authorization"]
    assert "/eu-west-1/lambda/" in headers["Authorization"]
    told = json.loads(body)
    assert told == {
        "address": "10.0.0.1:8443",
        "job": "job-0123456789abcdef",
        "worker": 3,
        "token": "secret token",
        "ca": "certificate",
        "store": "s3://results/jobs/x/store/",
    }
    assert workers.launched == 1
    with pytest.raises(OSError, match="Error"):
        invoker()("good", b"{}")


@pytest.mark.parametrize(
    ("total", "wanted", "given"),
    [
        (10, {}, {}),
        (10, {"a": 100}, {"a": 10}),
        (10, {"a": 100, "b": 100, "c": 100}, {"a": 4, "b": 3, "c": 3}),
        (10, {"a": 2, "b": 100, "c": 100}, {"a": 2, "b": 4, "c": 4}),
        (2, {"a": 5, "b": 5, "c": 5}, {"a": 1, "b": 1, "c": 1}),
        (100, {"a": 5, "b": 5}, {"a": 5, "b": 5}),
    ],
)
def test_workers_are_split_fairly(total: int, wanted: dict[str, int], given: dict[str, int]) -> None:
    assert shares(total, wanted) == given
