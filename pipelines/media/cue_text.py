"""The text of subtitles: from the events of ASS, which FFmpeg makes of every kind, to WebVTT and SubRip.

Kept are bold, italic and underlined, and line ends; positions, fonts, colours and drawings are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_FIELDS = 8
"""Of an event before its text: order, layer, style, name, three margins, effect."""
_TOKEN = re.compile(r"\{[^}]*\}|\\[Nnh]|[^\\{]+|.", re.DOTALL)
_OVERRIDE = re.compile(r"\\([pbiu](?![a-z])|r)(\d*)")


def vtt_text(event: str) -> str:
    """The text of a WebVTT cue."""
    return _text(event, lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def srt_text(event: str) -> str:
    """The text of a SubRip subtitle, in which nothing is escaped."""
    return _text(event, lambda text: text)


def without_blank_lines(text: str) -> str:
    """Text whose lines all have something in them: a blank one ends a cue."""
    lines = (line.rstrip() for line in re.split(r"\r\n|\r|\n", text.replace("\0", "")))
    return "\n".join(line for line in lines if line.strip())


def _text(event: str, escape: Callable[[str], str]) -> str:
    parts: list[str] = []
    tags: list[str] = []  # that are open, the innermost last
    drawing = False
    for token in _TOKEN.findall(event.split(",", _FIELDS)[-1]):
        if token[0] == "{" and token[-1] == "}":
            for name, value in _OVERRIDE.findall(token):
                if name == "p":
                    drawing = value not in ("", "0")
                else:
                    _switch(parts, tags, name, value)
        elif not drawing:
            parts.append({"\\N": "\n", "\\n": "\n", "\\h": "\u00a0"}.get(token) or escape(token))
    parts += [f"</{tag}>" for tag in reversed(tags)]
    text = without_blank_lines("".join(parts))
    return text if re.sub(r"</?[biu]>", "", text).strip() else ""


def _switch(parts: list[str], tags: list[str], name: str, value: str) -> None:
    """Begin or end a tag; what was begun within one that ends is ended too, and begun again."""
    if name == "r":  # everything as it was
        parts += [f"</{tag}>" for tag in reversed(tags)]
        tags.clear()
    elif value in ("", "0") and name in tags:
        first = tags.index(name)
        inner = tags[first + 1 :]
        parts += [f"</{tag}>" for tag in reversed(tags[first:])]
        parts += [f"<{tag}>" for tag in inner]
        tags[first:] = inner
    elif value not in ("", "0") and name not in tags:
        parts.append(f"<{name}>")
        tags.append(name)
