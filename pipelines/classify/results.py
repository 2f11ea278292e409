"""What came of a job, written down: as plain data, as CSV, as lines for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pipelines.classify.answers import Model, Outcome, printable

__all__ = ["Result", "as_csv", "as_data", "as_lines"]

_LABEL = 36
"""Letters of a label in a line for people."""
_LEAST = 0.005
"""The score of a label that such a line has after the first."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A job, done or ended early: `outcomes` in the order in which they were asked for."""

    source: str
    """The video; empty for pictures."""
    asked: str
    """Who was asked: an address, or "here"."""
    outcomes: tuple[Outcome, ...]
    wall_s: float
    complete: bool = True
    """Whether it ran to its end; if not, the rest was never asked for."""
    parallel: int = 1
    picked: str = ""
    """How the frames were chosen: "evenly" or "by scene"; empty for pictures."""
    seconds: float = 0.0
    """How long the film is; 0 for pictures."""

    @property
    def failed(self) -> list[Outcome]:
        """What has a problem instead of labels."""
        return [outcome for outcome in self.outcomes if outcome.problem]

    @property
    def models(self) -> list[Model]:
        """Who answered; more than one if another model was activated meanwhile."""
        return list(dict.fromkeys(outcome.model for outcome in self.outcomes if outcome.model))

    @property
    def cold(self) -> int:
        """Answers that had to wait for a new environment."""
        return sum(outcome.cold for outcome in self.outcomes)

    @property
    def retries(self) -> int:
        """How often something was asked for again."""
        return sum(max(0, outcome.tries - 1) for outcome in self.outcomes)


def as_data(result: Result) -> dict[str, Any]:
    """All of it as what JSON can hold; thumbnails are left out."""
    models = result.models
    return {
        "source": result.source,
        "asked": result.asked,
        "picked": result.picked,
        "models": [msgspec.to_builtins(model) for model in models],
        "classified": len(result.outcomes) - len(result.failed),
        "failed": len(result.failed),
        "complete": result.complete,
        "cold": result.cold,
        "retries": result.retries,
        "parallel": result.parallel,
        "wall_s": round(result.wall_s, 3),
        "frames": [
            {
                "name": outcome.name,
                "seconds": outcome.seconds,
                "labels": [msgspec.to_builtins(label) for label in outcome.labels],
                "problem": outcome.problem,
                "model": models.index(outcome.model) if outcome.model else None,
                "cold": outcome.cold,
                "tries": outcome.tries,
                "ms": outcome.ms,
            }
            for outcome in result.outcomes
        ],
    }


def as_csv(outcomes: Iterable[Outcome]) -> str:
    """A row a picture: name, seconds, problem, then label and score as often as any has them."""
    rows = list(outcomes)
    most = max((len(outcome.labels) for outcome in rows), default=0)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    numbered = [f"{what}_{rank}" for rank in range(1, most + 1) for what in ("label", "score")]
    writer.writerow(["name", "seconds", "problem", *numbered])
    for outcome in rows:
        seconds = "" if outcome.seconds is None else f"{outcome.seconds:.3f}"
        labels = [cell for each in outcome.labels for cell in (each.label, f"{each.score:.6f}")]
        writer.writerow([outcome.name, seconds, outcome.problem, *labels])
    return file.getvalue()


def as_lines(outcomes: Sequence[Outcome], width: int = 0) -> list[str]:
    """A line a picture for people: name, label, score, the labels after it; cut at `width` letters unless that is 0."""
    names = [printable(outcome.name) for outcome in outcomes]
    longest = max(map(len, names), default=0)
    labels = [_cut(outcome.labels[0].label) if outcome.labels else "" for outcome in outcomes]
    wide = max(map(len, labels), default=0)
    aligned = "<" if any(outcome.seconds is None for outcome in outcomes) else ">"
    lines = []
    for name, label, outcome in zip(names, labels, outcomes, strict=True):
        if outcome.problem:
            line = f"{name:{aligned}{longest}}  failed: {printable(outcome.problem)}"
        elif not outcome.labels:
            line = f"{name:{aligned}{longest}}  no label"
        else:
            others = ", ".join(
                f"{_cut(each.label)} {each.score:.2f}" for each in outcome.labels[1:] if each.score >= _LEAST
            )
            line = f"{name:{aligned}{longest}}  {label:{wide}}  {outcome.labels[0].score:.2f}  {others}".rstrip()
        lines.append(line if not width or len(line) <= width else line[: width - 1] + "\u2026")
    return lines


def _cut(label: str) -> str:
    """A label's first name: those of ImageNet have their synonyms after commas."""
    first = printable(label).partition(",")[0]
    return first if len(first) <= _LABEL else first[: _LABEL - 1] + "\u2026"
