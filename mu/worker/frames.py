"""Bytes from the coordinator to frames, however the bytes are split; no socket, and no memory beyond one frame."""

from __future__ import annotations

from collections.abc import Iterator

from mu.errors import ProtocolError
from mu.wire import CONTROL, HEAD, LARGEST_FRAME, PIECE, STREAM, ToWorker, decode_to_worker

__all__ = ["Frames", "Part"]


class Part:
    """Some bytes of a stream's payload; the memory is the caller's again when the next frame is asked for."""

    __slots__ = ("payload", "stream")

    def __init__(self, stream: int, payload: memoryview) -> None:
        self.stream, self.payload = stream, payload


class Frames:
    """Reads one connection's frames."""

    def __init__(self) -> None:
        self._begun = bytearray()
        """Of a head, or of a control message: what came of it."""
        self._left = 0
        """Bytes of the piece that are to come."""
        self._stream = 0

    def feed(self, data: memoryview) -> Iterator[ToWorker | Part]:
        """What came whole, and of pieces what came. Raises ProtocolError."""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                stop = min(end, at + self._left)
                self._left -= stop - at
                yield Part(self._stream, data[at:stop])
                at = stop
                continue
            wanted = self._wanted() - len(self._begun)
            self._begun += data[at : at + wanted]
            at += min(wanted, end - at)
            if len(self._begun) < self._wanted():
                continue  # for more, or for what the head has just said
            kind = self._begun[HEAD.size - 1]
            if kind == CONTROL:
                body = bytes(self._begun[HEAD.size :])
                self._begun.clear()
                yield decode_to_worker(body)
            else:
                length, _ = HEAD.unpack_from(self._begun)
                (self._stream,) = STREAM.unpack_from(self._begun, HEAD.size)
                self._left = length - 1 - STREAM.size
                self._begun.clear()

    def _wanted(self) -> int:
        """Bytes until something can be done."""
        if len(self._begun) < HEAD.size:
            return HEAD.size
        length, kind = HEAD.unpack_from(self._begun)
        if not 1 <= length <= LARGEST_FRAME:
            raise ProtocolError(f"the coordinator began a frame of {length} bytes; 1 to {LARGEST_FRAME} may be")
        if kind == CONTROL:
            return HEAD.size + int(length) - 1
        if kind != PIECE or length <= 1 + STREAM.size:
            raise ProtocolError(f"the coordinator began a frame of the kind {kind} with {length} bytes")
        return HEAD.size + STREAM.size
