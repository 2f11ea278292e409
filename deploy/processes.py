"""Processes that outlive the command that started them, and are ended by that one and no other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_started_here: list[subprocess.Popen[bytes]] = []
"""Kept, for Popen takes a process that is let go before its end for a mistake."""


@dataclass(frozen=True)
class Process:
    """A process by its number and the moment it started, for numbers are used again."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it, and not another of its number, runs."""
        return _started(self.pid) == self.started

    def end(self, patience: float = 10.0) -> None:
        """End it and what it started: SIGTERM first, SIGKILL to all that is left of them after `patience` seconds.

        Nothing happens where it has ended already: its number may be another's by now.
        """
        if not self.alive:
            return
        # As long as anything of its group runs, the kernel gives its number to nobody else.
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            until = time.monotonic() + wait
            while (left := self.alive or _group_runs(self.pid)) and time.monotonic() < until:
                time.sleep(0.02)
            if not left:
                break
        _started_here[:] = [each for each in _started_here if each.poll() is None]


def start(command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path) -> Process:
    """Start a process in a session of its own; what it says goes to `log`."""
    with log.open("wb") as out:
        made = subprocess.Popen(
            command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    _started_here.append(made)
    return Process(made.pid, _started(made.pid) or 0)


def _started(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when there is none or it has ended."""
    fields = _told(pid)
    return int(fields[19]) if fields else None


def _group_runs(group: int) -> bool:
    """Whether any process of the group runs."""
    numbers = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    return any(fields and int(fields[2]) == group for fields in map(_told, numbers))


def _told(pid: int) -> list[str]:
    """What the kernel tells of a process after its name (proc(5), `stat`); empty when there is none or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in ("Z", "X") else fields
