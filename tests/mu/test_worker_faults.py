"""Workers against coordinators that make no sense or are somebody else's, and workers as processes."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mu.errors import BackendError, ProtocolError
from mu.store.folder import FolderStore
from mu.wire import (
    Accepted,
    Alive,
    Assigned,
    Deliver,
    Done,
    Goodbye,
    Hello,
    Room,
    ToWorker,
    Welcome,
    encode,
)
from mu.worker.work import work
from tests.mu import programs_of_workers as programs
from tests.mu.scripted import Gone, Scripted
from tests.mu.test_worker import scripted as scripted  # the fixture
from tests.mu.test_worker import task, working

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "words",
    [
        [Assigned(1, task(programs.nothing))],
        [Accepted(0)],
        [Welcome(0.0)],
        [Welcome(float("nan"))],
        [Welcome(1), Welcome(1)],
        [Welcome(1), Room()],
        [Welcome(1), Accepted(1)],
        [Welcome(1), Deliver(1, "before", "state", 0, b"")],
        [Welcome(1), Assigned(1, task(programs.block, 600.0)), Assigned(2, task(programs.block, 600.0))],
    ],
)
def test_a_coordinator_that_makes_no_sense_is_left(scripted: Scripted, words: list[ToWorker]) -> None:
    def script() -> None:
        peer = scripted.accept()
        peer.hear(Hello)
        peer.say(*words)
        peer.gone()

    with pytest.raises(ProtocolError, match="the coordinator"):
        working(scripted, script)


@pytest.mark.parametrize(
    "data",
    [b"\0\0\0\0\0", b"\xff\xff\xff\xff\0", b"\0\0\0\x09\x07aaaaaaaa", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x03\0ab"],
)
def test_garbage_ends_a_worker(scripted: Scripted, data: bytes) -> None:
    def script() -> None:
        peer = scripted.accept()
        peer.connection.sendall(data)
        peer.gone()

    with pytest.raises(ProtocolError):
        working(scripted, script)


def test_nobody_else_is_believed(scripted: Scripted, tmp_path: Path) -> None:
    """A certificate of another authority, or of another job: no byte is said to whoever shows it."""
    (tmp_path / "other").mkdir()
    other = Scripted(tmp_path / "other", "another-job-fedcba9876543210")
    ours = msgspec.structs.replace(scripted.invitation, address=other.invitation.address)
    for invitation in (ours, msgspec.structs.replace(other.invitation, job=scripted.job)):

        def script() -> None:
            with pytest.raises(ssl.SSLError):
                other.accept()

        with other.beside(script), pytest.raises(ProtocolError, match="not the coordinator of this job"):
            work(invitation, FolderStore("unused"))
    other.close()
    with pytest.raises(ProtocolError, match="no certificate"):
        work(msgspec.structs.replace(scripted.invitation, ca="nonsense"), FolderStore("unused"))


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "a..b:1", f"{'a' * 80}:1", "\0:1"])
def test_an_address_that_cannot_be_ends_a_worker(scripted: Scripted, address: str) -> None:
    invitation = msgspec.structs.replace(scripted.invitation, address=address)
    with pytest.raises(BackendError):
        work(invitation, FolderStore("unused"), reconnect_s=0.1)


def start(stdin: bytes) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mu.worker"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(stdin)
    process.stdin.close()
    return process


def test_as_a_process_that_is_told_on_its_standard_input(scripted: Scripted) -> None:
    with start(msgspec.json.encode(scripted.invitation)) as process:
        peer = scripted.assign(task(programs.nothing))
        peer.hear(Done)
        peer.say(Assigned(2, task(programs.compute, 600.0)))
        peer.say(Goodbye("stop"))
        peer.gone()
        assert process.wait(30) == 0


def test_a_process_that_is_killed_is_noticed_at_once(scripted: Scripted) -> None:
    with start(msgspec.json.encode(scripted.invitation)) as process:
        peer = scripted.assign(task(programs.compute, 600.0))
        process.kill()
        with pytest.raises(Gone):
            peer.hear(Done)


def test_what_is_no_invitation(scripted: Scripted) -> None:
    good = msgspec.to_builtins(scripted.invitation)
    bad = [b"", b"{}", b"nonsense", b"\xff", encode(Alive())]
    bad += [
        msgspec.json.encode({**good, **wrong}) for wrong in ({"address": "host"}, {"worker": -1}, {"store": "x://y"})
    ]
    for stdin in bad:
        with start(stdin) as process:
            assert process.wait(30) == 2
            assert process.stderr
            told = process.stderr.read()
            assert b"standard input has no invitation" in told
            assert b"a token" not in told
