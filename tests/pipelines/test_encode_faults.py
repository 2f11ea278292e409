"""Encoding while workers are killed: the same bytes come out, however often that happens."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.encode import reading
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from tests.pipelines import clips

KILLS = 50
SETTINGS = Settings(4, 3, 40, 5)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_fork_server(pid: int) -> bool:
    """There may be other children: Node, once a test has loaded CDK."""
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "mu forkserver\n"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Killer:
    """Kills the workers of this process at random moments, one after the other."""

    def __init__(self, kills: int) -> None:
        self.left = kills
        self._random = random.Random(5)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        while self.left and not self._over.wait(self._random.uniform(0, 0.12)):
            servers = filter(is_fork_server, children(os.getpid()))
            workers = [worker for server in servers for worker in children(server)]
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(workers), signal.SIGKILL)
                    self.left -= 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_fifty_workers_killed_at_random_moments_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = reading.limits
    monkeypatch.setattr("pipelines.encode.job.limits", lambda workers: usual(workers, tries=100))
    source = clips.make(tmp_path / "in.mp4", frames=60, size=(64, 48))
    target = tmp_path / "out.webm"

    def encode() -> tuple[bytes, dict[str, float]]:
        seen: list[dict[str, float]] = []
        watch: Any = lambda progress: seen.append(dict(progress.done))  # noqa: E731
        encode_file(str(source), str(target), SETTINGS, workers=2, overwrite=True, watch=watch)
        return target.read_bytes(), seen[-1]

    expected, done = encode()
    began = time.monotonic()
    with Killer(KILLS) as killer:
        while killer.left:
            made, counted = encode()
            assert made == expected
            assert counted == pytest.approx(done), "what is done again is not counted twice"
            assert time.monotonic() < began + 100
