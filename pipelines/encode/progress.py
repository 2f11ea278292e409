"""How far an encoding has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

STAGES = ("read", "encode", "decode", "rebase", "join")


@dataclass(slots=True)
class Progress:
    """How far a job has come, in frames."""

    frames: int = 0
    """Of the film, as far as is known."""
    exact: bool = False
    """Whether that is certain."""
    done: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """By stage."""
    cpu_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """Processor time by stage."""
    damaged: int = 0
    """Frames of the input that FFmpeg had to conceal."""
    title: str = ""
    """What is done, where the film is read more than once."""

    def add(self, stage: str, frames: float, cpu_s: float) -> None:
        """So many more frames went through a stage."""
        self.done[stage] += frames
        self.cpu_s[stage] += cpu_s


Watch = Callable[[Progress], object]
