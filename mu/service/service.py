"""The service: takes jobs from the queue, runs them beside each other, goes on with them when it is started again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque

import msgspec

from mu.errors import BackendError, JobError, MuError
from mu.server import Server
from mu.service.cloud import Cloud, Message
from mu.service.launcher import Lambda
from mu.service.prices import Prices
from mu.service.requests import Cancel, Run, checked_id, decode_job, job_key, read_request, running_key, status_key
from mu.service.settings import Settings
from mu.service.shares import shares
from mu.service.shown import Board
from mu.service.status import OVER, Status, decode_status, encode_status
from mu.service.taken import Taken

__all__ = ["Service"]

_AGAIN = b"again"
"""Says of a job that was taken that what failed is to be tried once more."""
MOST_JOBS = 32
"""That run at a time; more wait."""
_PAUSE_S = 5.0
"""After a queue that does not answer."""
log = logging.getLogger("mu.service")


class Service:
    """Runs jobs. `concurrency` is how many workers there may be of all of them together."""

    def __init__(self, settings: Settings, cloud: Cloud, server: Server, workers: Lambda, concurrency: int) -> None:
        self._folder, self._prices = settings.folder / "jobs", Prices.read(settings.prices)
        self._cloud, self._server, self._workers, self._concurrency = cloud, server, workers, concurrency
        self.board = Board()
        """What is served of the jobs to people."""
        self._jobs: dict[str, Taken] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: deque[tuple[str, bool]] = deque()
        self._stopping = threading.Event()
        self._broken: Exception | None = None

    async def run(self, over: asyncio.Event) -> None:
        """Until `over` is set. Raises BackendError if it cannot be found out what was running."""
        self._over = over
        for key in await asyncio.to_thread(self._cloud.keys, running_key()):
            again = await asyncio.to_thread(self._cloud.read, key) == _AGAIN
            await self._start(key.removeprefix(running_key()), again=again)
        loop = asyncio.get_running_loop()
        # A thread of its own, which nobody waits for: a question to the queue takes its time.
        threading.Thread(target=self._listen, args=(loop,), name="queue", daemon=True).start()
        await over.wait()
        self._stopping.set()
        for job in list(self._jobs.values()):
            await job.stop()
        await asyncio.gather(*self._running.values())
        self._workers.close()
        if self._broken is not None:
            raise BackendError(f"a job ended otherwise than it may: {self._broken}") from self._broken

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopping.is_set():
            try:
                for message in self._cloud.messages():
                    if not self._stopping.is_set():
                        asyncio.run_coroutine_threadsafe(self.hear(message), loop).result()
            except BackendError as error:
                log.warning("the queue: %s", error)
                self._stopping.wait(_PAUSE_S)
            except Exception as error:
                log.exception("a message could not be heard")
                self._break(error, loop)
                return

    def _break(self, error: Exception, loop: asyncio.AbstractEventLoop) -> None:
        """End the service, since something is not as it can be; whoever starts it again finds all as it was."""
        self._broken = error
        loop.call_soon_threadsafe(self._over.set)

    async def hear(self, message: Message) -> None:
        """Do what a message asks, then take it out of the queue. What fails is asked again by the queue itself."""
        try:
            request = read_request(message.body)
        except JobError as error:
            log.warning("a message was laid aside: %s", error)
            await asyncio.to_thread(self._cloud.refuse, message, str(error))
            return
        try:
            match request:
                case Run(job):
                    reason = await self._take(job, message.sent)
                case Cancel(job):
                    reason = await self._cancel(job, message.sent)
        except JobError as error:  # what lies in the bucket is no status
            reason = str(error)
        if reason:
            log.warning("%s was laid aside: %s", request, reason)
            await asyncio.to_thread(self._cloud.refuse, message, reason)
        else:
            await asyncio.to_thread(self._cloud.done, message)

    async def _take(self, job: str, sent: float) -> str:
        """Take up a job that is asked for; why it cannot be, or nothing."""
        if job in self._jobs or any(name == job for name, _ in self._waiting):
            return ""
        status = await self._status(job)
        over = status is not None and status.state in OVER
        if status is not None and over and (status.state == "done" or sent <= status.updated):
            return ""  # it is done, or this was asked for before it ended
        await asyncio.to_thread(self._cloud.write, running_key(job), _AGAIN if over else b"")
        reason = await self._start(job, again=over)
        if over and job in self._jobs:
            await asyncio.to_thread(self._cloud.write, running_key(job), b"")
        return reason

    async def _start(self, job: str, *, again: bool) -> str:
        """Let a job run, or wait until others are over; why it cannot be, or nothing."""
        if len(self._jobs) >= MOST_JOBS:
            self._waiting.append((job, again))
            return ""
        try:
            data = await asyncio.to_thread(self._cloud.read, job_key(checked_id(job)))
            if data is None:
                raise JobError("there is no such job in the bucket")
            found = decode_job(data)
            if found.id != job:
                raise JobError(f"what lies under its name is the job {found.id}")
            before = await self._status(job) or Status(id=job, state="queued", submitted=time.time())
            before = msgspec.structs.replace(before, name=found.name, counts=None, reason="")
            taken = Taken(
                found,
                before,
                cloud=self._cloud,
                server=self._server,
                workers=self._workers,
                folder=self._folder,
                prices=self._prices,
            )
            await taken.begin(again=again, most=self._shares(taken)[job])
        except BackendError:
            raise
        except MuError as error:
            await asyncio.to_thread(self._refuse, job, str(error))
            return str(error)
        log.info("%s runs%s", job, " again" if again else "")
        self._jobs[job] = taken
        self.board.show(taken.shown)
        self._share()
        self._running[job] = asyncio.get_running_loop().create_task(self._until_over(taken))
        return ""

    async def _until_over(self, taken: Taken) -> None:
        job = taken.job.id
        try:
            status = await taken.run()
        except Exception as error:
            log.exception("%s: its coordinator ended", job)
            self._break(error, asyncio.get_running_loop())
            return
        finally:
            del self._jobs[job], self._running[job]
        if status is not None:
            log.info("%s is %s %s", job, status.state, status.reason)
            self._share()
            await self._next()

    async def _next(self) -> None:
        """Start what waits, as far as there is room."""
        while self._waiting and len(self._jobs) < MOST_JOBS and not self._stopping.is_set():
            name, again = self._waiting.popleft()
            try:
                await self._start(name, again=again)
            except BackendError as error:
                log.warning("%s waits on: %s", name, error)
                self._waiting.appendleft((name, again))
                await asyncio.sleep(_PAUSE_S)

    async def _cancel(self, job: str, sent: float) -> str:
        if job in self._jobs:
            self._jobs[job].cancel()
            return ""
        self._waiting = deque(each for each in self._waiting if each[0] != job)
        status = await self._status(job) or Status(id=job, state="queued")
        if status.state not in OVER:
            ended = msgspec.structs.replace(status, state="cancelled", reason="before it began", updated=sent)
            await asyncio.to_thread(self._write, ended)
        return ""

    def _share(self) -> None:
        """Split the workers anew."""
        for name, workers in self._shares().items():
            self._jobs[name].limit(workers)

    def _shares(self, *more: Taken) -> dict[str, int]:
        """How many workers each job may have, once there are these `more`."""
        wanted = {taken.job.id: taken.job.limits.workers for taken in (*self._jobs.values(), *more)}
        return shares(self._concurrency, wanted)

    async def _status(self, job: str) -> Status | None:
        data = await asyncio.to_thread(self._cloud.read, status_key(job))
        return None if data is None else decode_status(data)

    def _refuse(self, job: str, reason: str) -> None:
        self._write(Status(id=job, state="refused", reason=reason, updated=time.time()))

    def _write(self, status: Status) -> None:
        self._cloud.write(status_key(status.id), encode_status(status), "application/json")
        self._cloud.delete(running_key(status.id))
