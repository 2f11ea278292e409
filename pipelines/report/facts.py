"""The numbers of a report: what its diagrams draw and its table lists, and what is known of job and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

import codec
from pipelines import libvpx
from pipelines.encode.record import KEY, WAIT, Record
from pipelines.quality import Comparison
from pipelines.report import machine as report_machine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings
    from pipelines.report.peer import Peer

STAGES = ("read", "encode", "decode", WAIT, "rebase", "join")
"""In the order in which a chunk goes through them; a stage that is not among them comes after."""


def machine() -> dict[str, str]:
    """What ran the job: names and values."""
    return {**report_machine.machine("fastslow", "av"), "codec": f"{codec.BUILD} build", "libvpx": libvpx.version()}


def settings_of(settings: Settings, workers: int, report: Report) -> dict[str, str]:
    """What was asked for: names as on the command line, and values; what was left open is left out."""
    fields = msgspec.structs.asdict(settings).items()
    told = {name.replace("_", "-"): _said(value) for name, value in fields if value is not None}
    told["workers"] = str(workers)
    if aim := report.aim:
        unit = {"bitrate": " kb/s", "psnr": " dB"}.get(aim.kind, "")
        told["aim"] = f"{aim.kind} {aim.wanted:g}{unit}"
        told["reached"] = f"{aim.reached:.6g}{unit}"
        told["by"] = f"cq {aim.cq}, quantizers times {aim.scale:g}, in {aim.attempts} attempts"
    return told


def stage_seconds(record: Record) -> dict[str, float]:
    """How long chunks were in each stage, added up over all that ran side by side."""
    seconds = dict.fromkeys(_stages(record), 0.0)
    for happened in record.happened:
        seconds[happened.span.stage] += happened.span.ended - happened.span.began
    return seconds


def key_frames(record: Record) -> list[int]:
    """The numbers of the key frames."""
    return [number for number, flags in enumerate(record.frames.flags) if flags & KEY]


def page_data(report: Report, record: Record, settings: dict[str, str], peer: Peer | None) -> dict[str, Any]:
    """All numbers of a page as what JSON can hold; times of the work in milliseconds from its start."""
    stages, processes = _stages(record), _processes(record)
    frames = record.frames
    data: dict[str, Any] = {
        "report": msgspec.to_builtins(report),
        "settings": settings,
        "machine": machine(),
        "wall_ms": _tenths(report.wall_s * 1000),
        "stages": stages,
        "processes": processes,
        "readings": [(title, _tenths((began - record.began) * 1000)) for title, began in record.readings],
        "chunks": [(chunk.first, chunk.frames, chunk.chain, chunk.position) for chunk in record.chunks],
        "spans": [
            (
                processes.index(happened.process),
                happened.chunk,
                stages.index(happened.span.stage),
                _tenths((happened.span.began - record.began) * 1000),
                _tenths((happened.span.ended - record.began) * 1000),
            )
            for happened in record.happened
        ],
        "frames": {
            "time": [round(time, 3) for time in frames.times],
            "bytes": frames.sizes.tolist(),
            "q": frames.quantizers.tolist(),
            "flags": frames.flags.tolist(),
            **_quality(record.quality),
        },
    }
    if peer is not None:
        sizes, quantizers = peer.frames.sizes.tolist(), peer.frames.quantizers.tolist()
        data["libvpx"] = {"bytes": sizes, "q": quantizers, **_quality(peer.quality)}
    return data


def _quality(comparison: Comparison | None) -> dict[str, list[float]]:
    if comparison is None:
        return {}
    return {"psnr": _rounded(comparison.each_psnr_y, 2), "ssim": _rounded(comparison.each_ssim_y, 4)}


def _rounded(values: Iterable[float], digits: int) -> list[float]:
    return [round(value, digits) for value in values]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tenths(value: float) -> float:
    return round(value, 1)


def _stages(record: Record) -> list[str]:
    found = dict.fromkeys(happened.span.stage for happened in record.happened)
    return [*STAGES, *(stage for stage in found if stage not in STAGES)]


def _processes(record: Record) -> list[str]:
    found = {happened.process for happened in record.happened}
    workers = sorted(found - {"reader", "join"}, key=lambda name: (len(name), name))
    return [name for name in ("reader", *workers, "join") if name in found]
