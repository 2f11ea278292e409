"""How much an encoder tries: the steps of effort, and what each does.

docs/decisions/0006 has what the steps cost and give.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["PACES", "SAD", "SATD", "SSE", "Effort", "Pace"]

# How candidates are guessed: by squared, absolute or transformed differences (see ``distortion``).
SSE, SAD, SATD = range(3)


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
    ``first_step`` and ``rounds``: see ``search``;
    ``measure``: by what it guesses. It weighs at most ``inter`` candidates from other frames, ``whole`` modes of a
    whole intra macroblock, ``subblocks`` modes of each subblock. ``shapes`` of parts: 0 none, 3 without sixteenths, 4.

    Limits on guesses: intra modes are weighed, and subblocks, where theirs is below so many sixteenths of the best
    inter guess (``intra_limit``, ``b_limit``); parts where the best guess is above ``split_limit`` times what a bit
    weighs; and above ``search_limit`` times that, a vector is searched before anything is weighed. ``patience``: 2
    goes on where nothing is left to code, 1 stops there, 0 after that weighs only what is guessed better.
    ``filter_steps``: how far the filter level may move from what suits most frames.
    """

    references: int = 3
    searched: int = 1
    first_step: int = 4
    rounds: int = 3
    measure: int = SATD
    inter: int = 4
    whole: int = 4
    subblocks: int = 3
    shapes: int = 3
    intra_limit: int = 14
    b_limit: int = 14
    split_limit: int = 8
    search_limit: int = 1 << 16
    patience: int = 1
    filter_steps: int = 32


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
        patience=0,
        filter_steps=6,
    ),
    Effort.FAST: Pace(inter=2, whole=2, subblocks=2, patience=0),
    Effort.GOOD: Pace(),
    Effort.BEST: Pace(
        inter=16, subblocks=10, shapes=4, intra_limit=20, b_limit=20, split_limit=0, search_limit=0, patience=2
    ),
}
