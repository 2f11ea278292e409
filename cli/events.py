"""What `--events` prints: a line of JSON for all that happens, for programs that look on.

Every line has `event`, one of those below, and `time`, in seconds since 1970. Fields may be added, none is taken away.

    estimate  what it may cost: `dollars` and its `lines`, before anything is spent (deployed stack only)
    job       the job that does it: its id is `job`
    progress  the fields of `cli.standing.Standing`, once a second at most
    done      it is done: `result` is what --json prints
    failed    it could not be done: `reason`, and the `exit_code` that the command ends with
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cli.errors import Terminated
from cli.progress import Silence
from cli.standing import Stage, Standing

if TYPE_CHECKING:
    from deploy.cost import Line

EVERY_S = 1.0


class Events(Silence):
    """Prints events on stdout, each at once; shows nothing on stderr."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._told: tuple[str, str] = ("", "")
        self._again = 0.0

    def stand(self, standing: Standing) -> None:
        """Tell, if it is another state, or a second later."""
        now = self._clock()
        if (standing.state, standing.title) == self._told and now < self._again:
            return
        self._told, self._again = (standing.state, standing.title), now + EVERY_S
        self.tell("progress", **msgspec.to_builtins(standing))

    def count(self, name: str, done: int, total: int) -> None:
        """Tell of something simpler as of a stage."""
        stages = {name: Stage(float(done), float(total) if total else None)}
        self.stand(Standing(title=name, elapsed_s=round(self._clock() - self._began, 3), stages=stages))

    def estimate(self, lines: Sequence[Line]) -> None:
        """Tell what it may cost."""
        from deploy.cost import dollars

        parts = [{"what": line.what, "dollars": line.dollars} for line in lines]
        self.tell("estimate", dollars=round(dollars([*lines]), 6), lines=parts)

    def tell(self, event: str, **fields: Any) -> None:
        """Print an event."""
        click.echo(json.dumps({"event": event, "time": round(time.time(), 3), **fields}))

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell of what ends the command before it is done."""
        try:
            yield
        except click.ClickException as error:
            self.tell("failed", reason=error.format_message(), exit_code=error.exit_code)
            raise
        except click.Abort:
            self.tell("failed", reason="nothing was done", exit_code=1)
            raise
        except Terminated as ended:
            self.tell("failed", reason="interrupted", exit_code=128 + ended.number)
            raise
