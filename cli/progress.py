"""Progress on stderr: a picture that moves in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from cli.standing import Left, Standing, of_encoding

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mu import Job
    from mu.record import Record
    from pipelines.encode.progress import Progress

Row = tuple["RenderableType", ...]
_LINE_EVERY = 10.0
_LOOK_EVERY = 0.2
_NAMES = {"encode": "encode (libvpx)", "decode": ""}
"""Of stages; what has no name is not shown: it is little, and goes with the next."""
_STYLES = {"working": "green", "waiting": "yellow", "lost": "red"}
_OVER = {"done": "green", "failed": "red", "cancelled": "yellow", "refused": "red"}


class Display(Protocol):
    """Shows how far things are; a context."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stand(self, standing: Standing) -> None:
        """An encoding or a job has come so far."""

    def count(self, name: str, done: int, total: int) -> None:
        """Something simpler has come so far."""


def display(quiet: bool) -> Display:
    """A moving picture, lines or nothing, as fits where stderr goes."""
    if quiet:
        return Silence()
    return Picture() if sys.stderr.isatty() else Lines()


class Looker:
    """Looks on at an encoding on this machine, for a display: give its `watch` and its `follow` to who encodes.

    `follow`, if there is one, makes the record of each job, or else this does.
    """

    def __init__(self, shown: Display, follow: Callable[[Job, str], Record] | None = None) -> None:
        self._shown, self._follow = shown, follow
        self._record: Record | None = None
        self._title, self._began, self._again = "", time.monotonic(), 0.0
        self._left = Left()

    def follow(self, job: Job, title: str) -> Record:
        """A reading of the film begins."""
        from mu.record import Record

        self._record = self._follow(job, title) if self._follow else Record(job, time.monotonic())
        return self._record

    def watch(self, progress: Progress) -> None:
        """It has come so far."""
        now = time.monotonic()
        if progress.title != self._title:
            self._title, self._began, self._left = progress.title, now, Left()
        elif now < self._again and not (progress.exact and progress.done["join"] >= progress.frames):
            return
        self._again = now + _LOOK_EVERY
        counts = self._record.counts(now) if self._record else None
        self._shown.stand(of_encoding(progress, counts, now - self._began, self._left, now))


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stand(self, standing: Standing) -> None:
        """Show nothing."""

    def count(self, name: str, done: int, total: int) -> None:
        """Show nothing."""


class Lines(Silence):
    """A line every ten seconds, and when something else begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = clock()
        self._what = ("", "running")
        self._began: dict[str, float] = {}

    def stand(self, standing: Standing) -> None:
        """Tell of what is known."""
        what, before = (standing.title, standing.state), self._what
        now, self._what = self._clock(), what
        if what == before and now - self._told < _LINE_EVERY:
            return
        self._told = now
        if standing.title and standing.title != before[0]:
            click.echo(f"fastslow: {standing.title}", err=True)
        else:
            click.echo(f"fastslow: {line(standing)}", err=True)

    def count(self, name: str, done: int, total: int) -> None:
        """Tell of the frames."""
        now = self._clock()
        began = self._began.setdefault(name, now)
        if now - self._told < _LINE_EVERY:
            return
        self._told = now
        left = f", {clock((total - done) * (now - began) / done)} left" if done and total > done else ""
        click.echo(f"fastslow: {name} {done} of {total or '?'}{left}", err=True)


class Picture:
    """Bars, workers, money and time, drawn anew several times a second."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._clock = clock
        self._standing: Standing | None = None
        self._at = clock()
        self._counts: dict[str, tuple[int, int, float]] = {}
        """What is simpler: how much of how much is done, and when it began."""
        self._live = Live(console=console or RichConsole(stderr=True), get_renderable=self.drawn, refresh_per_second=5)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._standing is not None:
            self._live.update(self.drawn())
        self._live.stop()

    def stand(self, standing: Standing) -> None:
        """Draw that from now on; what was done before under another title stays above."""
        if standing.title and (self._standing is None or standing.title != self._standing.title):
            self._live.console.print(standing.title)
        self._standing, self._at = standing, self._clock()

    def count(self, name: str, done: int, total: int) -> None:
        """Move one bar."""
        began = self._counts[name][2] if name in self._counts else self._clock()
        self._counts[name] = (done, total, began)

    def drawn(self) -> RenderableType:
        """What there is to see now."""
        from rich.console import Group

        shown: list[RenderableType] = []
        if (standing := self._standing) is not None:
            since = self._clock() - self._at if standing.state == "running" else 0.0
            rows = ((2, _head(standing)), (3, _bars(standing)), (2, _foot(standing, since)))
            shown += [_grid(columns, each) for columns, each in rows if each]
        if self._counts:
            shown.append(_grid(3, [self._counted(name) for name in self._counts]))
        return Group(*shown)

    def _counted(self, name: str) -> Row:
        done, total, began = self._counts[name]
        took = self._clock() - began
        left = f", about {clock((total - done) * took / done)} left" if 0 < done < total and took > 1 else ""
        label, bar, number = _bar(name, done, total or None)
        return label, bar, f"{number}{left}"


def _grid(columns: int, rows: Sequence[Row]) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=15, style="bright_black")
    grid.add_column()
    if columns == 3:
        grid.add_column(justify="right")
    for row in rows:
        grid.add_row(*row)
    return grid


def _head(standing: Standing) -> list[Row]:
    from rich.text import Text

    if not standing.job:
        return []
    return [("job", Text.assemble((standing.job, "bold"), "  ", (standing.state, _OVER.get(standing.state, ""))))]


def _bars(standing: Standing) -> list[Row]:
    rows = [
        _bar(_NAMES.get(name, name), stage.done, stage.total)
        for name, stage in standing.stages.items()
        if _NAMES.get(name, name)
    ]
    return [*rows, _bar("tasks", standing.committed, standing.tasks)] if standing.tasks and standing.job else rows


def _foot(standing: Standing, since: float) -> list[Row]:
    from rich.text import Text

    rows: list[Row] = []
    if standing.failed:
        rows.append(("failed", Text(some(standing.failed, "task"), "red")))
    if any(standing.workers.values()):
        parts = [Text(f"{number} {what}", _STYLES.get(what, "")) for what, number in standing.workers.items() if number]
        rows.append(("workers", Text(", ").join(parts)))
    if standing.dollars:
        rows.append(("cost so far", money(standing.dollars)))
    if standing.silent_s:
        rows.append(("coordinator", Text(_silence(standing), "red")))
    left = "" if standing.left_s is None else f", about {clock(max(1.0, standing.left_s - since))} left"
    return [*rows, ("time", f"{clock(standing.elapsed_s + since)}{left}")]


def _bar(name: str, done: float, total: float | None) -> Row:
    from rich.progress_bar import ProgressBar

    bar = ProgressBar(
        total or 1, min(done, total) if total else 0, width=40, complete_style="cyan", finished_style="green"
    )
    return name, bar, f"{done:.0f} of {total:.0f}" if total else f"{done:.0f}"


def line(standing: Standing) -> str:
    """All of it in a line."""
    parts = []
    if standing.job:
        parts.append(f"{standing.state}, {clock(standing.elapsed_s)}")
    stages = ", ".join(
        f"{name} {stage.done:.0f}" + (f" of {stage.total:.0f}" if stage.total else "")
        for name, stage in standing.stages.items()
        if stage.done and _NAMES.get(name, name)
    )
    workers = ", ".join(f"{number} {what}" for what, number in standing.workers.items() if number)
    tasks = f"{standing.committed} of {some(standing.tasks, 'task')}" if standing.tasks and standing.job else ""
    failed = f"{some(standing.failed, 'task')} failed" if standing.failed else ""
    cost = money(standing.dollars) if standing.dollars else ""
    left = f"about {clock(standing.left_s)} left" if standing.left_s is not None else ""
    silent = f"coordinator {_silence(standing)}" if standing.silent_s else ""
    return "; ".join(part for part in (*parts, stages, tasks, failed, workers, cost, left, silent) if part)


def _silence(standing: Standing) -> str:
    return f"silent for {clock(standing.silent_s)}; the job waits until it is back"


def money(dollars: float) -> str:
    """US dollars, with as many digits as say something."""
    return f"{dollars:.4f} $" if dollars < 1 else f"{dollars:,.2f} $"


def some(number: int, what: str) -> str:
    """So many of something that has a plural in -s."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def clock(seconds: float) -> str:
    """1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
