"""What a file says about itself and its tracks: title, tags, chapters, languages, all within bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.stream

from pipelines.media.source import Chapter, Label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.container import InputContainer
    from av.stream import Stream

_MOST_CHAPTERS = 2000
_MOST_TAGS = 200
_MOST_TEXT = 10_000
"""Characters of a value; a longer one is left out, for half of it may mean something else."""
_MOST_NAME = 200
"""Characters of a name or a title."""

# What tells of the input's container and not of the film, or has a place of its own in the output.
_OF_THE_FILE = {
    "CREATION_TIME", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "TITLE", "DURATION", "LANGUAGE",
    "TIMECODE",
}  # fmt: skip
_ROLES = ("hearing_impaired", "visual_impaired", "captions", "descriptions", "metadata", "original", "comment")


def label_of(stream: Stream) -> Label:
    """What a file says of a track."""
    disposition = av.stream.Disposition(stream.disposition)
    return Label(
        language=_line(stream.metadata.get("language", ""))[:_MOST_NAME],
        title=_line(stream.metadata.get("title", ""))[:_MOST_NAME],
        default=bool(disposition & av.stream.Disposition.default),
        forced=bool(disposition & av.stream.Disposition.forced),
        roles=tuple(role for role in _ROLES if disposition & av.stream.Disposition[role]),
    )


def tags_of(metadata: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...], int]:
    """A file's title, its other tags by their names in capitals, and how many were too many or too long."""
    found: list[tuple[str, str]] = []
    dropped = 0
    for name, value in metadata.items():
        name = _line(name).upper()
        if name in _OF_THE_FILE or not value.strip() or name.startswith("_STATISTICS"):
            continue
        if len(found) == _MOST_TAGS or len(name) > _MOST_NAME or len(value) > _MOST_TEXT:
            dropped += 1
            continue
        found.append((name, value))
    titles = [value for name, value in metadata.items() if name.upper() == "TITLE"]
    return _line(titles[0] if titles else "")[:_MOST_NAME], tuple(found), dropped


def created(metadata: Mapping[str, str]) -> int | None:
    """When a file says that it was made: nanoseconds since the year 2001 began, UTC, as Matroska counts; or None."""
    try:
        when = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime(2001, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1000


def chapters_of(container: InputContainer) -> tuple[tuple[Chapter, ...], int]:
    """A file's chapters in the order of their times, and how many were too many or impossible."""
    found: list[Chapter] = []
    dropped = 0
    for told in container.chapters():
        chapter = _chapter(told)
        if chapter is None or len(found) == _MOST_CHAPTERS:
            dropped += 1
        else:
            found.append(chapter)
    return tuple(sorted(found, key=lambda chapter: (chapter.start, chapter.end))), dropped


def _chapter(told: Any) -> Chapter | None:
    unit = Fraction(told["time_base"] or 0) * 1_000_000_000
    start, end = round(told["start"] * unit), round(told["end"] * unit)
    if not 0 <= start <= end < 1 << 62:
        return None
    metadata = told.get("metadata") or {}
    title, language = (_line(metadata.get(name, ""))[:_MOST_NAME] for name in ("title", "language"))
    return Chapter(start, end, title, language)


def _line(text: str) -> str:
    """Text without what only disturbs a list of names: control characters and line ends."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
