"""What a chunk's worker hands to the next one: the state at its end, and before that the pictures that are in it.

The golden and the altref picture of that state are often made long before it, in most chunks by the first frame, and by
the decisions it is known which frame makes them. So each is on its way as soon as that frame is made, as a message of
its own, and the state comes without them.

frame  0          1 ... N-2          N-1
       │ golden                       │ state: the last picture, and what is no picture
       └───────────────> next chunk   └───────────────────────────────> next chunk
"""

from __future__ import annotations

from collections.abc import Sequence

import codec
from mu import Context
from pipelines.encode.plan import PICTURES, STATE, Chunk

__all__ = ["HandsOn", "received"]


def received(context: Context, chunk: Chunk) -> codec.State | None:
    """Wait for the state that a chunk continues from; None for a chain's first."""
    if chunk.previous is None:
        return None
    previous = chunk.neighbour(chunk.previous)
    pictures = [bytes(context.receive(previous, name)) for name in PICTURES]
    return codec.State.from_bytes(context.receive(previous, STATE), pictures=[each for each in pictures if each])


class HandsOn:
    """Hands the state on at which a chunk ends; told of each frame that is made, it sends what stays from then on."""

    def __init__(self, context: Context, chunk: Chunk, decisions: Sequence[codec.Frame]) -> None:
        self._context = context
        self._to = None if chunk.next is None else chunk.neighbour(chunk.next)
        self._makers = _makers(chunk, decisions)
        self._early = _early(self._makers)
        self._sent: dict[str, bytes] = {}

    def made(self, number: int, state: codec.State) -> None:
        """A frame is made; `state` is the one after it."""
        if self._to is None:
            return
        if number == 0:  # as soon as can be, so that nobody waits for these
            for name in PICTURES:
                if name not in self._early:
                    self._context.send(self._to, name, b"")
        for name, maker in self._early.items():
            if maker == number:
                references = state.last, state.golden, state.altref
                self._sent[name] = references[self._makers[number].index(number)]
                self._context.send(self._to, name, self._sent[name])
        if number == len(self._makers) - 1:
            without = [self._sent[name] for name in PICTURES if name in self._sent]
            self._context.send(self._to, STATE, state.to_bytes(without=without))


def _makers(chunk: Chunk, decisions: Sequence[codec.Frame]) -> list[tuple[int, int, int]]:
    """After each frame, the numbers of those that made last, golden and altref; -1 for the state before the chunk."""
    makers, now = [], (-1, -1, -1)
    for number, frame in enumerate(decisions):
        now = (number,) * 3 if chunk.refreshes_all(number) else frame.header.references(now, number)
        makers.append(now)
    return makers


def _early(makers: Sequence[tuple[int, int, int]]) -> dict[str, int]:
    """The pictures of the last state that a frame before the last one makes, and which does; no frame's twice."""
    early: dict[str, int] = {}
    for name, maker in zip(PICTURES, makers[-1][1:], strict=True):
        if 0 <= maker < len(makers) - 1 and maker not in early.values():
            early[name] = maker
    return early
