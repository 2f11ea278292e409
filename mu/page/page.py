"""The page of a job as HTML: numbers, diagrams of who was at what, what failed, and the film that was made."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape

import msgspec

from mu.core.instructions import Failure
from mu.job import Job, Limits
from mu.record import Counts, Record
from pages.document import document, facts, head, numbers, plot, resource, tiles
from pages.words import DOT, THIN, count, some, took

__all__ = ["LARGEST_FILM", "Film", "film_beside", "page", "relinked", "stage_rows", "tile_entries"]

LARGEST_FILM = 24 << 20
"""Bytes of a film that becomes part of a page; a larger one lies beside it."""


@dataclass(frozen=True)
class Film:
    """The film that a job made."""

    kind: str
    """Its MIME type."""
    size: int
    read: Callable[[int, int], bytes]
    """Gives its bytes from one place up to another."""
    beside: str = ""
    """Where a page that lies with the job's results finds it."""

    @property
    def source(self) -> str:
        """What the player of a page that nobody serves is given: all of it, unless it is large."""
        if self.size > LARGEST_FILM:
            return self.beside
        return f"data:{self.kind};base64,{base64.b64encode(self.read(0, self.size)).decode()}"


def film_beside(made: bytes) -> str:
    """Where a page that `page` made looks for its film; empty if it has none, or has it in itself."""
    found = _BESIDE.search(made)
    return unescape(found[1].decode()) if found else ""


def relinked(made: bytes, address: str) -> bytes:
    """The page with its film at another address; as it was if `film_beside` is empty."""
    return _BESIDE.sub(lambda _: _player(address).encode(), made, count=1)


def page(
    job: Job,
    record: Record,
    now: float,
    *,
    live: str = "",
    costs: float | None = None,
    film: Film | None = None,
    film_at: str = "",
    settings: Mapping[str, str] | None = None,
) -> bytes:
    """A job's page as UTF-8.

    With `live`, the address of its facts, the page asks there for what is new; without, it is complete in itself.
    `costs` are US dollars so far, `film_at` is where whoever serves the page serves the film, `settings` what else is
    to be said of the job.
    """
    counts = record.counts(now)
    state = counts.outcome or "running"
    below = f'<span id="state">{"live" if live else escape(state)}</span>{DOT}{escape(job.id)}'
    about = {
        "id": job.id,
        "tasks": f"{count(len(job.tasks))} at first, {count(counts.tasks)} in all",
        **(settings or {}),
    }
    if record.before:
        about["not shown"] = f"{some(record.before, 'task')} done before a coordinator took the job up again"
    parts = [
        head("fastslow job", job.name, below),
        tiles("Where it stands", tile_entries(counts, costs)),
        _film(film_at or film.source) if film else "",
        _failures(counts.failures),
        _stages(stage_rows(counts), bool(live)),
        plot(
            "load",
            "Workers",
            "How many were at what at any time; the line is the tasks that were done.",
            "",
            "",
            "how many workers were at what",
        ),
        plot(
            "rows",
            "Who was at what",
            "A row for each task, or for each worker. Lines lead from where a message was sent to where it was waited "
            "for; red marks a run that was lost.",
            _ROWS,
            "",
            "when each task was at what",
        ),
        f'<div class="pair">{facts("Job", about)}{facts("Limits", _limits(job.limits))}</div>',
        numbers(["tasks", "workers"]),
    ]
    data = {"limits": msgspec.to_builtins(job.limits), "facts": record.facts, "live": live}
    programs = [resource("pages", name) for name in ("plot.js", "table.js")]
    programs += [resource("mu.page", name) for name in ("model.js", "rows.js", "load.js", "job.js")]
    may = "; connect-src 'self'; media-src 'self' data:" if live else "; media-src 'self' data:"
    note = "It asks the coordinator for what is new, and nobody else." if live else "It loads nothing from elsewhere."
    styles = [resource("pages", "page.css"), resource("mu.page", "page.css")]
    return document(job.name, parts, data, styles, programs, may=may, told=note)


def tile_entries(counts: Counts, costs: float | None) -> list[tuple[str, str, str, str]]:
    """Where a job stands, in numbers: name, value, unit and note of each."""
    workers, elapsed = counts.workers, max(counts.elapsed_s, 1e-9)
    here = sum(workers.get(name, 0) for name in ("idle", "working", "waiting"))
    at = (f"{count(workers[name])} {name}" for name in ("starting", "working", "waiting", "idle") if workers.get(name))
    usual = counts.worker_s / elapsed
    at_a_time = f"{usual:.1f}" if usual < 100 else count(round(usual))
    tiles = [
        ("Time", took(counts.elapsed_s), "", counts.outcome or "running"),
        ("Tasks", count(counts.committed), f"of {count(counts.tasks)}", f"{counts.committed / elapsed:.3g} a second"),
        ("Workers", count(here), "", ", ".join(at) or "none any more"),
        ("Lost", count(counts.workers.get("lost", 0)), "runs", f"{some(counts.failed, 'task')} failed"),
        (
            "Messages",
            count(counts.messages),
            "",
            f"{_bytes(counts.message_bytes)}; {_bytes(counts.object_bytes)} stored",
        ),
        ("Worker time", took(counts.worker_s), "", f"{at_a_time} at a time"),
    ]
    if costs is not None:
        tiles.append(("Cost", f"{costs:.4f}" if costs < 1 else f"{costs:.2f}", "$", "lost runs included"))
    return tiles


def stage_rows(counts: Counts) -> list[tuple[str, str, str, str, str]]:
    """What went through each stage, how fast, and what that took: the cells of a row for each."""
    elapsed = max(counts.elapsed_s, 1e-9)
    return [
        (
            name,
            f"{count(round(stage.done))} of {count(round(stage.total))}" if stage.total else count(round(stage.done)),
            f"{stage.done / elapsed:.3g}",
            took(stage.cpu_s),
            f"{1000 * stage.cpu_s / stage.done:.3g}{THIN}ms" if stage.done >= 1 else "\u2013",
        )
        for name, stage in counts.stages.items()
    ]


def _bytes(size: float) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, (len(str(int(size))) - 1) // 3)
    return f"{size / 1000**power:.3g} {units[power]}"


def _limits(limits: Limits) -> dict[str, str]:
    """Those that say something."""
    values = msgspec.to_builtins(limits).items()
    return {
        name: ", ".join(value) if isinstance(value, (list, tuple)) else str(value) for name, value in values if value
    }


def _film(source: str) -> str:
    return f"""<section class="film"><h2>The film</h2>
{_player(source)}
</section>
"""


_BESIDE = re.compile(rb'<video controls playsinline preload="metadata" src="((?!data:)[^"]+)"></video>')


def _player(source: str) -> str:
    return f'<video controls playsinline preload="metadata" src="{escape(source)}"></video>'


def _stages(rows: list[tuple[str, str, str, str, str]], live: bool) -> str:
    if not rows and not live:
        return ""
    names = ("stage", "done", "a second", "processor time", "each")
    columns = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"""<section id="stages"><h2>Stages</h2>
<div class="scroll"><table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div></section>
"""


def _failures(failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    items = ""
    for failure in failures[:200]:
        more = "\n".join([*(f"lost before: {reason}" for reason in failure.tries), failure.traceback]).strip()
        told = f"<details><summary>more</summary><pre>{escape(more)}</pre></details>" if more else ""
        items += f"<li><b>{escape(failure.task)}</b> {escape(failure.reason)}{told}</li>"
    left = f"<p>and {some(len(failures) - 200, 'more task')}</p>" if len(failures) > 200 else ""
    return f'<section class="warnings"><h2>What failed</h2><ul>{items}</ul>{left}</section>'


_ROWS = """<button type="button" data-mode="task" aria-pressed="true">by task</button>
<button type="button" data-mode="worker" aria-pressed="false">by worker</button>
<button type="button" data-rows="0.5" aria-label="more rows">more rows</button>\
<button type="button" data-rows="2" aria-label="fewer rows">fewer rows</button>\
<button type="button" data-rows="0">all rows</button>"""
