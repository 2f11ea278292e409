"""One function over many items: the job that it makes, and its program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mu.backend import run
from mu.errors import JobError, JobFailed, MapFailed
from mu.job import Job, Limits, Task, argument
from mu.programs import argument_of, load, name_of

if TYPE_CHECKING:
    from mu.context import Context

__all__ = ["map"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Item(msgspec.Struct, frozen=True, array_like=True):
    """What `apply` is called with."""

    function: str
    value: msgspec.Raw
    result: str
    """The name of the object that it makes."""


def map(  # noqa: A001  it is what it is, as in `concurrent.futures`
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    backend: str = "local",
    workers: int | None = None,
    store: str | Path | None = None,
    limits: Limits = Limits(on_failure="finish", order="given"),  # noqa: B008  it cannot change
) -> list[Any]:
    """Call a function of a module with each item, on many workers; returns the results in the order of the items.

    Items and results are plain data: numbers, text, bytes, lists, dicts, None, and what msgspec knows beside (structs,
    dataclasses). An item comes as the type that the function's parameter is annotated with; a result comes as lists,
    dicts and so on. With a folder as `store`, the same call goes on where it was, however it ended.

    Raises MapFailed, which holds all results there are and every failure, when all that can be done is done; JobError
    for a function that workers cannot find and for an item that is no plain data.
    """
    name = name_of(function)
    tasks = []
    for number, item in enumerate(items):
        try:
            call = argument(Item(name, msgspec.Raw(_encode(item)), f"result/{number}"))
        except (JobError, TypeError, ValueError, OverflowError) as error:
            raise JobError(f"item {number} cannot be sent to a worker: {error}") from error
        tasks.append(Task(f"item/{number}", "mu.mapping:apply", call, stores=(f"result/{number}",)))
    failures = {}
    try:
        objects = run(
            Job(f"map/{name.replace(':', '.')}"[:100], tuple(tasks), limits),
            backend=backend,
            workers=workers,
            store=store,
        ).objects
    except JobFailed as error:
        objects = error.objects
        failures = {int(failure.task.partition("/")[2]): failure for failure in error.failures}
    results = [_decode(objects[f"result/{n}"]) if f"result/{n}" in objects else None for n in range(len(tasks))]
    if failures:
        raise MapFailed(results, dict(sorted(failures.items())))
    return results


def apply(context: Context, item: Item) -> None:
    """The program: call the function, store what it returns."""
    value = load(item.function)(argument_of(item.function, 0, item.value))
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise JobError(f"{item.function} returned what is no plain data: {error}") from error
    context.store(item.result, encoded)
