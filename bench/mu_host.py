"""The server that `bench.mu_server` measures, in a process of its own: `python -m bench.mu_host JOB`.

JOB is a file with the job as MessagePack. On standard output come a line with address, job and certificate, then a line
with number and token for each worker that the coordinator wants, then one with how the job ended. `--durable` gives it
a ledger, `--store URL` a store that its workers share.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from mu.core.coordinator import Coordinator
from mu.job import Job
from mu.ledger import Ledger
from mu.server import Options, Server
from mu.wire import Invitation

__all__ = ["main"]


class _Printed:
    """A launcher that tells whoever reads standard output."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._begun = False

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        if not self._begun:
            self._begun = True
            self._lines.append(msgspec.json.encode(invitation).decode())
        if not self._lines or len(self._lines) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(f"{invitation.worker} {invitation.token}")

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        print("\n".join(lines), flush=True)

    async def cancel(self, worker: int) -> None:
        pass

    async def close(self) -> None:
        pass


async def _serve(path: Path) -> None:
    job = msgspec.msgpack.decode(path.read_bytes(), type=Job)
    with tempfile.TemporaryDirectory() as folder:
        async with Server(options=Options(memory=1 << 28)) as server:
            durable = "--durable" in sys.argv
            ledger = Ledger(Path(folder, "ledger"), job, wake=lambda: hosted.wake()) if durable else None
            store = sys.argv[sys.argv.index("--store") + 1] if "--store" in sys.argv else ""
            hosted = server.host(
                Coordinator(job), launcher=_Printed(), folder=Path(folder, "messages"), store=store, ledger=ledger
            )
            outcome = await hosted.over
            print(outcome.kind, flush=True)


def main() -> None:
    """Serve one job until it is over."""
    logging.getLogger("mu.server").setLevel(logging.ERROR)  # of refused connections there are many
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
