"""What fastslow does, on one clip, beside plain libvpx and plain chunks: `make demo`, `make demo VIDEO=film.mp4`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cli.progress import Looker, display
from codec.ivf import IvfHeader, write_frame, write_header
from pipelines import libvpx
from pipelines.compare import compare_files
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.errors import PipelineError
from pipelines.media.read import Reader

FRAMES = 240
WIDTH, HEIGHT, RATE = 960, 540, Fraction(25)
SETTINGS = Settings()
WORKERS = len(os.sched_getaffinity(0))
FOLDER = Path(__file__).resolve().parents[1] / "build" / "demo"

Row = tuple[str, float, Path, int]
"""What it is, seconds of wall time, the file, its key frames."""


def main(video: str | None) -> None:
    """Encode a clip in three ways and print them side by side."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        clip = Path(scratch, "clip.y4m")
        size, rate, frames = write_clip(clip, video)
        about = f"{video or 'a clip made for this'}: {len(frames)} frames of {size[0]}x{size[1]}"
        print(f"{about}; cq {SETTINGS.cq}, speed {SETTINGS.speed}, {WORKERS} processors", file=sys.stderr)

        target = FOLDER / "fastslow.webm"
        with display(quiet=False) as progress:
            look = Looker(progress)
            report = encode_file(
                str(clip),
                str(target),
                SETTINGS,
                workers=WORKERS,
                overwrite=True,
                watch=look.watch,
                follow=look.follow,
            )
        chosen = libvpx.Settings(*size, rate, SETTINGS.cq, SETTINGS.speed)
        rows = [
            ("libvpx, one thread", *plain(FOLDER / "libvpx.ivf", frames, chosen, len(frames))),
            (f"plain chunks of {SETTINGS.chunk_frames}", *plain(FOLDER / "chunks.ivf", frames, chosen)),
            (f"fastslow, chains of {SETTINGS.chain} such chunks", report.wall_s, target, report.key_frames),
        ]
        show(about, clip, rows, float(len(frames) / rate))
    if video:
        print(f"All of it, with its sound: .venv/bin/fastslow encode '{video}' film.webm")


def write_clip(clip: Path, video: str | None, count: int = FRAMES) -> tuple[tuple[int, int], Fraction, list[bytes]]:
    """Write the first frames of the video, or drawn ones, as Y4M; return the size, frames a second, the I420 frames."""
    if video is None:
        size, rate, frames = (WIDTH, HEIGHT), RATE, list(drawn())
    else:
        with Reader(video) as reader:
            size, rate = (reader.source.width, reader.source.height), Fraction(*reader.source.rate)
            frames = [b"".join(plane.tobytes() for plane in picture.planes) for picture in islice(reader, count)]
    with clip.open("wb") as file:
        file.write(f"YUV4MPEG2 W{size[0]} H{size[1]} F{rate.numerator}:{rate.denominator} Ip C420mpeg2\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + frame)
    return size, rate, frames


def drawn() -> Iterator[bytes]:
    """A camera that pans over a landscape of noise with the spectrum of real pictures, and a disc that crosses it."""
    random = np.random.default_rng(1)
    grain = random.normal(0, 1.5, (8, HEIGHT, WIDTH))

    def landscape(height: int, width: int, contrast: float) -> NDArray[np.float64]:
        y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
        spectrum = np.fft.fft2(random.normal(size=(height, width))) / np.maximum(np.hypot(x, y), 1 / width) ** 1.2
        texture: NDArray[np.float64] = np.real(np.fft.ifft2(spectrum))
        return np.asarray(128 + contrast * texture / texture.std())

    ground, disc = landscape(2 * HEIGHT, 2 * WIDTH, 38), landscape(HEIGHT, WIDTH, 55)
    tints = [landscape(HEIGHT, WIDTH, 12) for _ in range(2)]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number in range(FRAMES):
        top, left = int(90 + 80 * np.sin(number / 40)), 2 * number
        luma = ground[top : top + HEIGHT, left : left + WIDTH] + grain[number % 8]
        inside = (x - (5 * number - 80)) ** 2 + (y - HEIGHT / 2 - HEIGHT / 4 * np.cos(number / 12)) ** 2 < 100**2
        luma = np.where(inside, np.roll(disc, (0, 5 * number), (0, 1)), luma)
        chroma = (tint[top // 2 : top // 2 + HEIGHT // 2, number : number + WIDTH // 2] for tint in tints)
        yield b"".join(np.clip(plane, 16, 235).astype(np.uint8).tobytes() for plane in (luma, *chroma))


def plain(
    target: Path, frames: Sequence[bytes], settings: libvpx.Settings, chunk: int = SETTINGS.chunk_frames
) -> tuple[float, Path, int]:
    """Encode with libvpx alone, a chunk a thread, each with a key frame of its own."""
    chunks = [frames[start : start + chunk] for start in range(0, len(frames), chunk)]
    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        packets = [p for part in pool.map(lambda c: libvpx.encode(c, settings), chunks) for p in part]
    seconds = time.perf_counter() - began
    with target.open("wb") as file:
        rate = settings.rate
        write_header(file, IvfHeader(settings.width, settings.height, rate.numerator, rate.denominator, len(packets)))
        for number, packet in enumerate(packets):
            write_frame(file, number, packet.data)
    return seconds, target, sum(packet.key_frame for packet in packets)


def show(title: str, clip: Path, rows: Sequence[Row], duration: float) -> None:
    """Print the table: time, bits and quality of each file."""
    table = Table(title=title, title_justify="left")
    for column in ("", "seconds", "kb/s", "key frames", "PSNR-Y", "SSIM-Y"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for what, seconds, path, key_frames in rows:
        quality, _, _ = compare_files(str(clip), str(path))
        kbps = path.stat().st_size * 8 / duration / 1000
        numbers = (f"{seconds:.2f}", f"{kbps:.0f}", f"{key_frames}", f"{quality.psnr_y:.2f}", f"{quality.ssim_y:.4f}")
        table.add_row(what, *numbers)
    console = Console(width=110)
    console.print(table)
    console.print(f"The files: {os.path.relpath(FOLDER)}. Rates at equal quality: docs/benchmarks.md.", style="dim")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
    except PipelineError as error:
        sys.exit(f"demo: {error}")
