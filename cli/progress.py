"""Progress on stderr: bars with the time left in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

if TYPE_CHECKING:
    from pipelines.encode.progress import Progress

_LINE_EVERY = 10.0
_STAGES = {"read": "read", "encode": "encode (libvpx)", "rebase": "rebase", "join": "join"}


class Display(Protocol):
    """Shows how far things are; a context."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stages(self, progress: Progress) -> None:
        """An encoding has come so far."""

    def count(self, name: str, done: int, total: int) -> None:
        """Something simpler has come so far."""


def display(quiet: bool) -> Display:
    """Bars, lines or nothing, as fits where stderr goes."""
    if quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else Lines()


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stages(self, progress: Progress) -> None:
        """Show nothing."""

    def count(self, name: str, done: int, total: int) -> None:
        """Show nothing."""


class Lines(Silence):
    """A line every ten seconds."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._title = ""

    def stages(self, progress: Progress) -> None:
        """Tell of the slowest stage, and of each reading of the film where there are several."""
        if progress.title != self._title:
            self._title = progress.title
            self._began = time.monotonic()
            click.echo(f"fastslow: {progress.title}", err=True)
        done = progress.done["encode"]
        self._tell("encoded", done, progress.frames, ", ".join(f"{k} {v:.0f}" for k, v in progress.done.items()))

    def count(self, name: str, done: int, total: int) -> None:
        """Tell of the frames."""
        self._tell(name, done, total, "")

    def _tell(self, what: str, done: float, total: int, more: str) -> None:
        now = time.monotonic()
        if now - self._told < _LINE_EVERY:
            return
        self._told = now
        speed = done / (now - self._began)
        left = f", {max(0, total - done) / speed:.0f} s left" if speed else ""
        click.echo(f"fastslow: {what} {done:.0f} of {total} frames{left}" + (f" ({more})" if more else ""), err=True)


class Bars:
    """A bar for each stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description:16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bars = RichProgress(*columns, console=Console(stderr=True), refresh_per_second=5)
        self._tasks: dict[str, int] = {}
        self._title = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stages(self, progress: Progress) -> None:
        """Move every stage's bar; they begin anew with every reading of the film."""
        from rich.progress import TaskID

        if progress.title != self._title:
            self._title = progress.title
            self._bars.console.print(progress.title)
            for name in _STAGES.values():
                if name in self._tasks:
                    self._bars.reset(TaskID(self._tasks[name]))
        for stage, name in _STAGES.items():
            self.count(name, int(progress.done[stage]), progress.frames)

    def count(self, name: str, done: int, total: int) -> None:
        """Move one bar."""
        from rich.progress import TaskID

        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total or None)
        self._bars.update(TaskID(self._tasks[name]), completed=done, total=total or None)
