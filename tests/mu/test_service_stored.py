"""The service with messages so large that they lie in the bucket: killed, robbed of them, and asked again."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import msgspec
import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import BackendError, Job
from mu.server import Server
from mu.service.launcher import Answer, Lambda
from mu.service.prices import Prices
from mu.service.requests import ledger_prefix, running_key, store_prefix
from mu.service.status import Status
from mu.service.taken import Taken
from mu.store.messages import BYPASS
from pipelines.probe import probe_job, probe_results
from tests.mu.folder_cloud import PRICES, FolderCloud
from tests.mu.runner import Runner, results, status, submit, until
from tests.mu.test_service import done, runner

pytestmark = pytest.mark.timeout(300)
__all__ = ["runner"]  # the fixture

SIZE = BYPASS + 300_000


def committed(cloud: FolderCloud, job: Job) -> int:
    return int(status(cloud, job).get("counts", {}).get("committed", 0))


def messages(cloud: FolderCloud, job: Job) -> list[str]:
    return cloud.keys(f"{store_prefix(job.id)}messages/")


def test_killed_again_and_again_it_ends_with_the_same_bytes(runner: Runner) -> None:
    job = probe_job(16, size=SIZE, work_s=0.5, workers=3)
    submit(runner.cloud, job)
    chance = random.Random(7)
    kills = stored = 0
    runner.start()
    for _ in range(4):
        seen = committed(runner.cloud, job)
        until(lambda seen=seen: committed(runner.cloud, job) > seen or done(runner.cloud, job))  # type: ignore[misc]
        if done(runner.cloud, job):
            break
        time.sleep(chance.random() / 2)
        kills += 1
        stored += status(runner.cloud, job)["counts"]["stored_messages"]
        runner.kill()
        if chance.random() < 0.7 and (running := runner.workers()):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(running), signal.SIGKILL)
        runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert kills
    assert results(runner.cloud, job) == probe_results(16, size=SIZE), "or a message is left"
    assert stored + status(runner.cloud, job)["counts"]["stored_messages"] > 0


@pytest.mark.parametrize("lost", [False, True])
def test_another_machine_goes_on_from_the_messages_in_the_bucket(runner: Runner, lost: bool) -> None:
    job = probe_job(12, size=SIZE, work_s=0.2, workers=2)
    submit(runner.cloud, job)
    runner.start()
    until(lambda: committed(runner.cloud, job) >= 3 and bool(messages(runner.cloud, job)))
    runner.kill()
    for pid in runner.workers():
        os.kill(pid, signal.SIGKILL)
    for key in messages(runner.cloud, job) if lost else ():
        runner.cloud.delete(key)
    (runner.folder / "state").rename(runner.folder / "lost")
    runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(12, size=SIZE), "or a message is left"
    counts = status(runner.cloud, job)["counts"]
    assert (counts["tasks"], counts["committed"]) == (12, 12)
    if lost:  # who sent what is gone begins again, and who sent that
        assert counts["objects"] >= 12
    else:  # nothing is deleted before the copy of the ledger says that it may be
        assert counts["objects"] <= 9


def test_a_message_that_is_gone_fails_its_receiver_and_comes_again_when_the_job_is_resumed(runner: Runner) -> None:
    job = probe_job(6, size=SIZE, work_s=1.0, workers=1)  # so a message waits while its receiver works
    job = msgspec.structs.replace(job, limits=msgspec.structs.replace(job.limits, tries=2))
    submit(runner.cloud, job)
    runner.start()

    def robbed() -> bool:
        for key in messages(runner.cloud, job):
            runner.cloud.delete(key)
        return status(runner.cloud, job).get("state") == "failed"

    until(robbed)
    (failure,) = status(runner.cloud, job)["counts"]["failures"]
    assert failure["reason"].startswith("TransferFailed: baton of link/")
    assert "cannot be had from the store" in failure["reason"]
    assert len(failure["tries"]) == job.limits.tries
    until(lambda: not runner.cloud.keys("jobs/running/"))
    submit(runner.cloud, job)
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(6, size=SIZE)


def test_what_a_killed_sender_left_is_cleared_at_the_end(runner: Runner) -> None:
    job = probe_job(3, size=SIZE, workers=2)
    left = f"{store_prefix(job.id)}messages/{bytes(16).hex()}/{bytes(16).hex()}"
    runner.cloud.write(left, b"nobody said that it is there")
    submit(runner.cloud, job)
    runner.start()
    until(lambda: status(runner.cloud, job).get("state") == "done")
    assert results(runner.cloud, job) == probe_results(3, size=SIZE)


class Dying(FolderCloud):
    """Its process is killed before the change to it that is so many changes ahead."""

    left = 0

    def _changes(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def write(self, key: str, body: bytes, kind: str = "") -> None:
        self._changes()
        super().write(key, body, kind)

    def delete(self, key: str) -> None:
        self._changes()
        super().delete(key)


@pytest.mark.parametrize("state", ["done", "failed"])
@pytest.mark.parametrize("left", range(8))
def test_killed_at_its_end_it_is_ended_by_the_next_one(
    tmp_path: Path, state: Literal["done", "failed"], left: int
) -> None:
    """Who is told that a job is done finds nothing of its messages; and until all is done it counts as running."""
    cloud, job = Dying(tmp_path), probe_job(2)
    store, ledger = store_prefix(job.id), f"{ledger_prefix(job.id)}000001/000000000001"
    message, dropped, result = (f"{store}{name}" for name in ("messages/0/1", "raw/0", "out/0"))
    made = (message, dropped, result, ledger, running_key(job.id))
    cloud.left = len(made)
    for key in made:
        cloud.write(key, b"")
    ended = Status(id=job.id, state=state)

    def finish() -> None:
        taken = Taken.__new__(Taken)
        taken.job, taken._cloud, taken._folder, taken._dropped = job, cloud, tmp_path / "state", [dropped]  # type: ignore[assignment]
        taken._opened = Mock()
        taken._finish(ended)

    cloud.left = left
    with suppress(KeyboardInterrupt):
        finish()
    there = set(cloud.keys(""))
    if status(cloud, job):
        assert dropped not in there
        assert (message in there) == (state == "failed"), "a job that failed may go on"
    if running_key(job.id) in there:
        assert ledger in there, "or nobody could end it"
        cloud.left = 100
        finish()
    assert status(cloud, job)["state"] == state
    assert running_key(job.id) not in cloud.keys("")
    assert result in cloud.keys("")


class Undeletable(FolderCloud):
    """A bucket that deletes nothing."""

    def delete_all(self, keys: Sequence[str]) -> None:
        if keys:
            raise BackendError("AccessDenied")


def test_what_cannot_be_deleted_does_not_keep_people_from_what_becomes_of_the_job(tmp_path: Path) -> None:
    cloud, job = Undeletable(tmp_path), probe_job(2)
    taken = Taken.__new__(Taken)
    taken.job, taken._cloud, taken._dropped = job, cloud, ["x"]  # type: ignore[assignment]
    taken._opened = Mock()
    asyncio.run(taken._keep_up(Status(id=job.id, state="running")))
    assert status(cloud, job)["state"] == "running"
    assert taken._dropped == ["x"]


def test_what_is_shown_of_a_job_that_is_over_holds_none_of_its_coordinator(tmp_path: Path) -> None:
    async def body() -> None:
        job, cloud = probe_job(2), FolderCloud(tmp_path)
        workers = Lambda(["w"], lambda function, event: Answer(202, ""))
        async with Server("127.0.0.1") as server:
            before = Status(id=job.id, state="queued")
            more: dict[str, Any] = {"cloud": cloud, "server": server, "workers": workers}
            taken = Taken(job, before, folder=tmp_path / "state", prices=Prices.read(PRICES), **more)
            await taken.begin(again=False, most=1)
            hosted, opened = weakref.ref(taken._hosted), weakref.ref(taken._opened.vault)
            shown = taken.shown
            taken.cancel()
            ended = await taken.run()
            assert ended is not None
            assert (ended.state, ended.dollars) == ("cancelled", shown.costs())
            del taken
            gc.collect()
            assert (hosted(), opened()) == (None, None)

    asyncio.run(body())
