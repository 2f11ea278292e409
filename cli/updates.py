"""`fastslow codec`: which codec the deployed functions run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.errors import told_in_a_line

_bucket = click.option(
    "--bucket", required=True, envvar="FASTSLOW_MODELS_BUCKET", metavar="NAME", help="The stack's bucket of models."
)
_machine = click.option("--machine", type=click.Choice(["aarch64", "x86_64"]), default="aarch64", show_default=True)


@click.group(short_help="Update the codec of deployed functions.")
def codec() -> None:
    """Update the compiled codec that deployed functions run, without a deployment.

    `python -m layers.build --only codec` makes the ZIP. Environments that begin from then on take it; those that run
    keep theirs.
    """


@codec.command(short_help="Let functions take this codec.")
@click.argument("file", metavar="ZIP", type=click.Path(path_type=Path))
@_machine
@_bucket
def publish(file: Path, machine: Any, bucket: str) -> None:
    """Let environments that begin take the codec in ZIP in place of their layer's."""
    from pipelines import updates
    from vision.bucket import Bucket

    with told_in_a_line():
        update = updates.publish(Bucket(bucket), machine, file)
    click.echo(f"{machine}: codec {update.sha256}")


@codec.command(short_help="Back to the codec before.")
@_machine
@_bucket
def rollback(machine: Any, bucket: str) -> None:
    """Let environments that begin take the codec before this one, and in the end their layer's."""
    from pipelines import updates
    from vision.bucket import Bucket

    with told_in_a_line():
        update = updates.rollback(Bucket(bucket), machine)
    click.echo(f"{machine}: codec {update.sha256 if update else 'of the layer'}")
