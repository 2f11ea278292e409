"""How the processes of a job talk: messages of plain data over a socket, and open files beside them.

A message is a length (4 bytes, big-endian) and a MessagePack of one of the types below; nothing is unpickled.
Raw pictures do not go through the socket: the reader puts them into memory without a name (memfd) and passes that on,
and uses it again for a later chunk. When the last process that holds it is gone, however it went, so is the memory.
"""

from __future__ import annotations

import array
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Sequence

import msgspec

from pipelines.encode.context import Stage
from pipelines.encode.plan import Chunk, Settings, Stretch
from pipelines.encode.record import Span
from pipelines.errors import PipelineError
from pipelines.media.source import Source


class Open(msgspec.Struct, tag=True, frozen=True):
    """Runner to reader: open this file and say what it is."""

    path: str
    settings: Settings


class ReadMore(msgspec.Struct, tag=True, frozen=True):
    """Runner to reader: read one more chunk."""

    done: list[int]
    """Chunks whose raw video nobody needs any more, so that its memory can serve again."""


class Opened(msgspec.Struct, tag=True, frozen=True):
    """Reader to runner: what the file is."""

    source: Source


class ChunkRead(msgspec.Struct, tag=True, frozen=True):
    """Reader to runner: the next chunk, its raw video beside it as an open file."""

    stretch: Stretch
    times: list[int]
    """When each of its frames (not the lead frame) is shown, in the source's time base."""
    durations: list[int]
    """For how long, 0 where the file does not say."""
    last: bool
    damaged: int
    """Concealed errors in the file so far."""
    cpu_s: float
    span: Span
    """When it was read."""


class Run(msgspec.Struct, tag=True, frozen=True):
    """Runner to worker: run the program for this chunk; its raw video is beside it as an open file."""

    chunk: Chunk
    raw_bytes: int
    """How much of that file is its raw video."""
    inputs: dict[str, bytes]
    """Its other inputs, by name."""


class Deliver(msgspec.Struct, tag=True, frozen=True):
    """Runner to worker: what it waits for."""

    payload: bytes


class Sent(msgspec.Struct, tag=True, frozen=True):
    """Worker to runner: a message for another worker."""

    name: str
    payload: bytes


class Waits(msgspec.Struct, tag=True, frozen=True):
    """Worker to runner: it cannot go on without this message."""

    name: str


class Stored(msgspec.Struct, tag=True, frozen=True):
    """Worker to runner: a result."""

    name: str
    payload: bytes


class Progressed(msgspec.Struct, tag=True, frozen=True):
    """Worker to runner: so many more frames went through a stage, and what that took."""

    stage: Stage
    frames: float
    cpu_s: float


class Finished(msgspec.Struct, tag=True, frozen=True):
    """Worker to runner: its program came to its end."""

    spans: list[Span]
    """When it was at what, in order."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Either to runner: it cannot go on. `kind` is the name of an error of `pipelines.errors`, or another's."""

    kind: str
    text: str


ToChild = Open | ReadMore | Run | Deliver
FromChild = Opened | ChunkRead | Sent | Waits | Stored | Progressed | Finished | Failed
Message = ToChild | FromChild

POPULATE: int = getattr(mmap, "MAP_POPULATE", 0)
"""For mmap: all pages at once, which is quicker than one by one."""

_NO_MESSAGE = (msgspec.DecodeError, UnicodeDecodeError, PipelineError)
"""What decoding raises: the last for settings that are out of range."""

_LENGTH = struct.Struct(">I")
_PIECE = 1 << 18
_encode = msgspec.msgpack.Encoder().encode
_decode_to_child = msgspec.msgpack.Decoder(ToChild).decode
_decode_from_child = msgspec.msgpack.Decoder(FromChild).decode


class Closed(Exception):
    """The other side is gone, or says what is no message: then it is as good as gone."""


class Channel:
    """One end of a socket. Files that come with a message are the receiver's to close."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._bytes = bytearray()
        self._files: list[int] = []

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Send a message; waits until the other side takes it. Raises Closed."""
        body = _encode(message)
        head = _LENGTH.pack(len(body))
        try:
            if files:
                socket.send_fds(self.socket, [head], files)
            else:
                self.socket.sendall(head)
            self.socket.sendall(body)
        except OSError as error:
            raise Closed from error

    def receive_as_child(self) -> tuple[ToChild, list[int]]:
        """Wait for the runner's next message. Raises Closed."""
        while (body := self._next()) is None:
            self._read()
        try:
            return _decode_to_child(body), self._take_files()
        except _NO_MESSAGE as error:
            raise Closed from error

    def receive_as_runner(self) -> list[tuple[FromChild, list[int]]]:
        """Read what is there, and return the messages that are whole. Raises Closed."""
        self._read()
        messages: list[tuple[FromChild, list[int]]] = []
        while (body := self._next()) is not None:
            try:
                message = _decode_from_child(body)
                # Only this message brings a file, and each brings one; they come in order.
                messages.append((message, [self._files.pop(0)] if isinstance(message, ChunkRead) else []))
            except (*_NO_MESSAGE, IndexError) as error:
                raise Closed from error
        return messages

    def close(self) -> None:
        """Close the socket and every file that nobody took."""
        for file in self._take_files():
            os.close(file)
        self.socket.close()

    def _read(self) -> None:
        files = array.array("i")
        try:
            data, ancillary, _, _ = self.socket.recvmsg(_PIECE, socket.CMSG_SPACE(8 * files.itemsize))
        except OSError as error:
            raise Closed from error
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                files.frombytes(payload[: len(payload) - len(payload) % files.itemsize])
        self._files += files
        if not data:
            raise Closed
        self._bytes += data

    def _next(self) -> bytes | None:
        if len(self._bytes) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[_LENGTH.size : end])
        del self._bytes[:end]
        return body

    def _take_files(self) -> list[int]:
        files, self._files = self._files, []
        return files


def memory_file(size: int) -> int:
    """A file in memory, or else on the disk, that has no name. Returns its descriptor."""
    try:
        file = os.memfd_create("fastslow")
    except (AttributeError, OSError):
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.truncate(file, size)
    return file
