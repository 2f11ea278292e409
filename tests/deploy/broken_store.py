"""A store in front of the cloud's S3 that breaks as it is told, to put between functions and their models."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next reads of keys that have `where` in them.

    `status`: an error with that number; `cut`: half of the body, then no more; `slow`: half of it, and the rest after
    `seconds`; `other`: as many other bytes.
    """

    kind: Literal["status", "cut", "slow", "other"]
    where: str
    times: int = 1_000_000
    status: int = 500
    seconds: float = 0.0


class BrokenStore(http.server.ThreadingHTTPServer):
    """Hands reads on to the S3 of the cloud at `endpoint`; `reads` are the keys that were asked for, in order."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(endpoint).netloc
        self.reads: list[str] = []
        self._left: dict[Fault, int] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where functions find it."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def broken(self, *faults: Fault) -> Iterator[None]:
        """Break so, one fault after the other as each has happened its times, until the context ends."""
        with self._lock:
            self._left = {fault: fault.times for fault in faults}
        try:
            yield
        finally:
            with self._lock:
                self._left.clear()

    def asked(self, path: str) -> Fault | None:
        """Write the read down; what goes wrong with it."""
        with self._lock:
            self.reads.append(path)
            for fault, left in self._left.items():
                if left and fault.where in path:
                    self._left[fault] = left - 1
                    return fault
        return None

    def handle_error(self, *_: object) -> None:
        """Nothing: a function that has lost patience hangs up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: BrokenStore

    def do_GET(self) -> None:
        fault = self.server.asked(self.path)
        if fault and fault.kind == "status":
            self._answer(fault.status, {}, b"<Error><Code>InternalError</Code></Error>")
            return
        with closing(http.client.HTTPConnection(self.server.behind, timeout=30)) as behind:
            behind.request("GET", self.path, headers=dict(self.headers))
            given = behind.getresponse()
            body = given.read()
        headers = {"ETag": given.headers.get("ETag", "")}
        if fault and fault.kind == "other":
            body = bytes(len(body))
        if fault and fault.kind in ("cut", "slow"):
            half = len(body) // 2
            self._head(given.status, headers, len(body))
            self.wfile.write(body[:half])
            self.close_connection = True
            if fault.kind == "slow":
                time.sleep(fault.seconds)
                self.wfile.write(body[half:])
            return
        self._answer(given.status, headers, body)

    def _head(self, status: int, headers: dict[str, str], size: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._head(status, headers, len(body))
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def broken_store(endpoint: str) -> Iterator[BrokenStore]:
    """One that runs."""
    with BrokenStore(endpoint) as store:
        thread = threading.Thread(target=store.serve_forever, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            store.shutdown()
            thread.join()
