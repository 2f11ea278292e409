"""What may be asked of the service, and where in the bucket of results a job's things are.

    jobs/ID/job            the job, a MessagePack of `mu.Job`
    jobs/ID/code/DIGEST    the modules that it takes along (`mu.code`), if it does
    jobs/ID/status.json    what became of it
    jobs/ID/page.html      how it went, for people, once it is over
    jobs/ID/ledger/        its journal, for a machine that takes the place of this one
    jobs/ID/store/         its objects and, under messages/, large messages on their way: all that workers may touch
    jobs/running/ID        says that the job was taken and is not over

A message of the queue is JSON: `{"do": "run", "job": ID}` or `{"do": "cancel", "job": ID}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from mu.core.plan import Plan
from mu.errors import JobError
from mu.job import LARGEST_ARGUMENT, Job

__all__ = [
    "LARGEST_JOB",
    "LARGEST_MESSAGE",
    "Cancel",
    "JobId",
    "Request",
    "Run",
    "checked_id",
    "code_key",
    "decode_job",
    "encode_job",
    "encode_request",
    "job_from_json",
    "job_key",
    "job_prefix",
    "job_to_json",
    "jobs_prefix",
    "ledger_prefix",
    "page_key",
    "read_request",
    "running_key",
    "status_key",
    "store_prefix",
]

JobId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=+-][A-Za-z0-9._=+-]{0,39}-[0-9a-f]{16}\Z")]
LARGEST_JOB = 5_000_000
"""Bytes of a job as it is handed in; Lambda takes 6 MB with all around it."""
LARGEST_MESSAGE = 4096
MOST_TASKS = 20_000
"""Of a job as it is handed in; what more there is, its programs add."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="run"):
    """Take up the job that lies in the bucket."""

    job: JobId


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="cancel"):
    """End the job; what is finished is kept."""

    job: JobId


Request = Run | Cancel
_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)

_job = msgspec.msgpack.Decoder(Job)


def read_request(body: str | bytes) -> Request:
    """A message of the queue. Raises JobError for what is none."""
    if len(body) > LARGEST_MESSAGE:
        raise JobError(f"a message of {len(body)} bytes is no request: those have at most {LARGEST_MESSAGE}")
    try:
        return _request.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise JobError(f"this is no request: {error}") from error


def encode_request(request: Request) -> str:
    """A message of the queue."""
    return msgspec.json.encode(request).decode()


def job_from_json(body: str | bytes, programs: Sequence[str]) -> Job:
    """A job as people write it: tasks whose arguments are any JSON.

    `programs` is what the name of a program must begin with, one of these. Raises JobError for what is no job, is too
    large, or would run anything else.
    """
    if len(body) > LARGEST_JOB:
        raise JobError(f"a job of {len(body)} bytes is too large: at most {LARGEST_JOB}; put data into the bucket")
    try:
        job = decode_job(msgspec.msgpack.encode(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise JobError(f"the body is no JSON: {error}") from error
    if not 1 <= len(job.tasks) <= MOST_TASKS:
        raise JobError(f"a job begins with 1 to {MOST_TASKS} tasks, not {len(job.tasks)}")
    if job.code:
        raise JobError("a job with code of its own is not handed in here: mu.run(job, backend='aws') takes it along")
    for task in job.tasks:
        if len(task.argument) > LARGEST_ARGUMENT:
            raise JobError(
                f"{task.name}: an argument of {len(task.argument)} bytes is too large: put it into the bucket"
            )
        for program in (task.program, *task.adds):
            if not program.startswith(tuple(programs)):
                raise JobError(f"{task.name}: {program} may not run here, only programs of {', '.join(programs)}")
    Plan().add(job.tasks)
    return job


def job_to_json(job: Job) -> bytes:
    """A job as it is handed in. Raises JobError for arguments that JSON cannot hold."""
    body = msgspec.json.encode(msgspec.msgpack.decode(encode_job(job)))
    if decode_job(msgspec.msgpack.encode(msgspec.json.decode(body))).id != job.id:
        raise JobError(f"the arguments of {job.name} are no JSON: bytes belong into the store")
    return body


def encode_job(job: Job) -> bytes:
    """A job as it lies in the bucket."""
    return msgspec.msgpack.encode(job)


def decode_job(data: bytes) -> Job:
    """What `encode_job` made. Raises JobError."""
    try:
        return _job.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise JobError(f"this is no job: {error}") from error


def checked_id(text: str) -> str:
    """A job's id. Raises JobError for what is none."""
    try:
        return msgspec.convert(text, JobId)
    except msgspec.ValidationError as error:
        raise JobError(f"{text[:100]!r} is no job's id") from error


def running_key(job: str = "") -> str:
    """Where it is said that the job was taken and is not over; without a job, what such keys begin with."""
    return f"jobs/running/{job}"


def jobs_prefix() -> str:
    """What the keys of all jobs begin with."""
    return "jobs/"


def job_prefix(job: str) -> str:
    """What the keys of all that belongs to a job begin with."""
    return f"jobs/{job}/"


def job_key(job: str) -> str:
    """Where the job itself is."""
    return f"jobs/{job}/job"


def code_key(job: str, digest: str) -> str:
    """Where the modules are that it takes along: whoever may write here has workers run what he likes."""
    return f"jobs/{job}/code/{digest}"


def status_key(job: str) -> str:
    """Where it is said what became of it."""
    return f"jobs/{job}/status.json"


def page_key(job: str) -> str:
    """Where its page is."""
    return f"jobs/{job}/page.html"


def ledger_prefix(job: str) -> str:
    """What the keys of its journal begin with."""
    return f"jobs/{job}/ledger/"


def store_prefix(job: str) -> str:
    """What the keys of its objects begin with."""
    return f"jobs/{job}/store/"
