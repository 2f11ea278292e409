"""A job on a deployed stack, from what it takes along to what came of it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

import msgspec

from mu.away.sources import modules_of, sources_of
from mu.away.stack import Stack, find_stack
from mu.code import code_digest, encode_code
from mu.core.instructions import Outcome
from mu.core.plan import Plan
from mu.digest import digest
from mu.errors import BackendError, JobCancelled, JobFailed, Unreachable
from mu.job import Job
from mu.result import Result, StoredObjects
from mu.service.client import Jobs
from mu.service.requests import code_key, store_prefix
from mu.service.status import OVER, Status

__all__ = ["run"]

OnObject = Callable[[str, memoryview], object]
T = TypeVar("T")

_SHORTEST_S, _LONGEST_S = 0.05, 1.0
"""Between two looks at the status, which the coordinator writes once a second and at the end."""
_PATIENCE_S = 60.0
"""For a bucket that does not answer while the job is under way."""
_ASK_AGAIN_S = 20.0
"""The service takes no heed of a request that seems older than the end of its job, and clocks differ."""
_AT_ONCE = 16
"""Objects that are read or written at a time."""
log = logging.getLogger("mu.away")


def run(
    job: Job,
    *,
    workers: int | None = None,
    inputs: Mapping[str, bytes] = MappingProxyType({}),
    on_object: OnObject | None = None,
    modules: Iterable[str] = (),
    stack: Stack | None = None,
) -> Result:
    """Run a job on a stack, by default the one of the environment.

    The modules of its programs, and `modules`, go along with it as source. Its objects are in the stack's bucket, where
    the same job (programs' source and inputs included) is found again: one that is done gives its results at once, one
    that failed or was cancelled goes on from what it has, and one that is under way is waited for.

    At most `workers` work at a time, if given. `on_object` is called with the name and bytes of each object that is
    not temporary, soon after it is there. KeyboardInterrupt, and whatever `on_object` raises, cancels the job.

    Raises JobFailed, JobCancelled, BackendError, JobError.
    """
    if workers is not None:
        job = msgspec.structs.replace(job, limits=msgspec.structs.replace(job.limits, workers=workers))
    Plan().add(job.tasks)
    sources = sources_of({*modules_of(job), *modules})
    code = encode_code(sources) if sources else b""
    job = msgspec.structs.replace(job, code=code_digest(code) if code else "", inputs=_digest_of(inputs))
    stack = stack or find_stack()
    jobs = Jobs(stack.cloud)
    objects = _Objects(stack, jobs, job, inputs)
    before = jobs.status(job.id)
    try:
        if before is None or before.state not in ("running", "done"):
            if code:
                stack.cloud.write(code_key(job.id, job.code), code)
            objects.bring(inputs)
            jobs.submit(job)
            log.info("%s is handed in", job.id)
        status = _Waiting(jobs, job, before, objects, on_object).until_over()
    except Unreachable:
        raise  # and the job goes on
    except BaseException:
        jobs.cancel(job.id)
        raise
    return _result(job, status, objects)


def _result(job: Job, status: Status, objects: _Objects) -> Result:
    counts = status.counts
    failures = counts.failures if counts else ()
    if status.state == "done":
        made = StoredTogether(objects.store, objects.names())
        return Result(job.id, Outcome("done", counts.committed if counts else len(job.tasks)), made)
    if status.state == "cancelled":
        raise JobCancelled(f"{job.id}: {status.reason or 'cancelled'}")
    if status.state == "failed" and failures:
        raise JobFailed(failures, StoredTogether(objects.store, objects.names()))
    raise BackendError(f"{job.id} {status.state}: {status.reason}")


class StoredTogether(StoredObjects):
    """Objects of a store far away: they are read when they are asked for, and several at a time by who wants all."""

    def values(self) -> ValuesView[memoryview]:
        """Their bytes; the next ones are on their way while one is looked at."""
        return _Ahead(self)

    def items(self) -> ItemsView[str, memoryview]:
        """Their names and bytes, in the same way."""
        return _NamedAhead(self)


class _Ahead(ValuesView[memoryview]):
    def __init__(self, objects: StoredTogether) -> None:
        super().__init__(objects)
        self._objects = objects

    def __iter__(self) -> Iterator[memoryview]:
        names = iter(self._objects)
        with ThreadPoolExecutor(_AT_ONCE, "read") as pool:
            coming: list[Future[memoryview]] = []
            try:
                while True:
                    more = islice(names, _AT_ONCE - len(coming))
                    coming += [pool.submit(self._objects.__getitem__, name) for name in more]
                    if not coming:
                        return
                    yield coming.pop(0).result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


class _NamedAhead(ItemsView[str, memoryview]):
    def __init__(self, objects: StoredTogether) -> None:
        super().__init__(objects)
        self._objects = objects

    def __iter__(self) -> Iterator[tuple[str, memoryview]]:
        yield from zip(self._objects, self._objects.values(), strict=True)


class _Objects:
    """The objects of a job in the bucket."""

    def __init__(self, stack: Stack, jobs: Jobs, job: Job, inputs: Mapping[str, bytes]) -> None:
        self.store = stack.store(store_prefix(job.id))
        self._jobs, self._job, self._inputs = jobs, job, frozenset(inputs)

    def names(self) -> list[str]:
        """Those that were made, without those that are temporary."""
        return [name for name in self._jobs.results(self._job) if name not in self._inputs]

    def bring(self, inputs: Mapping[str, bytes]) -> None:
        """Have these there; what is there already is not sent again."""
        with ThreadPoolExecutor(_AT_ONCE, "write") as pool:
            for each in [pool.submit(self._bring, name, payload) for name, payload in inputs.items()]:
                each.result()

    def _bring(self, name: str, payload: bytes) -> None:
        if not self.store.holds(name, payload):
            self.store.write(name, payload)


class _Waiting:
    """Waits for a job that was handed in; `before` is what was known of it until then."""

    def __init__(
        self, jobs: Jobs, job: Job, before: Status | None, objects: _Objects, on_object: OnObject | None
    ) -> None:
        self._jobs, self._job, self._objects, self._on_object = jobs, job, objects, on_object
        self._before = before if before is not None and before.state in OVER and before.state != "done" else None
        self._seen: set[str] = set()
        self._count = -1
        self._answered = time.monotonic()

    def until_over(self) -> Status:
        """Its last status. Raises Unreachable when the bucket does not answer for long; the job goes on."""
        pause, told = _SHORTEST_S, ""
        asked = time.monotonic()
        while True:
            status = self._asked(lambda: self._jobs.status(self._job.id))
            if status is not None and not self._is_old(status):
                if status.state != told:
                    told = status.state
                    log.info("%s is %s %s", self._job.id, told, status.reason)
                if self._look(status) and status.state in OVER:
                    return status
            elif self._before is not None and time.monotonic() - asked > _ASK_AGAIN_S:
                asked = time.monotonic()
                self._asked(lambda: self._jobs.submit(self._job))
            time.sleep(pause)
            pause = min(_LONGEST_S, 1.5 * pause)

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """What the bucket answers; None if it does not. Raises Unreachable when it has not for long."""
        try:
            answer = ask()
        except BackendError as error:
            if time.monotonic() - self._answered > _PATIENCE_S:
                raise Unreachable(f"{error}; {self._job.id} goes on: run it again to wait for it") from error
            return None
        self._answered = time.monotonic()
        return answer

    def _is_old(self, status: Status) -> bool:
        """Whether this was said before the job was asked to go on."""
        return self._before is not None and status.state in OVER and status.updated <= self._before.updated

    def _look(self, status: Status) -> bool:
        """Hand on the objects that have come; whether that is all of them."""
        count = status.counts.objects if status.counts else 0
        if self._on_object is None or (count == self._count and status.state not in OVER):
            return True
        names = self._asked(self._objects.names)
        for name in names or ():
            if name not in self._seen:
                payload = self._asked(partial(self._objects.store.read, name))
                if payload is None:
                    return False
                self._seen.add(name)
                self._on_object(name, payload)
        self._count = count if names is not None else self._count
        return names is not None


def _digest_of(inputs: Mapping[str, bytes]) -> str:
    """One digest of all of them; empty for none."""
    if not inputs:
        return ""
    listed: Sequence[tuple[str, bytes]] = [(name, digest(inputs[name])) for name in sorted(inputs)]
    return hashlib.sha256(msgspec.msgpack.encode(listed)).hexdigest()
