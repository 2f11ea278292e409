"""What goes between the processes of this machine: frames arrive as they were, what is none closes the channel."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mu.local.channel import Channel, Closed
from mu.local.memory import Buffers, memory_of, read_only
from mu.wire import CONTROL, COUNT, FILES, HEAD

QUIET = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@contextmanager
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The two ends of a channel."""
    both = [Channel(end) for end in socket.socketpair()]
    try:
        yield both[0], both[1]
    finally:
        for end in both:
            end.close()


def heard(channel: Channel, count: int) -> list[tuple[bytes, list[bytes]]]:
    """The next frames, with what is in their files."""
    frames: list[tuple[bytes, list[bytes]]] = []
    while len(frames) < count:
        for body, files in channel.receive():
            frames.append((body, [os.pread(file, 100, 0) for file in files]))
            for file in files:
                os.close(file)
    return frames


@pytest.mark.parametrize("size", [0, 1, 1000, 900_000])
@pytest.mark.parametrize("files", [0, 1, 7, 600])
@pytest.mark.parametrize("waits", [True, False])
def test_frames_arrive_with_their_files(size: int, files: int, waits: bool) -> None:
    """Sent by one who waits, or posted: then what does not fit goes out bit by bit."""
    bodies = [os.urandom(size), b"between", os.urandom(size)]
    contents = [[f"{number}".encode() for number in range(count)] for count in (files, 0, 2)]
    with ends() as (one, other):
        got: list[tuple[bytes, list[bytes]]] = []
        listener = threading.Thread(target=lambda: got.extend(heard(other, 3)))
        if waits:
            listener.start()
        for body, texts in zip(bodies, contents, strict=True):
            opened = [memory_of(text) for text in texts]
            (one.send if waits else one.post)(body, opened)
            for file in opened:
                os.close(file)
        if not waits:
            listener.start()
            while one.waiting:
                one.flush()
        listener.join()
    assert got == list(zip(bodies, contents, strict=True))


def framed(body: bytes) -> bytes:
    return HEAD.pack(len(body) + 1, CONTROL) + body


@given(st.one_of(st.binary(max_size=60), st.lists(st.binary(max_size=20)).map(lambda b: b"".join(map(framed, b)))))
@settings(QUIET, max_examples=400)
def test_what_is_no_frame_closes_the_channel(data: bytes) -> None:
    closed = False
    with ends() as (end, other):
        other.socket.sendall(data)
        other.close()
        with suppress(Closed):
            for _ in range(60):
                for body, files in end.receive():
                    assert isinstance(body, bytes)
                    assert files == []
            closed = True
    assert not closed


def test_a_frame_without_its_files_closes_the_channel() -> None:
    with ends() as (end, other):
        other.socket.sendall(HEAD.pack(1 + COUNT.size, FILES) + COUNT.pack(1))
        with pytest.raises(Closed):
            end.receive()


def test_a_length_alone_takes_no_memory() -> None:
    with ends() as (end, other):
        other.socket.sendall(b"\0\x0f\xff\xff")
        assert end.receive() == []
        other.close()
        with pytest.raises(Closed):
            end.receive()


def test_a_length_that_is_too_large_closes_the_channel() -> None:
    with ends() as (end, other):
        other.socket.sendall(b"\xff\xff\xff\xff\0")
        with pytest.raises(Closed):
            end.receive()


def test_memory_serves_again_when_it_is_free() -> None:
    buffers = Buffers()
    first = buffers.take(5000)
    first[:3] = b"one"
    assert buffers.lend("a", memoryview(b"elsewhere")) is None
    assert buffers.lend("a", first[1:]) is None, "not from its start"
    file = buffers.lend("a", first[:4000])
    assert file is not None
    assert buffers.lend("b", first) is None, "it is lent already"
    other = buffers.take(5000)
    other[:3] = b"two"
    assert bytes(read_only(file, 3)) == b"one"
    buffers.free("a")
    buffers.free("a")
    again = buffers.take(4000)
    assert bytes(again[:3]) == b"one"
    assert buffers.lend("c", again) == file
    buffers.close()
