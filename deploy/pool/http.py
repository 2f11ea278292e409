"""As much of HTTP/1.1 as ministack and awslambdaric speak, over asyncio's streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MOST_BYTES = 64 << 20
"""Of one body: well over what Lambda takes, so that a call that is too large is refused by its name."""


class BadRequest(ValueError):
    """What came is not a request that is understood."""


@dataclass(frozen=True)
class Request:
    """A request; the names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An answer, of JSON unless its headers say other."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Response]]


async def listen(answer: Answer, *, port: int = 0) -> asyncio.Server:
    """Serve on loopback; port 0 is any. A connection is kept, and ends at the first request that is not understood."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                _write(writer, await answer(request))
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (BadRequest, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequest("the head is too long") from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    parts = first.split(" ")
    if len(parts) != 3:
        raise BadRequest(f"{first!r} is no request line")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Request(parts[0], parts[1], headers, await _chunks(reader))
    size = headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > MOST_BYTES:
        raise BadRequest(f"a body of {size} bytes")
    return Request(parts[0], parts[1], headers, await reader.readexactly(int(size)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readline()
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise BadRequest(f"{line!r} is no size of a chunk") from None
        if size < 0 or len(body) + size > MOST_BYTES:
            raise BadRequest("the chunks are too many")
        body += await reader.readexactly(size)
        await reader.readline()
        if not size:
            return bytes(body)


def _write(writer: asyncio.StreamWriter, response: Response) -> None:
    headers = {"Content-Type": "application/json", **dict(response.headers), "Content-Length": str(len(response.body))}
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + response.body)
