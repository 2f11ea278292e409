"""Where jobs of the deployed stack are handed in: whose, at what price, and where they can be looked at."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cli.errors import Failure, told_when_deploying
from cli.objects import taken
from cli.standing import Left, of_status

if TYPE_CHECKING:
    from cli.progress import Display
    from deploy.cost import Fleet, Line, Work
    from mu.job import Job
    from mu.service.client import Jobs
    from mu.service.status import Status

_POLL_S = 1.0
_LONGEST_REASON = 500
"""Characters of it in a line."""
_PATIENCE_S = 60.0
"""For a bucket that does not answer, while a job is watched."""
_SILENT_S = 15.0
"""A coordinator that lives writes what becomes of a job each second."""
PAGES_PORT = 8765
"""Where the coordinator's machine serves its pages (mu/service/settings.py)."""


@dataclass(frozen=True)
class Desk:
    """The jobs of a stack, what they are done with, and what there is to say of where they are shown live."""

    jobs: Jobs
    fleet: Callable[[], Fleet]
    live: Callable[[str], str]
    bring: Callable[[str, str], None]
    """Copies an object of the bucket of results, by its key, to a file."""
    where: str = ""
    """The option that leads `fastslow jobs` here, if one is needed."""

    def hint(self, verb: str, job: str = "") -> str:
        """The command that does this with a job of this stack."""
        return " ".join(filter(None, ("fastslow jobs", verb, job, self.where)))

    def failure(self, status: Status) -> Failure:
        """Why a job is not done, in a line."""
        failures = status.counts.failures if status.counts else ()
        why = status.reason or (f"{failures[0].task}: {failures[0].reason}" if failures else "")
        why = why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]}..."
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        return Failure(f"{status.id} {status.state}{why and ': '}{why}{more}; {self.hint('logs', status.id)}")

    def submit(self, job: Job) -> tuple[Status, Status | None]:
        """Hand a job in: what it is now, and what it was if it goes on after that, as `follow` wants to know."""
        before = self.jobs.status(job.id)
        status = self.jobs.submit(job)
        return status, before if before and before.state in ("failed", "cancelled", "refused") else None

    def find(self, name: str) -> Status:
        """The job whose id begins so. Raises Failure if there is none, or more than one."""
        found = self.jobs.find(name)
        if not found:
            raise Failure(f"there is no job {name}; {self.hint('list')}")
        if len(found) > 1:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise Failure(f"{name} may be {', '.join(found[:5])}{more}")
        status = self.jobs.status(found[0])
        if status is None:
            raise Failure(f"there is no job {name}; {self.hint('list')}")
        return status


@contextmanager
def desk(stack: str, local: bool) -> Iterator[Desk]:
    """Where jobs of a stack are handed in. What goes wrong there is told in a line."""
    with told_when_deploying():
        from mu.errors import MuError

        try:
            yield desk_of(*clients(stack, local), local=local)
        except MuError as error:
            raise Failure(str(error)) from error


def desk_of(name: str, client: Callable[[str], Any], outputs: Mapping[str, str], *, local: bool) -> Desk:
    """The same, for clients that are there already."""
    from deploy.fleet import fleet_of
    from mu.service.client import Jobs
    from mu.service.cloud import Cloud

    cloud = Cloud(outputs["ResultsBucket"], outputs["JobsQueue"], client=client)
    return Desk(
        jobs=Jobs(cloud),
        fleet=cache(lambda: fleet_of(client, name)),
        live=_here if local else _away(client, name),
        bring=partial(taken, client("s3"), outputs["ResultsBucket"]),
        where="--local" if local else "" if name == os.environ.get("FASTSLOW_STACK", "fastslow") else f"--stack {name}",
    )


def clients(stack: str, local: bool) -> tuple[str, Callable[[str], Any], Mapping[str, str]]:
    """The stack's name, clients of boto3 for where it is, and its outputs. Raises Failure, CloudRefused."""
    from deploy.errors import CloudRefused
    from deploy.fleet import outputs_of

    if not local:
        from deploy import account

        client = account.clients()
        try:
            return stack, client, outputs_of(client, stack)
        except CloudRefused as error:
            raise Failure(
                f"{str(error).rstrip('.')}; credentials and region are those of the environment, "
                "--local is the stack of `fastslow local up`"
            ) from error
    from deploy import local as here

    state = here.running()
    if not state or not state.alive or not state.outputs:
        raise Failure("the local stack is not up; `fastslow local up` brings it up")
    return here.stack_name(state), lambda service: here.client(service, state), state.outputs


def follow(
    desk: Desk, job: str, shown: Display, before: Status | None = None, *, frames: int = 0, grows: bool = True
) -> Status:
    """Show a job until it is over; its last status.

    `before` is the status that it had when it was asked to go on, `frames` those of the film that it encodes, `grows`
    whether it adds tasks to those that are known. Raises Failure, BackendError.
    """
    from mu.errors import BackendError
    from mu.service.status import OVER

    began = heard = time.monotonic()
    left = Left()
    said, spoke = 0.0, began
    while True:
        now = time.monotonic()
        try:
            status = desk.jobs.status(job)
            heard = now
        except BackendError:
            if now - heard > _PATIENCE_S:
                raise
            time.sleep(_POLL_S)
            continue
        if status is None:
            raise Failure(f"{job} is not there any more")
        fresh = before is None or status.updated > before.updated
        if fresh:
            if status.updated != said:
                said, spoke = status.updated, now
            silent = round(now - spoke, 3) if now - spoke > _SILENT_S else 0.0
            told = of_status(status, spent(status, desk), now - began, left, now, frames=frames, grows=grows)
            shown.stand(msgspec.structs.replace(told, silent_s=silent))
            if status.state in OVER:
                return status
        time.sleep(_POLL_S)


def spent(status: Status, desk: Desk) -> float:
    """US dollars that a job cost so far."""
    from deploy.cost import dollars, of_job

    return round(dollars(of_job(work_of(status), desk.fleet())), 6)


def bill(what: str, lines: list[Line]) -> None:
    """Say on stderr what something costs, part by part."""
    from deploy.cost import dollars

    for line in lines:
        price = "unknown" if line.dollars is None else f"{line.dollars:.4f} $"
        click.echo(f"{price:>12}  {line.what}", err=True)
    click.echo(f"{dollars(lines):>10.4f} $  {what}", err=True)


def work_of(status: Status) -> Work:
    """What a job took so far, all tries and coordinators together."""
    from deploy.cost import Work

    return Work(status.worker_s, status.launched, status.wall_s, status.objects, status.message_bytes)


def agreed(what: str, lines: list[Line], max_cost: float, yes: bool) -> None:
    """Say what something may cost, and ask if that is more than `max_cost`. Raises Abort."""
    from deploy.cost import dollars

    bill(what, lines)
    if dollars(lines) > max_cost and not yes:
        click.confirm(f"That is more than {max_cost:g} $. Go on?", abort=True, err=True)


def _here(job: str) -> str:
    """Where a browser sees a job of `fastslow local up`."""
    from deploy import local

    address = local.pages_url()
    try:
        if address:
            urllib.request.urlopen(address, timeout=5).close()
            return f"follow it at {address}jobs/{job}"
    except OSError:
        pass
    return "the coordinator shows no pages; fastslow local status"


def _away(client: Callable[[str], Any], name: str) -> Callable[[str], str]:
    def told(job: str) -> str:
        """By a tunnel: the machine lets nobody in."""
        from deploy.fleet import machine_of

        return (
            f"follow it at http://localhost:{PAGES_PORT}/jobs/{job} while this runs beside it:\n"
            f"  aws ssm start-session --target {machine_of(client, name)} "
            "--document-name AWS-StartPortForwardingSession "
            f"--parameters portNumber={PAGES_PORT},localPortNumber={PAGES_PORT}"
        )

    return told
