"""The tables of `states` as a picture: `python -m mu.core.draw > docs/pictures/mu-states.svg`.

A column for each state, a row for each way from one to another, with what causes it.
"""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from enum import Enum

from mu.core.states import RUNS, TASKS, WORKERS, RunState, TaskState, WorkerState

__all__ = ["picture"]

WIDTH, EDGE, ROW, HEAD = 960, 24, 30, 84
STYLE = """  <style>
    .page { fill: #ffffff; stroke: #d0d7de; }
    .box { fill: #eaf1ff; stroke: #4272c4; stroke-width: 1.5; }
    .end { fill: #f6f8fa; stroke: #818b98; stroke-width: 1.5; }
    .life { stroke: #d0d7de; stroke-dasharray: 3 4; }
    .title { fill: #1f2328; font-size: 19px; font-weight: 600; }
    .name { fill: #1f2328; font-size: 13px; font-weight: 600; text-anchor: middle; }
    .say { fill: #424a53; font-size: 11px; text-anchor: middle; }
    .cause { fill: #1f2328; font-size: 12.5px; text-anchor: middle; }
    .cause { stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
    .arrow { stroke: #59636e; stroke-width: 1.6; fill: none; }
    .head { fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; stroke: #30363d; }
      .box { fill: #14233f; stroke: #6d9df0; }
      .end { fill: #161b22; stroke: #7d8590; }
      .life { stroke: #30363d; }
      .title, .name { fill: #e6edf3; }
      .say { fill: #b7bfc8; }
      .cause { fill: #e6edf3; stroke: #0d1117; }
      .arrow { stroke: #9198a1; }
      .head { fill: #9198a1; }
    }
  </style>"""
Table = Mapping[tuple[Enum, str], Enum]


def picture() -> str:
    """The SVG."""
    parts: list[str] = []
    top = 20
    tables: list[tuple[str, type[Enum], Table]] = [
        ("A task", TaskState, TASKS),  # type: ignore[list-item]
        ("A run of a task on a worker", RunState, RUNS),  # type: ignore[list-item]
        ("A worker", WorkerState, WORKERS),  # type: ignore[list-item]
    ]
    for title, states, table in tables:
        drawn, top = _chart(title, list(states), table, top)
        parts += drawn
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">"
    )
    about = "  <title>What may become of tasks, runs and workers</title>"
    page = f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1}" rx="10"/>'
    return "\n".join([head, about, STYLE, page, *parts, "</svg>", ""])


def _chart(title: str, states: list[Enum], table: Table, top: int) -> tuple[list[str], int]:
    ways: dict[tuple[Enum, Enum], list[str]] = defaultdict(list)
    for (before, cause), after in table.items():
        ways[before, after].append(cause)
    column = (WIDTH - 2 * EDGE) / len(states)
    at = {state: EDGE + column * (number + 0.5) for number, state in enumerate(states)}
    bottom = top + 30 + HEAD + ROW * len(ways) + 14
    lines = [f'  <text class="title" x="{EDGE + 6}" y="{top + 18}">{title}</text>']
    goes_on = {before for before, _ in table}
    for state in states:
        lines += _box(state, at[state], top + 30, column - 14, bottom, "box" if state in goes_on else "end")
    order = sorted(ways, key=lambda way: (states.index(way[0]), states.index(way[1])))
    for row, (before, after) in enumerate(order):
        y = top + 30 + HEAD + ROW * (row + 0.8)
        lines += _way(at[before], at[after], y, " or ".join(ways[before, after]))
    return lines, bottom + 12


def _box(state: Enum, x: float, y: float, wide: float, bottom: float, kind: str) -> list[str]:
    said = textwrap.wrap(str(state.value), max(12, int(wide / 5.6)))
    return [
        f'  <line class="life" x1="{x:.0f}" y1="{y + HEAD - 10:.0f}" x2="{x:.0f}" y2="{bottom - 6:.0f}"/>',
        f'  <rect class="{kind}" x="{x - wide / 2:.0f}" y="{y}" width="{wide:.0f}" height="{HEAD - 10}" rx="7"/>',
        f'  <text class="name" x="{x:.0f}" y="{y + 20}">{state.name.replace("_", " ").lower()}</text>',
        *(
            f'  <text class="say" x="{x:.0f}" y="{y + 36 + 13 * number}">{line}</text>'
            for number, line in enumerate(said)
        ),
    ]


def _way(begin: float, end: float, y: float, cause: str) -> list[str]:
    if begin == end:
        line = f'  <path class="arrow" d="M{begin:.0f},{y - 8:.0f} h22 v14 h-16"/>'
        tip = f'  <path class="head" d="M{begin + 1:.0f},{y + 6:.0f} l9,-4 v8 z"/>'
        return [line, tip, f'  <text class="cause" x="{begin + 78:.0f}" y="{y + 3:.0f}">{cause}</text>']
    side = 1 if end > begin else -1
    return [
        f'  <circle class="head" cx="{begin:.0f}" cy="{y:.0f}" r="3"/>',
        f'  <line class="arrow" x1="{begin:.0f}" y1="{y:.0f}" x2="{end - 9 * side:.0f}" y2="{y:.0f}"/>',
        f'  <path class="head" d="M{end - 1 * side:.0f},{y:.0f} l{-10 * side},-4.5 v9 z"/>',
        f'  <text class="cause" x="{(begin + end) / 2:.0f}" y="{y - 5:.0f}">{cause}</text>',
    ]


if __name__ == "__main__":
    sys.stdout.write(picture())
