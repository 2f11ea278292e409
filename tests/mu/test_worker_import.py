"""A worker starts by the thousand: it imports little before it knows its program, and that quickly."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, time
began = time.process_time()
import mu.worker.work, mu.store
took = time.process_time() - began
heavy = {"asyncio", "av", "boto3", "botocore", "click", "codec", "concurrent", "cryptography", "http", "hypothesis"}
heavy |= {"logging", "numpy", "pipelines", "rich", "sqlite3", "urllib", "uvloop", "vision"}
print(took, *sorted(heavy & set(sys.modules)))
"""
LIMIT = 1.0  # seconds of a slow, busy processor; bench/startup.py says what it is on a quiet machine


def test_a_worker_is_imported_quickly() -> None:
    command = [sys.executable, "-c", PROGRAM]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert runs[0][1:] == []
    assert min(float(run[0]) for run in runs) < LIMIT
