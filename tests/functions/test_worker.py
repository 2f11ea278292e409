"""A Lambda environment as a worker: invitations, time that runs out, the codec, and nothing secret in the log."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.errors import Damaged, TransferError
from functions.worker.handler import handler
from mu.errors import JobError, ProtocolError
from mu.job import Edge, Task, argument
from mu.store import open_store
from mu.wire import Accepted, Assigned, Done, Failed, Goodbye, Hello, Leaving, Stored
from mu.worker.work import work
from tests.mu import programs_of_workers as programs
from tests.mu.s3 import Server, serving
from tests.mu.scripted import Scripted, waiting

PROGRAMS = programs.__name__


class Context:
    """Lambda's, as far as it is used."""

    def __init__(self, seconds: float = 900.0) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * self._seconds)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    server = Scripted(tmp_path)
    yield server
    server.close()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    monkeypatch.setattr("functions.worker.handler.use_published", lambda: None)
    monkeypatch.setattr(
        "functions.worker.handler.work", partial(work, grace_s=60.0)
    )  # a slow machine ends nothing here
    with serving(monkeypatch) as running:
        yield running


def event(scripted: Scripted, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(scripted.invitation)
    return {**made, "store": "s3://results/jobs/one/store", **changes}


def invited(scripted: Scripted, script: Callable[[], Any], seconds: float = 900.0) -> tuple[dict[str, Any], Any]:
    with scripted.beside(script) as result:
        told = handler(event(scripted), Context(seconds))
    return told, result[0]


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told = capsys.readouterr()
    assert "a token" not in told.out + told.err
    assert "CERTIFICATE" not in told.out + told.err
    made: dict[str, Any] = json.loads(told.out.splitlines()[-1])
    return made


def test_an_invitation_is_followed_to_its_end(
    scripted: Scripted, bucket: type[Server], capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store("s3://results/jobs/one/store")
    store.write("film", b"film")
    relay = Task(
        "it",
        f"{PROGRAMS}:relay",
        argument(300_000),
        fetches=("film",),
        stores=("out/",),
        sends=(Edge("after", "state"),),
        receives=(Edge("before", "state"),),
    )

    def script() -> None:
        peer, hello = scripted.welcome()
        assert "environment" in hello.about
        peer.say(Assigned(1, relay))
        assert waiting(peer) == ("before", "state")
        peer.deliver(1, "before", "state", b"state" * 100_000)
        peer.hear(Stored)
        peer.hear(Done)
        peer.say(Assigned(2, Task("it", f"{PROGRAMS}:fail", argument("value"))))
        peer.hear(Failed)
        peer.say(Goodbye("enough"))

    told, _ = invited(scripted, script)
    assert told == {"done": 1, "failed": 1, "reason": "enough"}
    assert store.exists("out/digest")
    logged = line(capsys)
    assert (logged["done"], logged["failed"]) == (1, 1)
    assert (logged["job"], logged["worker"]) == (scripted.job, 7)


def test_the_time_of_the_environment_is_known(scripted: Scripted, bucket: type[Server]) -> None:
    def script() -> Leaving:
        return scripted.assign(Task("it", f"{PROGRAMS}:block", argument(600.0))).hear(Leaving)

    told, leaving = invited(scripted, script, seconds=8.0)
    assert leaving.reason == told["reason"] == "its time is over"


def test_an_event_that_comes_twice_is_refused_by_the_coordinator(scripted: Scripted, bucket: type[Server]) -> None:
    def script() -> None:
        peer = scripted.accept()
        peer.hear(Hello)
        peer.say(Goodbye("worker 7 is connected already"))
        peer.gone()

    told, _ = invited(scripted, script)
    assert told == {"done": 0, "failed": 0, "reason": "worker 7 is connected already"}


def test_a_job_that_is_over_is_no_error(
    scripted: Scripted, bucket: type[Server], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mu.worker.line._FIRST_S", 0.2)
    scripted.close()
    told = handler(event(scripted), Context())
    assert "out of reach" in told["reason"]
    assert line(capsys)["done"] == 0


def test_a_coordinator_that_makes_no_sense_is_an_error(scripted: Scripted, bucket: type[Server]) -> None:
    def script() -> None:
        peer, _ = scripted.welcome()
        peer.say(Accepted(1))
        peer.gone()

    with pytest.raises(ProtocolError):
        invited(scripted, script)


@pytest.mark.parametrize(
    "change",
    [
        {"address": None},
        {"address": "host"},
        {"address": "h:1" + "1" * 300},
        {"worker": "7"},
        {"worker": -1},
        {"token": "t" * 401},
        {"ca": "c" * 20_000},
        {"job": 1},
        {"store": ""},
        {"store": "/tmp/store"},
        {"store": "http://results/x"},
        {"store": "s3://results/../x"},
    ],
)
def test_what_is_no_invitation_is_refused_without_its_token(scripted: Scripted, change: dict[str, Any]) -> None:
    with pytest.raises(JobError) as caught:
        handler(event(scripted, **change), Context())
    assert "a token" not in str(caught.value)


def test_the_published_codec_comes_before_the_program(
    scripted: Scripted, bucket: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot know which codec is published leaves; for one that is damaged there is the layer's."""
    import functions.binaries

    calls: list[str] = []
    outcomes: list[Exception | str] = [TransferError("S3 is away"), Damaged("no zip"), "sha"]

    def use_codec(source: object, cache: object) -> str:
        calls.append("use_codec")
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.undo()  # of the fixture that does without
    with serving(monkeypatch):
        monkeypatch.setattr(functions.binaries, "use_codec", use_codec)
        monkeypatch.setenv("FASTSLOW_MODELS_BUCKET", "models")
        monkeypatch.setenv("FASTSLOW_CACHE", str(Path(scripted.invitation.store).parent / "cache"))
        for module in [name for name in sys.modules if name.partition(".")[0] == "codec"]:
            monkeypatch.delitem(sys.modules, module)

        def leaves() -> Leaving:
            return scripted.assign(Task("it", f"{PROGRAMS}:nothing")).hear(Leaving)

        with pytest.raises(TransferError):
            invited(scripted, leaves)

        def works() -> None:
            peer = scripted.assign(Task("it", f"{PROGRAMS}:nothing"))
            peer.hear(Done)
            peer.say(Goodbye())

        for _ in range(2):
            assert invited(scripted, works)[0]["done"] == 1
    assert calls == ["use_codec"] * 3


PROGRAM = """
import sys, time
began = time.process_time()
import functions.worker.handler
took = time.process_time() - began
heavy = {"asyncio", "av", "boto3", "botocore", "click", "codec", "numpy", "pipelines", "requests", "rich", "vision"}
print(took, *sorted(heavy & set(sys.modules)))
"""
LIMIT = 1.0  # seconds of a slow, busy processor; bench/startup.py says what it is on a quiet machine


def test_the_worker_is_imported_quickly() -> None:
    command = [sys.executable, "-c", PROGRAM]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert runs[0][1:] == []
    assert min(float(run[0]) for run in runs) < LIMIT
