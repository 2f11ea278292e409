"""A cloud of files: what `mu.service.cloud.Cloud` asks of AWS, from a folder; and a service on it as a process.

python -m tests.mu.folder_cloud FOLDER PORT [WORKER]     runs until it is ended; workers are processes of this machine,
                                                         of the module mu.worker or another
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import uvloop

from mu.errors import BackendError
from mu.server import Server
from mu.service.cloud import Message
from mu.service.launcher import Answer, Lambda
from mu.service.service import Service
from mu.service.settings import Settings
from mu.store.folder import FolderStore

PRICES = "worker_s=0.1,launched=1,wall_s=0.001,objects=100,message_bytes=0.000001"
ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 4
"""Workers at a time."""


class FolderCloud:
    """Objects and messages as files. Files whose names are in `broken` cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.objects, self.queue, self.refused = (folder / name for name in ("objects", "queue", "refused"))
        for each in (self.objects, self.queue, self.refused):
            each.mkdir(parents=True, exist_ok=True)
        self.broken: set[str] = set()
        self.writes: list[str] = []

    def url(self, key: str) -> str:
        return str(self.objects / key)

    def read(self, key: str) -> bytes | None:
        try:
            return (self.objects / key).read_bytes()
        except FileNotFoundError:
            return None

    def part(self, key: str, start: int, stop: int) -> bytes:
        if (whole := self.read(key)) is None:
            raise BackendError(f"{key} is not there")
        return whole[start:stop]

    def folders(self, prefix: str) -> list[str]:
        keys = (key.removeprefix(prefix) for key in self.keys(prefix))
        return sorted({key.partition("/")[0] for key in keys if "/" in key})

    def write(self, key: str, body: bytes, kind: str = "") -> None:
        if any(part in key for part in self.broken):
            raise BackendError(f"{key} cannot be written")
        self.writes.append(key)
        path = self.objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{uuid.uuid4().hex}")
        beside.write_bytes(body)
        beside.replace(path)

    def delete(self, key: str) -> None:
        (self.objects / key).unlink(missing_ok=True)

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    def keys(self, prefix: str) -> list[str]:
        found = (path for path in self.objects.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(key for path in found if (key := str(path.relative_to(self.objects))).startswith(prefix))

    def store(self, prefix: str) -> FolderStore:
        return FolderStore(self.objects / prefix)

    def ask(self, body: str) -> None:
        self.send(body)

    def send(self, body: str) -> None:
        beside = self.queue / f".{uuid.uuid4().hex}"
        beside.write_text(body)
        beside.replace(self.queue / f"{time.time_ns()}")

    def messages(self) -> list[Message]:
        for _ in range(20):
            names = sorted(path.name for path in self.queue.iterdir() if not path.name.startswith("."))
            if names:
                return [Message((self.queue / name).read_text(), name, int(name) / 1e9) for name in names]
            time.sleep(0.02)
        return []

    def done(self, message: Message) -> None:
        (self.queue / message.receipt).unlink(missing_ok=True)

    def refuse(self, message: Message, reason: str) -> None:
        (self.refused / message.receipt).write_text(f"{reason}\n{message.body}")
        self.done(message)


class Processes:
    """Lambda as processes of this machine; their numbers are in a file, for whoever wants to kill one."""

    def __init__(self, folder: Path, worker: str = "mu.worker") -> None:
        self._folder, self._worker = folder, worker
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def invoke(self, function: str, event: bytes) -> Answer:
        with self._lock:
            self._running = [each for each in self._running if each.poll() is None]  # and no zombie is left
        log = (self._folder / "workers.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", self._worker], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT
            )
        assert process.stdin is not None
        process.stdin.write(event)
        process.stdin.close()
        with self._lock:
            self._running.append(process)
        with (self._folder / "pids").open("a") as pids:
            pids.write(f"{process.pid}\n")
        return Answer(202, "")

    def end(self) -> None:
        """Wait until all have left; end who does not."""
        for each in self._running:
            try:
                each.wait(20)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


async def serve(folder: Path, port: int, over: asyncio.Event, *, worker: str = "mu.worker") -> Processes:
    """A service on the folder, until `over` is set; its workers, which may still be there."""
    settings = Settings(
        queue="q", refused_queue="r", results_bucket="b", workers="w", state=str(folder / "state"), prices=PRICES
    )
    processes = Processes(folder, worker)
    workers = Lambda(["w"], processes.invoke)
    async with Server("127.0.0.1", port) as server:
        await Service(settings, FolderCloud(folder), server, workers, CONCURRENCY).run(over)  # type: ignore[arg-type]
    return processes


async def _main() -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await serve(Path(sys.argv[1]), int(sys.argv[2]), over, worker=(*sys.argv[3:], "mu.worker")[0])


if __name__ == "__main__":
    uvloop.run(_main())
    os._exit(0)
