"""Numbers as a page writes them."""

from __future__ import annotations

THIN = "\u2009"
DOT = " \u00b7 "
MINUS = "\u2212"


def count(value: int) -> str:
    """A whole number, in groups of three."""
    return f"{value:,}".replace(",", THIN)


def some(number: int, what: str) -> str:
    """So many of something that has a plural in -s."""
    return f"{count(number)} {what}" + ("" if number == 1 else "s")


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return count(round(value)) if value >= 100 else f"{value:.3g}"


def took(value: float) -> str:
    """How long something took."""
    if value >= 100:
        return clock(value)
    return f"{value:.1f}{THIN}s" if value >= 10 else f"{value:.2f}{THIN}s"


def clock(seconds: float, digits: int = 0) -> str:
    """A time: 1:02:03, with so many digits after the point."""
    whole = round(seconds, digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"
