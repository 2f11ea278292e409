"""Goes through a coordinator's books, and finds what does not agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mu.core.book import Book
from mu.core.coordinator import Coordinator
from mu.core.instructions import Assign, Deliver, Instruction, Launch, Room
from mu.core.states import RunState, TaskState, WorkerState

__all__ = ["audit"]


def audit(core: Coordinator, now: float, instructions: Sequence[Instruction] = ()) -> None:
    """Every count is what it counts, nothing waits that could go on; `instructions` are those just given."""
    book = core._book  # it has no other eyes
    _tasks(book)
    _runs(book, now)
    _workers(book)
    if core.outcome is None:
        _goes_on(core, book, now)
        if any(isinstance(each, Launch) for each in instructions):
            _launches(book)
        began = {each.run for each in instructions if isinstance(each, Assign | Deliver | Room)}
        if any(book.runs[number].task.task.slot for number in began & set(book.runs)):
            assert book.limits.slots is None or book.computing <= book.limits.slots, "more slots than there are"
    else:
        assert not book.workers
        assert not book.runs
        assert not book.agenda.unfinished


def _tasks(book: Book) -> None:
    agenda = book.agenda
    records = list(agenda.tasks.values())
    unfinished = [record for record in records if record.unfinished]
    assert agenda.unfinished == len(unfinished)
    assert agenda.counted == sum(not record.task.adds for record in unfinished)
    assert agenda.blocked == sum(record.state is TaskState.BLOCKED for record in records)
    ready = [record for record in records if record.state is TaskState.READY]
    assert agenda.ready_for_slots == sum(record.task.slot for record in ready)
    assert agenda.ready_without == sum(not record.task.slot for record in ready)
    assert (agenda.next(slot=True) in ready) if ready else True
    assert book.committed == sum(record.state is TaskState.COMMITTED for record in records)
    for record in records:
        assert bool(record.runs) == (record.state is TaskState.RUNNING), record
        assert len(record.runs) <= 2, record
        assert (record.state is TaskState.BLOCKED) <= bool(record.missing), record
    assert all(agenda.tasks[name].unfinished for name in agenda.stragglers)


def _runs(book: Book, now: float) -> None:
    runs = list(book.runs.values())
    assert sorted(map(id, runs)) == sorted(id(run) for record in book.agenda.tasks.values() for run in record.runs), (
        "lost sight of a run"
    )
    assert book.computing == sum(run.task.task.slot for run in runs if run.state is RunState.COMPUTING)
    assert book.adders == sum(bool(run.task.task.adds) for run in runs)
    assert set(book.waiting) == {run.number for run in runs if run.state is RunState.WAITING}
    for run in runs:
        assert run.worker.run is run
        if run.state is RunState.RESUMABLE:
            assert run.waits_for is None or run.waits_for in book.messages, "would be given what is not there"
        if run.state is RunState.WAITING:
            assert run.waits_for not in book.messages, "is not given what is there"
        most = book.limits.run_s
        assert most is None or run.spent(now) < most + 1e-6, "computes for ever"
        if run.taking is not None:
            assert run.state is RunState.COMPUTING
            assert run.taking[1] in book.runs, "takes from a run that is over"
    for key, message in book.messages.items():
        assert message.whole or message.run in book.runs, f"{key} will never be whole"


def _workers(book: Book) -> None:
    for worker in book.workers.values():
        assert (worker.run is not None) == (worker.state in (WorkerState.BUSY, WorkerState.APART)), worker
        assert worker.run is None or book.runs.get(worker.run.number) is worker.run
    assert book.idlers == sum(worker.state is WorkerState.IDLE for worker in book.workers.values())
    assert book.launching == sum(worker.state is WorkerState.LAUNCHING for worker in book.workers.values())


def _goes_on(core: Coordinator, book: Book, now: float) -> None:
    agenda, limits, decider = book.agenda, book.limits, core._decider
    slot = limits.slots is None or book.computing < limits.slots
    places = decider.most_workers + book.adders
    if len(book.workers) > places:
        assert not book.idlers, "too many workers, and some have nothing to do"
        assert not book.launching, "too many workers, and some come"
    assert book.resumable(slot=slot) is None, "could go on"
    most = agenda.blocked + agenda.ready + len(agenda.stragglers)
    assert book.adders or book.idlers <= most, "somebody is kept for nothing"
    assert not book.idlers or agenda.next(slot=slot) is None, "a worker and a task do not meet"
    if agenda.ready and not book.runs and not book.launching and len(book.workers) < places:
        assert now < decider._launch_at, "nobody is launched"


def _launches(book: Book) -> None:
    wanted = book.agenda.ready + len(book.agenda.stragglers)
    assert book.launching + book.idlers <= math.ceil(wanted * (1 + book.limits.spare)), "more than there is to do"
