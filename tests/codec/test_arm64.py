"""The codec's build for arm64, run by QEMU: bit for bit what this machine gives. `make arm64` fetches what it needs."""

from __future__ import annotations

import os
import pickle
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from codec import build
from tests.codec import emulated, streams
from tests.codec.emulated import Job
from tests.codec.test_vectors import NUMBERS, digests, frames

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "build" / "arm64" / "root"
PYTHON = SYSTEM / "usr" / "bin" / "python3.11"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64") or str(ROOT / "build" / "arm64" / "qemu")
KINDS = ("decode", "rebase", "encode")
FRAMES = int(os.environ.get("FASTSLOW_ARM64_FRAMES", "5"))
"""How many of each vector's first frames are tried; 0 for all."""


def missing() -> str:
    """Why the build cannot be run here, "" if it can."""
    target = build.TARGETS["aarch64"]
    if platform.machine() == "aarch64":
        return "this machine is an arm64 one: every other test runs on the build"
    if not PYTHON.exists():
        return "there is no Python for arm64 in build/arm64: `make arm64` fetches one"
    if not Path(QEMU).exists():
        return "there is no qemu-aarch64-static: `make arm64` fetches one"
    if not all(build.is_fresh(module, target) for module in build.compiled_modules()):
        return "the codec is not built for arm64: python codec/build.py --target aarch64"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def on_arm64(jobs: list[Job]) -> list[list[str]]:
    """Run jobs in a Python for arm64."""
    done = subprocess.run(
        [QEMU, "-L", str(SYSTEM), str(PYTHON), "-m", "tests.codec.emulated"],
        input=pickle.dumps(jobs),
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    ran, results = pickle.loads(done.stdout)
    assert ran == "aarch64"
    return results


@pytest.mark.timeout(1800)
def test_vectors(shared: Path) -> None:
    vectors = [list(frames(shared, number))[: FRAMES or None] for number in NUMBERS]
    results = on_arm64([("decode", packets, 0) for packets in vectors])
    for number, packets, (*seen, state) in zip(NUMBERS, vectors, results, strict=True):
        assert seen == digests(shared, number)[: FRAMES or None], number
        assert state == emulated.decoded(packets)[-1], number


def test_many_kinds_of_streams() -> None:
    names = ("tiny 1x1", "tiny 17x15", "regions", "altref, still", "partitions 8", "references", "profile 3 moving")
    jobs: list[Job] = [(kind, list(streams.stream(name)[:5]), 7) for name in names for kind in KINDS]
    assert on_arm64(jobs) == emulated.results(jobs)
