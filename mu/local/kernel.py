"""What of Linux Python has no words for; elsewhere these do nothing."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

__all__ = ["call_process", "die_with"]

_SET_PARENT_DEATH_SIGNAL, _SET_NAME = 1, 15  # prctl(2)


def die_with(parent: int, how: signal.Signals) -> None:
    """Ask the kernel for a signal when this process's parent ends, however that happens."""
    try:
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, how)
    except (OSError, AttributeError):
        return  # the closed socket will end it
    if os.getppid() != parent:
        os._exit(1)


def call_process(name: str) -> None:
    """What lists of processes show, the first 15 characters of it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_NAME, name.encode()[:15])
