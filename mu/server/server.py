"""The server: one port, many jobs."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from mu.core.coordinator import Coordinator
from mu.core.instructions import Entry
from mu.errors import JobError
from mu.server.framing import Turn
from mu.server.hosted import HostedJob, Observer
from mu.server.journal import Ledger
from mu.server.keys import JobKeys
from mu.server.launcher import Launcher
from mu.server.listener import Listener, Options
from mu.server.memory import Memory
from mu.server.rendezvous import Rendezvous

__all__ = ["Server"]

_FILES = 1 << 16
"""Descriptors that are asked for: each worker's connection is one, and a service has 1,024 if nobody asks."""
_YOUNG = 50_000
"""Objects that are made before Python looks for circles among them: a server makes many and few circles."""


class Server:
    """Serves workers elsewhere, of several jobs at once, over TLS at one port. Everything is done in the running loop.

    async with Server("0.0.0.0", 7000, name="10.0.0.5") as server:
        job = server.host(Coordinator(...), launcher=..., folder=...)
        outcome = await job.over
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, name: str | None = None, options: Options | None = None
    ) -> None:
        self.options = options or Options()
        self.port = port
        self._host, self._name = host, name or host
        self._jobs: dict[str, HostedJob] = {}
        self._memory = Memory(self.options.memory)
        self._turn: Turn | None = None
        self._collected: tuple[int, int, int] | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> str:
        """Where workers find it, as `host:port`."""
        return f"{self._name}:{self.port}"

    @property
    def held(self) -> int:
        """Bytes of messages in memory, of all jobs."""
        return self._memory.used

    @property
    def refusals(self) -> int:
        """How many connections were not let in."""
        return self._listener.refusals if self._listener else 0

    async def start(self) -> None:
        """Listen. The process looks for garbage less often then, and may have more files open. Raises OSError."""
        _allow_files()
        self._turn = Turn(asyncio.get_running_loop())
        self._listener = Listener(self._turn, self.options)
        self.port = self._listener.open(self._host, self.port)
        self._collected = gc.get_threshold()
        gc.set_threshold(_YOUNG, *self._collected[1:])

    def host(
        self,
        coordinator: Coordinator,
        *,
        launcher: Launcher,
        folder: Path,
        store: str = "",
        code: str = "",
        keys: JobKeys | None = None,
        ledger: Ledger | None = None,
        entries: Iterable[Entry] = (),
        drop: Callable[[str], Awaitable[None]] | None = None,
        observer: Observer | None = None,
        workers: int | None = None,
    ) -> HostedJob:
        """Run a job. Its outcome is `await job.over`; then `await server.leave(job)`.

        `folder` is where messages go that memory has no room for, and nobody else's; `store` is where workers find
        the job's objects and leave large messages (`mu.store.open_store`), and `code` where its own modules are, if it
        has some. With a `ledger` the job survives its coordinator: every message is on the disk before its sender may
        forget it. To go on with such a job give the restored coordinator with the same folder and `keys`, and the
        ledger's `entries`; have the ledger call `wake` of what this returns. `drop` removes from the store what nobody
        needs any more. `workers` is how many it may have from its beginning on, as `HostedJob.limit` says later.
        Raises JobError if the job runs here already, BackendError if messages are missing.
        """
        assert self._turn is not None, "the server must be started first"
        assert self._listener is not None
        turn, options = self._turn, self.options
        job_id = coordinator.job.id
        if job_id in self._jobs:
            raise JobError(f"the job {job_id} runs here already")
        entries = tuple(entries)

        def messages(failed: Callable[[OSError], None]) -> Rendezvous:
            made = Rendezvous(
                self._memory,
                folder,
                turn.loop,
                failed,
                durable=ledger is not None,
                most=options.messages,
                most_stored=options.stored,
            )
            made.restore(entries)
            return made

        job = HostedJob(
            coordinator,
            turn=turn,
            keys=keys or JobKeys.make(job_id),
            messages=messages,
            launcher=launcher,
            address=lambda: self.address,
            store=store,
            code=code,
            token_s=options.token_s,
            ledger=ledger,
            entries=entries,
            drop=drop,
            observer=observer,
        )
        self._jobs[job_id] = job
        self._listener.add(job)
        job.start(workers)
        gc.freeze()  # a job's plan stays until its end: no need to look through it again and again
        return job

    async def leave(self, job: HostedJob) -> None:
        """Have nothing to do with a job any more. Its messages are removed, unless it has a ledger and is not done."""
        if self._listener is not None:
            self._listener.remove(job)
        self._jobs.pop(job.id, None)
        await job.close()
        gc.unfreeze()

    async def close(self) -> None:
        """End all connections. Jobs with a ledger may go on under another server."""
        if self._listener is not None:
            self._listener.close()
        for job in list(self._jobs.values()):
            await self.leave(job)
        if self._collected is not None:
            gc.set_threshold(*self._collected)
        self._listener = self._turn = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
