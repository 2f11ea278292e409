"""A picture of simulated jobs: how many workers are in which stage, over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.mu_clock import Result

__all__ = ["draw"]

WIDTH, PANEL, LEFT, RIGHT, TOP = 960, 170, 70, 20, 64
STEPS = 240
COLOURS = {  # stage: light, dark
    "start": ("#c9d1d9", "#484f58"),
    "fetch": ("#9ec5fe", "#2f5fa8"),
    "search": ("#4272c4", "#6d9df0"),
    "decode": ("#7fb8a4", "#3d7d68"),
    "encode": ("#bf6a15", "#e0913f"),
    "wait": ("#f3dfc8", "#3a2a17"),
    "transfer": ("#d9a5d6", "#8a4f86"),
    "rebase": ("#2c8553", "#4fb97b"),
}
WORDS = {
    "start": "starting",
    "fetch": "fetch",
    "search": "libvpx",
    "decode": "decode",
    "encode": "encode anew",
    "wait": "wait for the neighbour",
    "transfer": "state on its way",
    "rebase": "rebase",
}


def draw(path: Path, results: Sequence[tuple[str, Result]]) -> None:
    """Write an SVG with a panel for each result, all on one axis of time."""
    longest = max(result.seconds for _, result in results)
    end = 20 * (int(longest / 20) + 1)
    height = TOP + len(results) * (PANEL + 50) + 20
    style = "".join(f".{name} {{ fill: {light}; }} " for name, (light, _) in COLOURS.items())
    dark = "".join(f".{name} {{ fill: {shade}; }} " for name, (_, shade) in COLOURS.items())
    said = "; ".join(f"{title}: {result.seconds:.0f} s" for title, result in results)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">",
        "  <title>Workers by stage, over time</title>",
        f"  <desc>{said}</desc>",
        "  <style>",
        "    .page { fill: #ffffff; stroke: #d0d7de; } .name { fill: #1f2328; font-size: 15px; font-weight: 600; }",
        f"    .say {{ fill: #424a53; font-size: 12.5px; }} .axis {{ stroke: #d0d7de; }} {style}",
        "    @media (prefers-color-scheme: dark) {",
        "      .page { fill: #0d1117; stroke: #30363d; } .name { fill: #e6edf3; }",
        f"      .say {{ fill: #b7bfc8; }} .axis {{ stroke: #30363d; }} {dark}",
        "    }",
        "  </style>",
        f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        *_legend(),
    ]
    for number, (title, result) in enumerate(results):
        lines += _panel(title, result, TOP + number * (PANEL + 50), end)
    path.write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")


def _legend() -> list[str]:
    lines, x = [], LEFT
    for stage, word in WORDS.items():
        lines.append(f'  <rect class="{stage}" x="{x}" y="20" width="12" height="12" rx="2"/>')
        lines.append(f'  <text class="say" x="{x + 17}" y="31">{word}</text>')
        x += 34 + 7 * len(word)
    return lines


def _panel(title: str, result: Result, top: int, end: float) -> list[str]:
    counts, most = _counts(result, end)
    wide, bottom = WIDTH - LEFT - RIGHT, top + 24 + PANEL
    lines = [f'  <text class="name" x="{LEFT}" y="{top + 14}">{title}: {result.seconds:.0f} s</text>']
    below = [0.0] * (STEPS + 1)
    for stage in COLOURS:
        above = [under + count for under, count in zip(below, counts[stage], strict=True)]
        if any(counts[stage]):
            points = [(at, value) for at, value in enumerate(above)]
            points += [(at, value) for at, value in reversed(list(enumerate(below)))]
            shape = " ".join(f"{LEFT + at * wide / STEPS:.1f},{bottom - v * PANEL / most:.1f}" for at, v in points)
            lines.append(f'  <polygon class="{stage}" points="{shape}"/>')
        below = above
    for seconds in range(0, int(end) + 1, 20):
        x = LEFT + seconds * wide / end
        lines.append(f'  <line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}"/>')
        lines.append(f'  <text class="say" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{seconds} s</text>')
    lines.append(f'  <line class="axis" x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>')
    lines.append(f'  <text class="say" x="{LEFT - 8}" y="{top + 34}" text-anchor="end">{most:,}</text>')
    return lines


def _counts(result: Result, end: float) -> tuple[dict[str, list[int]], int]:
    """How many workers are in each stage at each moment; and how many there are at most."""
    changes: dict[str, list[int]] = defaultdict(lambda: [0] * (STEPS + 2))
    for began, ended, stage in result.spans:
        if stage in COLOURS:
            changes[stage][int(began * STEPS / end) + (began > 0)] += 1
            changes[stage][int(ended * STEPS / end) + 1] -= 1
    counts: dict[str, list[int]] = {}
    for stage in COLOURS:
        number, counts[stage] = 0, []
        for change in changes[stage][: STEPS + 1]:
            number += change
            counts[stage].append(number)
    return counts, max(map(sum, zip(*counts.values(), strict=True)))
