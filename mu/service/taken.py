"""A job that this machine has taken: its ledger, its coordinator, its status, until it is over."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mu.core.coordinator import Coordinator
from mu.core.instructions import Outcome
from mu.errors import BackendError, MuError
from mu.job import MESSAGES, Job
from mu.record import Record
from mu.server import HostedJob, JobKeys, Server
from mu.service.cloud import Cloud
from mu.service.generations import Opened, open_ledger
from mu.service.launcher import ForJob, Lambda
from mu.service.prices import Prices
from mu.service.requests import code_key, ledger_prefix, running_key, status_key, store_prefix
from mu.service.shown import Shown
from mu.service.status import Status, encode_status

__all__ = ["Taken"]

TOLD_S = 1.0
"""The status is written so often at most, and the ledger copied to S3."""
log = logging.getLogger("mu.service")


class Taken:
    """Runs a job from `begin` to the end of `run`. `folder` is where the jobs' folders are."""

    def __init__(
        self,
        job: Job,
        before: Status,
        *,
        cloud: Cloud,
        server: Server,
        workers: Lambda,
        folder: Path,
        prices: Prices | None = None,
    ) -> None:
        self.job, self._prices = job, prices
        self._before, self._cloud, self._server, self._folder = before, cloud, server, folder / job.id
        self._launcher = ForJob(workers)
        self._hosted: HostedJob | None = None
        self._dropped: list[str] = []
        """Keys of objects that nobody needs, once the ledger's copy in S3 is as far as the ledger is."""

    async def begin(self, *, again: bool, most: int) -> None:
        """Open the ledger and let `most` workers come. When this returns the job survives us. Raises MuError."""
        opened = await self._open(again=again, messages_there=True)
        try:
            self._hosted = self._host(opened, most)
        except BackendError as error:
            log.warning("%s: %s: what it was sent is sent again", self.job.id, error)
            opened.ledger.close()
            opened = await self._open(again=again, messages_there=False)
            self._hosted = self._host(opened, most)
        self._opened = opened

    async def _open(self, *, again: bool, messages_there: bool) -> Opened:
        def wake() -> None:
            if self._hosted is not None:
                self._hosted.wake()

        return await asyncio.to_thread(
            open_ledger, self._cloud, self.job, self._folder, wake=wake, again=again, messages_there=messages_there
        )

    def _host(self, opened: Opened, most: int) -> HostedJob:
        ledger, loaded = opened.ledger, opened.loaded
        now = time.monotonic()
        dumped = ledger.kept("keys")
        keys = JobKeys.load(dumped) if dumped else JobKeys.make(self.job.id)
        if not dumped:
            ledger.keep("keys", keys.dump())
        self._record = Record(self.job, now)
        self._record.restored(loaded.entries, now)
        self._epoch, self._began = loaded.epoch, self._before.began or time.time()
        return self._server.host(
            Coordinator.restore(self.job, loaded.entries, epoch=loaded.epoch, now=now),
            store=self._cloud.url(store_prefix(self.job.id)),
            code=self._cloud.url(code_key(self.job.id, self.job.code)) if self.job.code else "",
            launcher=self._launcher,
            folder=self._folder / "messages",
            keys=keys,
            ledger=ledger,
            entries=loaded.entries,
            drop=self._drop,
            observer=self._record,
            workers=most,
        )

    @property
    def shown(self) -> Shown:
        """The job as its page shows it."""
        return Shown(self.job, self._record, self._cloud, lambda: self._status("running", "").dollars)

    def limit(self, workers: int) -> None:
        """The job may have so many workers from now on."""
        if self._hosted is not None:
            self._hosted.limit(workers)

    def cancel(self) -> None:
        """End the job."""
        if self._hosted is not None:
            self._hosted.cancel()

    async def run(self) -> Status | None:
        """Until the job is over: keep status and copy up to date. Returns the last status; None if `stop` ended it."""
        assert self._hosted is not None
        over = self._hosted.over
        try:
            while not over.done():
                await self._keep_up(self._status("running", ""))
                await asyncio.wait([over], timeout=TOLD_S)
            outcome = over.result()
        except asyncio.CancelledError:
            if not over.cancelled():
                raise
            return None
        except MuError as error:
            outcome = Outcome("failed", 0, reason=f"the coordinator cannot go on: {error}")
        return await self._end(outcome)

    async def _end(self, outcome: Outcome) -> Status:
        await self._server.leave(self._hosted) if self._hosted else None
        self._opened.ledger.close()
        status = self._status(outcome.kind, outcome.reason)
        try:
            await asyncio.to_thread(self.shown.keep)
        except Exception:  # whatever is wrong with a picture of it, the job is done
            log.exception("%s: it has no page", self.job.id)
        await _persist(lambda: self._finish(status))
        self._hosted = None  # its page is served on, for which none of this is needed
        del self._opened
        return status

    def _finish(self, status: Status) -> None:
        """In this order, for we may be killed in between: then all of it is done once more."""
        self._opened.vault.flush()
        self._cloud.delete_all(self._dropped)
        if status.state == "done":  # else it may go on, and messages that are there spare it to make them again
            self._cloud.delete_all(self._cloud.keys(f"{store_prefix(self.job.id)}{MESSAGES}/"))
        self._cloud.write(status_key(self.job.id), encode_status(status), "application/json")
        self._cloud.delete(running_key(self.job.id))
        if status.state == "done":
            self._cloud.delete_all(self._cloud.keys(ledger_prefix(self.job.id)))
            shutil.rmtree(self._folder, ignore_errors=True)

    async def stop(self) -> None:
        """Let go of the job; it goes on when a coordinator starts again, here or on another machine."""
        if self._hosted is not None:
            await self._server.leave(self._hosted)
            self._opened.ledger.close()
            await self._keep_up(None)

    async def _keep_up(self, status: Status | None) -> None:
        """What fails now is tried again a second later."""
        dropped, self._dropped = self._dropped, []
        try:
            await asyncio.to_thread(self._opened.vault.flush)
            if status is not None:
                body = encode_status(status)
                await asyncio.to_thread(self._cloud.write, status_key(self.job.id), body, "application/json")
            await asyncio.to_thread(self._cloud.delete_all, dropped)
            dropped = []
        except BackendError as error:
            log.warning("%s: S3 is not as it should be: %s", self.job.id, error)
        self._dropped = dropped + self._dropped

    def _status(self, state: str, reason: str) -> Status:
        counts, before = self._record.counts(time.monotonic()), self._before
        status = msgspec.structs.replace(
            before,
            state=state,
            reason=reason,
            began=self._began,
            updated=time.time(),
            epoch=self._epoch,
            launched=before.launched + self._launcher.launched,
            worker_s=round(before.worker_s + counts.worker_s, 3),
            wall_s=round(before.wall_s + counts.elapsed_s, 3),
            objects=before.objects + counts.objects + counts.stored_messages,
            message_bytes=before.message_bytes + counts.message_bytes - counts.stored_bytes,
            counts=counts,
        )
        dollars = round(self._prices.of(status), 9) if self._prices else None
        return msgspec.structs.replace(status, dollars=dollars)

    async def _drop(self, name: str) -> None:
        self._dropped.append(store_prefix(self.job.id) + name)


async def _persist(work: Callable[[], None]) -> None:
    """Do it, however often it takes: there is no use in going on without."""
    pause = 1.0
    while True:
        try:
            return await asyncio.to_thread(work)
        except BackendError as error:
            log.warning("tried again in %.0f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(30.0, 2 * pause)
