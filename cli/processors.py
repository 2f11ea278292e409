"""How many processors a command may use."""

from __future__ import annotations

import os
from pathlib import Path


def processors() -> int:
    """The processors that this process may use; a container may have the time of fewer than it sees."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(seen, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or no limit: "max"
        return seen
