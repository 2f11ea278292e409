"""Running a job, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from mu.errors import JobError
from mu.job import Job

if TYPE_CHECKING:
    from pathlib import Path

    from mu.local.shell import Observer
    from mu.result import Result

__all__ = ["run"]


def run(
    job: Job,
    *,
    backend: str = "local",
    workers: int | None = None,
    store: str | Path | None = None,
    inputs: Mapping[str, bytes] = MappingProxyType({}),
    watch: Sequence[Observer] = (),
    on_object: Callable[[str, memoryview], object] | None = None,
    keep: bool = True,
    prepare: Sequence[str] = (),
) -> Result:
    """Run a job. On the backend `local`, processes of this machine do it; see `mu.local.run.run` for the rest.

    Raises JobFailed, which holds every failure and what is finished, JobCancelled, BackendError, or JobError.
    """
    if backend != "local":
        raise JobError(f"there is no backend {backend!r}; there is local")
    from mu.local.run import run as run_here  # here, since workers need none of it

    return run_here(
        job,
        workers=workers,
        store=store,
        inputs=inputs,
        watch=watch,
        on_object=on_object,
        keep=keep,
        prepare=prepare,
    )
