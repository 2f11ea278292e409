"""What the server does about those who mean harm, or are broken: they go, everybody else goes on."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest

import mu
from mu.core.coordinator import Coordinator
from mu.core.events import Event, Heard
from mu.core.instructions import Instruction
from mu.digest import digest
from mu.job import Task
from mu.server import JobKeys, Options, Server
from mu.wire import (
    HEAD,
    VERSION,
    Add,
    Alive,
    Done,
    Hello,
    Invitation,
    Progressed,
    Send,
    Sent,
    Span,
    Stored,
    Waiting,
    frame,
    piece_head,
)
from tests.mu.server.peer import Invited, Peer, chain, finish, hosted, run, trusting

LONG_AGO = 1


def other_token(invitation: Invitation) -> str:
    return JobKeys.make(invitation.job).token(invitation.worker, int(time.time()) + 100)


HELLOS: dict[str, tuple[Callable[[Invitation], dict[str, object]], str]] = {
    "another key": (lambda told: {"token": other_token(told)}, "not for this worker"),
    "another worker": (lambda told: {"worker": told.worker + 1}, "not for this worker"),
    "longer": (lambda told: {"token": "f" + told.token}, "not for this worker"),
    "other letters": (lambda told: {"token": told.token.upper()}, "not for this worker"),
    "no number": (lambda told: {"token": "?"}, "its token is none"),
    "negative": (lambda told: {"token": "-1."}, "not for this worker"),
    "empty": (lambda told: {"token": ""}, "its token is none"),
    "another version": (lambda told: {"version": VERSION + 1}, "speaks version"),
    "another job": (lambda told: {"job": "test-0"}, "not the one"),
    "a run without a task": (lambda told: {"run": 1}, "a run without a task"),
}


@pytest.mark.parametrize("what", HELLOS)
def test_a_hello_that_is_not_true_is_refused(tmp_path: Path, what: str) -> None:
    change, reason = HELLOS[what]

    async def body() -> None:
        async with hosted(chain("a"), tmp_path) as (server, job, launcher):
            invitation = await launcher.next()
            peer = await Peer.connect(invitation)
            peer.hello(**change(invitation))
            assert reason in await peer.goodbye()
            assert server.refusals == 1
            launcher.invitations.put_nowait(invitation)
            finish(await Peer.at_work(launcher))
            assert (await job.over).kind == "done"

    run(body())


def test_a_token_expires(tmp_path: Path) -> None:
    keys = JobKeys.make("test")
    now = int(time.time())
    token = keys.token(5, now + 10)
    keys.check_token(5, token, now)
    with pytest.raises(mu.ProtocolError, match="expired 1 s ago"):
        keys.check_token(5, token, now + 11)
    with pytest.raises(mu.ProtocolError):
        keys.check_token(5, keys.token(5, now + 10).replace(f"{now + 10:x}", f"{now + 99:x}"), now)
    again = JobKeys.load(keys.dump())
    assert again == keys
    again.check_token(5, token, now)
    assert keys.private_key not in repr(keys)
    with pytest.raises(mu.ProtocolError):
        JobKeys.load(b"\xc0")


def test_a_job_does_not_take_the_token_of_another(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server() as server:
            one, other = Invited(), Invited()
            server.host(Coordinator(chain("a")), launcher=one, folder=tmp_path / "1")
            server.host(Coordinator(chain("x")), launcher=other, folder=tmp_path / "2")
            first, second = await one.next(), await other.next()
            peer = await Peer.connect(first)
            peer.hello(token=second.token)
            assert "not for this worker" in await peer.goodbye()
            peer = await Peer.connect(first)
            peer.hello(token=second.token, job=second.job)
            assert "not the one" in await peer.goodbye()

    run(body())


def test_a_worker_has_one_connection(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path) as (_, job, launcher):
            first = await Peer.at_work(launcher)
            second = await Peer.connect(first.invitation)
            second.hello()
            assert "connected already" in await second.goodbye()
            finish(first)
            assert (await job.over).kind == "done"

    run(body())


def piece(stream: int, payload: bytes) -> bytes:
    return piece_head(stream, len(payload)) + payload


TASK = Task("t", "tests:other")
MISDEEDS: dict[str, tuple[bytes, str]] = {
    "to another": (frame(Send(1, "c", "m", 1, b"x", digest(b"x"))), "which it does not declare"),
    "another message": (frame(Send(1, "b", "n", 1, b"x", digest(b"x"))), "which it does not declare"),
    "another digest": (frame(Send(1, "b", "m", 1, b"x", digest(b"y"))), "not the digest"),
    "another size": (frame(Send(1, "b", "m", 2, b"x", digest(b"x"))), "1 of 2 bytes"),
    "no digest": (frame(Send(1, "b", "m", 1, b"x")), "1 of 1 bytes"),
    "same stream": (2 * frame(Send(1, "b", "m", 1, b"x", digest(b"x"))), "came after 1"),
    "no stream": (piece(1, b"x"), "has not begun"),
    "no stream to end": (frame(Sent(1, digest(b""))), "has not begun"),
    "more bytes": (frame(Send(1, "b", "m", 3)) + piece(1, b"four"), "more than its 3 bytes"),
    "fewer bytes": (frame(Send(1, "b", "m", 3)) + piece(1, b"12") + frame(Sent(1, digest(b"12"))), "2 of 3 bytes"),
    "an end amid a message": (frame(Send(1, "b", "m", 3)) + frame(Done()), "amid a message"),
    "many streams": (b"".join(frame(Send(n, "b", "m", 3)) for n in range(20)), "more than 16"),
    "waits for another": (frame(Waiting("b", "m")), "which it does not declare"),
    "stores another's": (frame(Stored("out/b", 1, digest(b"x"))), "which it does not declare"),
    "adds": (frame(Add((TASK,))), "which it does not declare"),
    "no time": (frame(Progressed("s", 1, None, 1, (Span("s", nan, 1),))), "times that cannot be"),
    "a time for ever": (frame(Done((Span("s", 0, inf),))), "times that cannot be"),
    "an end before the beginning": (frame(Done((Span("s", 2, 1),))), "times that cannot be"),
    "no number done": (frame(Progressed("s", inf, None, 1)), "times that cannot be"),
    "hello again": (frame(Hello(VERSION, "j", 1, "t")), "hello twice"),
    "no message": (HEAD.pack(5, 0) + b"\x93abc", "no message"),
    "no kind": (HEAD.pack(5, 7) + b"abcd", "of the kind 7"),
    "no byte": (HEAD.pack(5, 1) + b"\0\0\0\1", "without a byte"),
    "a frame of a GiB": (HEAD.pack(1 << 30, 0), "a frame of"),
    "stored where no store is": (frame(Send(1, "b", "m", 1, digest=digest(b"x"), stored=True)), "the job has none"),
    "too much for the job": (frame(Send(1, "b", "m", 1 << 30)), "too much"),
}


STORED: dict[str, tuple[bytes, str]] = {
    "to another": (frame(Send(1, "c", "m", 1, digest=digest(b"x"), stored=True)), "which it does not declare"),
    "without a digest": (frame(Send(1, "b", "m", 1, stored=True)), "has no digest"),
    "that comes, too": (frame(Send(1, "b", "m", 1, b"x", digest(b"x"), True)), "came too"),
    "and a piece": (frame(Send(1, "b", "m", 1, None, digest(b"x"), True)) + piece(1, b"x"), "has not begun"),
    "too much": (frame(Send(1, "b", "m", 1 << 30, None, digest(b"x"), True)), "in its store"),
}


@pytest.mark.parametrize("what", STORED)
def test_a_message_in_the_store_is_said_as_it_must_be(tmp_path: Path, what: str) -> None:
    said, reason = STORED[what]

    async def body() -> None:
        options = Options(stored=1 << 29)
        async with hosted(chain("a", "b", tries=1, workers=1), tmp_path, options, store="x") as (_, job, launcher):
            peer = await Peer.at_work(launcher)
            peer.writer.write(said)
            assert reason in await peer.goodbye()
            assert reason in (await job.over).failures[0].reason

    run(body())


@pytest.mark.parametrize("what", MISDEEDS)
def test_a_worker_that_breaks_the_rules_goes_and_the_reason_is_kept(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, reason = MISDEEDS[what]

    async def body() -> None:
        work = chain("a", "b", tries=1, workers=1)
        async with hosted(work, tmp_path, Options(messages=1 << 29)) as (server, job, launcher):
            peer = await Peer.at_work(launcher)
            peer.writer.write(said)
            assert reason in await peer.goodbye()
            outcome = await job.over
            assert outcome.kind == "failed"
            assert reason in outcome.failures[0].reason
            await server.leave(job)
            assert server.held == 0
        assert len([record for record in caplog.records if reason in record.message]) == 1

    with caplog.at_level(logging.WARNING, "mu.server"):
        run(body())


def address_of(invitation: Invitation) -> tuple[str, int]:
    host, _, port = invitation.address.rpartition(":")
    return host, int(port)


BEGINNINGS = {
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "no handshake": b"\x17\x03\x03\x00\x10",
    "no hello of TLS": b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
    "noise": bytes(range(100, 200)),
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_what_is_no_tls_is_cut_off(tmp_path: Path, what: str) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path) as (server, job, launcher):
            invitation = await launcher.next()
            reader, writer = await asyncio.open_connection(*address_of(invitation))
            writer.write(BEGINNINGS[what])
            with pytest.raises(ConnectionError) if what == "another protocol" else _nothing():
                await asyncio.wait_for(reader.read(), 30)
            writer.close()
            launcher.invitations.put_nowait(invitation)
            finish(await Peer.at_work(launcher))
            assert (await job.over).kind == "done"
            assert server.refusals == 1

    run(body())


class _nothing:  # noqa: N801
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        return isinstance(error, ConnectionError)


@pytest.mark.parametrize("version", ["1.2", "no name", "another name"])
def test_tls_that_is_not_ours_is_refused(tmp_path: Path, version: str) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path) as (server, _, launcher):
            invitation = await launcher.next()
            context = trusting(invitation)
            context.check_hostname = False
            name: str | None = invitation.job
            if version == "1.2":
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            else:
                name = "" if version == "no name" else "coordinator"
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(*address_of(invitation), ssl=context, server_hostname=name)
            await asyncio.sleep(0)
            assert server.refusals == 1

    run(body())


@pytest.mark.parametrize("how", ["silent", "amid a handshake", "silent after TLS", "a byte at a time"])
def test_who_is_too_slow_is_cut_off(tmp_path: Path, how: str) -> None:
    async def body() -> None:
        options = Options(handshake_s=1.0 if how != "a byte at a time" else 30.0, hello_s=0.3)
        async with hosted(chain("a"), tmp_path, options) as (_, _job, launcher):
            invitation = await launcher.next()
            if how in ("silent", "amid a handshake"):
                reader, writer = await asyncio.open_connection(*address_of(invitation))
                writer.write(b"\x16\x03\x01\x02\x00\x01" if how == "amid a handshake" else b"")
                with _nothing():
                    assert await asyncio.wait_for(reader.read(), 30) == b""
                writer.close()
                return
            peer = await Peer.connect(invitation)
            if how == "silent after TLS":
                assert "no hello within" in await peer.goodbye()
                return
            hello = frame(Hello(VERSION, invitation.job, invitation.worker, invitation.token))
            with _nothing():
                for at in range(len(hello) - 1):
                    peer.writer.write(hello[at : at + 1])
                    await peer.writer.drain()
                    await asyncio.sleep(0.02)
            assert "no hello within" in await peer.goodbye()

    run(body())


def test_those_who_say_nothing_do_not_keep_others_out(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path, Options(unknown=8, handshake_s=60.0)) as (server, job, launcher):
            invitation = await launcher.next()
            held = []
            for _ in range(16):
                held.append(sock := socket.create_connection(address_of(invitation)))
                sock.send(b"\x16\x03\x01\x02\x00\x01")
            launcher.invitations.put_nowait(invitation)
            finish(await Peer.at_work(launcher))
            assert (await job.over).kind == "done"
            assert server.refusals >= 8
            for sock in held:
                sock.close()

    run(body())


def test_the_log_does_not_grow_with_what_others_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with hosted(chain("a"), tmp_path, Options(complaints=3)) as (server, _, launcher):
            invitation = await launcher.next()
            began = time.monotonic()
            while server.refusals < 200:
                with socket.create_connection(address_of(invitation)) as sock:
                    sock.send(b"nothing")
                    await asyncio.sleep(0.001)
            seconds = int(time.monotonic() - began) + 2
            assert len(caplog.records) <= 4 * seconds

    with caplog.at_level(logging.WARNING, "mu.server"):
        run(body())


class Noted:
    """Notes what the coordinator hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, event: Event, instructions: list[Instruction], now: float) -> None:
        self.events.append(event)

    def progressed(self, number: int, progressed: Progressed, now: float) -> None:
        raise AssertionError


def test_that_a_worker_lives_is_heard(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server() as server:
            launcher, noted = Invited(), Noted()
            server.host(Coordinator(chain("a")), launcher=launcher, folder=tmp_path / "messages", observer=noted)
            peer = await Peer.at_work(launcher)
            while Heard(peer.invitation.worker) not in noted.events:
                peer.say(Alive())
                await asyncio.sleep(0.3)

    run(body())


def test_a_worker_that_says_nothing_is_replaced(tmp_path: Path) -> None:
    async def body() -> None:
        async with hosted(chain("a", lease_s=0.5), tmp_path) as (_, _job, launcher):
            silent = await Peer.at_work(launcher)
            assert "nothing was heard" in await silent.goodbye()
            assert (await launcher.next()).worker != silent.invitation.worker

    run(body())
