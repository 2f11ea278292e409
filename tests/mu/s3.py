"""S3 on this machine for what speaks HTTP: moto's, behind a server that checks bodies and fails as a test says."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.models import botocore_stubber

_HOST = "https://s3.us-east-1.amazonaws.com"
_DROPPED = {"host", "connection", "content-length", "transfer-encoding"}


class Server(http.server.BaseHTTPRequestHandler):
    """Does the next fault of the script to the next request whose method and path match, `GET: 503` for one."""

    protocol_version = "HTTP/1.1"
    faults: list[str]
    seen: list[str]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        fault = ""
        for position, line in enumerate(self.faults):
            pattern, _, what = line.partition(": ")
            if re.search(pattern, f"{self.command} {self.path}"):
                fault = what
                del self.faults[position]
                break
        if fault == "cut":
            self.close_connection = True
            return
        if fault.isdigit():
            self._say(int(fault), {}, b"<Error><Code>AsTheTestSays</Code></Error>")
            return
        if fault == "wrong upload":
            body = body[:-1] + b"?"
        if hashlib.sha256(body).hexdigest() != self.headers["x-amz-content-sha256"]:
            self._say(400, {}, b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
        asked = AWSPreparedRequest(self.command, _HOST + self.path, headers, body, stream_output=False)
        told = botocore_stubber.process_request(asked)
        assert told is not None
        status, answered, content = told
        content = content if isinstance(content, bytes) else str(content).encode()
        if fault == "other bytes" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if fault == "slow":
            time.sleep(1)
        if fault == "lost":
            self.close_connection = True
            return
        self._say(status, dict(answered), content, half=fault == "half")

    def _say(self, status: int, headers: dict[str, str], content: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        size = str(len(content))
        for name, value in headers.items():
            if name.lower() == "content-length":
                size = value if self.command == "HEAD" else size
            elif name.lower() not in _DROPPED:
                self.send_header(name, value)
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


for _method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
    setattr(Server, f"do_{_method}", Server._answer)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, bucket: str = "results") -> Iterator[type[Server]]:
    """Serve a bucket; the environment says where it is, and as whom to ask."""
    kind = type("Faulty", (Server,), {"faults": [], "seen": []})
    for name in ("AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        requests.put(f"{_HOST}/{bucket}", timeout=60).raise_for_status()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running.server_port}")
        running.daemon_threads = True
        running.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that do not wait for the answer
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kind
        finally:
            running.shutdown()
            thread.join()
