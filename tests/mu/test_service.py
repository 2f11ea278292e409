"""The service, with real workers and TLS on a cloud of files: jobs end as they should whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import Job, Limits, Task
from mu.service.requests import Cancel, Run, encode_request, page_key, running_key, status_key
from pipelines.probe import probe_job, probe_results
from tests.mu.folder_cloud import FolderCloud, serve
from tests.mu.runner import Runner, results, status, submit, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_two_jobs_beside_each_other_and_what_is_left(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path)
    jobs = [probe_job(40, work_s=0.01, name=name) for name in ("one", "two")]

    async def run() -> None:
        over = asyncio.Event()
        serving = asyncio.create_task(serve(tmp_path, 0, over))
        for job in jobs:
            submit(cloud, job)
        submit(cloud, jobs[0])
        cloud.send("no request")
        cloud.send(encode_request(Run("none-0123456789abcdef")))
        while not all(status(cloud, job).get("state") == "done" for job in jobs) or cloud.keys(running_key()):
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.05)
        over.set()
        (await serving).end()

    asyncio.run(run())
    for job in jobs:
        assert results(cloud, job) == probe_results(40)
        told = status(cloud, job)
        assert (told["name"], told["counts"]["tasks"], told["counts"]["committed"]) == (job.name, 40, 40)
        assert 1 <= told["launched"] < 40, "one for every task, though there may be but four at a time"
        assert told["worker_s"] > 0
        assert told["objects"] == 40
        assert told["wall_s"] > 0
        assert told["dollars"] == pytest.approx(
            0.1 * told["worker_s"] + told["launched"] + 0.001 * told["wall_s"] + 100 * 40 + 1e-6 * told["message_bytes"]
        )
        page = (cloud.read(page_key(job.id)) or b"").decode().replace('<span class="unit">', " ")
        assert job.id in page
        assert "40 of 40" in page
        assert set(told["counts"]["stages"]) == {"work"}
        assert len(re.findall(r'\["span",\d+,\d+,"work",\d+\]', page)) == 40, "it tells what each was at"
        assert f"{told['dollars']:.2f} $" in page
        assert not cloud.keys(f"jobs/{job.id}/ledger/")
        assert not (tmp_path / "state" / "jobs" / job.id).exists()
    assert sorted(path.read_text().splitlines()[0][:20] for path in cloud.refused.iterdir()) == [
        "there is no such job",
        "this is no request: ",
    ]
    assert status(cloud, Job("none", ())) == {}
    told = json.loads(cloud.read(status_key("none-0123456789abcdef")) or b"")
    assert (told["state"], told["reason"]) == ("refused", "there is no such job in the bucket")
    assert not list(cloud.queue.iterdir())


def done(cloud: FolderCloud, job: Job) -> bool:
    return bool(status(cloud, job).get("state") == "done")


def at_least(told: dict[str, Any], tasks: int) -> bool:
    """Whether so many are done, or all."""
    return told.get("state") == "done" or told.get("counts", {}).get("committed", 0) >= tasks


def test_killed_again_and_again_it_ends_with_the_same_bytes(runner: Runner) -> None:
    job = probe_job(24, size=300_000, work_s=0.5, workers=3)
    submit(runner.cloud, job)
    chance = random.Random(7)
    kills = 0
    runner.start()
    for _ in range(6):
        seen = int(status(runner.cloud, job).get("counts", {}).get("committed", 0))
        until(lambda seen=seen: at_least(status(runner.cloud, job), seen + 1))  # type: ignore[misc]
        if done(runner.cloud, job):
            break
        time.sleep(chance.random() / 2)
        kills += 1
        runner.kill()
        if chance.random() < 0.5 and (running := runner.workers()):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(running), signal.SIGKILL)
        runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(24, size=300_000)
    assert kills
    assert status(runner.cloud, job)["epoch"] >= kills


def test_another_machine_goes_on_from_what_is_in_the_bucket(runner: Runner) -> None:
    job = probe_job(12, size=300_000, work_s=0.2, workers=2)
    submit(runner.cloud, job)
    runner.start()
    until(lambda: status(runner.cloud, job).get("counts", {}).get("committed", 0) >= 3)
    runner.kill()
    for pid in runner.workers():
        os.kill(pid, signal.SIGKILL)
    made = len(results(runner.cloud, job))
    (runner.folder / "state").rename(runner.folder / "lost")
    runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(12, size=300_000)
    told = status(runner.cloud, job)
    assert (told["counts"]["tasks"], told["counts"]["committed"]) == (12, 12)
    assert told["wall_s"] > told["counts"]["elapsed_s"], "the first machine's time is paid for, too"
    # Of what was there, all but the tasks whose batons are gone is done once.
    assert told["counts"]["objects"] < 12 + made


def test_stopped_and_started_nothing_is_done_twice(runner: Runner) -> None:
    job = probe_job(10, work_s=0.2, workers=2)
    submit(runner.cloud, job)
    runner.start()
    until(lambda: status(runner.cloud, job).get("counts", {}).get("committed", 0) >= 2)
    runner.kill(signal.SIGTERM)
    assert runner.process is not None
    assert runner.process.returncode == 0
    runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(10)


def test_cancelled_it_ends_soon_and_goes_on_when_asked_again(runner: Runner) -> None:
    job = probe_job(10, work_s=0.5, workers=2)
    submit(runner.cloud, job)
    runner.start()
    until(lambda: status(runner.cloud, job).get("counts", {}).get("committed", 0) >= 2)
    runner.cloud.send(encode_request(Cancel(job.id)))
    until(lambda: status(runner.cloud, job).get("state") == "cancelled")
    until(lambda: not runner.workers())
    made = set(results(runner.cloud, job))
    assert 2 <= len(made) < 10
    submit(runner.cloud, job)
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(10)


def test_a_job_that_fails_says_why_and_may_be_asked_again(runner: Runner) -> None:
    job = Job("fails", (Task("a", "pipelines.probe:nothing"),), Limits(tries=1))
    submit(runner.cloud, job)
    runner.start()
    for epoch in (1, 2):
        until(lambda epoch=epoch: status(runner.cloud, job).get("epoch", 0) >= epoch)  # type: ignore[misc]
        until(lambda: status(runner.cloud, job).get("state") == "failed")
        (failure,) = status(runner.cloud, job)["counts"]["failures"]
        assert failure["task"] == "a"
        assert "nothing" in failure["reason"]
        if epoch == 1:
            until(lambda: not runner.cloud.keys(running_key()))
            submit(runner.cloud, job)
