"""What is deployed: a function's configuration, code and layers, fetched through the Lambda API and unpacked once."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.locks import locked

FRESH_S = 2.0
"""How long a function is taken to be what it was; then it is looked up again, beside the calls."""


@dataclass(frozen=True)
class Function:
    """One version of a function, ready to run here. Sizes are MB, times seconds."""

    name: str
    version: str
    arn: str
    handler: str
    role: str
    memory: int
    tmp: int
    timeout: float
    environment: tuple[tuple[str, str], ...]
    log_group: str
    task: Path
    opt: Path
    reserved: int | None = None
    """Environments of all its versions that may be busy at once."""


class Deployed:
    """The functions of the account, by name and version. `client` is boto3's of Lambda."""

    def __init__(self, client: Any, folder: Path, endpoint: str) -> None:
        self._client = client
        self._folder = folder
        self._endpoint = urlsplit(endpoint)
        self._known: dict[tuple[str, str], tuple[float, Function]] = {}
        self._looking: dict[tuple[str, str], asyncio.Task[Function]] = {}

    async def get(self, name: str, version: str) -> Function:
        """The function; many that ask at once wait for one look-up. Raises what boto3 raises when there is none."""
        key = (name, version)
        seen = self._known.get(key)
        if seen and time.monotonic() - seen[0] < FRESH_S:
            return seen[1]
        if key not in self._looking:
            task = asyncio.create_task(asyncio.to_thread(self._look_up, name, version))
            task.add_done_callback(lambda done: self._looked(key, done))
            self._looking[key] = task
        return seen[1] if seen else await asyncio.shield(self._looking[key])

    def _looked(self, key: tuple[str, str], done: asyncio.Task[Function]) -> None:
        self._looking.pop(key, None)
        if done.cancelled() or done.exception():
            self._known.pop(key, None)
        else:
            self._known[key] = (time.monotonic(), done.result())

    def _look_up(self, name: str, version: str) -> Function:
        found = self._client.get_function(FunctionName=name, Qualifier=version)
        config = found["Configuration"]
        task = self._unpacked([(found["Code"]["Location"], config["CodeSha256"])])
        layers = [self._client.get_layer_version_by_arn(Arn=each["Arn"]) for each in config.get("Layers", [])]
        opt = self._unpacked([(each["Content"]["Location"], each["Content"]["CodeSha256"]) for each in layers])
        variables = config.get("Environment", {}).get("Variables", {})
        return Function(
            name=name,
            version=version,
            arn=config["FunctionArn"],
            handler=config["Handler"],
            role=config["Role"],
            memory=config["MemorySize"],
            tmp=config.get("EphemeralStorage", {}).get("Size", 512),
            timeout=float(config["Timeout"]),
            environment=tuple(sorted(variables.items())),
            log_group=config.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"),
            task=task,
            opt=opt,
            reserved=self._client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
        )

    def _unpacked(self, zips: list[tuple[str, str]]) -> Path:
        """The folder with these zips (address and hash) unpacked, one over the other."""
        key = hashlib.sha256("\n".join(sha for _, sha in zips).encode()).hexdigest()[:32]
        folder = self._folder / key
        with locked(self._folder / f"{key}.lock"):  # functions share layers, and are looked up side by side
            if not folder.exists():
                beside = folder.with_suffix(".part")
                shutil.rmtree(beside, ignore_errors=True)
                beside.mkdir()
                for address, _ in zips:
                    with urllib.request.urlopen(self._here(address), timeout=60) as answer:
                        unzip(answer.read(), beside)
                beside.replace(folder)
        return folder

    def _here(self, address: str) -> str:
        """An address of this cloud and no other; ministack gives those of http even where it speaks TLS."""
        return urlsplit(address)._replace(scheme=self._endpoint.scheme, netloc=self._endpoint.netloc).geturl()


def unzip(data: bytes, folder: Path) -> None:
    """Unpack a zip with the permissions in it; zipfile itself keeps names inside the folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        for entry in zipped.infolist():
            path = zipped.extract(entry, folder)
            if mode := (entry.external_attr >> 16) & 0o777:
                os.chmod(path, mode | 0o400)
