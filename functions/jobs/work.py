"""What can be asked about jobs: to take one, to tell of one, to end one. It touches the bucket and the queue alone."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from functions.answers import Problem
from mu.errors import JobError
from mu.service.requests import (
    Cancel,
    Request,
    Run,
    checked_id,
    encode_job,
    encode_request,
    job_from_json,
    job_key,
    status_key,
)

__all__ = ["cancel", "show", "submit"]


@cache
def _client(service: str) -> Any:
    return boto3.client(service)


def submit(event: Mapping[str, Any]) -> dict[str, Any]:
    """Take the job in the body: into the bucket first, then its id into the queue. Raises Problem."""
    try:
        body = event.get("body") or ""
        text = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body
        job = job_from_json(text, os.environ["FASTSLOW_PROGRAMS"].split(","))
    except (JobError, binascii.Error) as error:
        raise Problem(400, "bad_job", str(error)) from error
    status = _status(job.id)
    if status and status.get("state") not in ("cancelled", "failed"):
        return status
    try:
        _client("s3").put_object(Bucket=_bucket(), Key=job_key(job.id), Body=encode_job(job))
    except (ClientError, BotoCoreError) as error:
        raise _unavailable() from error
    _send(Run(job.id))
    return {"id": job.id, "state": "queued"}


def show(name: str) -> dict[str, Any]:
    """What became of a job. Raises Problem."""
    job = _checked(name)
    status = _status(job)
    if status:
        return status
    if _read(job_key(job)) is None:
        raise Problem(404, "no_job", "there is no job of this id")
    return {"id": job, "state": "queued"}


def cancel(name: str) -> dict[str, Any]:
    """Have a job ended. Raises Problem."""
    told = show(name)
    if told.get("state") in ("queued", "running"):
        _send(Cancel(told["id"]))
    return told


def _checked(name: str) -> str:
    try:
        return checked_id(unquote(name))
    except JobError as error:
        raise Problem(400, "bad_id", str(error)) from error


def _status(job: str) -> dict[str, Any] | None:
    found = _read(status_key(job))
    return None if found is None else dict(json.loads(found))


def _read(key: str) -> bytes | None:
    try:
        return bytes(_client("s3").get_object(Bucket=_bucket(), Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise _unavailable() from error
    except BotoCoreError as error:
        raise _unavailable() from error


def _send(request: Request) -> None:
    try:
        _client("sqs").send_message(QueueUrl=os.environ["FASTSLOW_QUEUE"], MessageBody=encode_request(request))
    except (ClientError, BotoCoreError) as error:
        raise _unavailable() from error


def _bucket() -> str:
    return os.environ["FASTSLOW_RESULTS_BUCKET"]


def _unavailable() -> Problem:
    message = "the bucket or the queue of jobs does not answer; try again"
    return Problem(503, "unavailable", message, {"Retry-After": "2"})
