"""What the coordinator's mind takes for an event, with 5,000 tasks on as many workers: `python -m bench.mu_core`.

Processor time; the job is an encode's: chains of 16, each task receives a state, sends one, and stores an object.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

from bench.paired import Spread
from bench.table import Row, show
from mu.core.coordinator import Coordinator
from mu.core.events import Arrived, Connected, Event, Finished, Stored, TimePassed, Waits
from mu.core.instructions import Assign, Instruction, Launch
from mu.job import Edge, Job, Key, Limits, Task

TASKS, CHAIN, ROUNDS = 5_000, 16, 7
DIGEST = bytes(16)


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    """Microseconds an event, by kind."""
    tasks = tuple(map(_task, range(TASKS)))
    measured = [_round(tasks) for _ in range(rounds)]
    for what in measured[0]:
        spread = Spread.of([each[what] for each in measured])
        goal = None if what.startswith("a job") else 15
        yield Row(what, spread.text(1), spread.median, goal, goal, more_is_better=False, unit=" us")


def _name(number: int) -> str:
    return f"chunk/{number:06}"


def _receives(number: int) -> bool:
    return number % CHAIN > 0 and number < TASKS


def _task(number: int) -> Task:
    sends = (Edge(_name(number + 1), "state"),) if _receives(number + 1) else ()
    receives = (Edge(_name(number - 1), "state"),) if _receives(number) else ()
    return Task(_name(number), "bench:none", stores=(f"made/{number:06}",), sends=sends, receives=receives)


def _key(number: int) -> Key:
    return Key(_name(number), _name(number + 1), "state")


def _round(tasks: tuple[Task, ...]) -> dict[str, float]:
    began = time.process_time()
    core = Coordinator(Job("bench", tasks, Limits(workers=TASKS)))
    built = 1e6 * (time.process_time() - began) / TASKS
    workers = [each.worker for each in core.handle(TimePassed(), 0.0) if isinstance(each, Launch)]
    came, told = _timed(core, [Connected(worker) for worker in workers], 1.0)
    runs = {each.task.name: each.run for each in told if isinstance(each, Assign)}
    edges = [number for number in range(TASKS) if _receives(number + 1)]
    waits, _ = _timed(core, [Waits(runs[_name(number + 1)], _key(number)) for number in edges], 2.0)
    arrive, _ = _timed(core, [Arrived(runs[_name(number)], _key(number), 350_000, DIGEST) for number in edges], 3.0)
    stored, _ = _timed(
        core, [Stored(runs[_name(number)], f"made/{number:06}", 30_000, DIGEST) for number in range(TASKS)], 4.0
    )
    finish, _ = _timed(core, [Finished(runs[_name(number)]) for number in range(TASKS)], 5.0)
    assert core.outcome is not None
    assert core.outcome.kind == "done"
    return {
        "a worker connects and is assigned a task": came,
        "a message is waited for, arrives, and is delivered": waits + arrive,
        "an object is stored": stored,
        "a task is finished": finish,
        "a job is taken in, a task": built,
    }


def _timed(core: Coordinator, events: list[Event], now: float) -> tuple[float, list[Instruction]]:
    """Microseconds an event, and what was to be done."""
    gc.collect()
    out: list[Instruction] = []
    began = time.process_time()
    for event in events:
        out += core.handle(event, now)
    return 1e6 * (time.process_time() - began) / len(events), out


if __name__ == "__main__":
    show(f"The coordinator's mind, {TASKS:,} tasks, median of {ROUNDS} rounds (spread)", rows())
