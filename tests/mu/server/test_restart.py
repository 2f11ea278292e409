"""A coordinator that is killed and started again has every message that it accepted; workers come back to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

import mu
from mu.core.coordinator import Coordinator
from mu.core.instructions import Entry, MessageWhole
from mu.digest import digest
from mu.job import Key
from mu.ledger import Ledger
from mu.server import HostedJob, JobKeys, Options, Server
from mu.server.disk import Disk, tag_of
from mu.server.hosted import ASSIGN_S
from mu.server.journal import Journal
from mu.server.memory import Memory
from mu.server.message import Message
from mu.wire import Assigned, Done, Send, Stored, piece_head
from tests.mu.server.peer import Invited, Peer, finish, run

SIZES = (0, 5, 70_000, 700_000, 1 << 18, 2_000_000)
EDGES = [f"m/{number}" for number in range(len(SIZES))]
WRITER = mu.Task("a", "tests:none", sends=tuple(mu.Edge("b", name) for name in EDGES), stores=("out/a",))
READER = mu.Task("b", "tests:none", receives=tuple(mu.Edge("a", name) for name in EDGES), stores=("out/b",))
JOB = mu.Job("test", (WRITER, READER), mu.Limits(straggler=None, lease_s=120, reconnect_s=60))


def host(server: Server, folder: Path, launcher: Invited, keys: JobKeys) -> tuple[HostedJob, Ledger]:
    """The job as a service hosts it, for the first time or again."""
    hosted: list[HostedJob] = []
    ledger = Ledger(folder / "ledger", JOB, wake=lambda: hosted[0].wake())
    loaded = ledger.load()
    again = loaded.epoch > 1
    now = time.monotonic()
    coordinator = Coordinator.restore(JOB, loaded.entries, epoch=loaded.epoch, now=now) if again else Coordinator(JOB)
    hosted.append(
        server.host(
            coordinator,
            launcher=launcher,
            folder=folder / "messages",
            keys=keys,
            ledger=ledger,
            entries=loaded.entries,
        )
    )
    return hosted[0], ledger


@pytest.mark.parametrize("memory", [1 << 20, 1 << 28])
def test_what_was_accepted_is_there_after_a_kill(tmp_path: Path, memory: int) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    keys = JobKeys.make(JOB.id)
    payloads = [os.urandom(size) for size in SIZES]
    options = Options(memory=memory)

    async def body() -> None:
        async with Server(options=options) as server:
            launcher = Invited()
            job, ledger = host(server, before, launcher, keys)
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            for name, payload in list(zip(EDGES, payloads, strict=True))[:-1]:
                first.send("b", name, payload, pieces=100_000 if len(payload) > 1 << 18 else 0)
            await first.accept(len(SIZES) - 1)
            assert await second.receive("a", EDGES[1]) == payloads[1]
            first.say(Send(len(SIZES), "b", EDGES[-1], SIZES[-1]))
            first.writer.write(piece_head(len(SIZES), 1 << 18) + payloads[-1][: 1 << 18])
            await first.writer.drain()
            shutil.copytree(before, after)  # what a kill at this moment would have left
            await server.leave(job)
            ledger.close()
        invitations = [first.invitation, second.invitation]
        runs = [peer.assigned for peer in (first, second) if peer.assigned]
        async with Server(options=options) as server:
            job, ledger = host(server, after, Invited(), keys)
            peers = []
            for invitation, assigned in zip(invitations, runs, strict=True):
                there = msgspec.structs.replace(invitation, address=server.address)
                peers.append(await Peer.enter(there, run=assigned.run, task=assigned.task.name))
                peers[-1].assigned = assigned
            first, second = peers
            first.streams = len(SIZES) - 1
            first.send("b", EDGES[-1], payloads[-1], pieces=1 << 18)
            await first.accept(len(SIZES))
            finish(first)
            for name, payload in zip(EDGES, payloads, strict=True):
                assert await second.receive("a", name) == payload
            finish(second)
            assert (await job.over).kind == "done"
            await server.leave(job)
            ledger.close()
        assert not (after / "messages").exists()

    run(body())


def test_a_task_that_was_not_heard_of_is_told_by_the_next_coordinator(tmp_path: Path) -> None:
    """Whatever a worker says of what it was at before: nobody else is given its task meanwhile."""
    keys = JobKeys.make(JOB.id)
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()

    async def body() -> None:
        async with Server() as server:
            launcher = Invited()
            job, ledger = host(server, before, launcher, keys)
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await asyncio.to_thread(ledger.flush)
            shutil.copytree(before, after)
            await server.leave(job)
            ledger.close()
        async with Server() as server:
            launcher = Invited()
            job, ledger = host(server, after, launcher, keys)
            for peer in (first, second):
                there = msgspec.structs.replace(peer.invitation, address=server.address)
                assert await (await Peer.enter(there)).expect(Assigned) == peer.assigned
            assert launcher.invitations.empty()
            await server.leave(job)
            ledger.close()

    run(body())


def test_a_message_that_the_ledger_names_and_the_folder_lacks_is_said(tmp_path: Path) -> None:
    async def body() -> None:
        entry: Entry = MessageWhole(Key("a", "b", "m/1"), 5, digest(b"there"))
        coordinator = Coordinator.restore(JOB, [entry], epoch=2, now=0.0)
        async with Server() as server:
            with pytest.raises(mu.BackendError, match="m/1 of a is not in"):
                server.host(coordinator, launcher=Invited(), folder=tmp_path, entries=[entry])

    run(body())


def test_a_torn_segment_gives_what_is_whole(tmp_path: Path) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        disk = Disk(tmp_path, loop, _fail, sync=True)
        keys = [Key("a", "b", f"m/{number}") for number in range(3)]
        written = [asyncio.Event() for _ in keys]
        for key, event in zip(keys, written, strict=True):
            disk.append(tag_of(key), b"x" * 100, event.set)
        await asyncio.gather(*(event.wait() for event in written))
        disk.close()
        (segment,) = tmp_path.glob("*.segment")
        data = segment.read_bytes()
        for cut in (len(data) - 1, len(data) - 110, 130, 100, 3):
            segment.write_bytes(data[:cut])
            found = Disk(tmp_path, loop, _fail, sync=True).restore({tag_of(key): 100 for key in keys})
            assert len(found) == cut // 124
            assert segment.exists() == bool(found)
            for key in keys[: len(found)]:
                assert await disk.read(found[tag_of(key)], 0, 100) == b"x" * 100

    run(body())


def _fail(error: OSError) -> None:
    raise AssertionError(error)


def test_a_disk_that_takes_no_more_ends_the_job_and_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        launcher = Invited()
        async with Server(options=Options(memory=1 << 20)) as server:
            folder = tmp_path / "messages"
            job = server.host(Coordinator(JOB), launcher=launcher, folder=folder)
            first = await Peer.at_work(launcher)
            folder.rmdir()
            for name in EDGES:
                first.send("b", name, bytes(2_000_000), pieces=1 << 18)
            with pytest.raises(mu.BackendError, match="cannot be kept"):
                await job.over
            assert await first.goodbye()

    run(body())


@pytest.mark.parametrize("late", [True, False])
def test_a_task_is_told_once_whether_the_ledger_is_late_or_not(tmp_path: Path, late: bool) -> None:
    """It waits for the disk, but not for ever; what is over when the time is up is not begun anew."""
    slow = Slow()
    long = mu.Task("long", "tests:none", stores=("x",))
    tasks = (long, mu.Task("short", "tests:none"), mu.Task("last", "tests:none", fetches=("x",)))
    limits = mu.Limits(workers=2, straggler=None, lease_s=60)

    async def body() -> None:
        launcher = Invited()
        async with Server() as server:
            coordinator = Coordinator(mu.Job("three", tasks, limits))
            job = server.host(coordinator, launcher=launcher, folder=tmp_path / "messages", ledger=slow)
            peers = [await Peer.enter(await launcher.next()) for _ in range(2)]
            if not late:
                slow.durable = 100
                job.wake()
            heard = {(await peer.expect(Assigned)).task.name: peer for peer in peers}
            heard["short"].say(Done())
            await asyncio.sleep(3 * ASSIGN_S)
            slow.durable = 100
            job.wake()
            heard["long"].say(Stored("x", 3, digest(b"abc")), Done())
            assert (await heard["short"].expect(Assigned)).task.name == "last"
            heard["short"].say(Done())
            assert (await job.over).kind == "done"
            await server.leave(job)

    run(body())


class Slow:
    """A ledger whose disk is as slow as a test wants."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.durable = 0

    def add(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries)


def test_what_cannot_be_undone_waits_for_what_came_before(tmp_path: Path) -> None:
    async def body() -> None:
        slow, done = Slow(), []
        journal = Journal(slow)
        disk = Disk(tmp_path, asyncio.get_running_loop(), _fail, sync=True)
        message = Message(Memory(1 << 20), disk, Key("a", "b", "m/1"), 1, 3)
        entry = MessageWhole(message.key, 3, digest(b"abc"))
        journal.after(lambda: done.append(0))
        assert done == [0]
        journal.remember(entry)
        journal.after(lambda: done.append(1))
        journal.remember(entry, message)
        journal.after(lambda: done.append(2))
        journal.remember(entry)
        journal.after(lambda: done.append(3))
        assert len(slow.entries) == 1
        slow.durable = 1
        journal.advance()
        assert done == [0, 1]
        slow.durable = 100
        journal.advance()
        assert done == [0, 1]
        message.safe = True
        journal.advance()
        assert (done, len(slow.entries)) == ([0, 1, 2, 3], 3)
        slow.durable = 2
        journal.remember(entry)
        journal.after(lambda: done.append(4))
        assert done[-1] == 3

    run(body())
