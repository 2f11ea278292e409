"""Jobs to make report pages of: a real one, one with hostile names, and a long one."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import msgspec

from pipelines.encode.job import encode_file, measured
from pipelines.encode.plan import Settings
from pipelines.encode.record import Frames, Happened, Record, Span
from pipelines.quality import Comparison
from pipelines.report.page import Job
from pipelines.report.peer import beside_libvpx
from tests.pipelines import clips

FRAMES = 40
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!--.webm"


def job(folder: Path, name: str = "out.webm", *, measure: bool = True, frames: int = FRAMES) -> Job:
    """A film, if it has 40 frames of 7 chunks and 3 chains."""
    source, target = str(folder / "in.mp4"), str(folder / name.replace("/", "\u2044"))
    clips.make(Path(source), frames=frames)
    settings, record = Settings(6, 3, 30, 5, scene_cuts=False), Record()
    report = encode_file(source, target, settings, workers=2, record=record)
    peer = None
    if measure:
        report = measured(report, source, target, record=record)
        peer = beside_libvpx(source, settings, report.frames)
        report = peer.added_to(report)
    return Job(source, target, settings, 2, report, record, peer)


def longer(short: Job, times: int) -> Job:
    """The same film so many times over, as a job; its file stays what it is, so only its first frames have pictures."""
    record, long = short.record, Record(began=short.record.began, source=short.record.source)
    chunks, frames, wall = len(record.chunks), len(record.frames), short.report.wall_s
    for turn in range(times):
        for chunk in record.chunks:
            shifted = {"index": chunk.index + turn * chunks, "first": chunk.first + turn * frames}
            long.chunks.append(msgspec.structs.replace(chunk, chain=chunk.chain + 3 * turn, **shifted))
        for h in record.happened:
            span = Span(h.span.stage, h.span.began + turn * wall, h.span.ended + turn * wall)
            long.happened.append(Happened(h.process, h.chunk + turn * chunks, span))
    long.frames = _repeated(record.frames, times)
    assert short.peer is not None
    assert record.quality is not None
    long.quality = _quality(record.quality, times)
    peer = replace(short.peer, frames=_repeated(short.peer.frames, times), quality=_quality(short.peer.quality, times))
    changes = {"frames": frames * times, "wall_s": wall * times, "chunks": chunks * times}
    return replace(short, record=long, peer=peer, report=msgspec.structs.replace(short.report, **changes))


def _repeated(frames: Frames, times: int) -> Frames:
    at = array("d", (number / 25 for number in range(len(frames) * times)))
    return Frames(at, frames.sizes * times, frames.quantizers * times, frames.flags * times)


def _quality(quality: Comparison, times: int) -> Comparison:
    return replace(quality, each_psnr_y=quality.each_psnr_y * times, each_ssim_y=quality.each_ssim_y * times)
