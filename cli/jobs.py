"""`fastslow jobs`: jobs of the deployed stack, from what they may cost to what they did."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.errors import Failure, Terminated

if TYPE_CHECKING:
    from cli.desk import Desk
    from cli.events import Events
    from mu.job import Job
    from mu.service.status import Status

F = TypeVar("F", bound=Callable[..., Any])
_LONGEST_TRACEBACK = 40


def _where(command: F) -> F:
    command = click.option("--local", is_flag=True, help="The stack of `fastslow local up`.")(command)
    return click.option(
        "--stack", default="fastslow", show_default=True, envvar="FASTSLOW_STACK", metavar="NAME", help="Which stack."
    )(command)


def _seen(command: F) -> F:
    """How a job that is waited for is seen."""
    command = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")(command)
    return click.option("--events", "as_events", is_flag=True, help="Print a line of JSON for all that happens.")(
        command
    )


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

    It takes the credentials and the region of your environment; --local is the stack of `fastslow local up`. Of an ID
    the beginning is enough, if no other job's begins so.

    Ctrl-C ends the looking on, not the job.
    """


@jobs.command(short_help="Hand in a job.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--task-seconds", type=click.FloatRange(0), default=10.0, show_default=True, help="What a task may take.")
@_most
@_yes
@_wait
@_where
@_json
@_seen
def submit(file: Path, task_seconds: float, max_cost: float, yes: bool, stack: str, local: bool, **how: bool) -> None:
    """Hand in the job in FILE, JSON as functions/events.md has it. The same job twice is one job."""
    told = _Told(**how)
    with told.at(stack, local) as desk:
        from mu.service.requests import job_from_json

        job = job_from_json(file.read_bytes(), [""])
        told.submit(desk, job, task_seconds, max_cost, yes)


@jobs.command("try", short_help="Try the deployment with a small job.")
@click.option("--links", type=click.IntRange(1, 5000), default=20, show_default=True, help="Tasks, each after another.")
@_most
@_yes
@_where
@_json
@_seen
def probe(links: int, max_cost: float, yes: bool, stack: str, local: bool, **how: bool) -> None:
    """Have a chain of small tasks done: queue, coordinator, workers, messages and bucket must all work for that."""
    told = _Told(**how)
    with told.at(stack, local) as desk:
        from pipelines.probe import probe_job

        name = f"probe-{time.strftime('%Y%m%d-%H%M%S')}"
        told.submit(desk, probe_job(links, name=name), 0.5, max_cost, yes)


@jobs.command("list", short_help="All jobs.")
@_where
@_json
def every(stack: str, local: bool, as_json: bool) -> None:
    """List the jobs of which anything is left, the newest last."""
    from cli.desk import desk

    with desk(stack, local) as found:
        left = found.jobs.all()
    if as_json:
        click.echo(json.dumps({"jobs": [_plain(status) for status in left]}))
        return
    if not left:
        click.echo("no jobs; fastslow jobs try hands in a small one", err=True)
    for status in left:
        click.echo(f"{status.id:58} {_began(status):17} {status.state:10} {_progress(status)}")


@jobs.command(short_help="What became of a job.")
@_id
@_where
@_json
def show(job: str, stack: str, local: bool, as_json: bool) -> None:
    """Say where a job stands and what it has cost so far, lost workers included."""
    told = _Told(as_json=as_json)
    with told.at(stack, local) as desk:
        told.show(desk.find(job), desk)


@jobs.command(short_help="What failed in a job.")
@_id
@_where
def logs(job: str, stack: str, local: bool) -> None:
    """Print every failure of a job: the reason, the program's traceback, and why earlier tries were lost."""
    from cli.desk import desk

    with desk(stack, local) as found:
        status = found.find(job)
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
@click.argument("file", metavar="PAGE", type=click.Path(dir_okay=False))
@click.option("--overwrite", is_flag=True, help="Replace PAGE, and the film beside it, if they exist.")
@_where
def page(job: str, file: str, overwrite: bool, stack: str, local: bool) -> None:
    """Write a job's page to PAGE: who was at what, who waited for whom, what failed, the film if it made one.

    A film of more than 24 MB is no part of the page: it is written beside it.
    """
    from cli.desk import desk
    from cli.page import write_page

    with desk(stack, local) as found:
        write_page(found, found.find(job), file, overwrite)


@jobs.command(short_help="What a job stored.")
@_id
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@_where
@_json
def results(job: str, folder: Path | None, stack: str, local: bool, as_json: bool) -> None:
    """Print the names of the objects that a job stored; with FOLDER, which must be empty or new, copy them into it."""
    from cli.desk import desk

    if folder and folder.is_dir() and any(folder.iterdir()):
        raise Failure(f"{folder}: is not empty")
    with desk(stack, local) as found:
        from mu.service.requests import store_prefix
        from mu.store import check_name

        status = found.find(job)
        made = found.jobs.job(status.id)
        names = found.jobs.results(made) if made else []
        for name in names if folder else ():
            path = Path(folder or "", check_name(name))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                found.bring(store_prefix(status.id) + name, str(path))
            except OSError as error:
                raise Failure(f"{path}: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps({"id": status.id, "state": status.state, "results": names}))
        return
    for name in names:
        click.echo(name)
    if not names:
        click.echo(f"{status.id} is {status.state} and has stored nothing that is there", err=True)


@jobs.command(short_help="Where a job that runs is shown.")
@_id
@_where
def live(job: str, stack: str, local: bool) -> None:
    """Say where a browser finds the page that follows a job; in an account, by which tunnel."""
    from cli.desk import desk

    with desk(stack, local) as found:
        click.echo(found.live(found.find(job).id))


@jobs.command(short_help="Go on with a job.")
@_id
@_wait
@_where
@_json
@_seen
def resume(job: str, stack: str, local: bool, **how: bool) -> None:
    """Go on with a job that failed or was cancelled, from what it has."""
    told = _Told(**how)
    with told.at(stack, local) as desk:
        before = desk.find(job)
        desk.jobs.resume(before.id)
        if before.state not in ("failed", "cancelled"):
            click.echo(f"{before.id} is {before.state}: there is nothing to go on with", err=True)
        elif told.wait:
            told.show(told.follow(desk, before.id, before, grows=_grows(desk.jobs.job(before.id))), desk)


@jobs.command(short_help="End a job.")
@_id
@_wait
@_where
@_json
@_seen
def cancel(job: str, stack: str, local: bool, **how: bool) -> None:
    """End a job; what is finished is kept."""
    told = _Told(**how)
    with told.at(stack, local) as desk:
        before = desk.find(job)
        desk.jobs.cancel(before.id)
        if before.state not in ("queued", "running"):
            click.echo(f"{before.id} is {before.state} already", err=True)
        elif told.wait:
            told.show(told.follow(desk, before.id, None, grows=True), desk)


@jobs.command(short_help="Delete what is left of a job.")
@_id
@_yes
@_where
def clean(job: str, yes: bool, stack: str, local: bool) -> None:
    """Delete all that is left of a job that is over: its objects, its status, its journal."""
    from cli.desk import desk

    def sure(status: Status, count: int) -> bool:
        return yes or click.confirm(f"{status.id} is {status.state}. Delete its {count} objects?", err=True)

    with desk(stack, local) as found:
        click.echo(f"{found.jobs.clean(found.find(job).id, sure)} objects deleted", err=True)


class _Told:
    """How a command tells of a job."""

    def __init__(self, as_json: bool = False, as_events: bool = False, quiet: bool = False, wait: bool = True) -> None:
        self._json, self._quiet, self.wait = as_json, quiet, wait
        self._events: Events | None = None
        if as_events:
            from cli.events import Events

            self._events = Events()

    @contextmanager
    def at(self, stack: str, local: bool) -> Iterator[Desk]:
        """Where the job is handed in; what goes wrong is an event, too."""
        from cli.desk import desk

        if self._events is None:
            with desk(stack, local) as found:
                yield found
            return
        with self._events.told(), desk(stack, local) as found:
            yield found

    def submit(self, desk: Desk, job: Job, task_s: float, max_cost: float, yes: bool) -> None:
        """Hand in a job, and follow it."""
        from cli.desk import agreed
        from deploy.cost import Work, of_job

        tasks, workers = len(job.tasks), min(len(job.tasks), job.limits.workers)
        written = sum(len(task.stores) + len(task.sends) for task in job.tasks)
        work = Work(task_s * tasks, workers, task_s * tasks / workers, written)
        lines = of_job(work, desk.fleet())
        if self._events:
            self._events.estimate(lines)
        agreed(f"{job.id}, {tasks} tasks of {task_s:g} s on {workers} workers, may cost", lines, max_cost, yes)
        status, before = desk.submit(job)
        if self.wait:
            status = self.follow(desk, job.id, before, grows=_grows(job))
        self.show(status, desk)

    def follow(self, desk: Desk, job: str, before: Status | None, *, grows: bool) -> Status:
        """Look on until it is over."""
        from cli.desk import follow
        from cli.progress import display

        if self._events:
            self._events.tell("job", job=job)
        elif not self._quiet:
            click.echo(f"Ctrl-C ends the looking on, not the job; {desk.hint('cancel', job)} ends that", err=True)
        try:
            with self._events or display(self._quiet) as shown:
                return follow(desk, job, shown, before, grows=grows)
        except (KeyboardInterrupt, Terminated):
            click.echo(f"{job} goes on; {desk.hint('show', job)}", err=True)
            raise

    def show(self, status: Status, desk: Desk) -> None:
        """Say what became of it and what it cost. Raises Failure if it failed."""
        from cli.desk import bill, spent, work_of
        from deploy.cost import AS_OF, of_job

        result = {**_plain(status), "dollars": spent(status, desk)}
        failed = status.state in ("failed", "refused")
        if self._events:
            if not failed:
                self._events.tell("done", result=result)
        elif self._json:
            click.echo(json.dumps(result))
        else:
            click.echo(f"{status.id}  {status.state}  {_progress(status)}")
            if status.reason:
                click.echo(status.reason)
            bill("so far, by us-east-1's prices of " + AS_OF, of_job(work_of(status), desk.fleet()))
        if failed:
            raise desk.failure(status)


def _grows(job: Job | None) -> bool:
    """Whether a job adds tasks to those that are known."""
    return job is None or any(task.adds for task in job.tasks)


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
