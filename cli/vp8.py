"""`fastslow vp8`: looking into VP8 streams."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import Failure, told_in_a_line

if TYPE_CHECKING:
    import codec
    from pipelines.stream import FrameInfo


@click.group(short_help="Decode, inspect and compare VP8 streams.")
def vp8() -> None:
    """Look into VP8 streams in IVF, WebM or Matroska with this project's own codec."""


@vp8.command(short_help="Decode to raw video, or to checksums.")
@click.argument("source", metavar="IN")
@click.option("--md5", is_flag=True, help="Print the MD5 of every image (I420), as vpxdec does.")
@click.option("-o", "--output", metavar="OUT", help="Write raw video: .y4m, or .i420 for the bare planes.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def decode(source: str, md5: bool, output: str | None, overwrite: bool) -> None:
    """Decode the VP8 in IN (IVF, WebM or Matroska)."""
    from pipelines.media.packets import open_vp8
    from pipelines.stream import images, write_y4m

    ending = Path(output).suffix.lower() if output else ""
    if output and ending not in (".y4m", ".i420", ".yuv"):
        raise click.UsageError(f"{output}: the output must end in .y4m or .i420")
    began = time.monotonic()
    with told_in_a_line(), open_vp8(source) as stream:
        pictures = images(stream.frames)
        if md5:
            pictures = _printed(pictures, Path(source).stem)
        if not output:
            count = sum(1 for _ in pictures)
        else:
            from pipelines.encode.join import OutputFile

            with OutputFile(output, overwrite) as file:
                if ending == ".y4m":
                    count = write_y4m(file, pictures, stream.rate)
                else:
                    count = sum(1 for image in pictures if file.write(image.to_bytes()))
    if not md5:
        seconds = time.monotonic() - began
        click.echo(f"{source}: {count} frames in {seconds:.2f} s, {count / seconds:.1f} a second")


def _printed(pictures: Iterator[codec.Image], name: str) -> Iterator[codec.Image]:
    for number, image in enumerate(pictures, 1):
        digest = hashlib.md5(image.to_bytes(), usedforsecurity=False).hexdigest()
        click.echo(f"{digest}  {name}-{image.width}x{image.height}-{number:04}.i420")
        yield image


@vp8.command(short_help="What every frame says of itself.")
@click.argument("source", metavar="IN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def info(source: str, as_json: bool) -> None:
    """Print a line a frame of the VP8 in IN: type, size, quantizer, references, segments, partitions, modes."""
    import msgspec

    from pipelines.media.packets import open_vp8
    from pipelines.stream import describe

    with told_in_a_line(), open_vp8(source) as stream:
        if as_json:
            click.echo(msgspec.json.encode(list(describe(stream.frames))).decode())
            return
        for frame in describe(stream.frames):
            click.echo(_line(frame))


def _line(frame: FrameInfo) -> str:
    if frame.type == "empty":
        return f"{frame.number:5} empty        0 bytes  (the last image again)"
    shares = " ".join(f"{name} {share:.0%}" for name, share in frame.modes.items())
    references = " ".join(f"{name} {share:.0%}" for name, share in frame.references.items())
    parts = [
        f"{frame.number:5} {frame.type:5} {frame.bytes:8} bytes {frame.width}x{frame.height} q {frame.q:3}",
        f"filter {frame.filter_level:2}",
        f"refreshes {','.join(frame.refreshes) or 'nothing'}",
        f"segments {'/'.join(map(str, frame.segments)) or 'none'}",
        f"partitions {frame.partitions}",
        f"{shares} | {references} | skipped {frame.skipped:.0%}",
    ]
    return "  ".join(parts if frame.shown else [*parts, "not shown"])


@vp8.command(short_help="PSNR and SSIM of two videos.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(a: str, b: str, as_json: bool) -> None:
    """Compare the videos A and B (of any kind) frame by frame.

    PSNR is that of the mean squared error of all frames. SSIM is that of libvpx and FFmpeg: 8x8 windows every 4 pixels,
    unweighted; the mean of the frames. FFmpeg decodes both. Exit code 1 if one of them has more frames.
    """
    import msgspec

    from pipelines.compare import compare_files

    with told_in_a_line():
        result, frames_a, frames_b = compare_files(a, b)
    values = {
        "frames": result.frames,
        "psnr_y": round(result.psnr_y, 4),
        "psnr_u": round(result.psnr_u, 4),
        "psnr_v": round(result.psnr_v, 4),
        "psnr_yuv": round(result.psnr_yuv, 4),
        "ssim_y": round(result.ssim_y, 6),
    }
    if as_json:
        click.echo(msgspec.json.encode(values).decode())
    else:
        click.echo(
            f"{result.frames} frames: PSNR Y {result.psnr_y:.3f} U {result.psnr_u:.3f} V {result.psnr_v:.3f} "
            f"YUV (6:1:1) {result.psnr_yuv:.3f} dB, SSIM Y {result.ssim_y:.5f}"
        )
    if frames_a != frames_b:
        raise Failure(f"{a} has {frames_a} frames, {b} has {frames_b}; the others were compared with nothing")
