"""How near bit rates and qualities come to what is asked for: `python -m bench.aims`.

On each of the real clips, and on the film of `bench.cuts`: one bit rate that is low, one that is high, a PSNR and an
SSIM. A row has the error, the attempts and the searches, and what was spent beside one encoding at that quality.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from bench.clips import MEDIA, shared
from bench.cuts import RATE, SIZE, film
from bench.table import Row, show
from pipelines.encode.aim import Aim
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.stream import write_y4m

SPEED = 4
GOALS = {"bitrate": 2.0, "psnr": 0.1, "ssim": 0.001}
UNITS = {"bitrate": " %", "psnr": " dB", "ssim": ""}
QUALITIES = (24, 46)
"""The levels whose bit rates, PSNR and SSIM are then asked for, a little off."""


def rows() -> Iterator[Row]:
    """Ask for what lies between two levels; needs the real clips."""
    folder = shared()
    if folder is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "cuts.y4m")
        with made.open("wb") as file:
            write_y4m(file, iter(film()[0]), RATE)
        clips = {name: folder / "media" / path for name, path in MEDIA.items() if name != "people"}
        clips[f"film of bench.cuts, {SIZE[0]}x{SIZE[1]}"] = made
        for name, path in clips.items():
            yield from _rows(name, str(path), str(Path(scratch, "out.webm")))


def _rows(name: str, source: str, target: str) -> Iterator[Row]:
    plain = [encode_file(source, target, Settings(cq=cq, speed=SPEED), workers=2, overwrite=True) for cq in QUALITIES]
    aims = [Aim("bitrate", round(report.kbps * factor)) for report in plain for factor in (0.93, 1.04)]
    aims += [Aim("psnr", 38), Aim("psnr", 42), Aim("ssim", 0.96), Aim("ssim", 0.98)]
    cost = fmean(sum(report.cpu_s.values()) for report in plain)
    for aim in aims:
        report = encode_file(source, target, Settings(speed=SPEED), workers=2, overwrite=True, aim=aim)
        reached = report.aim
        assert reached is not None
        spent = sum(report.cpu_s.values()) / cost
        title = f"{name}, {aim.kind} {aim.value:g}: {reached.attempts} attempts, {reached.searches} with libvpx, "
        title += f"{spent:.1f} times the processor time of --cq"
        error, goal = reached.error, GOALS[aim.kind]
        off = abs(error) if error > 0 or aim.kind == "bitrate" else 10 * abs(error)  # a quality must be reached
        yield Row(title, f"{error:+.4g}", off, goal, goal, more_is_better=False, unit=UNITS[aim.kind])


if __name__ == "__main__":
    show(f"Aims, speed {SPEED}", rows())
