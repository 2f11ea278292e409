"""What can be asked about jobs: to take one, to tell of one, to end one. It touches the bucket and the queue alone."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote

from functions.answers import Problem
from mu.errors import BackendError, JobError
from mu.service.client import Jobs
from mu.service.cloud import Cloud
from mu.service.requests import job_from_json
from mu.service.status import Status

__all__ = ["cancel", "show", "submit"]

T = TypeVar("T")


@cache
def _jobs() -> Jobs:
    return Jobs(Cloud(os.environ["FASTSLOW_RESULTS_BUCKET"], os.environ["FASTSLOW_QUEUE"]))


def submit(event: Mapping[str, Any]) -> Status:
    """Take the job in the body. Raises Problem."""
    try:
        body = event.get("body") or ""
        text = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body
        job = job_from_json(text, os.environ["FASTSLOW_PROGRAMS"].split(","))
    except (JobError, binascii.Error) as error:
        raise Problem(400, "bad_job", str(error)) from error
    return _answered(lambda: _jobs().submit(job))


def show(name: str) -> Status:
    """What became of a job. Raises Problem."""
    return _there(_answered(lambda: _jobs().status(unquote(name))))


def cancel(name: str) -> Status:
    """Have a job ended. Raises Problem."""
    return _there(_answered(lambda: _jobs().cancel(unquote(name))))


def _there(status: Status | None) -> Status:
    if status is None:
        raise Problem(404, "no_job", "there is no job of this id")
    return status


def _answered(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except JobError as error:
        raise Problem(400, "bad_id", str(error)) from error
    except BackendError as error:
        message = "the bucket or the queue of jobs does not answer; try again"
        raise Problem(503, "unavailable", message, {"Retry-After": "2"}) from error
