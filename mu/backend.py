"""Running a job, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from mu.errors import JobError
from mu.job import Job
from mu.programs import loading

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
    """Run a job: with processes of this machine (`local`), or on the stack that is deployed where the environment's
    credentials and region lead (`aws`).

    `inputs` are objects that are there from the beginning. `on_object` is called with the name and bytes of each object
    that is not temporary. `prepare` names modules that programs need beside their own. The rest is as
    `mu.local.run.run` and `mu.away.run.run` say; there is no `store`, `watch` or `keep=False` on `aws`.

    Raises JobFailed, which holds every failure and what is finished, JobCancelled, BackendError, or JobError.
    """
    if loading():
        raise JobError(
            'a worker imports the module that calls this: the call belongs behind if __name__ == "__main__":'
        )
    if backend == "local":
        from mu.local.run import run as run_here  # here and below, since workers need none of it

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
    if backend != "aws":
        raise JobError(f"there is no backend {backend!r}; there are local and aws")
    if store is not None:
        raise JobError(
            "on aws the objects are in the stack's bucket, and the same job goes on there by itself: leave `store` away"
        )
    if watch or not keep:
        raise JobError("on aws there is no `watch` and no keep=False; fastslow jobs show, page and clean are for that")
    from mu.away.run import run as run_away

    return run_away(job, workers=workers, inputs=inputs, on_object=on_object, modules=prepare)
