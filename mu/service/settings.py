"""What the service is told by its environment; the stack writes it (infra/stack.py)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mu.errors import BackendError

__all__ = ["Settings"]

Port = Annotated[int, Meta(ge=0, lt=65536)]
Word = Annotated[str, Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Queues are URLs. Raises BackendError for a variable that is missing or cannot be."""

    queue: Word
    """Whose messages are requests."""
    refused_queue: Word
    """Where messages go that make no sense."""
    results_bucket: Word
    workers: Word
    """The worker functions, with commas between."""
    port: Port = 8443
    pages: Port = 8765
    """Where the live pages of the jobs are served, to this machine alone."""
    host: str = "0.0.0.0"
    """Where to listen."""
    address: str = ""
    """How workers find this machine; empty is its own address in the network."""
    state: str = "."
    """The folder for ledgers and messages."""
    concurrency: Annotated[int, Meta(ge=0)] = 0
    """Workers at a time of all jobs together; 0 is what the account allows."""
    prices: str = ""
    """Of what jobs take (mu/service/prices.py); empty is that nobody says what they cost."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read FASTSLOW_QUEUE and so on."""
        names = {field: f"FASTSLOW_{field.upper()}" for field in cls.__struct_fields__}
        given = {field: environment[name] for field, name in names.items() if environment.get(name)}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            missing = [name for field, name in names.items() if f"`{field}`" in str(error)]
            raise BackendError(f"the environment is not whole: {', '.join(missing)}: {error}") from error

    @property
    def functions(self) -> list[str]:
        """The worker functions."""
        return [name for name in self.workers.split(",") if name]

    @property
    def folder(self) -> Path:
        """The folder for ledgers and messages."""
        return Path(self.state)

    @property
    def reached_at(self) -> str:
        """The name or address by which workers come."""
        if self.address:
            return self.address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which of its own addresses it would use
            return str(probe.getsockname()[0])
