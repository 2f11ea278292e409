"""`fastslow encode` as a function: a video file in, a video file out, and a report of what it took."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines.encode.join import Joiner, OutputFile, kind_of, open_others, warnings_of
from pipelines.encode.plan import Chunk, Settings
from pipelines.encode.progress import Watch
from pipelines.encode.reading import Follow, Reading, limits
from pipelines.encode.record import Record
from pipelines.errors import OutputError, SettingsError
from pipelines.media.source import Source

if TYPE_CHECKING:
    from pipelines.encode.aim import Aim


class Beside(msgspec.Struct):
    """The same film by libvpx alone."""

    kbps: float
    key_frames: int
    wall_s: float
    psnr_y: float
    ssim_y: float


class Aimed(msgspec.Struct):
    """What was aimed for and how."""

    kind: str
    """bitrate, psnr or ssim."""
    wanted: float
    """Kilobits a second of the picture, dB, or SSIM."""
    reached: float
    error: float
    """Of a bit rate in percent, else the difference."""
    cq: int
    """The level at which libvpx encoded the film."""
    scale: float
    """By how much rebase made its quantizers coarser (above 1) or finer."""
    attempts: int
    """How often the film was rebased whole, the first time included."""
    searches: int
    """In how many of those libvpx encoded it."""

    @property
    def complaints(self) -> list[str]:
        """What to say of an aim that is clearly missed."""
        where = {0: "libvpx's best level", 63: "libvpx's coarsest level"}.get(self.cq, "the nearest that was found")
        wanted, reached = f"{self.wanted:g}", f"{self.reached:.4g} is {where}"
        if self.kind == "bitrate":
            more = "scale the film down" if self.error > 0 else "there is nothing more to spend bits on"
            return [f"bit rate {wanted} kb/s was missed: {reached}; {more}"] if abs(self.error) > 2 else []
        if self.error < 0:
            return [f"{self.kind.upper()} {wanted} was not reached: {reached}"]
        if self.error > {"psnr": 0.1, "ssim": 0.001}[self.kind]:
            return [f"{self.kind.upper()} {wanted} was exceeded: {reached}"]
        return []


class Report(msgspec.Struct, omit_defaults=True):
    """What was made and what it took."""

    frames: int
    width: int
    height: int
    fps: float
    """Frames by the duration of the film."""
    bytes: int
    """Of the whole file."""
    kbps: float
    """Of the picture alone: kilobits (1000 bits) a second."""
    key_frames: int
    chunks: int
    chains: int
    wall_s: float = 0.0
    """From the call to the complete file, without the measuring."""
    cpu_s: dict[str, float] = {}
    """Processor time by stage; start-up of processes is not in it."""
    aim: Aimed | None = None
    """Where a bit rate or a quality was asked for."""
    psnr_y: float | None = None
    ssim_y: float | None = None
    libvpx: Beside | None = None
    warnings: list[str] = []


def encode_file(
    source: str,
    target: str,
    settings: Settings,
    *,
    workers: int,
    overwrite: bool = False,
    sound: bool = True,
    subtitles: bool = True,
    watch: Watch = lambda progress: None,
    record: Record | None = None,
    follow: Follow | None = None,
    aim: Aim | None = None,
) -> Report:
    """Encode a video file into a WebM, Matroska or IVF; `record` takes down how it went, `follow` looks on.

    With an `aim` it is read several times, to hit a bit rate or a quality; `settings.cq` counts for nothing then.

    Raises PipelineError. Whatever happens (KeyboardInterrupt too), no process and no half-written file is left behind.
    """
    began = time.monotonic()
    kind = kind_of(target)
    if workers < 1:
        raise SettingsError(f"workers must be 1 or more, not {workers}")
    output = OutputFile(target, overwrite)
    if output.path.exists() and os.path.exists(source) and output.path.samefile(source):
        raise OutputError(f"{target}: is the input; name another output")
    with output as file:
        joiner = Joiner(file, kind, lambda film: open_others(film, kind, sound, subtitles), record)
        try:
            if aim is None:
                reading = Reading(source, settings, limits(workers), joiner, watch, record, follow=follow)
                film, chunks = reading.run(), reading.chunks
                made = _Made(film, chunks, reading.progress.damaged, reading.progress.cpu_s)
            else:
                made = _aimed(source, settings, aim, workers, output.path.parent, joiner, watch, record, follow)
            joiner.finish()
        finally:
            joiner.close()
    warnings = warnings_of(made.film, kind, sound, subtitles, (made.damaged, *joiner.damaged))
    return msgspec.structs.replace(
        described(made.film, made.chunks, joiner, output.path.stat().st_size),
        wall_s=round(time.monotonic() - began, 3),
        cpu_s={stage: round(seconds, 3) for stage, seconds in made.cpu_s.items()},
        warnings=[*(made.aim.complaints if made.aim else []), *warnings],
        aim=made.aim,
    )


def described(film: Source, chunks: Sequence[Chunk], joiner: Joiner, size: int) -> Report:
    """What was made, in a file of `size` bytes; what it took is for whoever knows that."""
    return Report(
        frames=joiner.frames,
        width=film.width,
        height=film.height,
        fps=round(float(joiner.frames / joiner.duration), 3),
        bytes=size,
        kbps=round(float(joiner.video_bytes * 8 / joiner.duration / 1000), 3),
        key_frames=joiner.key_frames,
        chunks=len(chunks),
        chains=sum(chunk.position == 0 for chunk in chunks),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of the encoding, without the file."""

    film: Source
    chunks: Sequence[Chunk]
    damaged: int
    cpu_s: dict[str, float]
    aim: Aimed | None = None


def _aimed(
    source: str,
    settings: Settings,
    aim: Aim,
    workers: int,
    folder: Path,
    joiner: Joiner,
    watch: Watch,
    record: Record | None,
    follow: Follow | None,
) -> _Made:
    """Encode until it hits, then join the best attempt."""
    from pipelines.encode.aimed import AimedEncoder  # here, since it brings the codec's tables without need

    with AimedEncoder(source, settings, aim, workers, folder, watch, record, follow) as encoder:
        film, hunt = encoder.run()
        joiner.begin(film)
        chunks = []
        for piece in encoder.pieces():
            chunks.append(piece.chunk)
            joiner.append(piece)
        cpu_s, damaged = encoder.cpu_s, encoder.damaged
    attempt, reached = hunt.best
    return _Made(
        film,
        chunks,
        damaged,
        cpu_s,
        Aimed(
            kind=aim.kind,
            wanted=aim.value,
            reached=round(reached, 6),
            error=round(aim.error(reached) * (100 if aim.kind == "bitrate" else 1), 6),
            cq=attempt.cq,
            scale=round(attempt.scale, 4),
            attempts=len(hunt.tried),
            searches=sum(other.search for other, _ in hunt.tried),
        ),
    )


def measured(
    report: Report,
    source: str,
    target: str,
    watch: Callable[[int], object] = lambda frames: None,
    record: Record | None = None,
) -> Report:
    """The report with PSNR and SSIM of the luma of the file that was made, as FFmpeg's own decoder shows it."""
    from pipelines.compare import compare_files  # here, since it brings PyAV and numpy into a process without need

    comparison, before, after = compare_files(source, target, watch)
    if before != after:
        raise OutputError(f"{target}: has {after} frames, but {source} has {before}; please report this")
    if record is not None:
        record.quality = comparison
    psnr_y, ssim_y = round(comparison.psnr_y, 4), round(comparison.ssim_y, 6)
    return msgspec.structs.replace(report, psnr_y=psnr_y, ssim_y=ssim_y)
