"""What a worker's connection costs it beside a bare TLS socket: `python -m bench mu_worker`.

Ten megabytes a message, as the states of 4K are. The other side is another process, with plain blocking sockets.
"""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import time
from collections.abc import Callable, Iterator

from bench.paired import Spread
from bench.table import Row
from mu.digest import digest
from mu.job import Edge, Task
from mu.server import JobKeys
from mu.wire import (
    CONTROL,
    HEAD,
    PIECE_BYTES,
    Accepted,
    Assigned,
    Deliver,
    Delivered,
    Done,
    Goodbye,
    Invitation,
    Sent,
    ToWorker,
    Waiting,
    Welcome,
    decode_from_worker,
    frame,
    piece_head,
    server_name,
)
from mu.worker.line import Line

JOB, SIZE, COUNT, ROUNDS = "bench-0123456789abcdef", 10_000_000, 20, 7
PAYLOAD = memoryview(bytes(range(250)) * (SIZE // 250)).toreadonly()
SENDS = tuple(Edge("after", f"m{number}") for number in range(COUNT))
RECEIVES = tuple(Edge("before", f"m{number}") for number in range(COUNT))
GB = SIZE * COUNT / 1e9


def rows() -> Iterator[Row]:
    """Processor time a gigabyte, of the worker's process alone."""
    keys = JobKeys.make(JOB)
    for what, ours, bare in (("sends", _line_sends, _bare_sends), ("receives", _line_receives, _bare_receives)):
        taken: dict[str, list[float]] = {"ours": [], "bare": []}
        for number in range(ROUNDS + 1):
            for name, side in (("ours", ours), ("bare", bare)):
                seconds = _beside(keys, side) / GB
                if number:
                    taken[name].append(seconds)
        spread = Spread.of(taken["ours"])
        yield Row(f"a worker {what} 10 MB messages, digests included", spread.text(), spread.median, unit=" CPU s/GB")
        ratio = Spread.of([one / other for one, other in zip(taken["ours"], taken["bare"], strict=True)])
        yield Row("- against the same bytes by a bare TLS socket", ratio.text(), ratio.median, unit=" times")


def _beside(keys: JobKeys, side: Callable[[Invitation], float]) -> float:
    """Processor seconds of one side, while another process plays the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = Invitation(f"127.0.0.1:{listener.getsockname()[1]}", JOB, 1, "token", keys.authority)
        other = multiprocessing.get_context("fork").Process(target=_other, args=(listener, keys, side))
        other.start()
        seconds = side(here)
        other.join()
    return seconds


def _line_sends(here: Invitation) -> float:
    line = Line(here)
    line.next_task()
    began = time.process_time()
    for edge in SENDS:
        line.send(edge.task, edge.name, PAYLOAD)
    return _over(line, began)


def _line_receives(here: Invitation) -> float:
    line = Line(here)
    line.next_task()
    began = time.process_time()
    for edge in RECEIVES:
        line.receive(edge)
    return _over(line, began)


def _over(line: Line, began: float) -> float:
    line.over(Done())
    line.next_task()
    seconds = time.process_time() - began
    line.close()
    return seconds


def _bare_sends(here: Invitation) -> float:
    with _connected(here) as connection:
        began = time.process_time()
        for _ in range(COUNT):
            for at in range(0, SIZE, PIECE_BYTES):
                connection.sendall(PAYLOAD[at : at + PIECE_BYTES])
        connection.recv(1)
        return time.process_time() - began


def _bare_receives(here: Invitation) -> float:
    with _connected(here) as connection:
        began, left, memory = time.process_time(), SIZE * COUNT, bytearray(PIECE_BYTES)
        while left:
            left -= connection.recv_into(memory)
        return time.process_time() - began


def _connected(here: Invitation) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=here.ca)
    host, _, port = here.address.partition(":")
    return context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=server_name(JOB))


def _other(listener: socket.socket, keys: JobKeys, side: Callable[[Invitation], float]) -> None:
    """The process at the other end of `side`."""
    raw, _ = listener.accept()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with keys.context().wrap_socket(raw, server_side=True) as connection, connection.makefile("rb") as file:

        def say(*words: ToWorker) -> None:
            connection.sendall(b"".join(frame(word) for word in words))

        def wait(kind: type) -> None:
            while True:
                length, which = HEAD.unpack(file.read(HEAD.size))
                body = file.read(length - 1)
                if which == CONTROL and isinstance(word := decode_from_worker(body), kind | Sent):
                    if isinstance(word, Sent):
                        say(Accepted(word.stream))
                    if isinstance(word, kind):
                        return

        if side is _bare_sends:
            left = SIZE * COUNT
            while left:
                left -= len(file.read(min(left, PIECE_BYTES)))
            connection.sendall(b"!")
        elif side is _bare_receives:
            for _ in range(COUNT):
                connection.sendall(PAYLOAD)
        else:
            say(Welcome(60.0), Assigned(1, Task("it", "m:f", sends=SENDS, receives=RECEIVES)))
            if side is _line_receives:
                found = digest(PAYLOAD)
                for number, edge in enumerate(RECEIVES):
                    wait(Waiting)
                    say(Deliver(number, edge.task, edge.name, SIZE))
                    for at in range(0, SIZE, PIECE_BYTES):
                        piece = PAYLOAD[at : at + PIECE_BYTES]
                        connection.sendall(piece_head(number, len(piece)))
                        connection.sendall(piece)
                    say(Delivered(number, found))
            wait(Done)
            say(Goodbye())
