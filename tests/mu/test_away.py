"""Jobs of this process on a stack: a service with real workers, who have of a program only what the job takes along."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

import mu
from mu import (
    BackendError,
    Edge,
    Job,
    JobCancelled,
    JobError,
    JobFailed,
    Limits,
    MapFailed,
    Task,
    Unreachable,
    argument,
)
from mu.away import run as away
from mu.away.stack import Stack
from mu.result import Result
from mu.service.client import Jobs
from mu.service.requests import code_key, read_request, status_key
from mu.service.status import Status, encode_status
from mu.store.folder import FolderStore
from pipelines.probe import probe_job, probe_results
from tests.mu.test_service import Runner, until
from tests.mu.test_service import runner as runner  # the fixture

pytestmark = pytest.mark.timeout(300)

PROGRAMS = """
import away_helper, time

def relay(ctx, value):
    ctx.store("made/" + value, bytes(ctx.fetch("film")) + away_helper.WHAT)
    ctx.store("raw/" + value, b"temporary")
    ctx.send("end", "m", value.encode())

def end(ctx, names):
    ctx.store("end", b"+".join(bytes(ctx.receive(name, "m")) for name in names))

def fails(ctx, value):
    raise ValueError(f"not {value}")

def slow(ctx, seconds):
    time.sleep(seconds)
    ctx.store("slow", b"slept")

def square(number: int) -> int:
    if number == 13:
        raise ValueError("unlucky")
    return number * number
"""


@pytest.fixture
def stack(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack on a folder, and a folder with programs that this process alone finds."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "away_programs.py").write_text(PROGRAMS)
    (own / "away_helper.py").write_text("WHAT = b' seen'\n")
    monkeypatch.syspath_prepend(str(own))
    made = Stack(runner.cloud, runner.cloud.store)  # type: ignore[arg-type]
    monkeypatch.setattr("mu.away.run.find_stack", lambda: made)
    return made


def relays(*names: str, **limits: Any) -> Job:
    """Tasks that send to one, with objects that are temporary and others."""
    hears = tuple(Edge(name, "m") for name in names)
    sends = (Edge("end", "m"),)
    tasks = [
        Task(
            *(name, "away_programs:relay", argument(name)),
            fetches=("film",),
            stores=("made/", "raw/"),
            sends=sends,
        )
        for name in names
    ]
    raw = tuple(f"raw/{name}" for name in names)
    end = Task("end", "away_programs:end", argument(list(names)), fetches=raw, receives=hears, stores=("end",))
    return Job("relays", (*tasks, end), Limits(workers=2, temporary=("raw/",), **limits))


def run(job: Job, **how: Any) -> Result:
    return mu.run(job, backend="aws", **how)


def held(result: Result) -> dict[str, bytes]:
    return {name: bytes(payload) for name, payload in result.objects.items()}


def test_a_job_gives_what_it_gives_here_and_is_done_once(
    runner: Runner, stack: Stack, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    runner.start()
    caplog.set_level("INFO", "mu.away")
    job, inputs = relays("a", "b"), {"film": b"film"}
    seen: dict[str, bytes] = {}
    result = run(job, inputs=inputs, on_object=lambda name, payload: seen.update({name: bytes(payload)}))
    here = mu.run(job, inputs=inputs, workers=1)
    assert held(result) == held(here) == seen
    assert held(result) == {"made/a": b"film seen", "made/b": b"film seen", "end": b"a+b"}
    assert list(result.objects.values()) == [result.objects[name] for name in result.objects]
    assert (result.outcome.kind, result.outcome.committed) == ("done", 3)
    assert capfd.readouterr() == ("", "")
    states = [record.getMessage().split(" is ")[1].strip() for record in caplog.records if record.name == "mu.away"]
    assert (states[0], states[-1]) == ("handed in", "done")
    runner.kill()
    writes = len(runner.cloud.writes)
    again = run(job, inputs=inputs)  # nobody is there to do anything
    assert (again.job, held(again)) == (result.job, held(result))
    assert runner.cloud.writes[writes:] == []


def test_another_source_or_another_input_is_another_job(runner: Runner, stack: Stack, tmp_path: Path) -> None:
    runner.start()
    first = run(relays("a"), inputs={"film": b"film"})
    other = run(relays("a"), inputs={"film": b"other"})
    (tmp_path / "own" / "away_helper.py").write_text("WHAT = b' changed'\n")
    third = run(relays("a"), inputs={"film": b"film"})
    assert [held(each)["made/a"] for each in (first, other, third)] == [b"film seen", b"other seen", b"film changed"]
    assert len({first.job, other.job, third.job}) == 3
    plain = probe_job(3)
    assert run(plain).job == plain.id, "what workers have needs nothing taken along"
    assert held(run(plain)) == probe_results(3)
    assert not runner.cloud.keys(code_key(plain.id, ""))


def test_failures_are_listed_and_the_rest_is_kept(runner: Runner, stack: Stack) -> None:
    runner.start()
    tasks = [Task(f"bad/{number}", "away_programs:fails", argument(number)) for number in range(2)]
    good = relays("a").tasks
    job = Job("half", (*tasks, *good), Limits(on_failure="finish", temporary=("raw/",)))
    for _ in range(2):  # the second time it goes on from what it has
        with pytest.raises(JobFailed) as caught:
            run(job, inputs={"film": b"film"})
        assert sorted(failure.task for failure in caught.value.failures) == ["bad/0", "bad/1"]
        assert "not 0" in "".join(failure.reason for failure in caught.value.failures)
        assert 'File "/job/away_programs.py"' in caught.value.failures[0].traceback
        assert {name: bytes(payload) for name, payload in caught.value.objects.items()} == {
            "made/a": b"film seen",
            "end": b"a",
        }
    assert caught.value.objects.keys() == {"made/a", "end"}


def test_one_function_over_many_items(runner: Runner, stack: Stack) -> None:
    from away_programs import square  # type: ignore[import-not-found]

    runner.start()
    assert mu.map(square, range(10), backend="aws", workers=2) == [number * number for number in range(10)]
    with pytest.raises(MapFailed) as caught:
        mu.map(square, [2, 13, 4], backend="aws", workers=2)
    assert caught.value.results == [4, None, 16]
    assert "unlucky" in caught.value.failures[1].reason


def test_interrupted_it_cancels_the_job_and_goes_on_when_asked_again(
    runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.start()
    job = Job("slow", (Task("slow", "away_programs:slow", argument(600.0), stores=("slow",)),))
    jobs, ids = Jobs(stack.cloud), list[str]()
    sleep = time.sleep

    def until_it_runs(seconds: float) -> None:
        ids[:] = [status.id for status in jobs.all() if status.counts and status.counts.workers["working"]]
        if ids:
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr(away.time, "sleep", until_it_runs)
    with pytest.raises(KeyboardInterrupt):
        run(job)
    monkeypatch.undo()
    until(lambda: _state(jobs, ids[0]) == "cancelled")
    until(lambda: not runner.workers())


def test_who_waits_hears_that_somebody_else_cancelled_it(
    runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.start()
    job = Job("slow", (Task("slow", "away_programs:slow", argument(600.0), stores=("slow",)),))
    jobs = Jobs(stack.cloud)
    said: list[BaseException] = []

    def wait() -> None:
        try:
            run(job)
        except JobCancelled as error:
            said.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: bool(jobs.all()) and jobs.all()[0].state == "running")
    jobs.cancel(jobs.all()[0].id)
    waiting.join(100)
    assert "cancelled" in str(said[0])


def test_what_on_object_raises_ends_the_job(runner: Runner, stack: Stack) -> None:
    runner.start()
    tasks = (*relays("a").tasks, Task("slow", "away_programs:slow", argument(600.0), stores=("slow",)))

    def refuse(name: str, payload: memoryview) -> None:
        raise OSError(f"no room for {name}")

    with pytest.raises(OSError, match="no room for"):
        run(Job("x", tasks, Limits(workers=3)), inputs={"film": b"film"}, on_object=refuse)
    (status,) = Jobs(stack.cloud).all()
    until(lambda: _state(Jobs(stack.cloud), status.id) == "cancelled")


def test_a_coordinator_that_is_killed_goes_on_with_it(runner: Runner, stack: Stack) -> None:
    job = Job("slow", (Task("slow", "away_programs:slow", argument(1.0), stores=("slow",)),))
    runner.start()
    found: list[Result] = []
    waiting = threading.Thread(target=lambda: found.append(run(job)))
    waiting.start()
    until(lambda: any(status.state == "running" for status in Jobs(stack.cloud).all()))
    runner.kill(signal.SIGKILL)
    runner.start()
    waiting.join(100)
    assert held(found[0]) == {"slow": b"slept"}


def test_a_bucket_that_is_away_for_a_while_does_no_harm_and_one_that_stays_away_is_told(
    runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.start()
    read, failures = Jobs.status, iter(range(3))

    def broken(self: Jobs, job: str) -> Any:
        if next(failures, None):
            raise BackendError("the bucket is away")
        return read(self, job)

    monkeypatch.setattr(Jobs, "status", broken)
    assert held(run(probe_job(2))) == probe_results(2)
    monkeypatch.setattr(away, "_PATIENCE_S", 0.2)
    failures = iter(range(10**9))
    job = Job("slow", (Task("slow", "away_programs:slow", argument(1.0), stores=("slow",)),))
    with pytest.raises(Unreachable, match=r"the bucket is away; slow-\w+ goes on: run it again"):
        run(job)
    monkeypatch.undo()
    until(lambda: Jobs(stack.cloud).all()[-1].state == "done")


def test_what_was_not_heard_is_asked_again(runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose clock is ahead takes a request for one from before the job's end."""
    job, asked, ask = probe_job(2), list[str](), runner.cloud.ask
    failed = Status(id=job.id, state="failed", updated=time.time())
    runner.cloud.write(status_key(job.id), encode_status(failed))

    def heard(body: str) -> None:
        asked.append(body)
        if len(asked) == 3:
            ask(body)

    monkeypatch.setattr(runner.cloud, "ask", heard)
    monkeypatch.setattr(away, "_ASK_AGAIN_S", 0.1)
    runner.start()
    assert held(run(job)) == probe_results(2)
    assert len(set(asked)) == 1
    assert len(asked) >= 3


def test_a_bucket_that_is_away_when_objects_are_read_ends_no_job(
    runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.start()
    monkeypatch.setattr(away, "_SHORTEST_S", 0.01)
    read, listed, failures = FolderStore.read, Jobs.results, iter(range(4))

    def once(self: FolderStore, name: str, *how: Any) -> memoryview:
        if next(failures, None) is not None:
            raise BackendError("the bucket is away")
        return read(self, name, *how)

    def twice(self: Jobs, job: Job) -> list[str]:
        if next(failures, None) is not None:
            raise BackendError("the bucket is away")
        return listed(self, job)

    monkeypatch.setattr(FolderStore, "read", once)
    monkeypatch.setattr(Jobs, "results", twice)
    seen: dict[str, bytes] = {}
    result = run(relays("a"), inputs={"film": b"film"}, on_object=lambda name, got: seen.update({name: bytes(got)}))
    assert seen == held(result) == {"made/a": b"film seen", "end": b"a"}
    assert next(failures, None) is None


def test_inputs_that_are_there_are_not_sent_again(
    runner: Runner, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, inputs = relays("a"), {"film": b"film", "b/other": bytes(1000)}
    monkeypatch.setattr(away._Waiting, "until_over", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(job, inputs=inputs)
    written: list[str] = []
    store = stack.store

    def watched(prefix: str) -> Any:
        made = store(prefix)
        write = made.write
        monkeypatch.setattr(made, "write", lambda name, payload: (written.append(name), write(name, payload)))
        return made

    again = Stack(stack.cloud, watched)
    (status,) = Jobs(stack.cloud).all()
    (folder,) = [path for path in runner.cloud.objects.glob("jobs/relays-*") if path.is_dir()]
    (folder / "store" / "film").write_bytes(b"half")
    with pytest.raises(KeyboardInterrupt):
        away.run(job, inputs=inputs, stack=again)
    assert written == ["film"]
    assert status.state == "queued"
    asked = [read_request((runner.cloud.queue / path.name).read_text()) for path in runner.cloud.queue.iterdir()]
    assert {type(each).__name__ for each in asked} == {"Run", "Cancel"}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"store": "folder"}, "leave `store` away"),
        ({"watch": [object()]}, "no `watch`"),
        ({"keep": False}, "no keep=False"),
        ({"backend": "cloud"}, "there are local and aws"),
        ({"inputs": {"../x": b""}}, "is no name of an object"),
    ],
)
def test_what_makes_no_sense_there_is_refused(stack: Stack, how: Mapping[str, Any], says: str) -> None:
    with pytest.raises(JobError, match=says):
        mu.run(probe_job(2), **{"backend": "aws", **how})


def test_a_module_that_runs_a_job_when_it_is_imported_says_so(runner: Runner, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "own" / "away_bare.py").write_text("import mu\ndef f(x): return x\nmu.map(f, [1])\n")
    runner.start()
    with pytest.raises(JobFailed, match="belongs behind if __name__"):
        run(Job("bare", (Task("a", "away_bare:f"),), Limits(tries=1)))


def _state(jobs: Jobs, job: str) -> str:
    status = jobs.status(job)
    return status.state if status else ""


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
