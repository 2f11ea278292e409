"""Connections that mean harm: `python -m bench.mu_attack PORT SECONDS`, until SECONDS are over.

1,000 connections stay half open, half of them silent and half amid a handshake, renewed as they are cut; 10,000 a
second send what is no TLS and go. Standard output has the number of those, and of half-open ones that were cut.
"""

from __future__ import annotations

import socket
import sys
import time

__all__ = ["main"]

RATE = 10_000
HALF_OPEN = 1000
GARBAGE = b"GET / HTTP/1.1\r\nHost: coordinator\r\n\r\n".ljust(64)
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a handshake begins."""


def main() -> None:
    """Attack."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    held = [_half_open(port, number) for number in range(HALF_OPEN)]
    began = time.perf_counter()
    sent = cut = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        due = int(elapsed * RATE) - sent
        if due <= 0:
            time.sleep(0.0005)
            continue
        for _ in range(min(due, 200)):
            _garbage(port, sent)
            sent += 1
            number = sent % HALF_OPEN
            if _is_cut(held[number]):
                held[number].close()
                held[number] = _half_open(port, number)
                cut += 1
    print(sent, cut, flush=True)


def _connected(port: int, number: int) -> socket.socket:
    sock = socket.socket()
    sock.bind((f"127.0.1.{number % 200 + 1}", 0))  # an address alone has not ports enough
    sock.connect(("127.0.0.1", port))
    return sock


def _garbage(port: int, number: int) -> None:
    try:
        with _connected(port, number) as sock:
            sock.send(GARBAGE)
    except OSError:  # reset by the server, which is its right
        pass


def _half_open(port: int, number: int) -> socket.socket:
    sock = _connected(port, number)
    if number % 2:
        sock.send(HELLO)
    sock.setblocking(False)
    return sock


def _is_cut(sock: socket.socket) -> bool:
    try:
        return not sock.recv(100)
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    main()
