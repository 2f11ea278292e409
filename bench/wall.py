"""Wall time of a whole encode beside libvpx in one thread: `python -m bench.wall`.

Both read the same Y4M file. fastslow encodes, rebases and writes a WebM on two processors; libvpx, with the same
settings and two passes, encodes in the one thread that has read the frames.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.clips import MEDIA, shared
from bench.demo import write_clip
from bench.paired import Spread
from bench.table import Row, show
from pipelines import libvpx
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.media.read import Reader

ROUNDS = 5
TRIED = (
    "of one libvpx run's processor time: parsing without coefficients, 0.02 to 0.01; "
    "a picture's memory used again, 0.02; "
    "faster residue, transforms and tokens in rebase, 0.14 to 0.11; "
    "raw chunks in reused shared memory. Mending vectors, for 4 % of the bits, takes 0.07. More in docs/benchmarks.md"
)
WORKERS = 2


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Encode two clips in turn with both; needs the real clips."""
    folder = shared()
    if folder is None:
        return
    ours = Settings()
    for name, count in (("bigbuckbunny", 132), ("people", 960)):
        with tempfile.TemporaryDirectory() as scratch:
            clip = Path(scratch, "clip.y4m")
            size, rate, frames = write_clip(clip, str(folder / "media" / MEDIA[name]), count)
            settings = libvpx.Settings(*size, rate, ours.cq, ours.speed)
            ratios, walls = [], []
            for _ in range(rounds):
                start = time.perf_counter()
                libvpx.encode(_read(clip), settings)
                alone = time.perf_counter() - start
                target = str(Path(scratch, "out.webm"))
                report = encode_file(str(clip), target, ours, workers=WORKERS, overwrite=True)
                ratios.append(report.wall_s / alone)
                walls.append((report.wall_s, alone))
            ratio = Spread.of(ratios)
            together, alone = (Spread.of(values).median for values in zip(*walls, strict=True))
            what = f"wall time, {name}, {len(frames)} frames: [24,16] on 2 processors, {together:.1f} s,"
            what += f" against libvpx in one thread, {alone:.1f} s"
            yield Row(what, ratio.text(), ratio.median, 0.65, 0.55, more_is_better=False, unit=" x", tried=TRIED)


def _read(clip: Path) -> list[bytes]:
    with Reader(str(clip)) as reader:
        return [b"".join(plane.tobytes() for plane in picture.planes) for picture in reader]


if __name__ == "__main__":
    show(f"Wall time, median of {ROUNDS} rounds (spread)", rows())
