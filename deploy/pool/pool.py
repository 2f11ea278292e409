"""Which environment takes a call: a free one of the function, the one used last first, or whichever is ready first.

Where none is free a new one is started, and the call takes that, or one that another call gives back meanwhile. So a
thousand calls at once do not start a thousand environments on two processors, and Lambda hands them out the same way.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from deploy.pool import sandbox
from deploy.pool.deployed import Function
from deploy.pool.environment import Call, Crashed, Environment, Result, TimedOut

MOST_BYTES = 6 * 1024 * 1024
"""Of what goes into a synchronous call, and of what comes out (AWS's documentation of Lambda's quotas)."""


class Throttled(Exception):
    """As many environments work as there may be."""


class TooLarge(Exception):
    """The event is larger than Lambda takes."""


@dataclass(frozen=True)
class Place:
    """Where environments run, how long a free one is kept, how many calls there may be; `python` is the functions'."""

    python: Path
    folder: Path
    isolated: bool
    limit: int = 1000
    idle_s: float = 600.0
    starts: int = 2 * (os.cpu_count() or 1)
    """How many are started at once; more would only be slower together."""
    trusted: str = ""
    """The file of the certificates that functions trust; empty for the usual ones."""


class Pool:
    """All environments. `variables` gives what AWS adds to a function's environment, credentials among them."""

    def __init__(
        self, place: Place, variables: Callable[[Function], Mapping[str, str]], say: Callable[[Function, str], None]
    ) -> None:
        self._place = place
        self._variables = variables
        self._say = say
        self._free: dict[Function, list[Environment]] = {}
        self._busy: set[Environment] = set()
        self._begun: set[Environment] = set()  # not ready yet
        self._calls: Counter[str] = Counter()
        self._waiting: dict[Function, deque[asyncio.Future[Environment | Result]]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._starts = asyncio.Semaphore(place.starts)
        self._numbers = count(1)
        self._root = place.folder / "root"
        self._root.mkdir(parents=True, exist_ok=True)

    async def call(self, function: Function, call: Call) -> Result:
        """Run a call to its end. A function's own failure is a result, as Lambda describes it.

        Raises Throttled when all environments are busy, TooLarge when the event is more than 6 MB.
        """
        if len(call.event) > MOST_BYTES:
            raise TooLarge(f"{len(call.event):,} bytes; a call takes {MOST_BYTES:,}")
        self._admit(function)
        self._calls[function.name] += 1
        try:
            environment = await self._environment(function)
            if isinstance(environment, Result):
                return environment
            result = await self._run(environment, call)
        finally:
            self._calls[function.name] -= 1
        if len(result.body) > MOST_BYTES:
            size = f"Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes)."
            return _failure("Function.ResponseSizeTooLarge", size)
        return result

    async def reap(self) -> None:
        """End what nobody used for a while, and what belongs to versions that are no more."""
        for environments in self._free.values():
            for each in [e for e in environments if time.monotonic() - e.idle_since > self._place.idle_s]:
                environments.remove(each)
                await each.stop()

    async def close(self) -> None:
        """End every environment."""
        for each in self._starting:
            each.cancel()
        everyone = [*self._busy, *self._begun, *(each for free in self._free.values() for each in free)]
        await asyncio.gather(*(each.stop() for each in everyone))
        self._free.clear()

    def counts(self) -> dict[str, dict[str, int]]:
        """How many environments of each function are busy, and how many free."""
        found: dict[str, dict[str, int]] = {}
        free = [(each, "free") for environments in self._free.values() for each in environments]
        for each, state in [*free, *((each, "busy") for each in self._busy)]:
            found.setdefault(each.function.name, {"busy": 0, "free": 0})[state] += 1
        return found

    def _admit(self, function: Function) -> None:
        """Raise Throttled at a limit: the account's, or what is reserved for all versions of a function."""
        if self._calls.total() >= self._place.limit:
            raise Throttled(f"Rate Exceeded: {self._place.limit} environments of the account are busy")
        if function.reserved is not None and self._calls[function.name] >= function.reserved:
            raise Throttled(
                f"Rate Exceeded: all {function.reserved} environments reserved for {function.name} are busy"
            )

    async def _environment(self, function: Function) -> Environment | Result:
        """An environment for a call; a result where none could be started."""
        free = self._free.get(function, [])
        while free:
            environment = free.pop()
            if environment.alive:
                return environment
        ready: asyncio.Future[Environment | Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(function, deque()).append(ready)
        # One start for each call that waits: whatever others give back, no call waits in vain.
        starting = asyncio.create_task(self._add(function))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await ready

    async def _add(self, function: Function) -> None:
        """Start an environment, unless by now no call waits for one."""
        async with self._starts:
            if not self._waiting.get(function):
                return
            number = next(self._numbers)
            environment = Environment(function, number, lambda line: self._say(function, line))
            self._begun.add(environment)
            try:
                await self._start(environment, number)
            except Exception as error:  # noqa: BLE001  the call that waits hears of it
                if waiting := self._first_waiting(function):
                    if isinstance(error, Crashed):
                        waiting.set_result(_init_failure(str(error)))
                    else:
                        waiting.set_exception(error)
            else:
                self._give(environment)
            finally:
                self._begun.discard(environment)

    def _give(self, environment: Environment) -> None:
        """To the call that has waited longest, or to whichever comes."""
        if waiting := self._first_waiting(environment.function):
            waiting.set_result(environment)
            return
        self._free.setdefault(environment.function, []).append(environment)

    def _first_waiting(self, function: Function) -> asyncio.Future[Environment | Result] | None:
        waiting = self._waiting.get(function, deque())
        while waiting:
            if not (first := waiting.popleft()).done():
                return first
        return None

    async def _run(self, environment: Environment, call: Call) -> Result:
        """Have an environment run a call, with Lambda's lines about it."""
        function, cold = environment.function, not environment.calls
        self._busy.add(environment)
        self._say(function, f"START RequestId: {call.request_id} Version: {function.version}")
        began = time.monotonic()
        try:
            result = await environment.call(call)
        except (TimedOut, Crashed) as error:
            kind = "Sandbox.Timedout" if isinstance(error, TimedOut) else "Runtime.ExitError"
            result = _failure(kind, f"RequestId: {call.request_id} Error: {error}")
        finally:
            self._busy.discard(environment)
        self._report(environment, call, (time.monotonic() - began) * 1000, cold)
        if environment.alive:
            self._give(environment)
        return result

    async def _start(self, environment: Environment, number: int) -> None:
        function, place = environment.function, self._place
        scratch = place.folder / "tmp" / str(number)
        seen = [str(place.python.parents[1]), str(place.python.resolve().parents[1])]
        if not place.isolated:
            scratch.mkdir(parents=True)
            environment.scratch = scratch
        walls = sandbox.build(
            [str(place.python), "-m", "awslambdaric", function.handler],
            root=self._root,
            task=function.task,
            opt=function.opt,
            scratch=scratch,
            memory=function.memory,
            tmp=function.tmp,
            seen=[*seen, place.trusted] if place.trusted else seen,
            isolated=place.isolated,
        )
        added = await asyncio.to_thread(self._variables, function)
        variables = {
            **dict(function.environment),
            **added,
            **({"AWS_CA_BUNDLE": place.trusted} if place.trusted else {}),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": walls.task,
            "PYTHONPATH": f"{walls.opt}/python/lib/python3.13/site-packages:{walls.opt}/python",
            "TMPDIR": walls.tmp,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": environment.stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "_HANDLER": function.handler,
        }
        await environment.start(walls.command, walls.folder, variables)

    def _report(self, environment: Environment, call: Call, ms: float, cold: bool) -> None:
        function = environment.function
        parts = [
            f"REPORT RequestId: {call.request_id}",
            f"Duration: {ms:.2f} ms",
            f"Billed Duration: {int(ms) + 1} ms",
            f"Memory Size: {function.memory} MB",
            f"Max Memory Used: {environment.peak_mb()} MB",
        ]
        if cold:
            parts.append(f"Init Duration: {environment.init_ms:.2f} ms")
        self._say(function, f"END RequestId: {call.request_id}")
        self._say(function, "\t".join(parts))


def _failure(kind: str, message: str) -> Result:
    return Result(json.dumps({"errorMessage": message, "errorType": kind}).encode(), failed=True)


def _init_failure(text: str) -> Result:
    try:
        json.loads(text)
    except ValueError:
        return _failure("Runtime.ExitError", text)
    return Result(text.encode(), failed=True)
