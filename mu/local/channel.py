"""Frames over a Unix socket, and open files with them (SCM_RIGHTS)."""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Sequence

from mu.wire import CONTROL, COUNT, FILES, HEAD, LARGEST_FRAME

__all__ = ["Channel", "Closed"]

_READ = 1 << 16
_MOST_FILES = 200
"""With one call: the kernel takes up to 253."""
_ROOM = socket.CMSG_SPACE(253 * array.array("i").itemsize)


class Closed(Exception):
    """The other side is gone, or says what is no frame: then it is as good as gone."""


class Channel:
    """One end of a socket. A frame is a body and open files; those that come are the receiver's to close."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._buffer = bytearray(_READ)
        self._view = memoryview(self._buffer)
        self._bytes = bytearray()
        self._files: list[int] = []
        self._waiting: deque[tuple[memoryview, list[int]]] = deque()

    def send(self, body: bytes, files: Sequence[int] = ()) -> None:
        """Send a frame; waits until the other side takes it. Raises Closed."""
        try:
            for data, some in _parts(body, files):
                sent = _send(self.socket, data, some, 0)
                if sent < len(data):
                    self.socket.sendall(data[sent:])
        except OSError as error:
            raise Closed from error

    def post(self, body: bytes, files: Sequence[int] = ()) -> None:
        """Send a frame, without waiting: what the other side does not take now is kept for `flush`. Raises Closed."""
        for data, some in _parts(body, files):
            if not self._waiting:
                try:
                    sent = _send(self.socket, data, some, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    raise Closed from error
                if sent == len(data):
                    continue
                data, some = data[sent:], () if sent else some
            # Whoever posted it may close a file before its turn comes.
            self._waiting.append((data, [os.dup(file) for file in some]))

    @property
    def waiting(self) -> bool:
        """Whether something was posted that is not sent yet."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Send of what was posted as much as the other side takes now. Raises Closed."""
        while self._waiting:
            data, files = self._waiting[0]
            try:
                sent = _send(self.socket, data, files, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise Closed from error
            for file in files:
                os.close(file)
            if sent < len(data):
                self._waiting[0] = data[sent:], []
            else:
                self._waiting.popleft()

    def receive(self, *, wait: bool = True) -> list[tuple[bytes, list[int]]]:
        """Read what is there, and return the frames that are whole. Raises Closed."""
        try:
            size, ancillary, flags, _ = self.socket.recvmsg_into(
                [self._view], _ROOM, socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
            )
        except BlockingIOError:
            return []
        except OSError as error:
            raise Closed from error
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                files = array.array("i")
                files.frombytes(payload[: len(payload) - len(payload) % files.itemsize])
                self._files += files
        if not size or flags & socket.MSG_CTRUNC:
            raise Closed
        self._bytes += self._view[:size]
        frames = []
        start = 0
        while (end := self._end(start)) is not None:
            frames.append(self._frame(start + HEAD.size, end, self._bytes[start + HEAD.size - 1]))
            start = end
        if start:
            del self._bytes[:start]
        return frames

    def _end(self, start: int) -> int | None:
        """Where the frame that starts here ends, if it is whole."""
        if len(self._bytes) < start + HEAD.size:
            return None
        length, kind = HEAD.unpack_from(self._bytes, start)
        if not 1 <= length <= LARGEST_FRAME or kind not in (CONTROL, FILES):
            raise Closed
        end: int = start + HEAD.size - 1 + length
        return end if len(self._bytes) >= end else None

    def _frame(self, start: int, end: int, kind: int) -> tuple[bytes, list[int]]:
        if kind == CONTROL:
            return bytes(self._bytes[start:end]), []
        if end - start < COUNT.size:
            raise Closed
        (count,) = COUNT.unpack_from(self._bytes, start)
        if count > len(self._files):
            raise Closed
        files, self._files = self._files[:count], self._files[count:]
        return bytes(self._bytes[start + COUNT.size : end]), files

    def close(self) -> None:
        """Close the socket and every file that nobody took."""
        files = [*self._files, *(file for _, some in self._waiting for file in some)]
        self._files.clear()
        self._waiting.clear()
        for file in files:
            os.close(file)
        self.socket.close()


def _parts(body: bytes, files: Sequence[int]) -> list[tuple[memoryview, Sequence[int]]]:
    """A frame in as many parts as it takes to send the files: each needs a byte to go with."""
    if not files:
        return [(memoryview(HEAD.pack(len(body) + 1, CONTROL) + body), ())]
    data = memoryview(HEAD.pack(len(body) + 1 + COUNT.size, FILES) + COUNT.pack(len(files)) + body)
    parts: list[tuple[memoryview, Sequence[int]]] = []
    while len(files) > _MOST_FILES:
        parts.append((data[:1], files[:_MOST_FILES]))
        data, files = data[1:], files[_MOST_FILES:]
    return [*parts, (data, files)]


def _send(end: socket.socket, data: memoryview, files: Sequence[int], flags: int) -> int:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    return end.sendmsg([data], rights, flags)
