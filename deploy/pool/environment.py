"""One execution environment: an awslambdaric process, and the runtime API that it asks for work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.pool.deployed import Function
from deploy.pool.http import Request, Response, listen

INIT_S = 10.0
"""Lambda's limit for what a module does when it is imported; the function's own limit counts if it is longer."""


class Crashed(Exception):
    """The process ended, or never asked for work."""


class TimedOut(Exception):
    """The function took longer than it may; its process is gone."""


@dataclass(frozen=True)
class Call:
    """One call of a function."""

    request_id: str
    event: bytes
    trace: str = ""


@dataclass(frozen=True)
class Result:
    """What came of a call: the function's answer, or the description of its error."""

    body: bytes
    failed: bool


class Environment:
    """Takes one call at a time. `started` is when its process was, `init_ms` how long its imports took."""

    def __init__(self, function: Function, number: int, say: Callable[[str], None]) -> None:
        self.function = function
        self.stream = time.strftime(f"%Y/%m/%d/[{function.version}]{number:08x}")
        self.calls = 0
        self.idle_since = time.monotonic()
        self.init_ms = 0.0
        self.scratch: Path | None = None  # goes with it
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._asked = asyncio.Event()
        self._work: asyncio.Queue[Call | None] = asyncio.Queue()
        self._result: asyncio.Future[Result] | None = None
        self._init_error: bytes = b""

    async def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start the process and wait until it asks for work. Raises Crashed, with what it said of the reason."""
        began = time.monotonic()
        self._server = await listen(self._answer)
        port = self._server.sockets[0].getsockname()[1]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        self._reading = asyncio.create_task(self._read_output(self._process))
        ended = asyncio.create_task(self._process.wait())
        asked = asyncio.create_task(self._asked.wait())
        limit = max(INIT_S, self.function.timeout)
        waiting: set[asyncio.Future[Any]] = {ended, asked}
        await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        ready = asked.done() and not self._init_error
        for each in (ended, asked):
            each.cancel()
        if not ready:
            await self.stop()
            said = self._init_error.decode(errors="replace")
            raise Crashed(said or f"the environment ended, or was not ready within {limit:.0f} s")
        self.init_ms = (time.monotonic() - began) * 1000

    async def call(self, call: Call) -> Result:
        """Have the function work. Raises TimedOut or Crashed, after which the environment is of no more use."""
        assert self._process
        self._result = asyncio.get_running_loop().create_future()
        ended = asyncio.create_task(self._process.wait())
        self.calls += 1
        self._work.put_nowait(call)
        try:
            waiting: set[asyncio.Future[Any]] = {self._result, ended}
            done, _ = await asyncio.wait(waiting, timeout=self.function.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self._result in done:
            self.idle_since = time.monotonic()
            return self._result.result()
        await self.stop()
        if done:
            raise Crashed(f"Runtime exited with status {self._process.returncode}")
        raise TimedOut(f"Task timed out after {self.function.timeout:.2f} seconds")

    async def stop(self) -> None:
        """End the process with all that it started, and its runtime API."""
        self._work.put_nowait(None)
        if self._server:
            self._server.close()
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self.scratch:
            await asyncio.to_thread(shutil.rmtree, self.scratch, ignore_errors=True)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    def peak_mb(self) -> int:
        """The most memory its process ever had, MB; 0 when it cannot be told."""
        try:
            status = Path(f"/proc/{self._process.pid if self._process else 0}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)

    async def _answer(self, request: Request) -> Response:
        """The runtime API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""
        if request.path.endswith("/invocation/next"):
            self._asked.set()
            if not (call := await self._work.get()):
                return Response(410)
            deadline = int((time.time() + self.function.timeout) * 1000)
            headers = {
                "Lambda-Runtime-Aws-Request-Id": call.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": self.function.arn,
            }
            return Response(200, call.event, headers | ({"Lambda-Runtime-Trace-Id": call.trace} if call.trace else {}))
        if request.path.endswith("/init/error"):
            self._init_error = request.body or json.dumps({"errorType": "Runtime.Unknown"}).encode()
            self._asked.set()
        elif request.path.endswith(("/response", "/error")) and self._result and not self._result.done():
            self._result.set_result(Result(request.body, failed=request.path.endswith("/error")))
        return Response(202, b'{"status":"OK"}')

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line over the limit; what fits of it was dropped
                continue
            if not line:
                return
            # awslambdaric keeps an entry of several lines together with carriage returns.
            self._say(line.decode(errors="replace").rstrip("\n").replace("\r", "\n    "))
