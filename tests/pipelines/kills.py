"""`fastslow encode` while its workers are killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from pipelines.encode import reading
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings

__all__ = ["Encoded", "Killer", "encode_while_workers_are_killed", "workers"]

_ATTEMPTS = 8


class Encoded(NamedTuple):
    """A film, without kills or with them."""

    data: bytes
    done: dict[str, float]
    """Frames by stage, as told at the end."""
    wall_s: float


def encode_while_workers_are_killed(
    folder: Path, film: Path, settings: Settings, kills: int
) -> tuple[Encoded, Encoded]:
    """Encode a film in peace, and once more while so many workers are killed, all in that one job."""

    def encode() -> Encoded:
        seen: list[dict[str, float]] = []
        watch: Any = lambda progress: seen.append(dict(progress.done))  # noqa: E731
        target, began = folder / "made.webm", time.monotonic()
        encode_file(str(film), str(target), settings, workers=2, overwrite=True, watch=watch)
        return Encoded(target.read_bytes(), seen[-1], time.monotonic() - began)

    usual = reading.limits
    with patch("pipelines.encode.job.limits", lambda workers: usual(workers, tries=2 * kills)):
        plain = encode()
        pause_s = plain.wall_s / kills
        for _ in range(_ATTEMPTS):
            with Killer(kills, pause_s) as killer:
                made = encode()
            if not killer.left:
                return plain, made
            pause_s /= 2  # it was done sooner
    raise AssertionError(f"{killer.left} of {kills} workers lived on")


class Killer:
    """Kills so many workers of this process, one after the other, each after up to `pause_s` seconds."""

    def __init__(self, kills: int, pause_s: float) -> None:
        self.left, self._pause_s = kills, pause_s
        self._random = random.Random(5)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        while self.left and not self._over.wait(self._random.uniform(0, self._pause_s)):
            if there := workers():
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(there), signal.SIGKILL)
                    self.left -= 1


def workers() -> list[int]:
    """The processes that are workers of this one."""
    servers = filter(_is_fork_server, _children(os.getpid()))
    return [worker for server in servers for worker in _children(server)]


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_fork_server(pid: int) -> bool:
    """There may be other children: Node, once a test has loaded CDK."""
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "mu forkserver\n"
    except (FileNotFoundError, ProcessLookupError):
        return False
