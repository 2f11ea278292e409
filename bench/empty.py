"""The empty task, in a module that brings nothing along: workers of mu import it, a pool is forked with it."""

from __future__ import annotations

__all__ = ["nothing"]


def nothing(number: int) -> None:
    """Do nothing."""
