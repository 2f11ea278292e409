"""Encoding a film to a bit rate or a quality: it is read several times, and the attempt that hits is handed on.

1. A survey: libvpx's first pass over every chunk, and a few samples encoded whole at three levels.
2. The film, at the level that the survey lets expect to hit.
3. Until it hits, at most a few times: the film rebased anew, a little finer or coarser, from what libvpx made in 2.
   Where that would have to go too far, libvpx encodes it again, once.

Between readings lie statistics, libvpx's frames and finished chunks, in files without a name beside the output: never
more than two or three times the film, encoded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import msgspec

from pipelines import libvpx
from pipelines.encode.aim import MOST_ATTEMPTS, PROBES, Aim, Attempt, Hunt, coarseness
from pipelines.encode.plan import Chunk, Settings, Task
from pipelines.encode.progress import STAGES, Watch
from pipelines.encode.reading import Follow, Reading, limits
from pipelines.encode.record import Record
from pipelines.encode.sink import Piece
from pipelines.encode.tally import Tally
from pipelines.errors import InputError
from pipelines.media.source import Source

_COMPLEXITY = 0.75
"""To what power bits go with the error that libvpx's first pass is left with."""

_tallies = msgspec.msgpack.Decoder(list[Tally]).decode


class Shelf(Mapping[str, bytes]):
    """Bytes by name, in a file without a name. What is put twice takes its room twice."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by close
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def put(self, name: str, payload: bytes) -> None:
        """Keep this. Raises OSError when the disk is full."""
        self._file.seek(self._end)
        self._file.write(payload)
        self._places[name] = self._end, len(payload)
        self._end += len(payload)

    def __getitem__(self, name: str) -> bytes:
        start, size = self._places[name]
        self._file.seek(start)
        return self._file.read(size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Forget everything."""
        self._file.close()


@dataclass(slots=True)
class Collected:
    """A sink: what a reading of the film came to. Encoded chunks have a shelf of their own."""

    common: Shelf
    encoded: Shelf
    pieces: list[Piece] = field(default_factory=list)
    """Without what lies on the shelves."""
    source: Source | None = None

    def begin(self, source: Source) -> None:
        """Take down what the film is."""
        self.source = source

    def append(self, piece: Piece) -> None:
        """Take a piece."""
        chunk = piece.chunk
        if chunk.result in piece.results:
            self.encoded.put(chunk.result, piece.encoded)
        for name in (chunk.searched, chunk.statistics):
            if name in piece.results:
                self.common.put(name, piece.results[name])
        kept = {name: piece.results[name] for name in (chunk.measured,) if name in piece.results}
        self.pieces.append(Piece(chunk, kept, piece.times, piece.durations))

    def tallies(self) -> Iterator[tuple[Chunk, list[Tally]]]:
        """What each chunk came to."""
        for piece in self.pieces:
            yield piece.chunk, _tallies(piece.results[piece.chunk.measured])


class AimedEncoder:
    """A film on its way to a bit rate or a quality; a context, since its shelves are files."""

    def __init__(
        self,
        path: str,
        settings: Settings,
        aim: Aim,
        workers: int,
        folder: Path,
        watch: Watch,
        record: Record | None,
        follow: Follow | None = None,
    ) -> None:
        self._path, self._settings, self._aim, self._workers = path, settings, aim, workers
        self._watch, self._record, self._folder, self._follow = watch, record, folder, follow
        self._common, self._best = Shelf(folder), Shelf(folder)
        self._pieces: list[Piece] = []
        self.cpu_s = dict.fromkeys(STAGES, 0.0)
        self.damaged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._common.close()
        self._best.close()

    def run(self) -> tuple[Source, Hunt]:
        """Encode until it hits; returns what was read and what was tried."""
        survey = self._read(self._settings, Task("survey", measure=self._aim.measure, probes=PROBES), "survey")
        survey.encoded.close()
        assert survey.source is not None
        seconds = _seconds(survey)
        hunt = Hunt(self._aim, self._curve(survey, seconds))
        while attempt := hunt.next():
            kind: Literal["encode", "rebase"] = "encode" if attempt.search else "rebase"
            title = f"attempt {len(hunt.tried) + 1} of at most {MOST_ATTEMPTS}: {kind} at cq {attempt.cq}"
            task = Task(kind, attempt.scale, surveyed=attempt.search, keep=attempt.search, measure=self._aim.measure)
            done = self._read(msgspec.structs.replace(self._settings, cq=attempt.cq), task, title)
            if [piece.chunk.first for piece in done.pieces] != [piece.chunk.first for piece in survey.pieces]:
                raise InputError(f"{self._path}: changed while it was encoded")
            self._decide(hunt, attempt, done, seconds)
        return survey.source, hunt

    def pieces(self) -> Iterator[Piece]:
        """The film as the best attempt made it."""
        for piece in self._pieces:
            name = piece.chunk.result
            yield Piece(piece.chunk, {name: self._best[name]}, piece.times, piece.durations)

    def _read(self, settings: Settings, task: Task, title: str) -> Collected:
        """Read the film once, and do this with it."""
        collected = Collected(self._common, Shelf(self._folder))
        if self._record is not None:
            self._record.read_again(title)
        reading = Reading(
            self._path,
            settings,
            limits(self._workers),
            collected,
            self._watch,
            self._record,
            follow=self._follow,
            task=task,
            inputs=self._common,
            title=title,
        )
        try:
            reading.run()
        except BaseException:
            collected.encoded.close()
            raise
        self.damaged = reading.progress.damaged
        for stage, seconds in reading.progress.cpu_s.items():
            self.cpu_s[stage] += seconds
        return collected

    def _decide(self, hunt: Hunt, attempt: Attempt, done: Collected, seconds: float) -> None:
        """Take down what an attempt came to, and keep the better of it and the best before."""
        total = sum((tally for _, tallies in done.tallies() for tally in tallies), Tally())
        if hunt.tell(attempt, self._aim.of(total, seconds)):
            self._best, done.encoded = done.encoded, self._best
            self._pieces = done.pieces
        done.encoded.close()

    def _curve(self, survey: Collected, seconds: float) -> list[tuple[float, float]]:
        """What the film is believed to have at each level that samples were encoded at.

        The bits of samples are brought up to those of the film by what libvpx's first pass says of both.
        """
        of_all = of_samples = 0.0
        sums = [Tally() for _ in PROBES]
        for chunk, tallies in survey.tallies():
            frames = libvpx.statistics(self._common[chunk.statistics])[chunk.position > 0 :]
            complexity = sum(max(frame.coded_error, 1.0) ** _COMPLEXITY for frame in frames)
            of_all += complexity
            if tallies:
                of_samples += complexity
                sums = [one + another for one, another in zip(sums, tallies, strict=True)]
        curve = []
        for level, tally in zip(PROBES, sums, strict=True):
            whole = msgspec.structs.replace(tally, bytes=round(tally.bytes * of_all / of_samples))
            curve.append((coarseness(level), self._aim.of(whole, seconds)))
        return curve


def _seconds(film: Collected) -> float:
    """How long the film is, from the start of its first frame to the end of its last."""
    assert film.source is not None
    times = [time for piece in film.pieces for time in piece.times]
    step = times[-1] - times[-2] if len(times) > 1 else 1 / (film.source.fps * film.source.seconds_a_tick)
    return float((times[-1] - times[0] + (film.pieces[-1].durations[-1] or step)) * film.source.seconds_a_tick)
