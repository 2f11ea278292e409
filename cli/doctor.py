"""`fastslow doctor`: what would fail if the stack were deployed to an account, or brought up here, and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from cli.errors import Failure, told_when_deploying

if TYPE_CHECKING:
    from deploy.doctor.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": "cyan"}


@click.command(short_help="Look at an account, or this machine, before deploying.")
@click.option("-c", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the stack; see docs/deploy.md.")
@click.option("--local", is_flag=True, help="Look at this machine, for `fastslow local up`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(settings: tuple[str, ...], local: bool, as_json: bool) -> None:
    """Say what would fail if the stack were deployed to the account of your AWS credentials, and what to do about it.

    Packages are built and the app is synthesised for it; in the account nothing is changed.

    \b
    Exit codes: 0 nothing would fail, though there may be warnings and what could not be looked at;
    1 something would fail; 2 the command was used wrongly.
    """
    chosen = checked(settings)
    with told_when_deploying():
        from deploy.doctor import finding, machine
        from deploy.doctor.local_stack import running

        if local:
            findings = finding.examine([*machine.local_checks(), ("stack", running)])
        else:
            findings = _account(chosen)
        bad = finding.failed(findings)
    if as_json:
        click.echo(json.dumps({"ok": not bad, "findings": [asdict(each) for each in findings]}))
    else:
        show(findings)
    if bad:
        raise Failure(f"{'fastslow local up' if local else 'fastslow deploy'} would fail: {named(bad)}")


def checked(settings: tuple[str, ...]) -> dict[str, str]:
    """The settings of `-c NAME=VALUE`."""
    for each in settings:
        if "=" not in each:
            raise click.UsageError(f"-c wants NAME=VALUE, not {each!r}")
    return dict(each.split("=", 1) for each in settings)


def show(findings: Sequence[Finding], *, err: bool = False) -> None:
    """A line for each finding, and what to do below it."""
    for each in findings:
        first, *more = each.found.splitlines()
        click.echo(f"{click.style(f'{each.grade:8}', fg=_COLOURS[each.grade])} {each.check:12} {first}", err=err)
        for line in [*more, *([f"-> {each.todo}"] if each.todo else [])]:
            click.echo(f"{'':22}{line}", err=err)


def named(findings: Sequence[Finding]) -> str:
    """What the findings are about."""
    return ", ".join(each.check for each in findings)


def _model(findings: Sequence[Finding]) -> Finding:
    """Whether the stack that is deployed has a model to classify with."""
    from deploy.account import clients
    from deploy.doctor.finding import Finding
    from vision.bucket import Bucket
    from vision.errors import VisionError
    from vision.store import active

    (stack,) = (each for each in findings if each.check == "stack")
    if stack.grade == "unknown":
        return Finding("model", "unknown", stack.found)
    outputs = stack.facts.get("outputs", {})
    if "ModelsBucket" not in outputs:
        return Finding("model", "ok", "nothing is deployed yet that needs one")
    try:
        found = active(Bucket(outputs["ModelsBucket"], clients()("s3")), "classify")
    except VisionError as error:
        return Finding("model", "unknown", f"not looked at: {error}")
    if not found:
        todo = f"fastslow models publish and activate, with --bucket {outputs['ModelsBucket']} (docs/models.md)"
        return Finding("model", "warning", "none is active, so callers are told to wait", todo)
    return Finding("model", "ok", str(found.manifest), facts={"name": found.manifest.name})


def _account(settings: dict[str, str]) -> list[Finding]:
    from deploy import account, tools
    from deploy.assembly import Assembly
    from deploy.doctor import machine
    from deploy.doctor.checks import account_checks
    from deploy.doctor.finding import examine, failed

    here = examine(machine.checks())
    if failed(here):
        return here
    click.echo("building packages, synthesising, asking AWS", err=True)
    work = tools.ROOT / "build" / "deploy"
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="fastslow-") as folder, ThreadPoolExecutor(1) as pool:
        made = pool.submit(tools.synthesise, Path(folder, "cdk"), settings, log=work / "cdk.log")
        there = examine(account_checks(account.clients(), account.region(), lambda: Assembly(made.result())))
    return [*here, *there, *examine([("model", lambda: _model(there))])]
