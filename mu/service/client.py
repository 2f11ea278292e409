"""What can be asked about jobs, by whoever may reach the bucket and the queue: the API's function, the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mu.errors import JobError
from mu.job import MESSAGES, Job
from mu.service.cloud import Cloud
from mu.service.requests import (
    Cancel,
    Run,
    checked_id,
    decode_job,
    encode_job,
    encode_request,
    job_key,
    job_prefix,
    jobs_prefix,
    page_key,
    status_key,
    store_prefix,
)
from mu.service.status import OVER, Status, decode_status

__all__ = ["Jobs"]

_AT_ONCE = 16
_BEGINS = re.compile(r"[A-Za-z0-9._=+-]{1,57}")


class Jobs:
    """The jobs of a service. Every method raises BackendError; JobError for an id that is none."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def submit(self, job: Job) -> Status:
        """Take a job: into the bucket first, then its id into the queue. One that is done, or under way, stays so."""
        status = self._status(job.id)
        if status and status.state not in ("cancelled", "failed", "refused"):
            return status
        self._cloud.write(job_key(job.id), encode_job(job))
        self._cloud.ask(encode_request(Run(job.id)))
        return Status(id=job.id, name=job.name, state="queued")

    def status(self, job: str) -> Status | None:
        """What became of a job; None if there is none of this id."""
        found = self._status(checked_id(job))
        if found is None and self._cloud.read(job_key(job)) is not None:
            found = Status(id=job, state="queued")
        return found

    def find(self, begins: str) -> list[str]:
        """The ids of the jobs whose ids begin so, or the one that is it. Raises JobError for what begins no id."""
        if not _BEGINS.fullmatch(begins):
            raise JobError(f"{begins[:100]!r} is no beginning of a job's id")
        every = (begins + rest for rest in self._cloud.folders(jobs_prefix() + begins))
        found = [name for name in every if _is_id(name)]
        return [begins] if begins in found else found

    def job(self, job: str) -> Job | None:
        """The job itself; None if there is none of this id."""
        data = self._cloud.read(job_key(checked_id(job)))
        return None if data is None else decode_job(data)

    def results(self, job: Job) -> list[str]:
        """The names of its objects that are there, inputs among them, without what is temporary."""
        prefix, temporary = store_prefix(job.id), (f"{MESSAGES}/", *job.limits.temporary)
        names = [key.removeprefix(prefix) for key in self._cloud.keys(prefix)]
        return [name for name in names if not name.startswith(temporary)]

    def page(self, job: str) -> bytes | None:
        """The page of a job that is over; None if it has none."""
        return self._cloud.read(page_key(checked_id(job)))

    def resume(self, job: str) -> Status | None:
        """Let a job that failed or was cancelled go on from what it has; what it was before."""
        status = self.status(job)
        if status and status.state in ("cancelled", "failed"):
            self._cloud.ask(encode_request(Run(job)))
        return status

    def cancel(self, job: str) -> Status | None:
        """Have a job ended; what it was before."""
        status = self.status(job)
        if status and status.state not in OVER:
            self._cloud.ask(encode_request(Cancel(job)))
        return status

    def all(self) -> list[Status]:
        """All jobs, the newest last."""
        names = [name for name in self._cloud.folders(jobs_prefix()) if _is_id(name)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = [status for status in pool.map(self.status, names) if status]
        return sorted(found, key=lambda status: (status.began or float("inf"), status.id))

    def clean(self, job: str, sure: Callable[[Status, int], bool]) -> int:
        """Delete all that is left of a job, if `sure` of its status and so many objects; how many were deleted.

        Raises JobError for a job that is not over.
        """
        status = self.status(job)
        if status is None or status.state not in OVER:
            raise JobError(f"{job} is {status.state if status else 'not there'}, so nothing of it is deleted")
        keys = self._cloud.keys(job_prefix(job))
        if not sure(status, len(keys)):
            return 0
        self._cloud.delete_all(keys)
        return len(keys)

    def _status(self, job: str) -> Status | None:
        data = self._cloud.read(status_key(job))
        return None if data is None else decode_status(data)


def _is_id(name: str) -> bool:
    """There is another folder beside those of the jobs: that of those that run."""
    try:
        return bool(checked_id(name))
    except JobError:
        return False
