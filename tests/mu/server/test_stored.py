"""Large messages that lie in the job's store: the coordinator passes on the word, and deletes them in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

import mu
from mu.core.coordinator import Coordinator
from mu.core.instructions import MessageWhole
from mu.digest import digest
from mu.job import Key
from mu.ledger import Ledger
from mu.server import JobKeys, Options, Server
from mu.server.session import MOST_UNACCEPTED
from mu.store.messages import message_name
from mu.wire import Deliver, Waiting
from tests.mu.server.peer import LIMIT_S, Invited, Peer, chain, finish, hosted, run
from tests.mu.server.test_restart import Slow

SIZE, FOUND = 24_900_000, digest(b"a state")
KEY = Key("a", "b", "m")
NAME = message_name(KEY, FOUND)


class Drops:
    """What is to be deleted."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def __call__(self, name: str) -> None:
        self.names.append(name)


async def got(peer: Peer) -> Deliver:
    """What comes of the message that is waited for."""
    peer.say(Waiting("a", "m"))
    return await peer.expect(Deliver)


@pytest.mark.parametrize("waits_first", [False, True])
def test_the_word_goes_on_and_the_message_is_deleted_when_it_was_used(tmp_path: Path, waits_first: bool) -> None:
    async def body() -> None:
        drops = Drops()
        async with hosted(chain("a", "b"), tmp_path, store="x", drop=drops) as (server, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            if waits_first:
                second.say(Waiting("a", "m"))
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            heard = await (second.expect(Deliver) if waits_first else got(second))
            assert heard == Deliver(heard.stream, "a", "m", SIZE, stored=FOUND)
            assert server.held == 0
            assert job.messages.stored_bytes == SIZE
            finish(first)
            assert await first.goodbye() == ""
            assert drops.names == []
            finish(second)
            assert (await job.over).kind == "done"
            await asyncio.sleep(0)
            assert drops.names == [NAME]
            assert job.messages.stored_bytes == 0

    run(body())


def test_a_receiver_that_begins_again_reads_it_again(tmp_path: Path) -> None:
    async def body() -> None:
        drops = Drops()
        async with hosted(chain("a", "b", reconnect_s=0.0), tmp_path, store="x", drop=drops) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            first.leave("b", "m", SIZE, FOUND)
            finish(first)
            assert (await got(second)).stored == FOUND
            second.cut()
            third = await Peer.at_work(launcher)
            assert (await got(third)).stored == FOUND
            assert drops.names == []
            finish(third)
            assert (await job.over).kind == "done"

    run(body())


def test_a_sender_that_begins_again_says_the_same_and_nothing_is_deleted(tmp_path: Path) -> None:
    async def body() -> None:
        drops = Drops()
        async with hosted(chain("a", "b", reconnect_s=0.0), tmp_path, store="x", drop=drops) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            first.cut()
            third = await Peer.at_work(launcher)
            await third.accept(third.leave("b", "m", SIZE, FOUND))
            assert drops.names == []
            assert job.messages.stored_bytes == SIZE
            finish(third)
            assert (await got(second)).stored == FOUND
            finish(second)
            assert (await job.over).kind == "done"
            await asyncio.sleep(0)
            assert drops.names == [NAME]

    run(body())


def test_a_sender_that_begins_again_and_sends_something_else_fails(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b", reconnect_s=0.0), tmp_path, store="x") as (_, job, launcher):
            first, _second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            first.cut()
            third = await Peer.at_work(launcher)
            third.leave("b", "m", SIZE, digest(b"another"))
            outcome = await job.over
            assert outcome.kind == "failed"
            assert "two different messages m" in outcome.failures[0].reason

    run(body())


def test_what_is_sent_once_more_after_its_receiver_was_done_is_deleted_again(tmp_path: Path) -> None:
    """A sender that was cut off says it again; what it wrote meanwhile nobody needs."""

    async def body() -> None:
        drops = Drops()
        async with hosted(chain("a", "b", reconnect_s=30.0), tmp_path, store="x", drop=drops) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            assert (await got(second)).stored == FOUND
            finish(second)
            await second.goodbye()
            assert drops.names == [NAME]
            assert first.assigned is not None
            first.cut()
            again = await Peer.enter(first.invitation, run=first.assigned.run, task="a")
            again.assigned = first.assigned
            await again.accept(again.leave("b", "m", SIZE, FOUND))
            assert drops.names == [NAME, NAME]
            assert job.messages.stored_bytes == 0
            finish(again)
            assert (await job.over).kind == "done"

    run(body())


def test_one_that_comes_through_the_coordinator_and_one_that_lies_in_the_store_are_the_same(tmp_path: Path) -> None:
    async def body() -> None:
        payload = bytes(range(256)) * 4000
        async with hosted(chain("a", "b", reconnect_s=0.0), tmp_path, store="x") as (server, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await first.accept(first.send("b", "m", payload, pieces=1 << 18))
            first.cut()
            third = await Peer.at_work(launcher)
            await third.accept(third.leave("b", "m", len(payload), digest(payload)))
            assert await second.receive("a", "m") == payload
            finish(third)
            finish(second)
            assert (await job.over).kind == "done"
            assert server.held == 0

    run(body())


def test_a_coordinator_that_is_started_again_passes_the_word_on(tmp_path: Path) -> None:
    work = chain("a", "b", lease_s=120.0, reconnect_s=60.0)
    keys = JobKeys.make(work.id)

    def host(server: Server, launcher: Invited, **more: Any) -> tuple[Any, Ledger]:
        jobs: list[Any] = []
        ledger = Ledger(tmp_path / "ledger", work, wake=lambda: jobs[0].wake())
        loaded = ledger.load()
        core = Coordinator.restore(work, loaded.entries, epoch=loaded.epoch, now=asyncio.get_running_loop().time())
        kept = {"keys": keys, "ledger": ledger, "entries": loaded.entries}
        jobs.append(server.host(core, launcher=launcher, folder=tmp_path / "m", store="x", **kept, **more))
        return jobs[0], ledger

    async def body() -> None:
        drops = Drops()
        async with Server() as server:
            launcher = Invited()
            job, ledger = host(server, launcher)
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            await server.leave(job)
            ledger.close()
        async with Server() as server:
            job, ledger = host(server, Invited(), drop=drops)
            assert job.messages.stored_bytes == SIZE
            peers = []
            for peer in (first, second):
                assert peer.assigned is not None
                there = msgspec.structs.replace(peer.invitation, address=server.address)
                peers.append(await Peer.enter(there, run=peer.assigned.run, task=peer.assigned.task.name))
                peers[-1].assigned = peer.assigned
            assert (await got(peers[1])).stored == FOUND
            for peer in peers:
                finish(peer)
            assert (await job.over).kind == "done"
            await server.leave(job)
            ledger.close()
        assert drops.names == [NAME]
        with Ledger(tmp_path / "ledger") as ledger:
            assert MessageWhole(KEY, SIZE, FOUND, True) in ledger.load().entries

    run(body())


def test_who_says_more_than_the_ledger_can_keep_is_not_listened_to_for_a_while(tmp_path: Path) -> None:
    async def body() -> None:
        slow = Slow()
        work = chain("a", "b", workers=1)
        async with hosted(work, tmp_path, store="x", ledger=slow) as (_, job, launcher):
            peer = await Peer.at_work(launcher)
            for _ in range(MOST_UNACCEPTED + 1):
                last = peer.leave("b", "m", SIZE, FOUND)
            async with asyncio.timeout(LIMIT_S):
                while not job.deaf:
                    await asyncio.sleep(0.01)
            slow.durable = 1 << 30
            job.wake()
            await peer.accept(last)
            assert not job.deaf
            assert job.messages.stored_bytes == SIZE

    run(body())


def test_a_job_may_have_so_many_bytes_in_its_store(tmp_path: Path) -> None:
    async def body() -> None:
        work = chain("a", "b", "c", tries=1)
        async with hosted(work, tmp_path, Options(stored=2 * SIZE - 1), store="x") as (_, job, launcher):
            first, second, third = [await Peer.at_work(launcher) for _ in range(3)]
            await first.accept(first.leave("b", "m", SIZE, FOUND))
            assert (await got(second)).stored == FOUND
            second.leave("c", "m", SIZE, FOUND)
            assert f"the job keeps {SIZE} of {2 * SIZE - 1} in its store" in await second.goodbye()
            outcome = await job.over
            assert "in its store" in outcome.failures[0].reason
            third.cut()

    run(body())


@pytest.mark.parametrize("name", ["messages", "messages/", "messages/x", "messages/0/1"])
@pytest.mark.parametrize("what", ["stores", "fetches"])
def test_no_task_may_call_its_objects_as_messages_are(name: str, what: str) -> None:
    task = mu.Task("a", "tests:none", **{what: (name,)})  # type: ignore[arg-type]
    with pytest.raises(mu.JobError, match=r"a deals with messages.*call it otherwise"):
        Coordinator(mu.Job("test", (task,)))
    Coordinator(mu.Job("test", (mu.Task("a", "tests:none", **{what: ("messages.x",)}),)))  # type: ignore[arg-type]
