"""A server that answers as the deployed classifier does, throttles, fails and breaks, as a test tells it to."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

LABELS = [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]
MODEL = {"name": "made-up", "version": "1", "sha256": "0" * 64}


@dataclass
class Told:
    """What the server is to answer: status, headers, body; a status of 0 breaks the connection."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def fine(labels: list[dict[str, Any]] | None = None) -> Told:
    """Labels."""
    return Told(body=json.dumps({"labels": labels or LABELS, "model": MODEL, "cold": False}).encode())


def problem(status: int, code: str, message: str = "so it is", **headers: str) -> Told:
    """A refusal."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Told(status, named, json.dumps({"error": {"code": code, "message": message}}).encode())


@dataclass
class Call:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """What runs: its address, the calls so far, the connections, and how many calls were there at once at most."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.at_once = self.most_at_once = 0
        self.url = ""
        self.lock = threading.Lock()


@contextmanager
def serving(tell: Callable[[Call, int], Told], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server on loopback, over `tls` if given; `tell` gets a call and its number, from 0, in several threads."""
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            with state.lock:
                state.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            call = Call(self.path, dict(self.headers), body)
            with state.lock:
                state.calls.append(call)
                number = len(state.calls) - 1
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            told = tell(call, number)
            with state.lock:
                state.at_once -= 1
            if not told.status:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            pass

    class Listening(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # whoever does not trust the certificate breaks the connection

    with Listening(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.url = f"http{'s' * (tls is not None)}://127.0.0.1:{server.server_port}/v1/frames"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
