"""How much an encoder tries: the steps of effort, and what each does.

docs/decisions/0006 has what the steps cost and give.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["PACES", "SATD", "SSE", "Effort", "Pace"]

# How candidates are guessed: by squared or transformed differences (see ``distortion``).
SSE, SATD = range(2)

ALWAYS = 1 << 16
"""A limit that no guess reaches."""


class Effort(IntEnum):
    """How much an encoder tries: time against bits."""

    REALTIME = 0
    FAST = 1
    GOOD = 2
    BEST = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """What an encoder tries for a macroblock.

    ``references``: in how many of the three references it looks, and in how many of these it searches (``searched``).
    ``first_step`` and ``rounds``: see ``search``; ``measure``: by what it guesses. It weighs at most ``inter``
    candidates from other frames, ``whole`` modes of a whole intra macroblock, ``subblocks`` modes of each subblock.
    ``shapes`` of parts: 0 none, 3 without sixteenths, 4.

    Limits on guesses: intra modes are weighed, and subblocks, where theirs is below so many sixteenths of the best
    inter guess (``intra_limit``, ``b_limit``); parts where the best guess is above ``split_limit`` times what a bit
    weighs; above ``search_limit`` times that, a vector is searched before anything is weighed; and below ``stop_limit``
    times, nothing more is looked at once nothing is left to code. ``filter_steps``: how far the filter level may move
    from what suits most frames. ``least``: below which sum of absolute differences a luma block is taken as empty, in
    1/128 of its factor. ``refined``: how many rounds the vectors around the best one are weighed, too.
    """

    references: int = 3
    searched: int = 1
    first_step: int = 4
    rounds: int = 6
    measure: int = SATD
    inter: int = 3
    whole: int = 4
    subblocks: int = 3
    shapes: int = 3
    intra_limit: int = 16
    b_limit: int = 16
    split_limit: int = 4
    search_limit: int = ALWAYS
    stop_limit: int = 4
    filter_steps: int = 32
    least: int = 130
    refined: int = 0


PACES = {
    Effort.REALTIME: Pace(
        references=1,
        first_step=1,
        rounds=1,
        measure=SSE,
        inter=1,
        whole=1,
        subblocks=1,
        shapes=0,
        intra_limit=12,
        b_limit=10,
        search_limit=5,
        stop_limit=ALWAYS,
        filter_steps=6,
        least=230,
    ),
    Effort.FAST: Pace(
        rounds=3, inter=2, whole=2, subblocks=2, intra_limit=14, b_limit=14, split_limit=8, stop_limit=ALWAYS, least=180
    ),
    Effort.GOOD: Pace(),
    Effort.BEST: Pace(
        searched=3,
        inter=16,
        subblocks=10,
        shapes=4,
        intra_limit=20,
        b_limit=20,
        split_limit=2,
        search_limit=0,
        stop_limit=0,
        least=90,
        refined=1,
    ),
}
