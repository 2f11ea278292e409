"""`fastslow local`: the deployed stack on this machine, without an account and without Docker."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.doctor import checked
from cli.errors import Failure, told_when_deploying

if TYPE_CHECKING:
    from deploy.local import Running

PUBLIC = "mobilenet-v2-opencv"
"""The model that is fetched when the library has none that classifies."""

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(short_help="Run the deployed stack on this machine.")
def local() -> None:
    """The stack of `fastslow deploy`, unchanged, on this machine: no account, no Docker, nothing but loopback.

    `up` brings it up and prints a line for curl that works; a second `up` brings what changed.
    """


@local.command(short_help="Bring it up, or up to date.")
@click.option("-c", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the stack; see docs/deploy.md.")
@click.option("--model", metavar="NAME", help="A classifier of the library to publish; by default one is chosen.")
@click.option("--library", type=click.Path(path_type=Path), envvar="FASTSLOW_MODELS", help="The folder of models.")
@_json
def up(settings: tuple[str, ...], model: str | None, library: Path | None, as_json: bool) -> None:
    """Start a cloud on loopback, deploy this project's app to it, publish a model, and say how to call it."""
    chosen = checked(settings)
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"{time.monotonic() - began:5.1f} s  {what}", err=True)

    with told_when_deploying():
        from deploy import local as stack

        state = stack.up(chosen, tell)
        active = _publish(state, model, library, tell)
        if active:
            _warm(state, tell)
        told = _about(state) | {"model": active}
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"POST frames to  {told['frames_url']}")
    if told["jobs_url"]:
        click.echo(f"POST jobs to    {told['jobs_url']}\nsee jobs at     {told['pages_url']}")
    none = "none, so callers are told to wait; fastslow models add FILE, then up again"
    click.echo(f"model           {active or none}")
    click.echo(f"cloud           {told['endpoint_url']}")
    key = f"-H 'x-api-key: {told['api_key']}' " if told["api_key"] else ""
    click.echo(f"\ncurl {key}-H 'Content-Type: image/jpeg' --data-binary @picture.jpg {told['frames_url']}")


@local.command(short_help="What runs.")
@_json
def status(as_json: bool) -> None:
    """Say what runs, and how many environments of which function; exit code 1 when nothing does."""
    with told_when_deploying():
        from deploy import local as stack

        state = stack.running()
        if not state or not state.alive or not state.outputs:
            raise Failure("the local stack is not up" if not state else "the local stack is half up; fastslow local up")
        told = _about(state) | {"environments": stack.environments(state)}
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"POST frames to  {told['frames_url']}")
    if told["jobs_url"]:
        how = "runs" if state.coordinates else "has ended; fastslow local up starts it again"
        click.echo(f"POST jobs to    {told['jobs_url']}\nsee jobs at     {told['pages_url']}\ncoordinator     {how}")
    click.echo(f"cloud           {told['endpoint_url']}")
    for name, counts in sorted(told["environments"].items()):
        click.echo(f"{name:24} {counts['busy']} busy, {counts['free']} free")


@local.command(short_help="What leads AWS's tools to it.")
def env() -> None:
    """Print the variables with which programs that use AWS find this stack: eval "$(fastslow local env)"."""
    with told_when_deploying():
        from deploy import local as stack

        state = stack.running()
        if not state or not state.alive or not state.outputs:
            raise Failure("the local stack is not up; `fastslow local up` brings it up")
        told = stack.credentials(state.cloud_url, state.trusted) | {"FASTSLOW_STACK": stack.stack_name(state)}
    for name, value in told.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@local.command(short_help="What functions and the coordinator wrote.")
@click.argument("function", required=False)
@click.option("-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="Of each function.")
def logs(function: str | None, lines: int) -> None:
    """Print the last lines of FUNCTION (classify, warmup, jobs, worker-0, coordinator), or of all of them."""
    with told_when_deploying():
        from deploy import local as stack

        found = stack.logs()
    names = [name for name in found if function is None or name == function or name.endswith(f"-{function}")]
    if function is not None and not names:
        raise click.UsageError(f"no function {function!r} has run; {', '.join(found) or 'none has'}")
    for name in names:
        click.echo(f"== {name}", err=True)
        text = found[name].read_text(errors="replace").splitlines()
        click.echo("\n".join(text[-lines:] if lines else []))


@local.command(short_help="End it.")
def down() -> None:
    """End all that `up` started. The cloud forgets: models are published anew by the next `up`."""
    with told_when_deploying():
        from deploy import local as stack

        ended = stack.down()
    click.echo("ended" if ended else "nothing was up", err=True)


def _about(state: Running) -> dict[str, Any]:
    from deploy import local as stack

    return {
        "frames_url": stack.frames_url(state),
        "jobs_url": stack.jobs_url(state),
        "pages_url": stack.pages_url(),
        "coordinator": state.coordinates,
        "api_key": stack.api_key(state),
        "endpoint_url": state.cloud_url,
        "models_bucket": state.outputs["ModelsBucket"],
        "media_bucket": state.outputs["MediaBucket"],
        "results_bucket": state.outputs["ResultsBucket"],
        "environment": stack.credentials(state.cloud_url),
    }


def _publish(state: Running, name: str | None, folder: Path | None, tell: Any) -> str:
    """Have a classifier active; its name, or nothing where none could be had."""
    from cli.models import bring
    from deploy import local as stack
    from vision.bucket import Bucket
    from vision.library import Library, default_folder
    from vision.store import activate, active, publish

    bucket = Bucket(state.outputs["ModelsBucket"], stack.client("s3", state))
    runs = active(bucket, "classify")
    if runs and name in (None, runs.manifest.name):
        return str(runs.manifest)
    library = Library(folder or default_folder())
    if name is None and not any(each.task == "classify" for each, _ in library.all()):
        tell(f"fetching the public model {PUBLIC}")
        try:
            bring(PUBLIC, library)
        except Failure as error:
            tell(f"no model: {error.format_message()}")
            return ""
    chosen = [found for found in library.all() if found[0].task == "classify" and name in (None, found[0].name)]
    if not chosen:
        raise Failure(f"the library has no classifier {name!r}; fastslow models add or fetch brings one")
    manifest, path = chosen[-1]
    tell(f"publishing {manifest}")
    publish(bucket, manifest, path)
    return str(activate(bucket, manifest.name, manifest.version).manifest)


def _warm(state: Running, tell: Any) -> None:
    """Have the schedule's work done once now, rather than in a few minutes."""
    from deploy import local as stack

    tell("warming up")
    if problem := stack.warm(state):
        tell(f"the warm-up failed, so the first call will be slow: {problem}")
