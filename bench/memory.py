"""Peak memory of `fastslow encode` on 1080p: `python -m bench.memory [SECONDS of film, 600]`.

The film is bigbuckbunny, scaled and run to and fro. Counted is the resident memory of all processes, added up once a
second; shared pages count in each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from bench.clips import MEDIA, ROOT, shared
from bench.table import Row, show

RATE = 25
WIDTH, HEIGHT = 1920, 1080


def rows(seconds: int = 600) -> Iterator[Row]:
    """Encode a film of this length, fast; needs the real clips."""
    folder = shared()
    if folder is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        film = Path(scratch, "film.mkv")
        write_film(folder / "media" / MEDIA["bigbuckbunny"], film, seconds * RATE)
        command = [sys.executable, "-m", "cli", "encode", str(film), str(Path(scratch, "out.webm"))]
        began = time.perf_counter()
        child = subprocess.Popen([*command, "--speed", "5", "--cq", "40", "--workers", "2", "--quiet"], cwd=ROOT)
        peak = 0
        while child.poll() is None:
            peak = max(peak, resident(child.pid))
            time.sleep(1)
        if child.returncode:
            raise RuntimeError(f"fastslow encode ended with code {child.returncode}")
        taken = time.perf_counter() - began
    what = f"peak memory of all processes, {seconds} s of 1080p, speed 5, two workers ({taken:.0f} s)"
    yield Row(what, f"{peak / 1e6:.0f}", peak / 1e6, 2000, 2000, more_is_better=False, unit=" MB")


def write_film(clip: Path, film: Path, count: int) -> None:
    """Write ``count`` frames of 1080p H.264."""
    with av.open(str(clip)) as source:
        frames = [frame.reformat(WIDTH, HEIGHT, "yuv420p") for frame in source.decode(video=0)]
    with av.open(str(film), "w") as target:
        stream = target.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "28"}
        for number in range(count):
            turn, place = divmod(number, len(frames))
            frame = frames[place if turn % 2 == 0 else -1 - place]
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def resident(root: int) -> int:
    """Return the resident bytes of a process and all that came of it."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    processes = [tuple(map(int, line.split())) for line in listing.splitlines()]
    family = {root}
    for pid, parent, _ in sorted(processes):  # a child's number is nearly always above its parent's
        if parent in family:
            family.add(pid)
    return 1024 * sum(kilobytes for pid, _, kilobytes in processes if pid in family)


if __name__ == "__main__":
    show("Memory", rows(*map(int, sys.argv[1:2])))
