"""Bytes to frames and back, with as few copies and calls as may be; knows nothing of what frames mean.

Reading: small frames are parsed where TLS put them, in one buffer that all connections share (a read is over before the
next begins). Pieces go to where their message is kept, without a copy if nothing comes between. Writing: what is said
within one turn of the loop goes out in one write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from mu.errors import ProtocolError
from mu.wire import CONTROL, HEAD, LARGEST_FRAME, PIECE, STREAM, piece_head

__all__ = ["FrameProtocol", "Turn"]

_HEAD_OF_PIECE = HEAD.size + STREAM.size
SHARED_BYTES = 1 << 16
WRITE_AHEAD = 1 << 19
"""Bytes that are written to a connection before they are taken by the other side; then its messages wait."""


class Turn:
    """Calls things once, before the loop looks for new events; and holds the buffer of those who read meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.shared = memoryview(bytearray(SHARED_BYTES))
        self._calls: deque[Callable[[], None]] = deque()

    def later(self, call: Callable[[], None]) -> None:
        """Call this soon. Whoever asks twice is called twice."""
        if not self._calls:
            self.loop.call_soon(self._run)
        self._calls.append(call)

    def _run(self) -> None:
        calls, self._calls = self._calls, deque()
        try:
            while calls:
                calls.popleft()()
        finally:
            for call in calls:  # one failed: that is for the loop to tell, and no reason to forget the others
                self.later(call)


class FrameProtocol(asyncio.BufferedProtocol):
    """One connection's frames. Whoever derives from it says what they mean."""

    __slots__ = (
        "_left",
        "_need",
        "_out",
        "_rest",
        "_room",
        "_turn",
        "_unwritten",
        "bulk",
        "largest",
        "paused",
        "transport",
    )

    def __init__(self, turn: Turn) -> None:
        self.transport: asyncio.Transport | None = None
        self.largest = LARGEST_FRAME
        self.bulk = False
        """Whether pieces are to be expected: then no more is read than their heads, so that they need no copy."""
        self.paused = False
        """Whether the other side takes nothing more for now."""
        self._turn = turn
        self._out: list[bytes] = []
        self._unwritten = 0
        self._rest = bytearray()
        """The beginning of a frame that is not whole."""
        self._need = 0
        """Bytes of which `_rest` is the beginning, as far as that is known."""
        self._left = 0
        """Bytes of the current piece that are to come."""
        self._room: memoryview | None = None
        """Where they go."""

    # What frames mean.

    def control(self, body: memoryview) -> None:
        """A control message came. May raise ProtocolError."""
        raise NotImplementedError

    def piece(self, stream: int, size: int) -> None:
        """A piece begins. May raise ProtocolError."""
        raise NotImplementedError

    def room(self) -> memoryview:
        """Where the next bytes of the piece go; not empty."""
        raise NotImplementedError

    def filled(self, size: int) -> None:
        """So many bytes were put there."""
        raise NotImplementedError

    def broke(self, error: ProtocolError) -> None:
        """The other side sent what has no meaning. Nothing that it says later is looked at."""
        raise NotImplementedError

    def writable(self) -> None:
        """The other side takes more again."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.transport = None

    def pause_writing(self) -> None:
        """The other side is slow."""
        self.paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.paused = False
        self.writable()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._left:
            if self._room is None:
                self._room = self.room()[: self._left]
            return self._room
        if self.bulk:
            return self._turn.shared[: max(_HEAD_OF_PIECE, self._need) - len(self._rest)]
        return self._turn.shared

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self.transport is None:
            return
        try:
            if self._room is not None:
                room = self._room[nbytes:]
                self._room = room if len(room) else None
                self._left -= nbytes
                self.filled(nbytes)
            else:
                self._feed(self._turn.shared[:nbytes])
        except ProtocolError as error:
            self.broke(error)

    def _feed(self, data: memoryview) -> None:
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return
            data = memoryview(bytes(rest))
            rest.clear()
        at, end = 0, len(data)
        need = HEAD.size
        while end - at >= HEAD.size:
            length, kind = HEAD.unpack_from(data, at)
            if not 1 <= length <= self.largest:
                raise ProtocolError(f"a frame of {length} bytes; 1 to {self.largest} may be")
            if kind == CONTROL:
                stop = at + 4 + length
                if stop > end:
                    need = 4 + length
                    break
                self.control(data[at + HEAD.size : stop])
                at = stop
                if self.transport is None:
                    return
            elif kind == PIECE:
                if end - at < _HEAD_OF_PIECE:
                    need = _HEAD_OF_PIECE
                    break
                size = length - 1 - STREAM.size
                if size <= 0:
                    raise ProtocolError("a piece without a byte")
                self.piece(STREAM.unpack_from(data, at + HEAD.size)[0], size)
                at = self._take(data, at + _HEAD_OF_PIECE, size)
                if self._left:
                    return
            else:
                raise ProtocolError(f"a frame of the kind {kind}")
        self._need = need
        rest += data[at:]

    def _take(self, data: memoryview, at: int, size: int) -> int:
        """Copy what is there of a piece; returns where it ends."""
        end = min(len(data), at + size)
        self._left = size
        while at < end:
            room = self.room()
            count = min(len(room), end - at)
            room[:count] = data[at : at + count]
            at += count
            self._left -= count
            self.filled(count)
        return at

    # Writing

    def send(self, frame: bytes) -> None:
        """Say something, with all else that is said in this turn."""
        if not self._out:
            self._turn.later(self.flush)
        self._out.append(frame)
        self._unwritten += len(frame)
        if self._unwritten > WRITE_AHEAD:
            self.flush()

    def flush(self) -> None:
        """Write what was said."""
        out = self._out
        if out:
            if self.transport is not None:
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._unwritten = 0

    def send_piece(self, stream: int, payload: memoryview | bytes) -> None:
        """Write a piece at once. TLS has taken the bytes when this returns, so their memory may change then."""
        self._out.append(piece_head(stream, len(payload)))
        self.flush()
        if self.transport is not None:
            self.transport.write(payload)
