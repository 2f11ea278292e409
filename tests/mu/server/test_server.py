"""The server over real TLS on loopback: workers that do as they should, and what they hear."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

import mu
from mu.core.coordinator import Coordinator
from mu.digest import digest
from mu.server import LaunchRefused, Options, Server
from mu.wire import PIECE, STREAM, Deliver, Delivered, Leaving, Send, Sent, Waiting, piece_head
from tests.mu.server.peer import Invited, KeptInMemory, Peer, chain, finish, hosted, run


@pytest.mark.parametrize("size", [0, 200, 1 << 18, (1 << 18) + 1, 3_000_000])
@pytest.mark.parametrize("pieces", [0, 1 << 18, 100_000])
def test_a_message_goes_from_worker_to_worker(tmp_path: Path, size: int, pieces: int) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b"), tmp_path) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            assert [peer.assigned.task.name for peer in (first, second) if peer.assigned] == ["a", "b"]
            payload = os.urandom(size)
            stream = first.send("b", "m", payload, pieces=pieces)
            await first.accept(stream)
            finish(first)
            assert await first.goodbye() == ""
            assert await second.receive("a", "m") == payload
            finish(second)
            assert (await job.over).kind == "done"

    if pieces or size <= 1 << 18:
        run(body())


def test_who_waits_gets_pieces_while_they_still_come(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b"), tmp_path) as (_, _job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            payload = os.urandom(1 << 20)
            second.say(Waiting("a", "m"))
            first.say(Send(1, "b", "m", len(payload)))
            first.writer.write(piece_head(1, 1 << 18) + payload[: 1 << 18])
            begun = await second.expect(Deliver)
            assert begun.payload is None
            kind, piece = await second.frame()
            assert (kind, piece[STREAM.size :]) == (PIECE, payload[: 1 << 18])
            for at in range(1 << 18, 1 << 20, 1 << 17):
                first.writer.write(piece_head(1, 1 << 17) + payload[at : at + (1 << 17)])
            first.say(Sent(1, digest(payload)))
            rest = b"".join([(await second.frame())[1][STREAM.size :] for _ in range(3)])
            assert payload[: 1 << 18] + rest == payload
            assert await second.expect(Delivered) == Delivered(begun.stream, digest(payload))

    run(body())


def test_what_a_lost_sender_began_is_void_and_comes_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b", reconnect_s=0.0), tmp_path) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            payload = os.urandom(1 << 20)
            second.say(Waiting("a", "m"))
            first.say(Send(1, "b", "m", len(payload)))
            first.writer.write(piece_head(1, 1 << 18) + payload[: 1 << 18])
            begun = await second.expect(Deliver)
            first.cut()
            third = await Peer.at_work(launcher)
            third.send("b", "m", payload, pieces=1 << 18)
            finish(third)
            assert await second.received(begun) == payload
            finish(second)
            assert (await job.over).kind == "done"

    run(body())


def test_a_worker_comes_back_and_says_again_what_was_not_accepted(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b", reconnect_s=30.0), tmp_path) as (_, job, launcher):
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            payload = os.urandom(600_000)
            second.say(Waiting("a", "m"))
            assert first.assigned is not None
            first.say(Send(1, "b", "m", len(payload)))
            first.writer.write(piece_head(1, 1 << 18) + payload[: 1 << 18])
            begun = await second.expect(Deliver)
            first.cut()
            assigned = first.assigned
            first = await Peer.enter(first.invitation, run=assigned.run, task="a")
            first.assigned = assigned
            first.send("b", "m", payload, pieces=1 << 18)
            finish(first)
            assert await second.received(begun) == payload
            finish(second)
            assert (await job.over).kind == "done"

    run(body())


def test_the_old_connection_of_a_worker_that_comes_back_is_ended(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path) as (_, job, launcher):
            first = await Peer.at_work(launcher)
            assert first.assigned is not None
            again = await Peer.enter(first.invitation, run=first.assigned.run, task="a")
            assert await first.goodbye() == "it has a newer connection"
            again.assigned = first.assigned
            finish(again)
            assert (await job.over).kind == "done"

    run(body())


def letters(count: int) -> mu.Job:
    """A job of one task that sends many messages, and one that receives them."""
    edges = [f"m/{number}" for number in range(count)]
    writer = mu.Task("a", "tests:none", sends=tuple(mu.Edge("b", name) for name in edges), stores=("out/a",))
    reader = mu.Task("b", "tests:none", receives=tuple(mu.Edge("a", name) for name in edges), stores=("out/b",))
    return mu.Job("test", (writer, reader), mu.Limits(straggler=None, lease_s=120))


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(("size", "count"), [(700_000, 12), (50_000, 120)])
def test_messages_beyond_the_bound_go_through_the_disk(tmp_path: Path, durable: bool, size: int, count: int) -> None:
    async def body() -> None:
        work = letters(count)
        payloads = [os.urandom(size) for _ in range(count)]
        async with Server(options=Options(memory=1 << 20)) as server:
            launcher, ledger = Invited(), KeptInMemory() if durable else None
            job = server.host(Coordinator(work), launcher=launcher, folder=tmp_path / "messages", ledger=ledger)
            first, second = await Peer.at_work(launcher), await Peer.at_work(launcher)
            for number, payload in enumerate(payloads):
                first.send("b", f"m/{number}", payload, pieces=1 << 18 if size > 1 << 18 else 0)
                await first.writer.drain()
            await first.accept(count)
            assert server.held < 4 << 20
            finish(first)
            for number, payload in enumerate(payloads):
                assert await second.receive("a", f"m/{number}") == payload
            finish(second)
            assert (await job.over).kind == "done"
            await server.leave(job)
            assert server.held == 0
        assert not (tmp_path / "messages").exists()

    run(body())


def test_who_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    async def body() -> None:
        work = mu.Job("test", (*letters(40).tasks, *chain("c", "d").tasks), mu.Limits(straggler=None, lease_s=120))
        async with Server(options=Options(memory=4 << 20)) as server:
            launcher = Invited()
            server.host(Coordinator(work), launcher=launcher, folder=tmp_path / "messages")
            peers = {}
            for _ in range(4):
                peer = await Peer.at_work(launcher)
                assert peer.assigned is not None
                peers[peer.assigned.task.name] = peer
            payload = os.urandom(1_000_000)
            for number in range(40):
                peers["a"].send("b", f"m/{number}", payload, pieces=1 << 18)
                await peers["a"].writer.drain()
            await peers["a"].accept(40)
            peers["b"].writer.transport.pause_reading()  # type: ignore[attr-defined]
            peers["b"].say(*(Waiting("a", f"m/{number}") for number in range(40)))
            stream = peers["c"].send("d", "m", b"quick")
            await peers["c"].accept(stream)
            assert await peers["d"].receive("c", "m") == b"quick"
            assert server.held < 8 << 20

    run(body())


def test_cancel_stops_every_worker(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", "b", "c"), tmp_path) as (_, job, launcher):
            peers = [await Peer.at_work(launcher) for _ in range(3)]
            job.cancel("enough")
            for peer in peers:
                assert await peer.goodbye()
            outcome = await job.over
            assert (outcome.kind, outcome.reason) == ("cancelled", "enough")
            await asyncio.sleep(0)
            assert launcher.cancelled == {peer.invitation.worker for peer in peers}

    run(body())


def test_a_worker_that_leaves_or_whose_process_ends_is_replaced(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", reconnect_s=60.0), tmp_path) as (_, job, launcher):
            first = await Peer.at_work(launcher)
            first.say(Leaving("its time is over"))
            assert await first.goodbye() == "its time is over"
            second = await Peer.at_work(launcher)
            launcher.ended[second.invitation.worker]("its process was ended by signal 9")
            third = await Peer.at_work(launcher)
            finish(third)
            assert (await job.over).kind == "done"

    run(body())


def test_launches_that_are_refused_are_tried_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server() as server:
            launcher = Invited()
            launcher.refuse = LaunchRefused("no function can be called", 0.01)
            job = server.host(Coordinator(chain("a")), launcher=launcher, folder=tmp_path / "messages")
            while launcher.refused < 3:
                await asyncio.sleep(0.01)
            launcher.refuse = OSError("what nobody thought of")
            while launcher.refused < 4:
                await asyncio.sleep(0.01)
            launcher.refuse = None
            finish(await Peer.at_work(launcher))
            assert (await job.over).kind == "done"

    run(body())


def test_jobs_share_a_port_and_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server() as server:
            one, other = Invited(), Invited()
            jobs = [
                server.host(Coordinator(chain("a")), launcher=one, folder=tmp_path / "1"),
                server.host(Coordinator(chain("x")), launcher=other, folder=tmp_path / "2"),
            ]
            with pytest.raises(mu.JobError, match="runs here already"):
                server.host(Coordinator(chain("a")), launcher=one, folder=tmp_path / "1")
            first, second = await Peer.at_work(one), await Peer.at_work(other)
            assert first.invitation.ca != second.invitation.ca
            with pytest.raises(ssl.SSLCertVerificationError):
                await Peer.connect(first.invitation, job=second.invitation.job)
            for peer, job in zip((first, second), jobs, strict=True):
                finish(peer)
                assert (await job.over).kind == "done"

    run(body())
