"""A Lambda environment as a worker of a job: it calls the coordinator, runs what that assigns, and ends in time."""

from __future__ import annotations

import time
from typing import Any

from functions import environment
from functions.telemetry import tell
from functions.worker.codec import use_published
from functions.worker.request import parse
from mu.errors import Unreachable
from mu.store import open_store
from mu.worker.work import Worked, work

MARGIN_S = 5.0
"""Before Lambda ends the environment: to say so, and to let the program end."""
_first = environment.First()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Work for the job that the event is an invitation to (functions/events.md); what was done.

    An event that comes twice does no harm: the coordinator lets a worker in once. Raises JobError for one that is no
    invitation, ProtocolError for a coordinator that makes no sense.
    """
    began, cold = time.perf_counter(), _first()
    request = getattr(context, "aws_request_id", "")
    invitation = parse(event)
    try:
        worked = work(
            invitation,
            open_store(invitation.store),
            about=f"environment {environment.name()}, request {request}",
            time_s=max(1.0, context.get_remaining_time_in_millis() / 1000 - MARGIN_S),
            prepare=use_published,
        )
    except Unreachable as error:  # the job is over, or its coordinator gone: nothing that can be mended here
        worked = Worked(0, 0, str(error))
    told = {"done": worked.done, "failed": worked.failed, "reason": worked.reason}
    about = {"job": invitation.job, "worker": invitation.worker, "environment": environment.name(), "request": request}
    tell("worker", {}, **told, **about, cold=cold, seconds=round(time.perf_counter() - began, 3))
    return told
