"""`fastslow encode`: a film in, a VP8 film out."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from pipelines.encode.job import Report


def _processors() -> int:
    """The processors that this process may use; a container may have the time of fewer than it sees."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(seen, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or no limit: "max"
        return seen


@click.command(short_help="Encode any video to VP8 in WebM, Matroska or IVF.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--chunk-frames", metavar="N", type=click.IntRange(1, 10_000), default=24, show_default=True, help="Frames a chunk."
)
@click.option(
    "--chain",
    metavar="X",
    type=click.IntRange(1, 10_000),
    default=16,
    show_default=True,
    help="Chunks a chain. A chain begins with a key frame; 1 gives plain chunks.",
)
@click.option(
    "--cq", metavar="Q", type=click.IntRange(0, 63), default=30, show_default=True, help="Quality: 0 best, 63 smallest."
)
@click.option(
    "--speed",
    metavar="S",
    type=click.IntRange(0, 5),
    default=2,
    show_default=True,
    help="libvpx's cpu-used: 0 slow and small, 5 fast and large.",
)
@click.option("--no-scene-cuts", is_flag=True, help="Begin no chain, and so no key frame, where a scene begins.")
@click.option(
    "--workers",
    metavar="W",
    type=click.IntRange(1, 1024),
    default=_processors,
    show_default="the processors here",
    help="Chunks computed at a time; memory grows with it.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--no-audio", is_flag=True, help="Leave the sound out.")
@click.option("--no-subtitles", is_flag=True, help="Leave the subtitles out.")
@click.option("--measure", is_flag=True, help="Compare OUT with IN afterwards: PSNR and SSIM of the luma.")
@click.option(
    "--report",
    "page",
    metavar="PAGE",
    help="Write an .html page that shows how it went; with --measure beside plain libvpx, which takes its time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def encode(
    source: str,
    target: str,
    chunk_frames: int,
    chain: int,
    cq: int,
    speed: int,
    no_scene_cuts: bool,
    workers: int,
    overwrite: bool,
    no_audio: bool,
    no_subtitles: bool,
    measure: bool,
    page: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Encode the video IN (anything that FFmpeg reads) to VP8, with all processors; OUT ends in .webm, .mkv or .ivf.

    The film is cut into chunks of N frames which libvpx encodes at the same time (two passes, deadline good). Then they
    are moved, one after the other along a chain of X chunks, onto the state at which the chunk before ended, so that
    only a chain begins with a key frame.

    Timestamps, turned and mirrored pictures, pixel shapes, sound, subtitles, chapters and tags are kept: Opus and
    Vorbis as they are, other sound as Opus; subtitles as WebVTT in WebM. OUT appears when it is complete.
    """
    from cli.errors import told_in_a_line
    from cli.progress import display
    from pipelines.encode.job import encode_file, measured
    from pipelines.encode.plan import Settings
    from pipelines.encode.record import Record

    with told_in_a_line():
        settings = Settings(chunk_frames, chain, cq, speed, scene_cuts=not no_scene_cuts)
        record = Record() if page else None
        with _page_file(page, overwrite, (source, target)) as file, display(quiet) as progress:
            report = encode_file(
                source,
                target,
                settings,
                workers=workers,
                overwrite=overwrite,
                sound=not no_audio,
                subtitles=not no_subtitles,
                watch=progress.stages,
                record=record,
            )
            if measure:
                report = measured(report, source, target, lambda n: progress.count("measure", n, report.frames), record)
            if file is not None and record is not None:
                from pipelines.report.page import Job, render
                from pipelines.report.peer import beside_libvpx

                peer = None
                if measure:
                    total = 3 * report.frames
                    peer = beside_libvpx(source, settings, report.frames, lambda n: progress.count("libvpx", n, total))
                    report = peer.added_to(report)
                file.write(render(Job(source, target, settings, workers, report, record, peer)))
    _print(report, target, as_json)


def _page_file(page: str | None, overwrite: bool, others: tuple[str, ...]) -> AbstractContextManager[BinaryIO | None]:
    if page is None:
        return nullcontext()
    from pipelines.report.page import page_file

    return page_file(page, overwrite, others)


def _print(report: Report, target: str, as_json: bool) -> None:
    import msgspec

    for warning in report.warnings:
        click.echo(f"fastslow: {warning}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    keys = "1 key frame" if report.key_frames == 1 else f"{report.key_frames} key frames"
    click.echo(f"{target}: {report.width}x{report.height}, {report.frames} frames at {report.fps:g} a second, {keys}")
    click.echo(f"{report.kbps:.1f} kb/s ({report.bytes} bytes with container and sound) in {report.wall_s:.1f} s")
    click.echo("processor time: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.cpu_s.items()))
    if report.psnr_y is not None and report.ssim_y is not None:
        click.echo(f"PSNR-Y {report.psnr_y:.3f} dB, SSIM-Y {report.ssim_y:.5f}")
