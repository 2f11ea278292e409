"""Where an encoding or a job stands, for people in a terminal and for programs: the same for both backends."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mu.record import Counts
    from mu.service.status import Status
    from pipelines.encode.progress import Progress

STAGES = ("read", "encode", "decode", "rebase", "join")
"""Of an encoding, in this order; other stages come as they come up."""
WORKERS = ("starting", "working", "waiting", "idle", "lost")


class Stage(msgspec.Struct, frozen=True):
    """What went through a stage, of how much if that is known."""

    done: float
    total: float | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where it stands. What is not known is None, or empty."""

    job: str = ""
    state: str = "running"
    title: str = ""
    """What is done, where a film is read more than once."""
    elapsed_s: float = 0.0
    """Since somebody looks on."""
    left_s: float | None = None
    stages: dict[str, Stage] = {}
    tasks: int = 0
    committed: int = 0
    failed: int = 0
    workers: dict[str, int] = {}
    """How many are at what; `lost` are runs whose worker was lost."""
    dollars: float | None = None
    silent_s: float = 0.0
    """For how long the coordinator has said nothing, if that is long."""


class Left:
    """Guesses how long something takes on, from how fast it went lately; says nothing rather than nonsense."""

    LEAST_S, LEAST_SHARE = 3.0, 0.03
    """Before so much was seen there is no guess."""
    WINDOW_S = 30.0
    SILENT_S = 15.0
    """If nothing happens for so long, the guess is none."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def at(self, now: float, share: float | None) -> float | None:
        """Seconds left, when so much of all is done at a time."""
        if share is None or (self._seen and share < self._seen[-1][1]):
            self._seen.clear()  # there is more to do than was known
        if share is None or share <= 0:
            return None
        if not self._seen or share > self._seen[-1][1]:
            self._seen.append((now, share))
        while len(self._seen) > 2 and self._seen[1][0] < now - self.WINDOW_S:
            self._seen.popleft()
        (began, first), (last, _) = self._seen[0], self._seen[-1]
        if share >= 1 or share < self.LEAST_SHARE or now - began < self.LEAST_S or now - last > self.SILENT_S:
            return None
        return round((1 - share) * (now - began) / (share - first), 1) if share > first else None


def of_encoding(progress: Progress, counts: Counts | None, elapsed_s: float, left: Left, now: float) -> Standing:
    """Where an encoding on this machine stands; `counts` are those of its job."""
    total = float(progress.frames) or None
    stages = {name: Stage(round(progress.done[name], 3), total) for name in STAGES}
    share = _share(stages, progress.cpu_s)
    standing = Standing(title=progress.title, elapsed_s=round(elapsed_s, 3), left_s=left.at(now, share), stages=stages)
    return _with(standing, counts)


def of_status(
    status: Status, dollars: float | None, elapsed_s: float, left: Left, now: float, *, frames: int, grows: bool
) -> Standing:
    """Where a job of the service stands: `frames` are those of the film that it encodes, `grows` whether it adds
    tasks, so that those that are known say nothing of what is left."""
    counts = status.counts
    told = counts.stages if counts else {}
    stages: dict[str, Stage] = {name: Stage(0.0, float(frames)) for name in STAGES if frames}
    for name, count in told.items():
        total = float(frames) if frames and name in STAGES else count.total
        done = round(count.done, 3)
        stages[name] = Stage(done, max(total, done) if total else None)
    share = None
    if status.state == "running" and counts:
        share = _share(stages, {name: count.cpu_s for name, count in told.items()})
        if share is None and not grows:
            share = counts.committed / max(1, counts.tasks)
    standing = Standing(
        job=status.id,
        state=status.state,
        elapsed_s=round(elapsed_s, 3),
        left_s=left.at(now, share),
        stages=stages,
        dollars=dollars,
    )
    return _with(standing, counts)


def _with(standing: Standing, counts: Counts | None) -> Standing:
    if counts is None:
        return standing
    return msgspec.structs.replace(
        standing,
        tasks=counts.tasks,
        committed=counts.committed,
        failed=counts.failed,
        workers={name: counts.workers.get(name, 0) for name in WORKERS},
    )


def _share(stages: Mapping[str, Stage], cpu_s: Mapping[str, float]) -> float | None:
    """How much of the work is done, if a unit of each stage costs what it did so far; None where that is not known."""
    done = total = 0.0
    for name, stage in stages.items():
        if stage.total is None:
            return None
        if stage.done > 0:
            cost = cpu_s.get(name, 0.0) / stage.done
            done += cost * min(stage.done, stage.total)
            total += cost * stage.total
    return done / total if total else None
