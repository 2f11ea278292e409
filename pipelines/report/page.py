"""The page of a report: how an encoding went, with text that is complete without its program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from pages import document
from pages.words import DOT, MINUS, THIN, clock, count, short, some, took
from pipelines.encode.record import WAIT
from pipelines.report import facts
from pipelines.report.pictures import pictures

if TYPE_CHECKING:
    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings
    from pipelines.encode.record import Record
    from pipelines.report.peer import Peer

_PROGRAMS = (
    ("pages", "plot.js"),
    ("pages", "table.js"),
    ("pipelines.report", "frames.js"),
    ("pipelines.report", "timeline.js"),
    ("pipelines.report", "page.js"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a page tells of."""

    source: str
    target: str
    settings: Settings
    workers: int
    report: Report
    record: Record
    peer: Peer | None = None


def render(job: Job) -> bytes:
    """The page as UTF-8. Reads the output once, for its pictures."""
    settings = facts.settings_of(job.settings, job.workers, job.report)
    data = facts.page_data(job.report, job.record, settings, job.peer)
    parts = [_head(job), _tiles(job), document.warnings(job.report.warnings), _pictures(job)]
    parts += [_frames(job), _timeline(job), _work(job)]
    if job.peer is not None:
        parts.append(_beside(job, job.peer))
    told = document.facts("Settings", settings) + document.facts("Machine", facts.machine())
    parts += [f'<div class="pair">{told}</div>', document.numbers(("frames", "chunks"))]
    styles = [document.resource("pages", "page.css")]
    programs = [document.resource(*each) for each in _PROGRAMS]
    return document.document(os.path.basename(job.target), parts, data, styles, programs)


def _head(job: Job) -> str:
    report, record = job.report, job.record
    seconds = report.frames / report.fps
    told = (f"{report.width}\u00d7{report.height}", f"{report.fps:g} frames a second", clock(seconds))
    chains = some(report.chains, "chain")
    work = f"{some(len(record.chunks), 'chunk')} in {chains}, computed by {some(job.workers, 'worker')}"
    source = escape(os.path.basename(job.source))
    below = f"made from {source}{DOT}{DOT.join(told)}<br>{work}"
    return document.head("fastslow encode", os.path.basename(job.target), below)


def _tiles(job: Job) -> str:
    report, peer = job.report, job.peer
    seconds = report.frames / report.fps
    bits = sum(job.record.frames.sizes)
    rate = f"{count(report.bytes)} bytes with container and sound"
    tiles = [("Bit rate", short(report.kbps), "kb/s", rate if peer is None else _against(bits, sum(peer.frames.sizes)))]
    if report.psnr_y is not None and report.ssim_y is not None:
        least = f"worst frame {min(job.record.quality.each_psnr_y):.2f} dB" if job.record.quality else ""
        note = least if peer is None else _more(report.psnr_y - peer.quality.psnr_y, 2, "dB")
        tiles.append(("PSNR of the luma", f"{report.psnr_y:.2f}", "dB", note))
        note = "1 is no difference" if peer is None else _more(report.ssim_y - peer.quality.ssim_y, 4, "")
        tiles.append(("SSIM of the luma", f"{report.ssim_y:.4f}", "", note))
    note = f"{seconds / report.wall_s:.2f} times as fast as it plays"
    tiles.append(("Wall time", took(report.wall_s), "", note))
    tiles.append(("Frames", count(report.frames), "", some(report.key_frames, "key frame")))
    return document.tiles("Result", tiles)


def _pictures(job: Job) -> str:
    record, frames = job.record, job.record.frames
    assert record.source is not None
    titles = {0: "first frame"}
    titles.setdefault(len(frames) // 2, "middle")
    titles.setdefault(len(frames) - 1, "last frame")
    if record.quality is not None:
        each = record.quality.each_psnr_y
        titles.setdefault(each.index(min(each)), "furthest from the input")
    found = pictures(job.target, record.source, list(titles), facts.key_frames(record))
    inner = ""
    for number, address in sorted(found.items()):
        told = [clock(frames.times[number], 2), f"{count(frames.sizes[number])} bytes"]
        told.append(f"quantizer {frames.quantizers[number]}")
        if record.quality is not None:
            told.append(f"{record.quality.each_psnr_y[number]:.2f} dB")
        title = titles[number]
        inner += f'<figure><img src="{address}" alt="{title} of the output"><figcaption><b>{count(number)}</b> {title}'
        inner += f"<br>{DOT.join(told)}</figcaption></figure>"
    return f'<section><h2>Pictures</h2><div class="pictures">{inner}</div></section>\n'


def _frames(job: Job) -> str:
    peer = '<li><i class="thin"></i>plain libvpx</li>' if job.peer is not None else ""
    legend = f"""<li><i class="kind-key"></i>key frame</li>
<li><i class="kind-boost"></i>boosted: becomes golden or altref</li>
<li><i class="kind-inter"></i>other interframe</li>{peer}"""
    lead = "Thin lines are where chunks meet, triangles are key frames."
    if job.record.quality is None:
        lead += " --measure adds PSNR and SSIM."
    scale = '<button type="button" data-scale>linear scale</button>'
    return document.plot("frames", "Frames", lead, scale, legend, "bytes, quantizer and quality of every frame")


def _timeline(job: Job) -> str:
    legend = "".join(f"<li>{_stage(stage)}</li>" for stage in facts.stage_seconds(job.record))
    modes = """<button type="button" data-mode="process" aria-pressed="true">by process</button>
<button type="button" data-mode="chunk" aria-pressed="false">by chunk</button>"""
    lead = "Who was at what. A chunk waits for the state in which the one before it in its chain ends."
    if readings := job.record.readings:
        items = (f"<li>{escape(title)}, from {took(began - job.record.began)}</li>" for title, began in readings)
        told = f"The film was read {some(len(readings), 'time')}, each from a vertical line on"
        lead += f"</p><details><summary>{told}</summary><ol>{''.join(items)}</ol></details><p hidden>"
    return document.plot("timeline", "Timeline", lead, modes, legend, "when each process worked on which chunk")


_STAGES = {
    "read": "read",
    "encode": "encode (libvpx)",
    "decode": "decode (parse)",
    "wait": "wait for the state before",
    "rebase": "rebase",
    "join": "join",
}


def _work(job: Job) -> str:
    seconds = facts.stage_seconds(job.record)
    busy = {stage: spent for stage, spent in seconds.items() if stage != WAIT}
    total = sum(busy.values()) or 1
    bar = "".join(
        f'<i class="{_stage_class(stage)}" data-grow="{spent / total:.4f}"></i>' for stage, spent in busy.items()
    )
    rows = ""
    for stage, spent in seconds.items():
        cpu = job.report.cpu_s.get(stage)
        share = f"{spent / total:.1%}" if stage in busy else "\u2013"
        cells = (took(spent), share, took(cpu) if cpu is not None else "\u2013")
        rows += f"<tr><td>{_stage(stage)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return f"""<section><h2>Where the time went</h2>
<p class="lead">Added up over all that ran side by side.</p><div class="share">{bar}</div>
<div class="scroll"><table><thead><tr><th scope="col">stage</th><th scope="col">time</th>\
<th scope="col">share of the work</th><th scope="col">processor time</th></tr></thead>
<tbody>{rows}</tbody></table></div>
</section>
"""


def _stage(stage: str) -> str:
    return f'<i class="{_stage_class(stage)}"></i>{escape(_STAGES.get(stage, stage))}'


def _stage_class(stage: str) -> str:
    return f"stage-{stage if stage in facts.STAGES else 'other'}"


def _beside(job: Job, peer: Peer) -> str:
    report, seconds = job.report, job.report.frames / job.report.fps
    bits, others = sum(job.record.frames.sizes), sum(peer.frames.sizes)
    psnr, ssim = peer.quality.psnr_y, peer.quality.ssim_y
    assert report.psnr_y is not None
    assert report.ssim_y is not None
    rows = (
        ("bit rate of the picture", f"{short(report.kbps)} kb/s", f"{short(peer.kbps(seconds))} kb/s",
         _percent(bits, others, less_is_better=True)),
        ("PSNR of the luma", f"{report.psnr_y:.3f} dB", f"{psnr:.3f} dB", _more(report.psnr_y - psnr, 3, "dB", "")),
        ("SSIM of the luma", f"{report.ssim_y:.5f}", f"{ssim:.5f}", _more(report.ssim_y - ssim, 5, "", "")),
        ("wall time", took(report.wall_s), took(peer.seconds),
         _percent(report.wall_s, peer.seconds, less_is_better=True)),
        ("key frames", str(report.key_frames), str(peer.key_frames), ""),
    )  # fmt: skip
    body = "".join(f"<tr><td>{row[0]}</td>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows)
    return f"""<section><h2>Beside plain libvpx</h2>
<p class="lead">The same film by libvpx alone: one run over all of it in one thread, two passes,
the same cq ({job.settings.cq}) and speed, no altref frames. Its time has the film read once;
fastslow's is that of {some(job.workers, "worker")}. Bits and quality count together.</p>
<div class="scroll"><table><thead><tr><th scope="col"></th><th scope="col">fastslow</th><th scope="col">libvpx</th>\
<th scope="col">difference</th></tr></thead><tbody>{body}</tbody></table></div>
</section>
"""


def _coloured(text: str, good: bool | None) -> str:
    kind = {True: "good", False: "bad", None: "same"}[good]
    return f'<span class="{kind}">{text}</span>'


def _percent(value: float, other: float, *, less_is_better: bool) -> str:
    if not other:
        return ""
    change = (value / other - 1) * 100
    text = f"{change:+.1f}{THIN}%".replace("-", MINUS) if change < 1000 else f"{value / other:.0f} times as much"
    return _coloured(text, None if abs(change) < 0.05 else (change < 0) == less_is_better)


def _against(value: float, other: float) -> str:
    return _percent(value, other, less_is_better=True) + " against libvpx"


def _more(difference: float, digits: int, unit: str, beside: str = " against libvpx") -> str:
    text = f"{difference:+.{digits}f}".replace("-", MINUS) + (f"{THIN}{unit}" if unit else "")
    return _coloured(text, None if abs(difference) < 0.5 * 10**-digits else difference > 0) + beside
