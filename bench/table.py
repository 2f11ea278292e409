"""A row of the table of numbers: what was measured, what it should be, and whether it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "show"]


@dataclass(frozen=True, slots=True)
class Row:
    """A measured number beside what it must at least be and what it shall become.

    ``value`` is compared with ``at_least`` and ``aim`` in the direction that ``more_is_better`` says; None where
    nothing is asked. ``text`` shows the value with its spread, ``tried`` is what was done for a goal that is missed.
    """

    what: str
    text: str
    value: float
    at_least: float | None = None
    aim: float | None = None
    more_is_better: bool = True
    unit: str = ""
    tried: str = ""

    def reaches(self, goal: float | None) -> bool:
        """Tell whether the value is as good as ``goal``, or nothing is asked."""
        return goal is None or (self.value >= goal if self.more_is_better else self.value <= goal)

    @property
    def verdict(self) -> str:
        """Say which of the two goals is reached."""
        if self.at_least is None:
            return ""
        return "aim reached" if self.reaches(self.aim) else "met" if self.reaches(self.at_least) else "MISSED"


def show(title: str, rows: Iterable[Row], console: Console | None = None) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left")
    for column in ("what", "measured", "at least", "aim", ""):
        table.add_column(column, overflow="fold")
    missed = []
    for row in rows:
        missed += [row.tried] if row.tried and row.verdict == "MISSED" else []
        goals = ("" if goal is None else f"{goal:g}{row.unit}" for goal in (row.at_least, row.aim))
        table.add_row(row.what, row.text + row.unit, *goals, row.verdict)
    console = console or Console(width=140)
    console.print(table)
    for tried in dict.fromkeys(missed):
        console.print(f"Missed; what was tried: {tried}")
