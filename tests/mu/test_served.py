"""Workers as processes with the server and the core: whole jobs, while workers are killed and connections cut."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import uvloop

import mu
from mu.core.coordinator import Coordinator
from mu.core.instructions import Outcome
from mu.server import LocalProcesses, Server
from mu.store.folder import FolderStore
from mu.wire import Invitation
from tests.mu import programs_of_workers as programs
from tests.mu.programs_of_workers import Link, forged

PROGRAMS = programs.__name__
LENGTH, SIZE = 30, 640_000
LARGE = 1_300_000


class Proxy:
    """Passes bytes on between workers and the server, and breaks connections off."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break off all that are there."""
        for writer in list(self._open):
            writer.transport.abort()
            self.cuts += 1

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0.05)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner, outer = await asyncio.open_connection(self._host, int(self._port))
            self._open |= {writer, outer}
            await asyncio.gather(self._copy(reader, outer), self._copy(inner, writer))
            self._open -= {writer, outer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()


class Through(LocalProcesses):
    """Processes that come through a proxy."""

    address = ""

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        address = self.address or invitation.address
        await super().launch(msgspec.structs.replace(invitation, address=address), ended)


def job(size: int = SIZE, **limits: Any) -> mu.Job:
    first = mu.Task(
        "chain",
        f"{PROGRAMS}:chain",
        mu.argument(Link(0, LENGTH, size)),
        stores=("raw/",),
        adds=(f"{PROGRAMS}:forge",),
        slot=False,
    )
    chosen = {"workers": 4, "ahead": 6, "tries": 50, "lease_s": 20.0, "reconnect_s": 20.0, "straggler": None} | limits
    return mu.Job("chain", (first,), mu.Limits(**chosen))


def run(
    folder: Path,
    job: mu.Job,
    trouble: Callable[[Through, Proxy], Coroutine[Any, Any, None]] | None = None,
    drop: Callable[[str], Coroutine[Any, Any, None]] | None = None,
) -> Outcome:
    """Run a job with processes as workers; `trouble` goes on beside it."""

    async def body() -> Outcome:
        async with Server() as server:
            launcher = Through()
            proxy = Proxy(server.address)
            launcher.address = await proxy.start()
            store = str(folder / "store")
            hosted = server.host(Coordinator(job), launcher=launcher, folder=folder / "m", store=store, drop=drop)
            beside = asyncio.create_task(trouble(launcher, proxy)) if trouble else None
            outcome = await hosted.over
            if beside:
                beside.cancel()
            await server.leave(hosted)
            await proxy.close()
            return outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body())


def check(folder: Path, outcome: Outcome, size: int = SIZE) -> None:
    assert outcome.kind == "done", outcome
    assert outcome.committed == LENGTH + 1
    store = FolderStore(folder / "store")
    assert [bytes(store.read(f"out/{number}")) for number in range(LENGTH)] == forged(LENGTH, size)


class Killer:
    """Trouble that kills workers at random moments, up to so many."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._chance = most, random.Random(seed)
        self.kills = 0

    async def __call__(self, launcher: Through, proxy: Proxy) -> None:
        while self.kills < self._most:
            await asyncio.sleep(self._chance.uniform(0.1, 0.6))
            if launcher.processes:
                os.kill(self._chance.choice(list(launcher.processes.values())), signal.SIGKILL)
                self.kills += 1


def test_a_job_that_grows(tmp_path: Path) -> None:
    check(tmp_path, run(tmp_path, job()))


def test_workers_are_killed_at_random_moments(tmp_path: Path) -> None:
    killer = Killer(8, seed=1)
    check(tmp_path, run(tmp_path, job(), killer))
    assert killer.kills


def test_large_messages_go_by_way_of_the_store_while_workers_are_killed(tmp_path: Path) -> None:
    killer = Killer(6, seed=3)
    store = FolderStore(tmp_path / "store")
    dropped: set[str] = set()

    async def drop(name: str) -> None:
        store.delete(name)
        dropped.add(name)

    check(tmp_path, run(tmp_path, job(LARGE), killer, drop), LARGE)
    assert killer.kills
    assert len([name for name in dropped if name.startswith("messages/")]) == LENGTH - 1
    assert not list(store.list("messages/"))


def test_connections_break_at_random_moments(tmp_path: Path) -> None:
    """Nobody is replaced: those who are cut off come back, and no task is begun twice."""
    chance = random.Random(2)
    cuts = 0

    async def trouble(launcher: Through, proxy: Proxy) -> None:
        nonlocal cuts
        while cuts < 30:
            await asyncio.sleep(chance.uniform(0.02, 0.3))
            proxy.cut()
            cuts = proxy.cuts

    check(tmp_path, run(tmp_path, job(tries=1), trouble))
    assert cuts


def test_what_fails_is_told_and_what_may_help_is_tried(tmp_path: Path) -> None:
    def task(how: str, tries: int, **limits: Any) -> Outcome:
        one = mu.Task("it", f"{PROGRAMS}:fail", mu.argument(how))
        return run(tmp_path, mu.Job(how.replace(" ", "-"), (one,), mu.Limits(workers=1, tries=tries, **limits)))

    failed = task("value", 3)
    assert failed.kind == "failed"
    assert failed.failures[0].reason.startswith("ValueError: what")
    assert "programs_of_workers" in failed.failures[0].traceback
    assert not failed.failures[0].tries
    endless = task("endless", 2, run_s=0.2)
    assert endless.kind == "failed"
    assert endless.failures[0].tries == ("it computed for longer than the 0.2 s that a run may take",) * 2
    again = task("try again", 3)
    assert again.kind == "failed"
    assert len(again.failures[0].tries) >= 2
