"""What may become of tasks, runs and workers: the tables that the coordinator follows and the documents draw."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

__all__ = ["RUNS", "TASKS", "WORKERS", "RunState", "TaskState", "WorkerState", "follow"]


class TaskState(Enum):
    """Where a task stands."""

    BLOCKED = "an object that it fetches is not there"
    READY = "waits for a worker"
    RUNNING = "a run of it is under way, or two"
    COMMITTED = "done"
    FAILED = "will not be done: it raised, or too many workers were lost on it"
    GIVEN_UP = "will not be done: what it waits for will not come, or the job is over"


class RunState(Enum):
    """Where a run of a task stands."""

    COMPUTING = "has what it needs"
    WAITING = "waits for a message, or for room to add tasks"
    RESUMABLE = "what it waits for is there; waits for a slot to compute"
    OVER = "finished, failed, lost, or not wanted"


class WorkerState(Enum):
    """Where a worker stands."""

    LAUNCHING = "was started, has not said hello"
    IDLE = "has nothing to do"
    BUSY = "runs a task"
    APART = "runs a task, its connection is broken"
    GONE = "was lost, stopped, released, or never came"


T, R, W = TaskState, RunState, WorkerState

TASKS: Mapping[tuple[TaskState, str], TaskState] = {
    (T.BLOCKED, "objects there"): T.READY,
    (T.READY, "assigned"): T.RUNNING,
    (T.RUNNING, "assigned again"): T.RUNNING,
    (T.RUNNING, "run lost"): T.READY,
    (T.RUNNING, "finished"): T.COMMITTED,
    (T.RUNNING, "failed"): T.FAILED,
    (T.READY, "taken over"): T.RUNNING,
    (T.BLOCKED, "taken over"): T.RUNNING,
    (T.READY, "done before"): T.COMMITTED,
    (T.BLOCKED, "done before"): T.COMMITTED,
    (T.BLOCKED, "given up"): T.GIVEN_UP,
    (T.READY, "given up"): T.GIVEN_UP,
    (T.RUNNING, "given up"): T.GIVEN_UP,
    (T.BLOCKED, "failed"): T.FAILED,
    (T.READY, "failed"): T.FAILED,
}

RUNS: Mapping[tuple[RunState, str], RunState] = {
    (R.COMPUTING, "waits"): R.WAITING,
    (R.WAITING, "there"): R.RESUMABLE,
    (R.RESUMABLE, "resumed"): R.COMPUTING,
    (R.COMPUTING, "retracted"): R.WAITING,
    (R.RESUMABLE, "retracted"): R.WAITING,
    (R.COMPUTING, "over"): R.OVER,
    (R.WAITING, "over"): R.OVER,
    (R.RESUMABLE, "over"): R.OVER,
}

WORKERS: Mapping[tuple[WorkerState, str], WorkerState] = {
    (W.LAUNCHING, "connected"): W.IDLE,
    (W.LAUNCHING, "back"): W.BUSY,
    (W.LAUNCHING, "lost"): W.GONE,
    (W.LAUNCHING, "stopped"): W.GONE,
    (W.IDLE, "assigned"): W.BUSY,
    (W.IDLE, "released"): W.GONE,
    (W.IDLE, "lost"): W.GONE,
    (W.IDLE, "stopped"): W.GONE,
    (W.BUSY, "run over"): W.IDLE,
    (W.BUSY, "broken"): W.APART,
    (W.BUSY, "lost"): W.GONE,
    (W.BUSY, "stopped"): W.GONE,
    (W.APART, "back"): W.BUSY,
    (W.APART, "lost"): W.GONE,
    (W.APART, "stopped"): W.GONE,
}

State = TypeVar("State", TaskState, RunState, WorkerState)


def follow(table: Mapping[tuple[State, str], State], state: State, cause: str) -> State:
    """The state after a cause. What is not in the table is a mistake of the coordinator's own: raises LookupError."""
    try:
        return table[state, cause]
    except KeyError:
        raise LookupError(f"nothing is known of {state.name} and {cause!r}") from None
