"""`fastslow encode --backend aws`: the same film by the workers of the deployed stack."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.desk import agreed, bill, clients, desk_of, follow, work_of
from cli.errors import Failure, Terminated
from cli.objects import is_there, place_of, readable, taken, told
from cli.page import write_beside

if TYPE_CHECKING:
    from cli.desk import Desk
    from cli.events import Events
    from cli.progress import Display
    from deploy.cost import Work
    from mu import Job
    from mu.service.status import Status
    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings
    from pipelines.media.source import Source

MOST_WORKERS = 200
"""If --workers does not say."""
# Seconds of one processor a frame and megapixel, as `fastslow encode --json --workers 1` says of the clip
# anim_bigbuckbunny at 1280x720, half as much again for Lambda's: libvpx, and what a chain waits for.
_ENCODE_S, _REBASE_S = 0.06, 0.012
# The same of reading, by `python -m bench mu_stages`: a frame is decoded to look at it, and by the task of its chunk,
# which decodes half as many on its way from the key frame before.
_READ_S = 0.02
_UNTIL_CANCELLED_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is wanted, but for the settings of the encoding."""

    source: str
    """A file, or an object of the stack's media bucket."""
    target: str
    """A file, or an object."""
    workers: int
    overwrite: bool
    sound: bool
    subtitles: bool
    stack: str
    local: bool
    max_cost: float
    yes: bool
    measure: bool
    page: str | None
    """Where the job's page goes."""
    live: bool
    """Say where a browser can follow it."""
    quiet: bool


def encode_away(order: Order, settings: Settings, show: Callable[[], Display], events: Events | None) -> Report:
    """Have a film encoded by a stack. `show` makes what shows how far it is.

    Says what it may cost and asks above `max_cost` dollars; says what it did cost. Raises Failure, InPart if the film
    is there and its page is not, and what the packages below raise.
    """
    import msgspec

    from deploy.cost import of_job
    from pipelines.encode.job import Report, measured
    from pipelines.encode.join import kind_of
    from pipelines.encode.joined import encoding_job, remote_limits
    from pipelines.encode.read import REPORT, Joining
    from pipelines.media.read import Reader
    from pipelines.report.file import page_file

    source, target = order.source, order.target
    how = Joining(kind_of(target), order.sound, order.subtitles)
    name, client, outputs = clients(order.stack, order.local)
    s3 = client("s3")
    if not order.overwrite and is_there(s3, target):
        raise Failure(f"{target} exists; --overwrite replaces it")
    if order.page is not None:
        page_file(order.page, order.overwrite, (source, target))  # told before anything is spent
    path = _brought(s3, source, outputs["MediaBucket"], show)
    with _readable(s3, source) as seen, Reader(seen) as reader:
        film = reader.source
    desk = desk_of(name, client, outputs, local=order.local)
    job = encoding_job(path, settings, how, remote_limits(order.workers))
    before = desk.jobs.status(job.id)
    if before is None or before.state != "done":  # else it is only fetched
        lines = of_job(_expected(film, settings, order.workers), desk.fleet())
        if events:
            events.estimate(lines)
        agreed(f"{source}, about {film.frames} frames, may cost", lines, order.max_cost, order.yes)
    began = time.monotonic()
    if events:
        events.tell("job", job=job.id)
    status = _followed(desk, job, show, film.frames, order.live, quiet=order.quiet)
    bill("it cost", of_job(work_of(status), desk.fleet()))
    if status.state != "done":
        raise desk.failure(status)
    bucket, prefix = outputs["ResultsBucket"], f"jobs/{job.id}/store/"
    taken(s3, bucket, prefix + how.result, target)
    with told(f"s3://{bucket}/{prefix}{REPORT}"):
        made = s3.get_object(Bucket=bucket, Key=prefix + REPORT)["Body"].read()
    report = msgspec.msgpack.decode(made, type=Report)
    cpu = {stage: round(count.cpu_s, 3) for stage, count in status.counts.stages.items()} if status.counts else {}
    report = msgspec.structs.replace(report, wall_s=round(time.monotonic() - began, 3), cpu_s=cpu)
    if order.measure:
        with _readable(s3, source) as one, _readable(s3, target) as other, show() as shown:
            report = measured(report, one, other, lambda n: shown.count("measure", n, report.frames))
    if order.page is not None:
        write_beside(desk, job.id, order.page, target, order.overwrite)
    return report


def _followed(desk: Desk, job: Job, show: Callable[[], Display], frames: int, live: bool, *, quiet: bool) -> Status:
    """Hand the job in and look on until it is over; whoever interrupts that has it cancelled."""
    where = desk.live(job.id) if live else ""
    try:
        before = desk.submit(job)[1]
        if where:
            click.echo(f"fastslow: {where}", err=True)
        if not quiet:
            click.echo("Ctrl-C cancels the job; the same command goes on with it", err=True)
        with show() as shown:
            return follow(desk, job.id, shown, before, frames=frames)
    except (KeyboardInterrupt, Terminated):
        _cancel(desk, job.id)
        raise


def _cancel(desk: Desk, job: str) -> None:
    from deploy.cost import of_job
    from mu.errors import BackendError
    from mu.service.status import OVER

    click.echo(f"cancelling {job}", err=True)
    desk.jobs.cancel(job)
    until = time.monotonic() + _UNTIL_CANCELLED_S
    while time.monotonic() < until:
        with suppress(BackendError):
            if (status := desk.jobs.status(job)) and status.state in OVER:
                bill(f"{job} is {status.state}; it cost", of_job(work_of(status), desk.fleet()))
                return
        time.sleep(0.5)
    click.echo(f"{job} was told to end; {desk.hint('show', job)} says when it has", err=True)


def _expected(film: Source, settings: Settings, workers: int) -> Work:
    from deploy.cost import Work

    pixels = film.frames * film.width * film.height / 1e6
    chunks = max(1, -(-film.frames // settings.chunk_frames))
    chain = min(chunks, settings.chain)
    waiting = pixels * _REBASE_S * chain / 2  # a chunk waits for all before it in its chain
    workers = min(workers, chunks + 2)
    work_s = pixels * (_READ_S + _ENCODE_S + _REBASE_S) + waiting
    # Golden picture and state are messages in S3; a film is opened with some ten ranges, twice or so for a chunk.
    return Work(work_s, workers, max(work_s / workers, 10.0), 30 * chunks)


def _brought(s3: Any, source: str, media: str, show: Callable[[], Display]) -> str:
    """Where workers find the film; a file is uploaded, once."""
    if source.startswith("s3://"):
        if place_of(source)[0] != media:
            raise Failure(f"workers read films of s3://{media} alone: copy it there, or name a file")
        return source
    path = Path(source)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failure(f"{source}: {error.strerror}") from error
    key = f"uploads/{digest[:32]}{path.suffix.lower()}"
    if not is_there(s3, f"s3://{media}/{key}"):
        size, sent = path.stat().st_size, 0
        with show() as shown:

            def tell(more: int) -> None:
                nonlocal sent
                sent += more
                shown.count("upload (kB)", sent // 1000, size // 1000)

            with told(f"{source} to s3://{media}/{key}"):
                s3.upload_file(str(path), media, key, Callback=tell)
    return f"s3://{media}/{key}"


@contextmanager
def _readable(s3: Any, place: str) -> Iterator[str]:
    """How a film can be read from here. The address, which lets in whoever has it, is kept out of what is said."""
    from pipelines.errors import PipelineError

    address = readable(s3, place)
    try:
        yield address
    except PipelineError as error:
        if address == place or address not in str(error):
            raise
        raise Failure(str(error).replace(address, place)) from None
