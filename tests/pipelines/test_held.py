"""Chunks that are done wait for one that is not, and take no more memory than they may."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.encode import reading
from pipelines.encode.held import Held
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.errors import OutputError
from tests.pipelines import clips
from tests.pipelines.kills import workers


def test_what_is_put_is_taken_whether_it_was_in_memory_or_not() -> None:
    payloads = {f"{number}": os.urandom(number * 100) for number in range(20)}
    with Held(5000) as held:
        for name, payload in payloads.items():
            held.put(name, memoryview(payload))
            assert held.memory <= 5000
        for name in sorted(payloads, reverse=True):
            assert name in held
            assert held.take(name) == payloads[name]
            assert name not in held
        assert held.memory == 0
        held.put("again", memoryview(bytes(6000)))
        assert held.take("again") == bytes(6000)
        with pytest.raises(KeyError):
            held.take("again")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Path("/dev/full").open("r+b", buffering=0))  # noqa: SIM115
    with Held(0) as held:
        held._there["one"] = 0, 0  # a device cannot be cut off
        with pytest.raises(OutputError, match=r"has no room .* TMPDIR names another folder"):
            held.put("two", memoryview(b"more"))


def process_of(task: str) -> int | None:
    """The worker of this process that is at a task."""
    for worker in workers():
        with suppress(OSError):
            if Path(f"/proc/{worker}/comm").read_text() == f"mu {task}\n":
                return worker
    return None


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_chunks_behind_one_that_takes_long_are_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = clips.make(tmp_path / "in.mp4", frames=120, size=(160, 96))
    settings = Settings(chunk_frames=4, chain=1, cq=30, speed=5)
    encode_file(str(film), str(tmp_path / "plain.webm"), settings, workers=2)
    made: list[Held] = []
    most = 0

    def held() -> Held:
        made.append(Held(3000))
        return made[-1]

    monkeypatch.setattr(reading, "Held", held)
    stopped = 0
    frames: dict[str, float] = {}

    def watch(progress: Any) -> None:
        nonlocal most
        frames.update(progress.done)
        most = max(most, made[0].memory)

    def hold_up() -> None:
        """Stop the worker that is at the first chunk, until all others are done."""
        nonlocal stopped
        end = time.monotonic() + 60
        while time.monotonic() < end and (found := process_of("chunk/000000")) is None:
            pass
        if found is not None:
            os.kill(found, signal.SIGSTOP)
            stopped += 1
            while time.monotonic() < end and frames.get("rebase", 0) < 116:
                time.sleep(0.01)
            os.kill(found, signal.SIGCONT)

    thread = threading.Thread(target=hold_up)
    thread.start()
    encode_file(str(film), str(tmp_path / "late.webm"), settings, workers=2, watch=watch)
    thread.join()
    assert (tmp_path / "late.webm").read_bytes() == (tmp_path / "plain.webm").read_bytes()
    assert stopped
    assert 0 < most <= 3000
    assert len((tmp_path / "plain.webm").read_bytes()) > 30_000, "or nothing went to the disk"
