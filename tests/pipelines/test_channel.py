"""What goes between the processes of a job: every message arrives as it was, and what is none closes the channel."""

from __future__ import annotations

import functools
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from pipelines.encode.local import channel
from pipelines.encode.local.channel import Channel, ChunkRead, Closed, Open, memory_file
from pipelines.encode.plan import Settings

QUIET = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
TO_CHILD, FROM_CHILD = get_args(channel.ToChild), get_args(channel.FromChild)
pack = msgspec.msgpack.Encoder().encode


@functools.cache
def example(kind: type) -> channel.Message:
    """The simplest message of a type."""
    if kind is Open:
        return Open("film.webm", settings=Settings(cq=12))
    made: channel.Message = msgspec.convert(simplest(inspect.type_info(kind)), kind)
    return made


def simplest(kind: inspect.Type) -> object:
    """The simplest value of a type, as plain data."""
    match kind:
        case inspect.StructType(array_like=True):
            return [simplest(field.type) for field in kind.fields]
        case inspect.StructType():
            plain = {field.encode_name: simplest(field.type) for field in kind.fields if field.required}
            return plain | ({kind.tag_field: kind.tag} if kind.tag_field else {})
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.UnionType():
            return simplest(kind.types[0])
        case inspect.TupleType():
            return [simplest(item) for item in kind.item_types]
        case inspect.ListType() | inspect.VarTupleType():
            return [simplest(kind.item_type)]
        case inspect.DictType():
            return {}
    of = {inspect.IntType: 1, inspect.FloatType: 0.5, inspect.StrType: "a", inspect.BytesType: "AAAA"}
    return of.get(type(kind), False)


@contextmanager
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The two ends of a channel."""
    both = [Channel(end) for end in socket.socketpair()]
    try:
        yield both[0], both[1]
    finally:
        for end in both:
            end.close()


@pytest.mark.parametrize("kind", TO_CHILD)
def test_what_the_runner_says_arrives(kind: type) -> None:
    with ends() as (runner, child):
        runner.send(example(kind))
        assert child.receive_as_child() == (example(kind), [])


def test_what_a_child_says_arrives() -> None:
    sent = [example(kind) for kind in FROM_CHILD] * 2
    received: list[channel.Message] = []
    with ends() as (runner, child):
        for message in sent:
            files = [memory_file(1)] if isinstance(message, ChunkRead) else []
            child.send(message, files)
            for file in files:
                os.close(file)
        while len(received) < len(sent):
            for message, files in runner.receive_as_runner():
                received.append(message)
                assert len(files) == isinstance(message, ChunkRead)
                for file in files:
                    os.close(file)
    assert received == sent


def sized(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with some bytes of it changed, its length right."""
    body = bytearray(pack(example(draw(st.sampled_from([*TO_CHILD, *FROM_CHILD])))))
    for _ in range(draw(st.integers(0, 3))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return sized(bytes(body))


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(sized), damaged()), st.booleans())
@settings(QUIET, max_examples=400)
def test_what_is_no_message_closes_the_channel(data: bytes, as_runner: bool) -> None:
    closed = False
    with ends() as (end, other):
        other.socket.sendall(data)
        other.close()
        for _ in range(60):
            with suppress(Closed):
                messages = end.receive_as_runner() if as_runner else [end.receive_as_child()]
                assert all(type(message) in (*TO_CHILD, *FROM_CHILD) for message, _ in messages)
                continue
            closed = True
            break
    assert closed


def test_a_chunk_without_its_raw_video_closes_the_channel() -> None:
    with ends() as (runner, child):
        child.socket.sendall(sized(pack(example(ChunkRead))))
        with pytest.raises(Closed):
            runner.receive_as_runner()


def test_settings_out_of_range_close_the_channel() -> None:
    with ends() as (runner, child):
        runner.socket.sendall(sized(pack(example(Open)).replace(b"\xa2cq\x0c", b"\xa2cq\x7f")))
        with pytest.raises(Closed):
            child.receive_as_child()


def test_a_length_alone_takes_no_memory() -> None:
    with ends() as (runner, child):
        child.socket.sendall(b"\xff\xff\xff\xff")
        assert runner.receive_as_runner() == []
        child.close()
        with pytest.raises(Closed):
            runner.receive_as_runner()
