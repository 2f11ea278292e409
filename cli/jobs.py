"""`fastslow jobs`: jobs of the deployed stack, from what they may cost to what they did."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.errors import Failure, told_when_deploying

if TYPE_CHECKING:
    from deploy.cost import Fleet, Line, Work
    from mu.job import Job
    from mu.service.client import Jobs
    from mu.service.status import Status

F = TypeVar("F", bound=Callable[..., Any])
_POLL_S = 1.0
_LONGEST_TRACEBACK = 40


@dataclass(frozen=True)
class Desk:
    """The jobs of a stack, and what they are done with."""

    jobs: Jobs
    fleet: Callable[[], Fleet]


def _where(command: F) -> F:
    command = click.option("--local", is_flag=True, help="The stack of `fastslow local up`.")(command)
    return click.option("--stack", default="fastslow", show_default=True, metavar="NAME", help="Which stack.")(command)


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_id = click.argument("job", metavar="ID")
_most = click.option(
    "--max-cost", type=click.FloatRange(0), default=1.0, show_default=True, metavar="DOLLARS", help="Ask above that."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Until the job is over.")


@click.group(short_help="Jobs of the deployed stack.")
def jobs() -> None:
    """Hand jobs to the deployed stack, see what becomes of them, and end them.

    It takes the credentials and the region of your environment; --local is the stack of `fastslow local up`.
    """


@jobs.command(short_help="Hand in a job.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--task-seconds", type=click.FloatRange(0), default=10.0, show_default=True, help="What a task may take.")
@_most
@_yes
@_wait
@_where
@_json
def submit(
    file: Path,
    task_seconds: float,
    max_cost: float,
    yes: bool,
    wait: bool,
    stack: str,
    local: bool,
    as_json: bool,
) -> None:
    """Hand in the job in FILE, JSON as functions/events.md has it. The same job twice is one job."""
    with _desk(stack, local) as desk:
        from mu.service.requests import job_from_json

        job = job_from_json(file.read_bytes(), [""])
        _submit(desk, job, task_seconds, max_cost, yes, wait, as_json)


@jobs.command("try", short_help="Try the deployment with a small job.")
@click.option("--links", type=click.IntRange(1, 5000), default=20, show_default=True, help="Tasks, each after another.")
@_most
@_yes
@_where
@_json
def probe(links: int, max_cost: float, yes: bool, stack: str, local: bool, as_json: bool) -> None:
    """Have a chain of small tasks done: queue, coordinator, workers, messages and bucket must all work for that."""
    with _desk(stack, local) as desk:
        from pipelines.probe import probe_job

        name = f"probe-{time.strftime('%Y%m%d-%H%M%S')}"
        _submit(desk, probe_job(links, name=name), 0.5, max_cost, yes, True, as_json)


@jobs.command("list", short_help="All jobs.")
@_where
@_json
def every(stack: str, local: bool, as_json: bool) -> None:
    """List the jobs of which anything is left, the newest last."""
    with _desk(stack, local) as desk:
        found = desk.jobs.all()
    if as_json:
        click.echo(json.dumps({"jobs": [_plain(status) for status in found]}))
        return
    for status in found:
        click.echo(f"{status.id:58} {_began(status):17} {status.state:10} {_progress(status)}")


@jobs.command(short_help="What became of a job.")
@_id
@_where
@_json
def show(job: str, stack: str, local: bool, as_json: bool) -> None:
    """Say where a job stands and what it has cost so far, lost workers included."""
    with _desk(stack, local) as desk:
        _show(_there(desk.jobs.status(job), job), desk, as_json)


@jobs.command(short_help="What failed in a job.")
@_id
@_where
def logs(job: str, stack: str, local: bool) -> None:
    """Print every failure of a job: the reason, the program's traceback, and why earlier tries were lost."""
    with _desk(stack, local) as desk:
        status = _there(desk.jobs.status(job), job)
    if status.reason:
        click.echo(status.reason)
    failures = status.counts.failures if status.counts else ()
    for failure in failures:
        click.echo(f"== {failure.task}: {failure.reason}")
        for lost in failure.tries:
            click.echo(f"   lost before: {lost}")
        click.echo("\n".join(failure.traceback.splitlines()[-_LONGEST_TRACEBACK:]))
    if not failures and not status.reason:
        click.echo("nothing failed", err=True)


@jobs.command(short_help="The page of a job that is over.")
@_id
@click.argument("file", metavar="PAGE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace PAGE if it exists.")
@_where
def page(job: str, file: Path, overwrite: bool, stack: str, local: bool) -> None:
    """Write a job's page to PAGE: who was at what, who waited for whom, what failed, the film if it made one."""
    if file.exists() and not overwrite:
        raise Failure(f"{file}: exists already; --overwrite replaces it")
    with _desk(stack, local) as desk:
        status = _there(desk.jobs.status(job), job)
        made = desk.jobs.page(job)
    if made is None:
        raise Failure(f"{job} is {status.state} and has no page (yet)")
    beside = file.with_name(f".{file.name}.part")
    beside.write_bytes(made)
    beside.replace(file)


@jobs.command(short_help="Go on with a job.")
@_id
@_wait
@_where
@_json
def resume(job: str, wait: bool, stack: str, local: bool, as_json: bool) -> None:
    """Go on with a job that failed or was cancelled, from what it has."""
    with _desk(stack, local) as desk:
        before = _there(desk.jobs.resume(job), job)
        if before.state not in ("failed", "cancelled"):
            click.echo(f"{job} is {before.state}: there is nothing to go on with", err=True)
        elif wait:
            _show(until_over(desk, job, before), desk, as_json)


@jobs.command(short_help="End a job.")
@_id
@_wait
@_where
@_json
def cancel(job: str, wait: bool, stack: str, local: bool, as_json: bool) -> None:
    """End a job; what is finished is kept."""
    with _desk(stack, local) as desk:
        before = _there(desk.jobs.cancel(job), job)
        if before.state not in ("queued", "running"):
            click.echo(f"{job} is {before.state} already", err=True)
        elif wait:
            _show(until_over(desk, job, None), desk, as_json)


@jobs.command(short_help="Delete what is left of a job.")
@_id
@_yes
@_where
def clean(job: str, yes: bool, stack: str, local: bool) -> None:
    """Delete all that is left of a job that is over: its objects, its status, its journal."""

    def sure(status: Status, count: int) -> bool:
        return yes or click.confirm(f"{job} is {status.state}. Delete its {count} objects?", err=True)

    with _desk(stack, local) as desk:
        click.echo(f"{desk.jobs.clean(job, sure)} objects deleted", err=True)


@contextmanager
def _desk(stack: str, local: bool) -> Iterator[Desk]:
    with told_when_deploying():
        from mu.errors import MuError

        try:
            yield desk_of(*clients(stack, local))
        except MuError as error:
            raise Failure(str(error)) from error


def desk_of(name: str, client: Callable[[str], Any], outputs: Mapping[str, str]) -> Desk:
    """Where jobs of a stack are handed in."""
    from deploy.fleet import fleet_of
    from mu.service.client import Jobs
    from mu.service.cloud import Cloud

    cloud = Cloud(outputs["ResultsBucket"], outputs["JobsQueue"], client=client)
    return Desk(Jobs(cloud), lambda: fleet_of(client, name))


def clients(stack: str, local: bool) -> tuple[str, Callable[[str], Any], Mapping[str, str]]:
    """The stack's name, clients of boto3 for where it is, and its outputs. Raises Failure, CloudRefused."""
    from deploy.fleet import outputs_of

    if not local:
        from deploy import account

        client = account.clients()
        return stack, client, outputs_of(client, stack)
    from deploy import local as here

    state = here.running()
    if not state or not state.alive or not state.outputs:
        raise Failure("the local stack is not up; `fastslow local up` brings it up")
    return here.stack_name(state), lambda service: here.client(service, state), state.outputs


def _submit(desk: Desk, job: Job, task_s: float, max_cost: float, yes: bool, wait: bool, as_json: bool) -> None:
    from deploy.cost import Work, dollars, of_job

    tasks, workers = len(job.tasks), min(len(job.tasks), job.limits.workers)
    written = sum(len(task.stores) + len(task.sends) for task in job.tasks)
    work = Work(task_s * tasks, workers, task_s * tasks / workers, written)
    lines = of_job(work, desk.fleet())
    bill(f"{job.id}, {tasks} tasks of {task_s:g} s on {workers} workers, may cost", lines)
    if dollars(lines) > max_cost and not yes:
        click.confirm(f"That is more than {max_cost:g} $. Go on?", abort=True, err=True)
    status = desk.jobs.submit(job)
    if wait:
        status = until_over(desk, job.id, None)
    _show(status, desk, as_json)


def until_over(desk: Desk, job: str, before: Status | None) -> Status:
    """Watch a job; `before` is the status that it had when it was asked to go on."""
    from mu.service.status import OVER

    told = ""
    while True:
        status = _there(desk.jobs.status(job), job)
        if (line := f"{status.state}, {_progress(status)}") != told:
            told = line
            click.echo(line, err=True)
        if status.state in OVER and (before is None or status.updated > before.updated):
            return status
        time.sleep(_POLL_S)


def _show(status: Status, desk: Desk, as_json: bool) -> None:
    from deploy.cost import AS_OF, dollars, of_job

    lines = of_job(work_of(status), desk.fleet())
    if as_json:
        click.echo(json.dumps({**_plain(status), "dollars": round(dollars(lines), 6)}))
    else:
        click.echo(f"{status.id}  {status.state}  {_progress(status)}")
        if status.reason:
            click.echo(status.reason)
        bill("so far, by us-east-1's prices of " + AS_OF, lines)
    if status.state in ("failed", "refused"):
        raise Failure(f"{status.id} {status.state}; fastslow jobs logs {status.id}")


def bill(what: str, lines: list[Line]) -> None:
    """Say on stderr what something costs, part by part."""
    from deploy.cost import dollars

    for line in lines:
        price = "unknown" if line.dollars is None else f"{line.dollars:.4f} $"
        click.echo(f"{price:>12}  {line.what}", err=True)
    click.echo(f"{dollars(lines):>10.4f} $  {what}", err=True)


def work_of(status: Status) -> Work:
    """What a job took so far."""
    from deploy.cost import Work

    return Work(status.worker_s, status.launched, status.wall_s, status.objects, status.message_bytes)


def _there(status: Status | None, job: str) -> Status:
    if status is None:
        raise Failure(f"there is no job {job}; fastslow jobs list")
    return status


def _plain(status: Status) -> dict[str, Any]:
    from mu.service.status import encode_status

    return dict(json.loads(encode_status(status)))


def _began(status: Status) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(status.began)) if status.began else "-"


def _progress(status: Status) -> str:
    counts = status.counts
    if counts is None:
        return ""
    workers = ", ".join(f"{number} {what}" for what, number in counts.workers.items() if number)
    return f"{counts.committed} of {counts.tasks} tasks{f'; workers: {workers}' if workers else ''}"
