"""Runs a plan with processes of this machine: starts them, does as the scheduler says, ends them whatever happens.

One loop waits for all of them. It computes nothing itself but the joining of what is finished.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pipelines
from pipelines import errors
from pipelines.encode.context import Stage
from pipelines.encode.local.channel import (
    Channel,
    ChunkRead,
    Closed,
    Deliver,
    Failed,
    Finished,
    FromChild,
    Open,
    Opened,
    Progressed,
    ReadMore,
    Run,
    Sent,
    Stored,
    Waits,
)
from pipelines.encode.local.scheduler import Instruction, Join, Read, Resume, Scheduler, Start
from pipelines.encode.plan import Chunk, Plan, Settings, Task
from pipelines.encode.record import Record, Span
from pipelines.encode.sink import Piece, Sink
from pipelines.media.source import Source

STAGES = ("read", "encode", "decode", "rebase", "join")

_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "268435456"}
"""Tells glibc to keep a picture's memory for the next: given back and asked for anew, it is cleared page by page."""


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

    def add(self, stage: Stage | str, frames: float, cpu_s: float) -> None:
        """So many more frames went through a stage."""
        self.done[stage] += frames
        self.cpu_s[stage] += cpu_s


Watch = Callable[[Progress], object]


class _Process:
    """A child with its channel."""

    def __init__(self, role: str, name: str) -> None:
        ours, theirs = socket.socketpair()
        folder = str(Path(pipelines.__file__).resolve().parents[1])
        command = [sys.executable, "-m", "pipelines.encode.local.child", role, str(theirs.fileno()), str(os.getpid())]
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        self.name = name
        self.chunk: int | None = None
        self.waits_for: str | None = None
        self.child = subprocess.Popen(  # a process group of its own: Ctrl-C is for the runner, which ends the rest
            command,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **_MEMORY, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        theirs.close()
        self.channel = Channel(ours)

    def send(self, message: Open | ReadMore | Run | Deliver, files: tuple[int, ...] = ()) -> None:
        try:
            self.channel.send(message, files)
        except Closed:
            raise self.death() from None

    def death(self) -> errors.WorkerFailed:
        """What to say of a child that hung up of its own accord."""
        self.end(patience=5)
        code = self.child.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        doing = "" if self.chunk is None else f" on chunk {self.chunk}"
        memory = "; is there enough memory?" if code == -signal.SIGKILL else ""
        return errors.WorkerFailed(f"{self.name} (process {self.child.pid}) {how}{doing}{memory}")

    def end(self, patience: float = 0) -> None:
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.channel.close()


class Runner:
    """One reading of a film on this machine; `inputs` are what its task needs of an earlier one."""

    def __init__(
        self,
        path: str,
        settings: Settings,
        workers: int,
        sink: Sink,
        watch: Watch,
        record: Record | None = None,
        *,
        task: Task = Task(),  # noqa: B008  it cannot change
        inputs: Mapping[str, bytes] = MappingProxyType({}),
        title: str = "",
    ) -> None:
        self.progress = Progress(title=title)
        self.chunks: list[Chunk] = []
        """Those that were read."""
        self._record = record
        self._path, self._settings, self._sink, self._watch = path, settings, sink, watch
        self._workers, self._task, self._inputs = workers, task, inputs
        self._scheduler = Scheduler(workers)
        self._plan: Plan | None = None
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._idle: list[_Process] = []
        self._by_chunk: dict[int, _Process] = {}
        self._raw: dict[int, int] = {}
        self._pieces: dict[int, ChunkRead] = {}
        self._results: dict[int, dict[str, bytes]] = {}
        self._messages: dict[str, bytes] = {}
        self._done: list[int] = []

    def run(self) -> Source:
        """Do the job; returns what was read. No process is left behind, whatever happens."""
        try:
            self._reader = self._start("read", "the reader")
            self._reader.send(Open(self._path, self._settings))
            for _ in range(self._workers):
                self._idle.append(self._start("work", f"worker {len(self._processes)}"))
            while self._plan is None or not self._scheduler.done:
                if self._plan is not None:
                    for instruction in self._scheduler.instructions():
                        self._obey(self._plan.source, instruction)
                    self._watch(self.progress)
                    if self._scheduler.done:
                        break
                for key, _ in self._selector.select():
                    self._listen(key.data)
            return self._plan.source
        finally:
            self._end()

    def _start(self, role: str, name: str) -> _Process:
        process = _Process(role, name)
        self._processes.append(process)
        self._selector.register(process.channel.socket, selectors.EVENT_READ, process)
        return process

    def _retire(self, process: _Process) -> None:
        """Let a process that is not needed any more end by itself, beside those that still compute."""
        self._selector.unregister(process.channel.socket)
        process.channel.close()

    def _end(self) -> None:
        for process in self._processes:
            process.child.kill()
        for process in self._processes:
            process.end()
        for file in self._raw.values():
            os.close(file)
        self._selector.close()

    def _listen(self, process: _Process) -> None:
        try:
            messages = process.channel.receive_as_runner()
        except Closed:
            raise process.death() from None
        for message, files in messages:
            self._hear(process, message, files)

    def _hear(self, process: _Process, message: FromChild, files: list[int]) -> None:
        match message:
            case Opened(source):
                self._plan = Plan(source, self._settings, self._task)
                self.progress.frames = source.frames
                self._sink.begin(source)
            case ChunkRead():
                self._take(message, files[0])
            case Progressed(stage, frames, cpu_s):
                self.progress.add(stage, frames, cpu_s)
            case Waits(name):
                assert process.chunk is not None
                process.waits_for = name
                self._scheduler.program_waits(process.chunk)
            case Sent(name, payload):
                assert process.chunk is not None
                self._messages[name] = payload
                self._scheduler.state_came(process.chunk + 1)
            case Stored(name, payload):
                assert process.chunk is not None
                self._results.setdefault(process.chunk, {})[name] = payload
            case Finished(spans):
                assert process.chunk is not None
                self._note(process.name, process.chunk, spans)
                self._scheduler.program_finished(process.chunk)
                self._done.append(process.chunk)
                process.chunk = None
                if self._scheduler.all_started:
                    self._retire(process)
                else:
                    self._idle.append(process)
            case Failed(kind, text):
                raise self._failure(process, kind, text)

    def _take(self, message: ChunkRead, file: int) -> None:
        """The reader delivered a chunk."""
        assert self._plan is not None
        chunk = self._plan.chunk(message.stretch)
        self.chunks.append(chunk)
        self._raw[chunk.index] = file
        self._pieces[chunk.index] = message
        self._note("reader", chunk.index, [message.span])
        self._scheduler.chunk_was_read()
        if message.last:
            self._scheduler.film_has_ended()
            self._retire(self._reader)
        read = chunk.first + chunk.frames
        self.progress.frames, self.progress.exact = max(read, 0 if message.last else self.progress.frames), message.last
        self.progress.damaged = message.damaged
        self.progress.add("read", len(message.times), message.cpu_s)

    def _obey(self, source: Source, instruction: Instruction) -> None:
        match instruction:
            case Read():
                self._reader.send(ReadMore(self._done))
                self._done = []
            case Start(index):
                process = self._idle.pop() if self._idle else self._start("work", f"worker {len(self._processes)}")
                process.chunk = index
                self._by_chunk[index] = process
                file = self._raw.pop(index)
                try:
                    chunk = self.chunks[index]
                    inputs = {name: self._inputs[name] for name in chunk.inputs}
                    process.send(Run(chunk, (chunk.lead + chunk.frames) * source.frame_size, inputs), (file,))
                finally:
                    os.close(file)
            case Resume(index):
                process = self._by_chunk[index]
                assert process.waits_for is not None
                process.send(Deliver(self._messages.pop(process.waits_for)))
                process.waits_for = None
            case Join(index):
                chunk, read = self.chunks[index], self._pieces.pop(index)
                del self._by_chunk[index]
                before, began = os.times(), time.monotonic()
                self._sink.append(Piece(chunk, self._results.pop(index), read.times, read.durations))
                after = os.times()
                self.progress.add(
                    "join", chunk.frames, max(0.0, after.user + after.system - before.user - before.system)
                )
                self._note("join", index, [Span("join", began, time.monotonic())])
                if self._record is not None:
                    self._record.chunks.append(chunk)

    def _note(self, process: str, chunk: int, spans: list[Span]) -> None:
        if self._record is not None:
            self._record.note(process, chunk, spans)

    def _failure(self, process: _Process, kind: str, text: str) -> Exception:
        known = getattr(errors, kind, None)
        if isinstance(known, type) and issubclass(known, errors.PipelineError):
            return known(text)
        doing = "" if process.chunk is None else f" on chunk {process.chunk}"
        return errors.WorkerFailed(f"{process.name} failed{doing}: {text}")
