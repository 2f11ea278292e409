"""A film encoded by the service while its coordinator is killed again and again; what of it was done twice."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipelines.encode.job import encode_file
from pipelines.encode.joined import encoding_job, remote_limits
from pipelines.encode.plan import Settings
from pipelines.encode.read import Joining
from tests.mu import counted_worker
from tests.mu.counted_worker import Ran
from tests.mu.runner import Runner, results, status, submit, until

__all__ = ["Survived", "encode_while_killed"]

_ran = msgspec.json.Decoder(Ran)


@dataclass(frozen=True)
class Survived:
    """How the job of a film went on."""

    kills: int
    """Of the coordinator, while the job ran."""
    coordinators: int
    """That took the job up."""
    same: bool
    """Whether the file is the one that this machine makes alone."""
    tasks: int
    runs: int
    seconds: float
    """Of processors, by all runs of programs."""
    twice: float
    """Of these, by runs beyond a whole one of each task."""
    again: tuple[str, ...]
    """Of each task that was begun more than once, the seconds of its runs; of one that was killed they are unknown."""
    wall_s: float
    plain_s: float
    """What the same film takes on this machine alone."""

    @property
    def share(self) -> float:
        """Of the work, what was done twice."""
        return self.twice / self.seconds


def encode_while_killed(
    folder: Path, film: Path, settings: Settings, kills: int, pause_s: tuple[float, float], *, seed: int = 1
) -> Survived:
    """Encode a film; kill the coordinator so often, each after so many random seconds of its life."""
    began = time.monotonic()
    encode_file(str(film), str(folder / "plain.webm"), settings, workers=2)
    plain_s = time.monotonic() - began
    runs = folder / "runs"
    how = Joining()
    # Without runs beside slow ones: how many of these there are is up to what else the machine does.
    limits = msgspec.structs.replace(remote_limits(4), straggler=None)
    job = encoding_job(str(film), settings, how, limits)
    chance = random.Random(seed)
    runner = Runner(folder, counted_worker.__name__, {"MU_RUNS": str(runs)})
    killed = 0
    with closing(runner):
        submit(runner.cloud, job)
        began = time.monotonic()
        runner.start()
        until(lambda: status(runner.cloud, job).get("state") == "running")
        while killed < kills and status(runner.cloud, job).get("state") != "done":
            time.sleep(chance.uniform(*pause_s))
            runner.kill()
            killed += 1
            runner.start()
        until(lambda: status(runner.cloud, job).get("state") == "done", 300)
        wall_s = time.monotonic() - began
        told = status(runner.cloud, job)
        made = results(runner.cloud, job)[how.result]
        until(lambda: not runner.workers())
    tasks, count, seconds, twice, again = _account(runs)
    same = made == (folder / "plain.webm").read_bytes()
    return Survived(killed, told["epoch"], same, tasks, count, seconds, twice, again, wall_s, plain_s)


def _account(path: Path) -> tuple[int, int, float, float, tuple[str, ...]]:
    """Tasks, runs, seconds of all runs, of those beyond a whole one of each task, and which these are."""
    ran: dict[tuple[int, int], Ran] = {}
    for line in path.read_bytes().splitlines():
        each = _ran.decode(line)
        ran[each.process, each.number] = each
    by_task: dict[str, list[Ran]] = defaultdict(list)
    for each in ran.values():
        by_task[each.task].append(each)
    seconds = twice = 0.0
    again = []
    for task, each_task in by_task.items():
        whole = [each.seconds for each in each_task if each.whole and each.seconds is not None]
        assert whole, "no run of a task that is done came to its end"
        # Of a run whose process ended amid it nothing is known: as if it had been at its end.
        spent = sum(max(whole) if each.seconds is None else each.seconds for each in each_task)
        seconds += spent
        twice += spent - min(whole)
        if len(each_task) > 1:
            again.append(f"{task}: {', '.join(str(each.seconds) for each in each_task)}")
    return len(by_task), len(ran), seconds, twice, tuple(again)
