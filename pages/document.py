"""What all pages have in common: one HTML file that needs no network, its parts, and the policy that closes it.

Everything that comes from outside (names of files, warnings) is escaped on its way in. What the browser may do is told
by a policy in the page itself: the one style and the one program whose checksums it names, pictures that are part of
the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import metadata
from importlib.resources import files

from pages.words import MINUS


def resource(package: str, name: str) -> str:
    """A style or a program that lies beside the modules of a package."""
    return files(package).joinpath(name).read_text("utf-8")


def document(
    title: str,
    parts: Sequence[str],
    data: object,
    styles: Sequence[str],
    programs: Sequence[str],
    *,
    may: str = "",
    told: str = "This page is complete in itself: it loads nothing and sends nothing.",
) -> bytes:
    """A page as UTF-8: `parts` are HTML, `data` is what its programs find as JSON in the element of that name.

    `may` is what the policy allows besides ("; media-src data:"), `told` what the foot of the page says of that.
    """
    style = "".join(styles)
    program = '"use strict";\n{\n' + "\n".join(programs) + "\n}\n"
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src {_checksum(style)}; script-src {_checksum(program)}; base-uri 'none'; form-action 'none'{may}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(title)} \u2013 fastslow</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div class="wrap">
{"".join(parts)}
<footer>Made by fastslow{escape(_version())}. \
{told}</footer>
</div>
<script type="application/json" id="data">{_json(data)}</script>
<script>{program}</script>
</body>
</html>
"""
    return text.encode("utf-8", "replace")  # the name of a file need not be text


def head(command: str, title: str, below: str) -> str:
    """What the page is about; `below` is HTML."""
    return f"""<header>
<p class="eyebrow">{escape(command)}</p>
<h1>{escape(title)}</h1>
<p class="sub">{below}</p>
</header>
"""


def tiles(label: str, entries: Iterable[tuple[str, str, str, str]]) -> str:
    """Numbers in large letters: name, value, unit and note of each, as HTML."""
    inner = "".join(
        f'<dl class="tile" data-tile="{name}"><dt>{name}</dt><dd class="value">{value}'
        f'<span class="unit">{unit}</span></dd><dd class="note">{note}</dd></dl>'
        for name, value, unit, note in entries
    )
    return f'<section class="bare tiles" aria-label="{label}">{inner}</section>\n'


def warnings(lines: Sequence[str], title: str = "Warnings") -> str:
    """What went wrong; nothing if nothing did."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section class="warnings"><h2>{title}</h2><ul>{items}</ul></section>\n'


def plot(name: str, title: str, lead: str, tools: str, legend: str, label: str, below: str = "") -> str:
    """A diagram with what it needs to be zoomed by buttons; the texts are HTML, `below` comes under it."""
    return f"""<figure class="plot" id="{name}">
<div class="head"><div><h2>{title}</h2><p class="lead">{lead}</p></div>
<div class="tools">{tools}<button type="button" data-zoom="0.5" aria-label="zoom out">{MINUS}</button>\
<button type="button" data-zoom="2" aria-label="zoom in">+</button>\
<button type="button" data-zoom="0">all</button></div></div>
<ul class="legend">{legend}</ul>
<div class="box"><canvas tabindex="0" role="img" aria-label="Diagram: {label}. Arrow keys move, plus and minus zoom; \
all numbers are in the table below."></canvas><canvas class="strip" aria-hidden="true"></canvas>\
<div class="tip" hidden></div><p class="heard" aria-live="polite"></p></div>
<p class="hint">Drag over a part to look closer, double-click for all of it; keys: arrows, +, {MINUS}, 0.</p>
{below}</figure>
"""


def listing(columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; a row is an address and a cell for each column, of which the first leads there."""
    names = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = ""
    for address, first, *others in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        body += f'<tr><td><a href="{escape(address)}">{escape(first)}</a></td>{cells}</tr>'
    return f"""<section><div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>
</section>
"""


def facts(title: str, pairs: Mapping[str, str]) -> str:
    """Names and values."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs.items())
    return f'<section><h2>{title}</h2><dl class="facts">{inner}</dl></section>'


def numbers(kinds: Sequence[str]) -> str:
    """The table of everything, by kinds of rows, each to be saved as CSV, and all as JSON."""
    shown = "".join(
        f'<button type="button" data-kind="{kind}" aria-pressed="{str(kind == kinds[0]).lower()}">{kind}</button>'
        for kind in kinds
    )
    saved = "".join(f'<button type="button" data-save="{kind}">{kind}.csv</button>' for kind in kinds)
    return f"""<section id="numbers"><div class="head"><div><h2>Every number</h2></div>
<div class="tools">{shown}{saved}<button type="button" data-save="json">report.json</button></div></div>
<noscript><p class="lead">The diagrams and this table need JavaScript;
the numbers are in the page's source as JSON.</p></noscript>
<div class="scroll"><table></table></div>
<div class="turn"><button type="button" data-back aria-label="page back">\u2039</button>\
<button type="button" data-on aria-label="page on">\u203a</button>
<label>go to <input type="number" min="0" value="0" data-place aria-label="number to go to"></label>\
<span data-said aria-live="polite"></span></div>
</section>
"""


def _version() -> str:
    """What is installed; functions and the coordinator's machine have the code alone."""
    try:
        return f" {metadata.version('fastslow')}"
    except metadata.PackageNotFoundError:
        return ""


def _checksum(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _json(data: object) -> str:
    """JSON that cannot end the script element that it stands in, nor begin a comment there."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
