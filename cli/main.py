"""The command `fastslow`, and what becomes of errors and signals.

Exit codes: 0 done; 1 it could not be done, a line on stderr says why; 2 the command was used wrongly;
3 a part of it could not be done, and the rest is there; 128 + N ended by signal N (Ctrl-C: 130).
Heavy imports (PyAV, numpy, rich) wait until a command needs them, so that `fastslow --help` is quick.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from cli.classify import classify
from cli.deploy import deploy, destroy
from cli.doctor import doctor
from cli.encode import encode
from cli.errors import Terminated
from cli.jobs import jobs
from cli.local import local
from cli.models import models
from cli.updates import codec
from cli.vp8 import vp8


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fastslow")
def fastslow() -> None:
    """Encode video to VP8 with many small workers whose pieces join into one stream without key frames between them."""


fastslow.add_command(classify)
fastslow.add_command(codec)
fastslow.add_command(encode)
fastslow.add_command(models)
fastslow.add_command(local)
fastslow.add_command(jobs)
fastslow.add_command(doctor)
fastslow.add_command(deploy)
fastslow.add_command(destroy)
fastslow.add_command(vp8)


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        fastslow.main(arguments, prog_name="fastslow", standalone_mode=False)
    except Terminated as ended:
        click.echo("fastslow: interrupted", err=True)
        return 128 + ended.number
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("fastslow: nothing was done", err=True)
        return 1
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        # Whoever read our output has had enough of it; say nothing more, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)  # once is enough: what cleans up must not be interrupted
    raise Terminated(number)
