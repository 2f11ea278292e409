"""One reading of a film: its job, run on this machine, and its results handed on in the order of the film."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

import mu
from mu.core import events
from mu.core import instructions as core
from mu.local.shell import Observer
from mu.wire import Progressed
from pipelines import errors
from pipelines.encode.held import Held
from pipelines.encode.plan import Chunk, Settings, Task
from pipelines.encode.progress import Progress, Watch
from pipelines.encode.read import ENCODE, SOURCE, ChunkRead, Film, reading
from pipelines.encode.record import Record, Span
from pipelines.encode.sink import Piece, Sink
from pipelines.media.source import Source

_LEASE_S = 120.0
Follow = Callable[[mu.Job, str], Observer]
"""Who else looks on at a job, with what it is done for."""
_source = msgspec.msgpack.Decoder(Source).decode
_read = msgspec.msgpack.Decoder(ChunkRead).decode


def limits(workers: int, tries: int = 3) -> mu.Limits:
    """What the job of a film may use on a machine where so many chunks are computed at a time.

    Programs beyond the slots wait for the serial step; with many slots a chain is longer at it than with few. One chunk
    more is read ahead.
    """
    unfinished = workers + (workers + 1) // 2 if workers <= 4 else 2 * workers
    return mu.Limits(
        workers=unfinished,
        slots=workers,
        ahead=unfinished,
        tries=tries,
        lease_s=_LEASE_S,
        straggler=None,
        order="given",
        temporary=("raw/",),
    )


class Reading:
    """Reads a film, does a task with every chunk, and gives the pieces to a sink in the order of the film.

    `inputs` are what the task needs of an earlier reading; `follow` is asked who else looks on.
    """

    def __init__(
        self,
        path: str,
        settings: Settings,
        limits: mu.Limits,
        sink: Sink,
        watch: Watch,
        record: Record | None = None,
        *,
        follow: Follow | None = None,
        task: Task = Task(),  # noqa: B008  it cannot change
        inputs: Mapping[str, bytes] = MappingProxyType({}),
        title: str = "",
    ) -> None:
        self.progress = Progress(title=title)
        self.chunks: list[Chunk] = []
        """Those that were read."""
        self._job = mu.Job("encode", (reading(Film(path, settings, task)),), limits)
        self._sink, self._watch, self._record, self._inputs = sink, watch, record, inputs
        self._observers: list[Observer] = [self] if follow is None else [self, follow(self._job, title)]
        self._source: Source | None = None
        self._reads: dict[int, ChunkRead] = {}
        self._results = Held()
        self._joined = 0
        self._runs: dict[int, _Run] = {}
        self._runs_of: dict[str, list[_Run]] = {}
        self._names: dict[int, str] = {}

    def run(self) -> Source:
        """Do it; returns what was read. Raises PipelineError. No process is left behind, whatever happens."""
        try:
            with self._results:
                mu.run(
                    self._job,
                    inputs=self._inputs,
                    watch=self._observers,
                    on_object=self._take,
                    keep=False,
                    prepare=[ENCODE.partition(":")[0]],
                )
        except mu.JobFailed as failed:
            raise _told(failed.failures[0]) from failed
        except mu.BackendError as refused:
            raise errors.WorkerFailed(str(refused)) from refused
        assert self._source is not None
        return self._source

    # Results

    def _take(self, name: str, payload: memoryview) -> None:
        """An object is there."""
        if name == SOURCE:
            self._source = _source(payload)
            self.progress.frames = self._source.frames
            self._sink.begin(self._source)
        elif name.startswith("read/"):
            self._was_read(_read(payload))
        else:
            self._results.put(name, payload)
        while self._joined < len(self.chunks):
            chunk = self.chunks[self._joined]
            if not all(output in self._results for output in chunk.outputs):
                break
            self._join(chunk)
        self._watch(self.progress)

    def _was_read(self, read: ChunkRead) -> None:
        chunk = read.chunk
        self.chunks.append(chunk)
        self._reads[chunk.index] = read
        frames = chunk.first + chunk.frames
        self.progress.frames, self.progress.exact = max(frames, 0 if read.last else self.progress.frames), read.last
        self.progress.damaged = read.damaged

    def _join(self, chunk: Chunk) -> None:
        read = self._reads.pop(chunk.index)
        results = {name: self._results.take(name) for name in chunk.outputs}
        before, began = os.times(), time.monotonic()
        self._sink.append(Piece(chunk, results, read.times, read.durations))
        after = os.times()
        spent = max(0.0, after.user + after.system - before.user - before.system)
        self.progress.add("join", chunk.frames, spent)
        self._joined += 1
        if self._record is not None:
            self._record.note("join", chunk.index, [Span("join", began, time.monotonic())])
            self._record.chunks.append(chunk)

    # What the job tells of itself

    def note(self, event: events.Event, instructions: list[core.Instruction], now: float) -> None:
        """See `mu.local.shell.Observer`."""
        for instruction in instructions:
            if isinstance(instruction, core.Assign):
                task = instruction.task.name
                for lost in self._runs_of.get(task, ()):  # what it did is done again
                    for stage, frames in lost.done.items():
                        self.progress.done[stage] -= frames
                    lost.done.clear()
                run = _Run(task, now, self._process(instruction.worker, task))
                self._runs[instruction.run] = run
                self._runs_of.setdefault(task, []).append(run)
            elif isinstance(instruction, core.Remember) and isinstance(instruction.entry, core.TaskCommitted):
                self._runs_of.pop(instruction.entry.task, None)
        if isinstance(event, events.Finished | events.Raised):
            self._runs.pop(event.run, None)

    def progressed(self, number: int, progressed: Progressed, now: float) -> None:
        """See `mu.local.shell.Observer`."""
        run = self._runs.get(number)
        if run is None:
            return
        if progressed.done or progressed.cpu_s:
            run.done[progressed.stage] = run.done.get(progressed.stage, 0.0) + progressed.done
            self.progress.add(progressed.stage, progressed.done, progressed.cpu_s)
            self._watch(self.progress)
        if self._record is None:
            return
        for span in progressed.spans:
            if run.task == "read":
                if span.stage != "read":
                    continue
                chunk, run.read = run.read, run.read + 1
            else:
                chunk = int(run.task.partition("/")[2])
            told = Span(span.stage, run.began + span.began, run.began + span.ended)
            self._record.note(run.process, chunk, [told])

    def _process(self, worker: int, task: str) -> str:
        if task == "read":
            return "reader"
        return self._names.setdefault(worker, f"worker {len(self._names) + 1}")


@dataclass(slots=True)
class _Run:
    """A run of a task."""

    task: str
    began: float
    process: str
    read: int = 0
    """How many chunks it has read, if it reads."""
    done: dict[str, float] = field(default_factory=dict)
    """Frames by stage."""


def _told(failure: core.Failure) -> errors.PipelineError:
    """What to say of a job that failed: what its program raised, or how its worker ended."""
    kind, _, text = failure.reason.partition(": ")
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, errors.PipelineError):
        return known(text)
    what = "the reader" if failure.task == "read" else f"chunk {int(failure.task.partition('/')[2])}"
    tried = f" (tried {len(failure.tries)} times)" if len(failure.tries) > 1 else ""
    return errors.WorkerFailed(f"{what} failed: {failure.reason}{tried}")
