"""`python -m mu.coordinator`: the service that takes jobs from the queue and has workers in Lambda do them.

The environment says all (mu/service/settings.py). SIGTERM and SIGINT end it; the jobs go on when it is started again.
To systemd it says when it is ready, and then that it is alive.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from mu.errors import MuError
from mu.server import Server
from mu.service.cloud import Cloud
from mu.service.launcher import Lambda, invoker
from mu.service.service import Service
from mu.service.settings import Settings
from mu.service.shown import pages

__all__ = ["main", "serve"]

_ALIVE_S = 15.0


async def serve(settings: Settings) -> None:
    """Serve until a signal. Raises MuError, OSError."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    cloud = Cloud(settings.results_bucket, settings.queue, settings.refused_queue)
    workers = Lambda(settings.functions, invoker())
    concurrency = settings.concurrency or await asyncio.to_thread(cloud.concurrency)
    async with Server(settings.host, settings.port, name=settings.reached_at) as server:
        settings.folder.mkdir(parents=True, exist_ok=True)
        service = Service(settings, cloud, server, workers, concurrency)
        with pages(service.board, settings.pages) as shown_at:
            _write(settings.folder / "pages", shown_at)
            _write(settings.folder / "address", server.address)
            logging.info("workers come to %s, at most %d of them; pages at %s", server.address, concurrency, shown_at)
            alive = loop.create_task(_say_alive())
            try:
                await service.run(over)
            finally:
                alive.cancel()


def _write(path: Path, line: str) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(f"{line}\n")
    beside.replace(path)


async def _say_alive() -> None:
    _tell_systemd("READY=1")
    while True:
        _tell_systemd("WATCHDOG=1")
        await asyncio.sleep(_ALIVE_S)


def _tell_systemd(what: str) -> None:
    """See sd_notify(3). Nothing happens where systemd does not listen."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(what.encode(), f"\0{path[1:]}" if path.startswith("@") else path)


def main() -> None:
    """Read the environment and serve."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        uvloop.run(serve(Settings.from_environment()))
    except (MuError, OSError) as error:
        sys.exit(f"{Path(__file__).stem}: {error}")


if __name__ == "__main__":
    main()
