"""The page of a job: labels over the film, with pictures; its text is complete without its program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from statistics import median

import msgspec

from pages import document
from pages.words import DOT, THIN, clock, count, some, took
from pipelines.classify.answers import Outcome
from pipelines.classify.results import Result, as_data
from pipelines.media.jpeg import data_address
from pipelines.report.machine import machine

__all__ = ["render"]

LANES = 12
"""Labels that have a lane, and a colour, of their own."""
_WORTH_A_LANE = 0.2
"""What the score must be of a label that is never the most probable one."""
_TOLD = 20
"""Labels in the table of what was seen."""
_PROBLEMS = 8
_STYLES = (("pages", "page.css"), ("pipelines.classify", "page.css"))
_PROGRAMS = (
    ("pages", "plot.js"),
    ("pages", "table.js"),
    ("pipelines.classify", "labels.js"),
    ("pipelines.classify", "page.js"),
)


@dataclass(slots=True)
class _Seen:
    """What a label was in a job."""

    name: str
    weight: float = 0.0
    """Its scores, added up."""
    first: int = 0
    """Frames of which it was the most probable label."""
    since: int = 0
    """The place of the first of them, or else of the first that has it at all."""
    best: float = 0.0
    at: Outcome | None = None


def render(result: Result) -> bytes:
    """The page as UTF-8; of files it has the names, without the folder in which all of them are."""
    result = _without_folder(result)
    seen = _seen(result)
    telling = [each for each in seen if each.first or each.best >= _WORTH_A_LANE]
    lanes = sorted(
        telling[:LANES], key=lambda each: each.since
    )  # so that the film goes down its lanes like a staircase
    colours = {each.name: number for number, each in enumerate(lanes)}
    data = as_data(result) | {"seconds": result.seconds, "lanes": [each.name for each in lanes]}
    parts = [_head(result), _tiles(result, seen), _problems(result), _labels(result), _summary(result, seen, colours)]
    parts += [_gallery(result, lanes, colours)]
    told = document.facts("Settings", _settings(result)) + document.facts("Machine", machine("fastslow", "av"))
    parts += [f'<div class="pair">{told}</div>', document.numbers(("frames",))]
    styles, programs = ([document.resource(*each) for each in names] for names in (_STYLES, _PROGRAMS))
    return document.document(_title(result), parts, data, styles, programs)


def _without_folder(result: Result) -> Result:
    if result.source:
        return msgspec.structs.replace(result, source=os.path.basename(result.source))
    folder = os.path.commonpath(
        [os.path.dirname(os.path.abspath(outcome.name)) for outcome in result.outcomes] or ["/"]
    )
    outcomes = tuple(
        msgspec.structs.replace(outcome, name=os.path.relpath(outcome.name, folder)) for outcome in result.outcomes
    )
    return msgspec.structs.replace(result, outcomes=outcomes)


def _seen(result: Result) -> list[_Seen]:
    """The labels, those that weigh most first."""
    found: dict[str, _Seen] = {}
    for place, outcome in enumerate(result.outcomes):
        for rank, label in enumerate(outcome.labels):
            each = found.setdefault(label.label, _Seen(label.label, since=place))
            each.weight += label.score
            if rank == 0:
                each.since = each.since if each.first else place
                each.first += 1
            if label.score > each.best:
                each.best, each.at = label.score, outcome
    return sorted(found.values(), key=lambda each: -each.weight)


def _title(result: Result) -> str:
    return result.source or some(len(result.outcomes), "picture")


def _head(result: Result) -> str:
    what = some(len(result.outcomes), "frame")
    told = [
        *([what] if result.source else []),
        *([clock(result.seconds)] if result.seconds else []),
        *(escape(str(each)) for each in result.models),
    ]
    where = "in this process" if result.asked == "here" else f"by {escape(result.asked)}"
    early = "" if result.complete else "<br>ended early: this is what was there by then"
    return document.head("fastslow classify", _title(result), f"{DOT.join(told)}<br>classified {where}{early}")


def _tiles(result: Result, seen: list[_Seen]) -> str:
    done = [outcome for outcome in result.outcomes if not outcome.problem]
    each = median(outcome.ms for outcome in done) if done else 0.0
    most = max(seen, key=lambda label: label.first, default=None)
    notes = [f"{count(result.cold)} from cold environments"] if result.cold else []
    notes += [f"{count(result.retries)} tried again"] if result.retries else []
    rows = [
        ("Classified", count(len(done)), "", f"{count(len(result.failed))} failed" if result.failed else "none failed"),
        (
            "Labels",
            count(sum(label.first > 0 for label in seen)),
            "",
            f"first in a {'frame' if result.source else 'picture'}",
        ),
        ("Wall time", took(result.wall_s), "", f"{len(result.outcomes) / max(result.wall_s, 1e-9):.1f} a second"),
        ("An answer", f"{each:.0f}", "ms", ", ".join(notes) or f"median, {result.parallel} at once"),
    ]
    if most is not None and len(done) > 1:
        share = f"{most.first / len(done):.0%}".replace("%", f"{THIN}%")
        rows.insert(1, ("Seen most", share, "", escape(_short(most.name))))
    return document.tiles("Result", rows)


def _problems(result: Result) -> str:
    failed = result.failed
    lines = [f"{outcome.name}: {outcome.problem}" for outcome in failed[:_PROBLEMS]]
    if len(failed) > _PROBLEMS:
        lines.append(f"and {count(len(failed) - _PROBLEMS)} more, in the table at the end")
    return document.warnings(lines, "Not classified")


def _labels(result: Result) -> str:
    over = "over the film" if result.source else "from picture to picture"
    lead = f"The labels that weigh most, {over}: high where the model is sure; pale where another one is more probable."
    inspector = """<div class="inspect" hidden><div class="shown"><img alt=""><p class="none">no picture</p></div>
<div class="said"><div class="when"><b></b><span class="turn"><button type="button" data-step="-1" aria-label="previous">\u2039</button>\
<button type="button" data-step="1" aria-label="next">\u203a</button></span></div><ol></ol><p class="note"></p></div></div>
"""  # noqa: E501
    return document.plot(
        "labels", "Timeline" if result.source else "Labels", lead, "", "", "labels of every frame", inspector
    )


def _summary(result: Result, seen: list[_Seen], colours: dict[str, int]) -> str:
    if not seen:
        return ""
    done = len(result.outcomes) - len(result.failed)
    rows = ""
    first = sorted((label for label in seen if label.first), key=lambda label: (-label.first, -label.weight))
    for each in first[:_TOLD]:
        at = escape(each.at.name) if each.at else ""
        cells = (f"{each.first}", f"{each.first / max(1, done):.1%}", f"{each.best:.2f}", at)
        name, comma, more = each.name.partition(",")
        label = f'{escape(name)}<span class="more">{comma}{escape(more)}</span>'
        rows += f"<tr><td>{_dot(colours.get(each.name))}{label}</td>"
        rows += "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    left = len(first) - _TOLD
    more = f" {some(left, 'other label')} followed." if left > 0 else ""
    return f"""<section class="seen"><h2>What was seen</h2>
<p class="lead">Labels by how often they were the most probable one.{more}</p>
<div class="scroll"><table><thead><tr><th scope="col">label</th><th scope="col">first in</th>\
<th scope="col">share</th><th scope="col">best score</th><th scope="col">there</th></tr></thead>
<tbody>{rows}</tbody></table></div>
</section>
"""


def _gallery(result: Result, lanes: list[_Seen], colours: dict[str, int]) -> str:
    chips = '<button type="button" data-label="" aria-pressed="true">all</button>'
    for number, each in enumerate(lanes):
        if each.first:
            name = f'{_dot(number)}{escape(_short(each.name))} <span class="many">{each.first}</span>'
            chips += f'<button type="button" data-label="{escape(each.name)}" aria-pressed="false">{name}</button>'
    cards = "".join(_cards(result, colours))
    what = "Frames" if result.source else "Pictures"
    return f"""<section id="gallery"><h2>{what}</h2>
<div class="chips" role="group" aria-label="show those of one label">{chips}</div>
<div class="cards">{cards}</div></section>
"""


def _cards(result: Result, colours: dict[str, int]) -> Iterator[str]:
    for place, outcome in enumerate(result.outcomes):
        name = escape(outcome.name)
        if outcome.labels:
            best = outcome.labels[0]
            said = f'{_dot(colours.get(best.label))}<span class="what">{escape(_short(best.label))}</span>'
            said += f'<span class="score">{best.score:.2f}</span>'
            alt = f"{name}: {escape(best.label)}"
        else:
            said, alt = '<span class="what bad">failed</span>', name
        picture = '<span class="none">no picture</span>'
        if outcome.thumbnail:
            picture = f'<img src="{data_address(outcome.thumbnail)}" alt="{alt}" decoding="async">'
        told = f"<figcaption><b>{name}</b>{said}</figcaption>"
        yield f'<figure data-place="{place}" title="{alt}">{picture}{told}</figure>'


def _settings(result: Result) -> dict[str, str]:
    told = {"video": result.source, "frames picked": result.picked} if result.source else {}
    told |= {"asked": result.asked, "at once": str(result.parallel)}
    for model in result.models:
        told[f"model {model}"] = model.sha256 or "no checksum was told"
    return told


def _dot(colour: int | None) -> str:
    return f'<i class="{"lane-other" if colour is None else f"lane-{colour}"}"></i>'


def _short(label: str) -> str:
    """A label's first name: those of ImageNet have their synonyms after commas."""
    return label.partition(",")[0]
