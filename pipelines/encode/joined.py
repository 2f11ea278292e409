"""A film encoded where there is no disk but the store: a task reads it, others encode its chunks, one joins them.

The file is the one that `encode_file` makes, byte for byte.
"""

from __future__ import annotations

import mmap
import tempfile

import msgspec

from mu import BackendError, Context, Job, Limits
from pipelines.encode.fetched import fetched
from pipelines.encode.join import Joiner, open_others, warnings_of
from pipelines.encode.plan import Settings
from pipelines.encode.read import INDEX, REPORT, SOURCE, ChunkRead, Film, Joining, Sharing, reading
from pipelines.encode.sink import Piece
from pipelines.media.source import Source

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
    go when they are joined, or the film would be paid for twice for as long as the bucket keeps it.
    """
    return Limits(
        workers=workers,
        lease_s=60.0,
        reconnect_s=30.0,
        temporary=("raw/", "look/", "encoded/"),
    )


def join_film(context: Context, film: Film) -> None:
    """Join the chunks, the sound and the subtitles of a film that is encoded; store the file and a report."""
    from pipelines.encode.job import described  # here, since that imports what runs jobs

    how = film.joining or Joining()
    source, index = _source(context.fetch(SOURCE)), _index(context.fetch(INDEX))
    with tempfile.TemporaryFile(prefix="fastslow-") as file:
        joiner = Joiner(file, how.kind, lambda film: open_others(film, how.kind, how.sound, how.subtitles))
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
