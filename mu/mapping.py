"""One function over many items: the job that it makes, and its program."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from mu.backend import run
from mu.errors import JobError, JobFailed, MapFailed
from mu.job import PLAIN, Job, Limits, Task, argument
from mu.programs import argument_of, load, main_script, name_of

if TYPE_CHECKING:
    from pathlib import Path

    from mu.context import Context
    from mu.core.instructions import Failure

__all__ = ["map"]

_BATCHES = 32
"""So many tasks for each worker leave little to wait for at the end."""
_BATCH_BYTES = 1 << 17
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What `apply` is called with."""

    function: str
    items: tuple[tuple[int, msgspec.Raw], ...]
    """Their numbers and values."""
    result: str
    """The name of the object that it makes."""


class Came(msgspec.Struct, frozen=True, array_like=True):
    """What came of an item: the result, or why there is none."""

    item: int
    done: bool
    result: msgspec.Raw = msgspec.Raw(b"\xc0")
    reason: str = ""
    traceback: str = ""


_came = msgspec.msgpack.Decoder(list[Came])


def map(  # noqa: A001  it is what it is, as in `concurrent.futures`
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    backend: str = "local",
    workers: int | None = None,
    store: str | Path | None = None,
    limits: Limits = Limits(on_failure="finish", order="given"),  # noqa: B008  it cannot change
    batch: int | None = None,
) -> list[Any]:
    """Call a function of a module with each item, on many workers; returns the results in the order of the items.

    Items and results are plain data: numbers, text, bytes, lists, dicts, None, and what msgspec knows beside (structs,
    dataclasses). An item comes as the type that the function's parameter is annotated with; a result comes as lists,
    dicts and so on. With a folder as `store`, the same call goes on where it was, however it ended; on the backend
    `aws` it does so by itself, and one that was done gives its results at once.

    Up to `batch` items go to a worker together: a few where there are many, unless it is given. Should a worker be lost
    with several, each of them is tried by itself.

    Raises MapFailed, which holds all results there are and every failure, when all that can be done is done; JobError
    for a function that workers cannot find and for an item that is no plain data.
    """
    name = name_of(function)
    own = (name.partition(":")[0],) if backend != "local" else ()
    called = _job_name(name)
    values = [_value(number, item) for number, item in enumerate(items)]
    results: dict[int, Any] = {}
    failures: dict[int, Failure] = {}

    def do(numbers: list[int], most: int) -> None:
        batches = {f"item/{batch[0]}": batch for batch in _batches(numbers, values, most)}
        tasks = tuple(_task(task, name, batch, values) for task, batch in batches.items())
        job = Job(called, tasks, limits)
        if most > 1:
            job = msgspec.structs.replace(job, limits=msgspec.structs.replace(limits, tries=1, on_failure="finish"))
        lost: tuple[Failure, ...] = ()
        try:
            objects = run(job, backend=backend, workers=workers, store=store, prepare=own).objects
        except JobFailed as error:
            objects, lost = error.objects, error.failures
        _sort(objects, results, failures)
        for failure in lost:
            if len(batches[failure.task]) == 1 and limits.tries == job.limits.tries:
                failures[batches[failure.task][0]] = failure

    from mu.local.machine import processors  # here, since workers need none of it

    at_once = workers or (processors() if backend == "local" else limits.workers)
    most = batch or max(1, len(values) // (_BATCHES * at_once))
    do(list(range(len(values))), most)
    left = [number for number in range(len(values)) if number not in results and number not in failures]
    if left and most > 1:
        do(left, 1)
    listed = [results.get(number) for number in range(len(values))]
    if failures:
        raise MapFailed(listed, dict(sorted(failures.items())))
    return listed


def _job_name(function: str) -> str:
    """What a job is called that calls this function; one of a script after the script."""
    module, _, name = function.partition(":")
    script = main_script() if module == "__main__" else None
    if script is not None:
        module = re.sub(r"[^A-Za-z0-9_-]", "-", os.path.splitext(os.path.basename(script))[0])
    return f"map/{module}.{name}"[:100]


def _value(number: int, item: Any) -> msgspec.Raw:
    try:
        return argument(item)
    except JobError as error:
        raise JobError(f"item {number} cannot be sent to a worker: {error}") from error


def _batches(numbers: list[int], values: list[msgspec.Raw], most: int) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for number in numbers:
        if batch and (len(batch) == most or size + len(bytes(values[number])) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += len(bytes(values[number]))
    if batch:
        yield batch


def _task(task: str, function: str, batch: list[int], values: list[msgspec.Raw]) -> Task:
    result = f"result/{batch[0]}"
    try:
        call = argument(Batch(function, tuple((number, values[number]) for number in batch), result))
    except JobError as error:
        raise JobError(f"item {batch[0]} cannot be sent to a worker: {error}") from error
    return Task(task, "mu.mapping:apply", call, stores=(result,))


def _sort(objects: Mapping[str, memoryview], results: dict[int, Any], failures: dict[int, Failure]) -> None:
    from mu.core.instructions import Failure  # here, since workers need none of it

    for payload in objects.values():
        for came in _came.decode(payload):
            if not came.done:
                failures[came.item] = Failure(f"item/{came.item}", came.reason, came.traceback)
            else:
                results[came.item] = _decode(came.result)


def apply(context: Context, batch: Batch) -> None:
    """The program: call the function with each item, store what it returns.

    Of several items, one that raises does not keep the others from being done, and one that asks to be tried again is
    left out; one by itself raises.
    """
    came = []
    for number, value in batch.items:
        try:
            came.append(Came(number, True, _called(batch.function, value)))
        except Exception as error:
            if len(batch.items) == 1:
                raise
            if getattr(error, "again", False) is not True:
                came.append(_failed(number, error))
    context.store(batch.result, _encode(came))


def _called(function: str, value: msgspec.Raw) -> msgspec.Raw:
    result = load(function)(argument_of(function, 0, value))
    try:
        return msgspec.Raw(_encode(result))
    except (TypeError, ValueError, OverflowError) as error:
        raise JobError(f"{function} returned what is no plain data ({PLAIN}): {error}") from error


def _failed(number: int, error: Exception) -> Came:
    from mu.worker.failure import failed

    told = failed(error)
    return Came(
        number, False, msgspec.Raw(b"\xc0"), f"{told.kind}: {told.text}" if told.text else told.kind, told.traceback
    )
