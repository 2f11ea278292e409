"""What is done twice when processes are killed in the middle of an encoding: `python -m bench.mu_kills`.

The coordinator is a process beside its workers, on a cloud of files, and is killed with SIGKILL at random moments; its
workers outlive it and come back to the next one. Work is counted as processor seconds of programs, by the workers
themselves. Then workers of `fastslow encode` are killed. Both times the bytes are compared with those of no kill.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.clips import MEDIA, shared
from bench.demo import write_clip
from bench.table import Row, show
from pipelines.encode.plan import Settings
from tests.mu.kills import encode_while_killed
from tests.pipelines.kills import encode_while_workers_are_killed

KILLS, WORKER_KILLS = 20, 50
FRAMES = 960
SETTINGS = Settings(chunk_frames=8, chain=6, cq=30, speed=0)
PAUSE_S = (0.1, 1.5)


def rows() -> Iterator[Row]:
    """Kill coordinators, then workers; needs the real clips."""
    folder = shared()
    if folder is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        film = Path(scratch, "film.y4m")
        write_clip(film, str(folder / "media" / MEDIA["people"]), FRAMES)
        done = encode_while_killed(Path(scratch), film, SETTINGS, KILLS, PAUSE_S)
        what = f"the coordinator killed {done.kills} times while {FRAMES} frames are encoded in {done.tasks} tasks, "
        what += f"{done.wall_s:.0f} s ({done.plain_s:.0f} s on this machine alone, without): bytes that differ"
        yield Row(what, "0" if done.same else "some", not done.same, 0, 0, more_is_better=False)
        what = f"work done twice, of {done.seconds:.0f} processor seconds in {done.runs} runs"
        yield Row(what, f"{100 * done.share:.2f}", 100 * done.share, 10, 3, more_is_better=False, unit=" %")
        plain, made = encode_while_workers_are_killed(Path(scratch), film, SETTINGS, WORKER_KILLS)
        what = (
            f"{WORKER_KILLS} workers of fastslow encode killed while {FRAMES} frames are encoded, {made.wall_s:.0f} s "
        )
        what += f"({plain.wall_s:.0f} s without): bytes that differ"
        same = made.data == plain.data
        yield Row(what, "0" if same else "some", not same, 0, 0, more_is_better=False)


if __name__ == "__main__":
    show("Killed while encoding", rows())
