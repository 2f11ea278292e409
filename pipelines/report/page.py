"""The page of a report: one HTML file that needs no network, with text that is complete without its program.

Everything that comes from outside (names of files, warnings) is escaped on its way in. What the browser may do is told
by a policy in the page itself: the one style and the one program whose checksums it names, pictures that are part of
the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.encode.join import OutputFile
from pipelines.encode.record import WAIT
from pipelines.errors import OutputError, SettingsError
from pipelines.report import facts
from pipelines.report.pictures import pictures

if TYPE_CHECKING:
    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings
    from pipelines.encode.record import Record
    from pipelines.report.peer import Peer

_PROGRAM = ("plot.js", "frames.js", "timeline.js", "page.js")
_THIN = "\u2009"
_DOT = " \u00b7 "
_MINUS = "\u2212"


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


def page_file(path: str, overwrite: bool, others: Iterable[str]) -> OutputFile:
    """A page's file, to be entered before the work is done that it tells of.

    Raises SettingsError when the name is not that of a page, OutputError when it is one of the `others`.
    """
    if not path.lower().endswith((".html", ".htm")):
        raise SettingsError(f"{path}: a report must end in .html")
    file = OutputFile(path, overwrite)
    if any(file.path == Path(os.path.realpath(other)) for other in others):
        raise OutputError(f"{path}: is the input or the output; name another report")
    return file


def render(job: Job) -> bytes:
    """The page as UTF-8. Reads the output once, for its pictures."""
    settings = facts.settings_of(job.settings, job.workers, job.report)
    data = facts.page_data(job.report, job.record, settings, job.peer)
    style = _resource("page.css")
    program = '"use strict";\n{\n' + "\n".join(map(_resource, _PROGRAM)) + "\n}\n"
    name = escape(os.path.basename(job.target))
    parts = [_head(job), _tiles(job), _warnings(job), _pictures(job), _frames(job), _timeline(job), _work(job)]
    if job.peer is not None:
        parts.append(_beside(job, job.peer))
    parts += [f'<div class="pair">{_facts("Settings", settings)}{_facts("Machine", facts.machine())}</div>', _NUMBERS]
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src {_checksum(style)}; script-src {_checksum(program)}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{name} \u2013 fastslow</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div class="wrap">
{"".join(parts)}
<footer>Made by fastslow {escape(facts.machine()["packages"].split(",")[0].removeprefix("fastslow "))}. \
This page is complete in itself: it loads nothing and sends nothing.</footer>
</div>
<script type="application/json" id="data">{_json(data)}</script>
<script>{program}</script>
</body>
</html>
"""
    return text.encode("utf-8", "replace")  # the name of a file need not be text


def _head(job: Job) -> str:
    report, record = job.report, job.record
    seconds = report.frames / report.fps
    told = (f"{report.width}\u00d7{report.height}", f"{report.fps:g} frames a second", _clock(seconds))
    chains = _some(report.chains, "chain")
    work = f"{_some(len(record.chunks), 'chunk')} in {chains}, computed by {_some(job.workers, 'worker')}"
    source, target = (escape(os.path.basename(path)) for path in (job.source, job.target))
    return f"""<header>
<p class="eyebrow">fastslow encode</p>
<h1>{target}</h1>
<p class="sub">made from {source}{_DOT}{_DOT.join(told)}<br>{work}</p>
</header>
"""


def _tiles(job: Job) -> str:
    report, peer = job.report, job.peer
    seconds = report.frames / report.fps
    bits = sum(job.record.frames.sizes)
    rate = f"{_count(report.bytes)} bytes with container and sound"
    tiles = [
        ("Bit rate", _short(report.kbps), "kb/s", rate if peer is None else _against(bits, sum(peer.frames.sizes)))
    ]
    if report.psnr_y is not None and report.ssim_y is not None:
        least = f"worst frame {min(job.record.quality.each_psnr_y):.2f} dB" if job.record.quality else ""
        note = least if peer is None else _more(report.psnr_y - peer.quality.psnr_y, 2, "dB")
        tiles.append(("PSNR of the luma", f"{report.psnr_y:.2f}", "dB", note))
        note = "1 is no difference" if peer is None else _more(report.ssim_y - peer.quality.ssim_y, 4, "")
        tiles.append(("SSIM of the luma", f"{report.ssim_y:.4f}", "", note))
    note = f"{seconds / report.wall_s:.2f} times as fast as it plays"
    tiles.append(("Wall time", _seconds(report.wall_s), "", note))
    tiles.append(("Frames", _count(report.frames), "", _some(report.key_frames, "key frame")))
    inner = "".join(
        f'<dl class="tile"><dt>{name}</dt><dd class="value">{value}<span class="unit">{unit}</span></dd>'
        f'<dd class="note">{note}</dd></dl>'
        for name, value, unit, note in tiles
    )
    return f'<section class="bare tiles" aria-label="Result">{inner}</section>\n'


def _warnings(job: Job) -> str:
    if not job.report.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in job.report.warnings)
    return f'<section class="warnings"><h2>Warnings</h2><ul>{items}</ul></section>\n'


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
        told = [_clock(frames.times[number], 2), f"{_count(frames.sizes[number])} bytes"]
        told.append(f"quantizer {frames.quantizers[number]}")
        if record.quality is not None:
            told.append(f"{record.quality.each_psnr_y[number]:.2f} dB")
        title = titles[number]
        inner += f'<figure><img src="{address}" alt="{title} of the output"><figcaption><b>{_count(number)}</b> {title}'
        inner += f"<br>{_DOT.join(told)}</figcaption></figure>"
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
    return _plot("frames", "Frames", lead, scale, legend, "bytes, quantizer and quality of every frame")


def _timeline(job: Job) -> str:
    legend = "".join(f"<li>{_stage(stage)}</li>" for stage in facts.stage_seconds(job.record))
    modes = """<button type="button" data-mode="process" aria-pressed="true">by process</button>
<button type="button" data-mode="chunk" aria-pressed="false">by chunk</button>"""
    lead = "Who was at what. A chunk waits for the state in which the one before it in its chain ends."
    if readings := job.record.readings:
        items = (f"<li>{escape(title)}, from {_seconds(began - job.record.began)}</li>" for title, began in readings)
        told = f"The film was read {_some(len(readings), 'time')}, each from a vertical line on"
        lead += f"</p><details><summary>{told}</summary><ol>{''.join(items)}</ol></details><p hidden>"
    return _plot("timeline", "Timeline", lead, modes, legend, "when each process worked on which chunk")


def _plot(name: str, title: str, lead: str, tools: str, legend: str, label: str) -> str:
    return f"""<figure class="plot" id="{name}">
<div class="head"><div><h2>{title}</h2><p class="lead">{lead}</p></div>
<div class="tools">{tools}<button type="button" data-zoom="0.5" aria-label="zoom out">{_MINUS}</button>\
<button type="button" data-zoom="2" aria-label="zoom in">+</button>\
<button type="button" data-zoom="0">all</button></div></div>
<ul class="legend">{legend}</ul>
<div class="box"><canvas tabindex="0" role="img" aria-label="Diagram: {label}. Arrow keys move, plus and minus zoom; \
all numbers are in the table below."></canvas><canvas class="strip" aria-hidden="true"></canvas>\
<div class="tip" hidden></div><p class="heard" aria-live="polite"></p></div>
<p class="hint">Drag over a part to look closer, double-click for all of it; keys: arrows, +, {_MINUS}, 0.</p>
</figure>
"""


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
        cells = (_seconds(spent), share, _seconds(cpu) if cpu is not None else "\u2013")
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
        ("bit rate of the picture", f"{_short(report.kbps)} kb/s", f"{_short(peer.kbps(seconds))} kb/s",
         _percent(bits, others, less_is_better=True)),
        ("PSNR of the luma", f"{report.psnr_y:.3f} dB", f"{psnr:.3f} dB", _more(report.psnr_y - psnr, 3, "dB", "")),
        ("SSIM of the luma", f"{report.ssim_y:.5f}", f"{ssim:.5f}", _more(report.ssim_y - ssim, 5, "", "")),
        ("wall time", _seconds(report.wall_s), _seconds(peer.seconds),
         _percent(report.wall_s, peer.seconds, less_is_better=True)),
        ("key frames", str(report.key_frames), str(peer.key_frames), ""),
    )  # fmt: skip
    body = "".join(f"<tr><td>{row[0]}</td>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows)
    return f"""<section><h2>Beside plain libvpx</h2>
<p class="lead">The same film by libvpx alone: one run over all of it in one thread, two passes,
the same cq ({job.settings.cq}) and speed, no altref frames. Its time has the film read once;
fastslow's is that of {_some(job.workers, "worker")}. Bits and quality count together.</p>
<div class="scroll"><table><thead><tr><th scope="col"></th><th scope="col">fastslow</th><th scope="col">libvpx</th>\
<th scope="col">difference</th></tr></thead><tbody>{body}</tbody></table></div>
</section>
"""


def _facts(title: str, pairs: Mapping[str, str]) -> str:
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs.items())
    return f'<section><h2>{title}</h2><dl class="facts">{inner}</dl></section>'


_NUMBERS = """<section id="numbers"><div class="head"><div><h2>Every number</h2></div>
<div class="tools"><button type="button" data-kind="frames" aria-pressed="true">frames</button>\
<button type="button" data-kind="chunks" aria-pressed="false">chunks</button>\
<button type="button" data-save="frames">frames.csv</button>
<button type="button" data-save="chunks">chunks.csv</button>\
<button type="button" data-save="json">report.json</button></div></div>
<noscript><p class="lead">The diagrams and this table need JavaScript;
the numbers are in the page's source as JSON.</p></noscript>
<div class="scroll"><table></table></div>
<div class="turn"><button type="button" data-back aria-label="page back">\u2039</button>\
<button type="button" data-on aria-label="page on">\u203a</button>
<label>go to <input type="number" min="0" value="0" data-place aria-label="number to go to"></label>\
<span data-said aria-live="polite"></span></div>
</section>
"""


def _resource(name: str) -> str:
    return files("pipelines.report").joinpath(name).read_text("utf-8")


def _checksum(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _json(data: object) -> str:
    """JSON that cannot end the script element that it stands in, nor begin a comment there."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _count(value: int) -> str:
    return f"{value:,}".replace(",", _THIN)


def _some(number: int, what: str) -> str:
    return f"{_count(number)} {what}" + ("" if number == 1 else "s")


def _short(value: float) -> str:
    return _count(round(value)) if value >= 100 else f"{value:.3g}"


def _seconds(value: float) -> str:
    if value >= 100:
        return _clock(value)
    return f"{value:.1f}{_THIN}s" if value >= 10 else f"{value:.2f}{_THIN}s"


def _clock(seconds: float, digits: int = 0) -> str:
    whole = round(seconds, digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def _coloured(text: str, good: bool | None) -> str:
    kind = {True: "good", False: "bad", None: "same"}[good]
    return f'<span class="{kind}">{text}</span>'


def _percent(value: float, other: float, *, less_is_better: bool) -> str:
    if not other:
        return ""
    change = (value / other - 1) * 100
    text = f"{change:+.1f}{_THIN}%".replace("-", _MINUS) if change < 1000 else f"{value / other:.0f} times as much"
    return _coloured(text, None if abs(change) < 0.05 else (change < 0) == less_is_better)


def _against(value: float, other: float) -> str:
    return _percent(value, other, less_is_better=True) + " against libvpx"


def _more(difference: float, digits: int, unit: str, beside: str = " against libvpx") -> str:
    text = f"{difference:+.{digits}f}".replace("-", _MINUS) + (f"{_THIN}{unit}" if unit else "")
    return _coloured(text, None if abs(difference) < 0.5 * 10**-digits else difference > 0) + beside
