"""Workers as processes of this machine that come over the network like all others: `python -m mu.worker`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from mu.errors import BackendError
from mu.wire import Invitation

__all__ = ["LocalProcesses"]

GRACE_S = 3.0
"""So long a worker that is not wanted any more may take to leave by itself, and so long again after SIGTERM."""


class LocalProcesses:
    """Starts a process for each worker, with its invitation as JSON on its standard input."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "mu.worker")) -> None:
        self._command = tuple(command)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def processes(self) -> dict[int, int]:
        """Process ids of the workers that run, by their numbers."""
        return {worker: process.pid for worker, process in self._processes.items()}

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        """Start a worker. Raises BackendError."""
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=subprocess.PIPE)
        except OSError as error:
            raise BackendError(f"no process can be started: {error}") from error
        assert process.stdin is not None
        self._processes[invitation.worker] = process
        process.stdin.write(msgspec.json.encode(invitation))
        process.stdin.close()
        watching = asyncio.get_running_loop().create_task(self._watch(invitation.worker, process, ended))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _watch(self, worker: int, process: asyncio.subprocess.Process, ended: Callable[[str], None]) -> None:
        code = await process.wait()
        self._processes.pop(worker, None)
        ended(f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}")

    async def cancel(self, worker: int) -> None:
        """End a worker that does not leave by itself."""
        process = self._processes.get(worker)
        if process is None or await _ends(process):
            return
        with suppress(ProcessLookupError):
            process.terminate()
            if not await _ends(process):
                process.kill()
                await process.wait()

    async def close(self) -> None:
        """End all that are left."""
        await asyncio.gather(*(self.cancel(worker) for worker in list(self._processes)))
        await asyncio.gather(*self._watching, return_exceptions=True)


async def _ends(process: asyncio.subprocess.Process) -> bool:
    """Whether it does so soon."""
    try:
        await asyncio.wait_for(process.wait(), GRACE_S)
    except TimeoutError:
        return False
    return True
