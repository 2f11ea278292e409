"""What workers and the coordinator say to each other, and how it is framed.

A frame is a length (4 bytes, big-endian, of what follows), a kind (1 byte) and a body:

    kind 0   control: a MessagePack of one of the types below
    kind 1   a piece: the number of a stream (4 bytes, big-endian) and bytes of its payload
    kind 2   control with open files, on one machine: how many (2 bytes, big-endian), and a MessagePack as in kind 0

A stream is one message on its way from or to a worker: a `Send` or `Deliver`, its pieces, a `Sent` or `Delivered`.
Numbers of streams are the sender's to choose, rising; a small payload comes in one piece with its beginning and end.
The same frames go over TLS to workers elsewhere and over a Unix socket to workers on this machine, where open files
(SCM_RIGHTS) stand in for pieces and for the store: a `Send` or `Deliver` without payload has one.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec
from msgspec import Meta

from mu.errors import ProtocolError
from mu.job import Name, Task

__all__ = [
    "CONTROL",
    "COUNT",
    "FILES",
    "HEAD",
    "LARGEST_FRAME",
    "LARGEST_MESSAGE",
    "PIECE",
    "PIECE_BYTES",
    "STREAM",
    "UNKNOWN",
    "VERSION",
    "Accepted",
    "Add",
    "Alive",
    "Assigned",
    "Deliver",
    "Delivered",
    "Done",
    "Failed",
    "Freed",
    "FromWorker",
    "Given",
    "Goodbye",
    "Hello",
    "Invitation",
    "Leaving",
    "Progressed",
    "Retracted",
    "Room",
    "Send",
    "Sent",
    "Span",
    "Stored",
    "ToWorker",
    "Waiting",
    "Welcome",
    "decode_from_worker",
    "decode_to_worker",
    "encode",
    "frame",
    "piece_head",
    "server_name",
]

VERSION = 2
HEAD = struct.Struct(">IB")
"""Length and kind."""
STREAM = struct.Struct(">I")
COUNT = struct.Struct(">H")
"""Of open files."""
CONTROL, PIECE, FILES = 0, 1, 2
PIECE_BYTES = 1 << 18
"""Of payload in a piece: the best rate beside small messages that must not wait."""
LARGEST_FRAME = 1 << 20
LARGEST_MESSAGE = 1 << 31
"""Bytes of a message's payload."""

Stream = Annotated[int, Meta(ge=0, lt=1 << 32)]
Size = Annotated[int, Meta(ge=0, le=LARGEST_MESSAGE)]
Digest = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""BLAKE2b of 16 bytes: tells whether two runs did the same, and whether bytes came whole."""
UNKNOWN = bytes(16)
"""Stands for a digest that the receiver computes if it comes to need it."""
Text = Annotated[str, Meta(max_length=4096)]
Long = Annotated[str, Meta(max_length=65536)]


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A time that a program spent on one thing; seconds since its run began, on the worker's clock."""

    stage: Annotated[str, Meta(max_length=40)]
    began: float
    ended: float


# From workers.


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first frame: who I am. A worker that comes back to its run says which that is."""

    version: int
    job: Annotated[str, Meta(max_length=100)]
    worker: Annotated[int, Meta(ge=0)]
    token: Annotated[str, Meta(max_length=400)]
    run: int | None = None
    task: Name | None = None
    about: Text = ""
    """Machine, process and program: for the logs."""


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """Nothing to say."""


class Send(msgspec.Struct, frozen=True, tag="send"):
    """A message begins; `payload` holds it whole if it is small."""

    stream: Stream
    receiver: Name
    name: Name
    size: Size
    payload: Annotated[bytes, Meta(max_length=PIECE_BYTES)] | None = None
    digest: Digest | None = None
    stored: bool = False
    """It lies in the job's store (`mu.store.messages`): no pieces come, and this is all that is said of it."""


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """All pieces of a stream are said."""

    stream: Stream
    digest: Digest


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """The program cannot go on without this message."""

    sender: Name
    name: Name


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """An object is in the store. On one machine that may be the coordinator's memory: the object comes with this, in
    `payload` if it is small, else in an open file."""

    name: Name
    size: Annotated[int, Meta(ge=0)]
    digest: Digest
    """Or UNKNOWN, of an open file."""
    payload: Annotated[bytes, Meta(max_length=PIECE_BYTES)] | None = None


class Add(msgspec.Struct, frozen=True, tag="add"):
    """More tasks; the program waits for Room."""

    tasks: Annotated[tuple[Task, ...], Meta(max_length=10_000)]


class Progressed(msgspec.Struct, frozen=True, tag="progressed"):
    """So much more went through a stage, and what that took."""

    stage: Annotated[str, Meta(max_length=40)]
    done: float
    total: float | None
    cpu_s: float
    spans: Annotated[tuple[Span, ...], Meta(max_length=1000)] = ()


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The program came to its end; all that it sent and stored was said before."""

    spans: Annotated[tuple[Span, ...], Meta(max_length=10_000)] = ()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The program raised."""

    kind: Text
    text: Text
    traceback: Long = ""
    again: bool = False


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """I end here and will not come back; what I was at is for another. That is a lost try, no failure."""

    reason: Text = ""


FromWorker = Hello | Alive | Send | Sent | Waiting | Stored | Add | Progressed | Done | Failed | Leaving

# To workers.


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """You are in. Say something at least this often."""

    alive_s: float
    forget: bool = False
    """Whether all was heard of the run that Hello named: nothing of it is to be said again, another task comes."""


class Given(msgspec.Struct, frozen=True, array_like=True):
    """An object, or several one after the other, in an open file."""

    name: Name
    file: Annotated[int, Meta(ge=0)]
    """Which of those that come with the message."""
    start: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(ge=0)]


class Assigned(msgspec.Struct, frozen=True, tag="assigned"):
    """Run this."""

    run: int
    task: Task
    given: tuple[Given, ...] = ()
    """What it fetches, where the store is the coordinator's memory."""
    now: float | None = None
    """When that is on the clock that the processes of one machine share: its spans count from then."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """Streams up to this one are kept: there is no need to say them again after a broken connection."""

    stream: Stream


class Deliver(msgspec.Struct, frozen=True, tag="deliver"):
    """The message that is waited for begins; `payload` holds it whole if it is small."""

    stream: Stream
    sender: Name
    name: Name
    size: Size
    payload: Annotated[bytes, Meta(max_length=PIECE_BYTES)] | None = None
    stored: Digest | None = None
    """The digest of a message that is to be read from the job's store: no pieces come."""


class Delivered(msgspec.Struct, frozen=True, tag="delivered"):
    """All pieces of a stream are said."""

    stream: Stream
    digest: Digest


class Retracted(msgspec.Struct, frozen=True, tag="retracted"):
    """What came of this stream is void; the message comes again in another."""

    stream: Stream


class Room(msgspec.Struct, frozen=True, tag="room"):
    """Go on adding."""


class Freed(msgspec.Struct, frozen=True, tag="freed"):
    """Nobody reads this object of yours any more: its memory can serve again. On one machine only."""

    name: Name


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """There is nothing to do for you any more, or what you do is not wanted."""

    reason: Text = ""


ToWorker = Welcome | Assigned | Accepted | Deliver | Delivered | Retracted | Room | Freed | Goodbye

# To whoever starts a worker elsewhere, and by that to the worker: as JSON on its standard input, or in its event.


class Invitation(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a worker needs to know to come. The token is secret."""

    address: Annotated[str, Meta(pattern=r"^.+:\d{1,5}\Z", max_length=300)]
    """`host:port` of the coordinator."""
    job: Annotated[str, Meta(max_length=100)]
    worker: Annotated[int, Meta(ge=0)]
    token: Annotated[str, Meta(max_length=400)]
    ca: Annotated[str, Meta(max_length=16384)]
    """The certificate (PEM) that signed the coordinator's, which is for `server_name(job)`: trust nothing else."""
    store: Annotated[str, Meta(max_length=1000)] = ""
    """Where the job's objects are: an address for `mu.store.open_store`."""
    code: Annotated[str, Meta(pattern=r"^(.+/[0-9a-f]{64})?\Z", max_length=1000)] = ""
    """Where the job's own modules are (`mu.code`): an address, the last part of which is their digest."""

    def __repr__(self) -> str:
        return f"Invitation({self.address!r}, {self.job!r}, {self.worker!r})"


encode = msgspec.msgpack.Encoder().encode
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def decode_from_worker(body: bytes | bytearray | memoryview) -> FromWorker:
    """A control frame's body, whose memory may change afterwards. Raises ProtocolError."""
    try:
        word = _from_worker.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a worker said what is no message: {error}") from error
    if isinstance(word, Add):  # arguments are views of the body
        return Add(tuple(msgspec.structs.replace(task, argument=task.argument.copy()) for task in word.tasks))
    return word


def decode_to_worker(body: bytes | bytearray | memoryview) -> ToWorker:
    """A control frame's body. Raises ProtocolError."""
    try:
        return _to_worker.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the coordinator said what is no message: {error}") from error


def frame(message: FromWorker | ToWorker) -> bytes:
    """A control message as a frame."""
    body = encode(message)
    return HEAD.pack(len(body) + 1, CONTROL) + body


def piece_head(stream: int, size: int) -> bytes:
    """What goes before `size` bytes of a stream's payload."""
    return HEAD.pack(size + 1 + STREAM.size, PIECE) + STREAM.pack(stream)


def server_name(job: str) -> str:
    """What a job's coordinator is called in its certificate, and by workers when they begin TLS: one label of DNS."""
    return job.replace(".", "-")
