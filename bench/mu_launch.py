"""What starting a worker costs the coordinator: `python -m bench.mu_launch`.

Asynchronous calls of a function, answered by a server in another process on loopback: through the launcher's own
client (boto3's credentials and signature over kept connections), and through boto3's. Processor time of this process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from bench.paired import Spread
from bench.table import Row, show

ROUNDS = 5
CALLS = 300
EVENT = b'{"token": "' + b"x" * 1200 + b'"}'
SERVER = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            length = 0
            while (line := self.rfile.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 0\\r\\n\\r\\n")
socketserver.ThreadingTCPServer.daemon_threads = True
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


def rows() -> Iterator[Row]:
    """Both clients in turn."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            socket.create_connection(("127.0.0.1", port)).close()
            given = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1"}
            os.environ.update(given, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
            yield from _rows()
        finally:
            server.kill()


def _rows() -> Iterator[Row]:
    import boto3

    from mu.service.launcher import invoker

    ours = invoker()
    peer = boto3.client("lambda", region_name="us-east-1")

    def by_boto3(function: str, event: bytes) -> object:
        return peer.invoke(FunctionName=function, InvocationType="Event", Payload=event)

    taken: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for which, call in zip(taken, (ours, by_boto3), strict=True):
            which.append(_milliseconds(call))
    mine, theirs = (Spread.of(each[1:]) for each in taken)
    yield Row("processor time to start a worker", mine.text(), mine.median, more_is_better=False, unit=" ms")
    yield Row("... by boto3's client", theirs.text(), theirs.median, more_is_better=False, unit=" ms")


def _milliseconds(call: Callable[[str, bytes], object]) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        call("fastslow-worker-0", EVENT)
    return 1000 * (time.process_time() - began) / CALLS


if __name__ == "__main__":
    show("Starting workers", rows())
