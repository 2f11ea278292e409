"""`fastslow jobs` as people and programs use it, with a bucket of files and whatever state jobs are in there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

import cli.desk
from cli.desk import PAGES_PORT, Desk, follow
from cli.errors import Terminated
from cli.main import fastslow
from cli.page import page_of
from deploy.cost import Fleet
from mu.core.events import Stored, TimePassed
from mu.core.instructions import Ended, Failure, Outcome
from mu.errors import BackendError
from mu.page.page import LARGEST_FILM
from mu.record import Record
from mu.service.client import Jobs
from mu.service.requests import encode_job, job_key, job_to_json, page_key, status_key, store_prefix
from mu.service.settings import Settings
from mu.service.shown import Shown
from mu.service.status import Status, encode_status
from pipelines.probe import probe_job
from tests.cli.test_progress import Kept, counts
from tests.mu.folder_cloud import FolderCloud

IDS = ("encode-3fa29c0123456789", "encode-3fb0000000000000", "probe-0123456789abcdef")


class Cloud(FolderCloud):
    """Whose queue does what is asked at once; `then` is what the status is after each look at it."""

    then: Iterator[Status]

    def ask(self, body: str) -> None:
        self.send(body)

    def read(self, key: str) -> bytes | None:
        if key.endswith("status.json") and (status := next(getattr(self, "then", iter(())), None)):
            if isinstance(status, Exception):
                raise status
            self.write(key, encode_status(status))
        return super().read(key)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud(tmp_path / "cloud")
    desk = Desk(
        jobs=Jobs(made),  # type: ignore[arg-type]
        fleet=lambda: Fleet(1769, "arm64", "t4g.small"),
        live=lambda job: f"follow it at http://here/jobs/{job}",
        bring=lambda key, path: void(Path(path).write_bytes(made.read(key) or b"")),
        where="--local",
    )

    monkeypatch.setattr(cli.desk, "clients", lambda stack, local: (stack, None, {}))
    monkeypatch.setattr(cli.desk, "desk_of", lambda *_, local: desk)
    monkeypatch.setattr(cli.desk, "_POLL_S", 0.001)
    made.desk = desk  # type: ignore[attr-defined]
    return made


def void(_: object) -> None:
    pass


def run(*arguments: object, code: int = 0, **how: Any) -> Result:
    done = CliRunner().invoke(fastslow, ["jobs", *map(str, arguments)], **how)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def put(cloud: Cloud, name: str, state: str = "done", **more: Any) -> Status:
    status = Status(id=name, state=state, **more)  # type: ignore[arg-type]
    cloud.write(job_key(name), encode_job(probe_job(2)))
    cloud.write(status_key(name), encode_status(status))
    return status


def test_no_jobs_is_said(cloud: Cloud) -> None:
    done = run("list")
    assert (done.stdout, done.stderr) == ("", "no jobs; fastslow jobs try hands in a small one\n")
    assert json.loads(run("list", "--json").stdout) == {"jobs": []}
    put(cloud, IDS[0])
    cloud.write("jobs/running/x", b"")
    assert run("list").stdout.split()[0] == IDS[0]


@pytest.mark.parametrize("command", ["show", "logs", "resume", "cancel", "live"])
def test_of_an_id_the_beginning_is_enough_if_it_is_one_s_alone(command: str, cloud: Cloud) -> None:
    for name in IDS:
        put(cloud, name)
    cloud.write("jobs/running/probe", b"")
    for begins in ("encode-3fa", "p", IDS[1]):
        assert run(command, begins).exit_code == 0
    assert f"encode-3f may be {IDS[0]}, {IDS[1]}" in run(command, "encode-3f", code=1).stderr
    assert "there is no job encode-4; fastslow jobs list --local" in run(command, "encode-4", code=1).stderr
    assert "there is no job running" in run(command, "running", code=1).stderr
    for wrong in ("../x", "", "jobs/", "e" * 100):
        with pytest.raises(Exception, match="is no beginning of a job's id"):
            cloud.desk.jobs.find(wrong)  # type: ignore[attr-defined]


def test_what_a_job_stored_is_listed_and_copied(cloud: Cloud, tmp_path: Path) -> None:
    job = probe_job(2)
    put(cloud, job.id)
    assert "has stored nothing" in run("results", job.id).stderr
    stored = {"link/0": b"first", "link/deep/1": b"second"}
    for name, payload in {**stored, "messages/0/1": b"mu's own"}.items():
        cloud.write(store_prefix(job.id) + name, payload)
    assert run("results", job.id).stdout.split() == sorted(stored)
    assert json.loads(run("results", job.id, "--json").stdout)["results"] == sorted(stored)
    run("results", job.id, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in stored} == stored
    assert "is not empty" in run("results", job.id, tmp_path / "out", code=1).stderr


def test_what_is_the_whole_id_is_meant_though_others_begin_so(cloud: Cloud) -> None:
    longer = f"{IDS[2]}-0123456789abcdef"
    for name in (IDS[2], longer):
        put(cloud, name)
    assert run("show", IDS[2], "--json").stdout.startswith(f'{{"id":"{IDS[2]}"'.replace(":", ": "))
    assert json.loads(run("show", f"{IDS[2]}-", "--json").stdout)["id"] == longer


def lives(*states: Any) -> Iterator[Any]:
    """What a job goes through, as its status tells it."""
    yield from states


def test_a_job_is_followed_as_events(cloud: Cloud, tmp_path: Path) -> None:
    job = probe_job(2)
    (tmp_path / "job.json").write_bytes(job_to_json(job))
    cloud.then = lives(
        None,
        None,
        Status(id=job.id, state="queued"),
        Status(id=job.id, state="running", began=1.0, counts=counts(tasks=2, committed=1), worker_s=3.0, wall_s=2.0),
        BackendError("for a moment"),
        Status(id=job.id, state="done", began=1.0, counts=counts(tasks=2, committed=2), worker_s=4.0, wall_s=3.0),
    )
    done = run("submit", tmp_path / "job.json", "--events")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["event"] for each in told] == ["estimate", "job", "progress", "progress", "progress", "done"]
    assert told[0]["dollars"] == pytest.approx(sum(line["dollars"] for line in told[0]["lines"]), abs=1e-6)
    assert told[1]["job"] == job.id
    assert [each["state"] for each in told[2:5]] == ["queued", "running", "done"]
    assert [each["committed"] for each in told[2:5]] == [0, 1, 2]
    assert told[3]["workers"]["working"] == 3
    assert 0 == told[2]["dollars"] < told[3]["dollars"] < told[4]["dollars"] == told[5]["result"]["dollars"]
    assert told[5]["result"] == json.loads(run("show", job.id, "--json").stdout)


def test_what_failed_or_was_cancelled_and_is_handed_in_again_is_waited_for(cloud: Cloud, tmp_path: Path) -> None:
    job = probe_job(2)
    (tmp_path / "job.json").write_bytes(job_to_json(job))
    for state in ("failed", "cancelled"):
        before = put(cloud, job.id, state, updated=5.0)
        cloud.then = lives(before, before, before, before, Status(id=job.id, state="done", updated=6.0))
        assert f"{job.id}  done" in run("submit", tmp_path / "job.json").stdout


def test_a_coordinator_that_says_nothing_is_told_of(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.desk, "_SILENT_S", 0.0)
    states = [Status(id=IDS[0], state="running", updated=at, counts=counts()) for at in (5.0, 5.0, 6.0)]
    cloud.then = lives(*states, Status(id=IDS[0], state="done", updated=7.0))
    kept = Kept()
    follow(cloud.desk, IDS[0], kept)  # type: ignore[attr-defined]
    assert [each.silent_s > 0 for each in kept.standings] == [False, True, False, False]


def test_a_job_that_fails_ends_the_events_and_the_command(cloud: Cloud) -> None:
    before = put(cloud, IDS[0], "failed", updated=5.0)
    failures = (Failure("link/1", "ValueError: bad clip"), Failure("link/2", "lost " + 999 * "x"))
    failed = Status(id=IDS[0], state="failed", updated=6.0, counts=msgspec.structs.replace(counts(), failures=failures))
    cloud.then = lives(before, before, before, failed)
    done = run("resume", IDS[0][:12], "--events", code=1)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["event"] for each in told] == ["job", "progress", "failed"]
    assert told[-1]["exit_code"] == 1
    assert told[-1]["reason"] == (
        f"{IDS[0]} failed: link/1: ValueError: bad clip (and 1 more); fastslow jobs logs {IDS[0]} --local"
    )


def test_without_a_terminal_there_are_lines_and_quiet_there_are_none(cloud: Cloud) -> None:
    def states() -> Iterator[Any]:
        before = put(cloud, IDS[0], "failed", updated=5.0)
        return lives(before, before, *(Status(id=IDS[0], state=state, updated=9.0) for state in ("queued", "done")))

    cloud.then = states()
    done = run("resume", IDS[0])
    assert f"Ctrl-C ends the looking on, not the job; fastslow jobs cancel {IDS[0]} --local ends that" in done.stderr
    assert "fastslow: queued, 0:00\nfastslow: done, 0:00\n" in done.stderr
    cloud.then = states()
    quiet = run("resume", IDS[0], "-q")
    assert "Ctrl-C" not in quiet.stderr
    assert "fastslow:" not in quiet.stderr
    assert quiet.stdout == done.stdout


def test_ctrl_c_leaves_the_job_and_says_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    before = put(cloud, IDS[0], "cancelled", updated=5.0)

    def interrupted(*_: Any, **__: Any) -> Status:
        raise Terminated(2)

    monkeypatch.setattr(cli.desk, "follow", interrupted)
    cloud.then = lives(before)
    with pytest.raises(Terminated):
        CliRunner().invoke(fastslow, ["jobs", "resume", IDS[0]], catch_exceptions=False)
    assert [json.loads(each.read_text())["do"] for each in cloud.queue.iterdir()] == ["run"], "nobody cancels it"


def test_a_bucket_that_does_not_answer_for_long_is_told(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.desk, "_PATIENCE_S", 0.05)
    cloud.then = iter(lambda: BackendError("the bucket is gone"), None)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="the bucket is gone"):
        follow(cloud.desk, IDS[0], Kept())  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [9, LARGEST_FILM + 1])
def test_a_page_s_film_is_in_it_or_beside_it(size: int, cloud: Cloud, tmp_path: Path) -> None:
    name, film = "film/encoded.webm", bytes(size)
    record = Record(probe_job(2), 0.0)
    record.note(Stored(1, name, size, bytes(16)), [], 1.0)
    record.note(TimePassed(), [Ended(Outcome("done", 1))], 2.0)
    put(cloud, record.job.id)
    cloud.write(f"jobs/{record.job.id}/store/{name}", film)
    Shown(record.job, record, cloud).keep()  # type: ignore[arg-type]
    page = tmp_path / "a page.html"
    run("page", record.job.id[:8], page)
    beside = tmp_path / "a page.webm"
    assert beside.exists() == (size > LARGEST_FILM)
    assert (b'src="a%20page.webm"' in page.read_bytes()) == (size > LARGEST_FILM)
    assert "exists" in run("page", record.job.id, page, code=1).stderr
    run("page", record.job.id, page, "--overwrite")
    if size > LARGEST_FILM:
        page.unlink()
        beside.write_bytes(b"another film")
        assert "a page.webm: exists" in run("page", record.job.id, page, code=1).stderr
        assert (beside.read_bytes(), page.exists()) == (b"another film", False)
        run("page", record.job.id, page, "--overwrite")
        assert beside.stat().st_size == size
    desk: Desk = cloud.desk  # type: ignore[attr-defined]
    told = page_of(desk, record.job.id, str(page), str(tmp_path / "films" / "the film.webm"))
    assert (b'src="films/the%20film.webm"' in told) == (size > LARGEST_FILM)
    cloud.delete(page_key(record.job.id))
    assert "is done and has no page (yet)" in run("page", record.job.id, page, "--overwrite", code=1).stderr


def test_pages_are_where_the_coordinator_serves_them() -> None:
    assert Settings(queue="q", refused_queue="r", results_bucket="b", workers="w").pages == PAGES_PORT


def test_an_account_s_page_is_reached_by_a_tunnel() -> None:
    class Groups:
        def __init__(self, *instances: tuple[str, str]) -> None:
            self._instances = [{"InstanceId": name, "LifecycleState": state} for name, state in instances]

        def describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str]) -> dict[str, Any]:  # noqa: N803
            assert AutoScalingGroupNames == ["mine-coordinator"]
            return {"AutoScalingGroups": [{"Instances": self._instances}]}

    def told(*instances: tuple[str, str]) -> str:
        client: Callable[[str], Any] = lambda _: Groups(*instances)  # noqa: E731
        return cli.desk._away(client, "mine")(IDS[0])

    found = told(("i-old", "Terminating"), ("i-0abc", "InService"))
    assert f"http://localhost:8765/jobs/{IDS[0]}" in found
    assert "aws ssm start-session --target i-0abc " in found
    from deploy.errors import CloudRefused

    with pytest.raises(CloudRefused, match="no machine of mine-coordinator is in service"):
        told()
