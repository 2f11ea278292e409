"""The arm64 packages under QEMU: PyAV codes VP8, and every stripped library loads. `make arm64` fetches what it takes.

The Python for arm64 that there is, Debian's 3.11, is not the functions': it imports PyAV, whose wheels serve 3.11 and
later, and for the rest it only loads libraries.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from layers import build

SYSTEM = build.ROOT / "build" / "arm64" / "root"
PYTHON = SYSTEM / "usr" / "bin" / "python3.11"
QEMU = shutil.which("qemu-aarch64-static") or str(build.ROOT / "build" / "arm64" / "qemu")
HERE = (
    platform.machine() != "aarch64" and PYTHON.exists() and Path(QEMU).exists() and any(SYSTEM.rglob("libstdc++.so.6"))
)

pytestmark = [
    pytest.mark.skipif(
        not HERE, reason="no Python for arm64 with libstdc++ is in build/arm64: `make arm64` fetches one"
    ),
    pytest.mark.timeout(600),
]

VP8 = """
import av, io
file = io.BytesIO()
with av.open(file, "w", format="webm") as out:
    stream = out.add_stream("libvpx", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for grey in range(0, 200, 40):
        frame = av.VideoFrame(64, 64, "yuv420p")
        for plane, value in zip(frame.planes, (grey, 128, 128)):
            plane.update(bytes([value]) * plane.buffer_size)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
file.seek(0)
greys = [bytes(frame.planes[0])[0] for frame in av.open(file).decode(video=0)]
assert all(abs(one - other) < 4 for one, other in zip(greys, range(0, 200, 40), strict=True)), greys
"""
# A symbol of Python that 3.11 has not is looked for when all else of the library is in place.
LOAD = """
import ctypes, os, pathlib
libraries = sorted(pathlib.Path("python").rglob("*.so*"))
for path in libraries:
    try:
        ctypes.CDLL(str(path), os.RTLD_LAZY)
    except OSError as error:
        assert "undefined symbol: Py" in str(error), error
print(len(libraries))
"""


def on_arm64(folder: Path, program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": "python", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [QEMU, "-L", str(SYSTEM), str(PYTHON), "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["video", "vision"])
def test_every_library_loads(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(build.build(name, "arm64", tmp_path).path) as zipped:
        zipped.extractall(tmp_path)
    assert int(on_arm64(tmp_path, LOAD)) > 20
    if name == "video":
        on_arm64(tmp_path, VP8)
