"""`fastslow encode --backend aws`: the same film by the workers of the deployed stack."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from cli.errors import Failure
from cli.jobs import bill, clients, desk_of, until_over, work_of

if TYPE_CHECKING:
    from deploy.cost import Work
    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings
    from pipelines.media.source import Source

MOST_WORKERS = 200
"""If --workers does not say."""
# Seconds of one processor a frame and megapixel, as `fastslow encode --json --workers 1` says of the clip
# anim_bigbuckbunny at 1280x720, half as much again for Lambda's: libvpx, and what a chain waits for.
_ENCODE_S, _REBASE_S = 0.06, 0.012


def encode_away(
    source: str,
    target: str,
    settings: Settings,
    *,
    workers: int,
    overwrite: bool,
    sound: bool,
    subtitles: bool,
    stack: str,
    local: bool,
    max_cost: float,
    yes: bool,
) -> Report:
    """Encode `source` (a file, or an object of the stack's media bucket) to `target` (a file, or an object).

    Says what it may cost and asks above `max_cost` dollars; says what it did cost. Raises Failure, and what the
    packages below raise.
    """
    import msgspec

    from deploy.cost import dollars, of_job
    from pipelines.encode.job import Report
    from pipelines.encode.join import kind_of
    from pipelines.encode.joined import encoding_job, remote_limits
    from pipelines.encode.read import REPORT, Joining
    from pipelines.media.read import Reader

    how = Joining(kind_of(target), sound, subtitles)
    name, client, outputs = clients(stack, local)
    s3 = client("s3")
    if not overwrite and _is_there(s3, target):
        raise Failure(f"{target} exists; --overwrite replaces it")
    path, seen = _brought(s3, source, outputs["MediaBucket"])
    with Reader(seen) as reader:
        film = reader.source
    desk = desk_of(name, client, outputs)
    lines = of_job(_expected(film, settings, workers), desk.fleet())
    bill(f"{source}, about {film.frames} frames, may cost", lines)
    if dollars(lines) > max_cost and not yes:
        click.confirm(f"That is more than {max_cost:g} $. Go on?", abort=True, err=True)
    job = encoding_job(path, settings, how, remote_limits(workers))
    began = time.monotonic()
    desk.jobs.submit(job)
    try:
        status = until_over(desk, job.id, None)
    except KeyboardInterrupt:
        desk.jobs.cancel(job.id)
        raise
    bill("it cost", of_job(work_of(status), desk.fleet()))
    if status.state != "done":
        raise Failure(f"{job.id} {status.state}; fastslow jobs logs {job.id}")
    bucket, prefix = outputs["ResultsBucket"], f"jobs/{job.id}/store/"
    _taken(s3, bucket, prefix + how.result, target)
    told = s3.get_object(Bucket=bucket, Key=prefix + REPORT)["Body"].read()
    report = msgspec.msgpack.decode(told, type=Report)
    cpu = {stage: count.cpu_s for stage, count in status.counts.stages.items()} if status.counts else {}
    return msgspec.structs.replace(report, wall_s=time.monotonic() - began, cpu_s=cpu)


def _expected(film: Source, settings: Settings, workers: int) -> Work:
    from deploy.cost import Work

    pixels = film.frames * film.width * film.height / 1e6
    chunks = max(1, -(-film.frames // settings.chunk_frames))
    chain = min(chunks, settings.chain)
    waiting = pixels * _REBASE_S * chain / 2  # a chunk waits for all before it in its chain
    workers = min(workers, chunks + 2)
    work_s = pixels * (_ENCODE_S + _REBASE_S) + waiting
    return Work(work_s, workers, max(work_s / workers, 10.0), 6 * chunks)  # golden picture and state are messages in S3


def _brought(s3: Any, source: str, media: str) -> tuple[str, str]:
    """Where workers find the film, and where it can be looked at from here; a file is uploaded, once."""
    if source.startswith("s3://"):
        bucket, key = _place(source)
        if bucket != media:
            raise Failure(f"workers read films of s3://{media} alone: copy it there, or name a file")
        return source, s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)
    path = Path(source)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failure(f"{source}: {error.strerror}") from error
    key = f"uploads/{digest[:32]}{path.suffix.lower()}"
    if not _is_there(s3, f"s3://{media}/{key}"):
        click.echo(f"uploading {source}", err=True)
        s3.upload_file(str(path), media, key)
    return f"s3://{media}/{key}", source


def _taken(s3: Any, bucket: str, key: str, target: str) -> None:
    """Bring the result to where it is wanted; a file appears when it is complete."""
    if target.startswith("s3://"):
        to, name = _place(target)
        s3.copy({"Bucket": bucket, "Key": key}, to, name)
        return
    folder = Path(target).absolute().parent
    handle, beside = tempfile.mkstemp(prefix=".fastslow-", dir=folder)
    os.close(handle)
    try:
        s3.download_file(bucket, key, beside)
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _is_there(s3: Any, place: str) -> bool:
    from botocore.exceptions import ClientError

    if not place.startswith("s3://"):
        return Path(place).exists()
    bucket, key = _place(place)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise Failure(f"{place}: {error}") from error
    return True


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if not parts.netloc or not parts.path.strip("/"):
        raise Failure(f"{url} is no object: s3://bucket/key")
    return parts.netloc, parts.path.lstrip("/")


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
