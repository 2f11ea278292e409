"""A film encoded where there is no disk but the store: a task reads it, others encode its chunks, one joins them.

The file is the one that `encode_file` makes, byte for byte.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from mu import BackendError, Context, Job, Limits
from pipelines.encode.fetched import fetched
from pipelines.encode.join import Joiner, files_of, put_in_order, warnings_of
from pipelines.encode.plan import Settings
from pipelines.encode.read import INDEX, OTHERS, REPORT, SOURCE, ChunkRead, Film, Joining, Sharing, reading
from pipelines.encode.sink import Piece
from pipelines.media.source import Source

if TYPE_CHECKING:
    from pipelines.media.others import Others

_source = msgspec.msgpack.Decoder(Source).decode
_index = msgspec.msgpack.Decoder(list[ChunkRead]).decode


def encoding_job(
    path: str,
    settings: Settings,
    joining: Joining,
    limits: Limits,
    sharing: Sharing | None = Sharing(),  # noqa: B008  it cannot change
) -> Job:
    """The job that encodes a film, `s3://bucket/key` or a path that every worker has.

    Its results are the objects `joining.result`, a video file, and REPORT.
    """
    return Job("encode", (reading(Film(path, settings, joining=joining, sharing=sharing)),), limits)


def remote_limits(workers: int) -> Limits:
    """What such a job may use where workers come by the hundred: who blocks most goes first.

    Nothing holds back who reads: raw frames of a bucket are in nobody's way, and who waits has to be paid for. Chunks
    and sound go when they are joined, or the film would be paid for twice for as long as the bucket keeps it.
    """
    return Limits(
        workers=workers,
        lease_s=60.0,
        reconnect_s=10.0,  # five times the longest pause before a worker tries again
        temporary=("raw/", "look/", "encoded/", OTHERS),
    )


def read_beside(context: Context, film: Film) -> None:
    """Read the film's sound and subtitles while others encode its picture; store them. Raises InputError."""
    from pipelines.media.carried import carry  # here and below, since only films with sound need it

    how = film.joining or Joining()
    heard, shown = files_of(_source(context.fetch(SOURCE)), how.kind, how.sound, how.subtitles)
    with closing(put_in_order(heard, shown)):
        context.store(OTHERS, carry(heard, shown))
    context.progress("sound", 1, 1)


def _others(context: Context, how: Joining, source: Source) -> Others:
    from pipelines.media.carried import carried

    return put_in_order(*carried(context.fetch(OTHERS)) if how.others(source) else (None, None))


def join_film(context: Context, film: Film) -> None:
    """Join the chunks, the sound and the subtitles of a film that is encoded; store the file and a report."""
    from pipelines.encode.job import described  # here, since that imports what runs jobs

    how = film.joining or Joining()
    source, index = _source(context.fetch(SOURCE)), _index(context.fetch(INDEX))
    with tempfile.TemporaryFile(prefix="fastslow-") as file:
        joiner = Joiner(file, how.kind, lambda film: _others(context, how, film))
        try:
            joiner.begin(source)
            encoded = fetched(context, [read.chunk.result for read in index])
            for read, (name, result) in zip(index, encoded, strict=True):
                results = {name: bytes(result)}
                joiner.append(Piece(read.chunk, results, read.times, read.durations))
                context.progress("join", read.chunk.frames, index[-1].chunk.first + index[-1].chunk.frames)
            joiner.finish()
            file.flush()
        except OSError as error:
            if hasattr(error, "log"):  # PyAV's: they are the input's
                raise
            raise BackendError(f"the film cannot be written on the worker's disk: {error.strerror}") from error
        finally:
            joiner.close()
        size = file.seek(0, 2)
        damaged = (index[-1].damaged, *joiner.damaged)
        report = msgspec.structs.replace(
            described(source, [read.chunk for read in index], joiner, size),
            warnings=[
                *([film.remark] if film.remark else []),
                *warnings_of(source, how.kind, how.sound, how.subtitles, damaged),
            ],
        )
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as whole:
            context.store(how.result, whole)
        context.store(REPORT, msgspec.msgpack.encode(report))
