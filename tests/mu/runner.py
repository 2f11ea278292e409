"""The service as a process that is killed and started again, and how its jobs stand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mu import Job
from mu.service.requests import Run, encode_job, encode_request, job_key, status_key
from tests.mu.folder_cloud import ROOT, FolderCloud

__all__ = ["Runner", "results", "status", "submit", "until"]


def submit(cloud: FolderCloud, job: Job) -> None:
    """Ask for a job."""
    cloud.write(job_key(job.id), encode_job(job))
    cloud.send(encode_request(Run(job.id)))


def status(cloud: FolderCloud, job: Job) -> dict[str, Any]:
    """How it stands; empty as long as nobody has said so."""
    return dict(json.loads(cloud.read(status_key(job.id)) or b"{}"))


def results(cloud: FolderCloud, job: Job) -> dict[str, bytes]:
    """What it has stored, by name."""
    prefix = f"jobs/{job.id}/store/"
    return {key.removeprefix(prefix): cloud.read(key) or b"" for key in cloud.keys(prefix)}


def until(holds: Callable[[], bool], patience: float = 120.0) -> None:
    """Wait; the limit is for a machine that does much else."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.02)


class Runner:
    """The service as a process that can be killed, on a cloud of files; its workers outlive it."""

    def __init__(
        self, folder: Path, worker: str = "mu.worker", environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder, self.cloud = folder, FolderCloud(folder)
        self._worker, self._environment = worker, {**os.environ, **environment}
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]  # workers come back to the same one
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, for the first time or again."""
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.mu.folder_cloud", str(self.folder), str(self.port), self._worker],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal that ends it, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of workers that run."""
        path = self.folder / "pids"
        found = []
        for line in path.read_text().split() if path.exists() else []:
            with suppress(OSError):
                if self._worker.encode() in Path(f"/proc/{line}/cmdline").read_bytes():
                    found.append(int(line))
        return found

    def close(self) -> None:
        """Leave no process behind."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
