"""From the errors of the packages below to lines on stderr and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


class Terminated(BaseException):
    """A signal asked the command to end. Passes through `except Exception`, and click has no opinion of it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Failure(click.ClickException):
    """It could not be done; the line says why. Exit code 1."""

    def show(self, file: object = None) -> None:
        """Print the line."""
        click.echo(f"fastslow: {self.format_message()}", err=True)


class InPart(Failure):
    """A part of it could not be done, and the rest is there. Exit code 3."""

    exit_code = 3


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Turn what the packages below raise into one line and an exit code: 2 for wrong settings, 1 for the rest."""
    from codec.errors import CodecError
    from pipelines.errors import PipelineError, SettingsError
    from vision.errors import VisionError

    try:
        yield
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (PipelineError, CodecError, VisionError) as error:
        raise Failure(str(error)) from error
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "onnxruntime", "PIL"):
            raise
        raise Failure(f"this needs {error.name}, which is not installed: pip install 'fastslow[aws]'") from error
    except MemoryError as error:
        raise Failure("out of memory; fewer --workers or smaller --chunk-frames need less") from error


@contextmanager
def told_when_deploying() -> Iterator[None]:
    """Like `told_in_a_line`, for what deploys."""
    with told_in_a_line():
        from deploy.errors import DeployError

        try:
            yield
        except DeployError as error:
            raise Failure(str(error)) from error
