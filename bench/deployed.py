"""The stack deployed on this machine for a benchmark, in a folder of its own, with a model; and what asks it."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy import interpreters, local, tools
from pipelines.classify.api import Api
from vision.bucket import Bucket
from vision.manifest import Manifest
from vision.store import activate, active, publish

__all__ = ["HOME", "Answer", "Deployed", "prepared", "scratch", "seconds"]

HOME = tools.ROOT / "build" / "local-bench"
"""Where the stack has its files."""
_NAME = "fastslow-classify"


def prepared() -> None:
    """Have everything installed that a stack on this machine needs; its packages are made by the first `up`."""
    tools.cdk()
    for name in ("cloud", "functions"):
        interpreters.environment(name, local.HOME / name)


@dataclass(frozen=True)
class Answer:
    """What came of a POST, and after how many seconds; `told` is the answer's JSON."""

    status: int
    told: Any
    seconds: float

    def checked(self) -> Any:
        """The answer's JSON; raises RuntimeError unless a picture was classified."""
        if self.status != 200:
            raise RuntimeError(f"{self.status}: {self.told}")
        return self.told


class Deployed:
    """The stack with a classifier published and active."""

    def __init__(self, state: local.Running) -> None:
        self._state = state
        self._url, self._key = local.frames_url(state), local.api_key(state)
        self._lambda = local.client("lambda", state)
        self._renewed = 0

    @classmethod
    def up(cls, settings: dict[str, str], manifest: Manifest, model: Path) -> Deployed:
        """All that `fastslow local up` does."""
        state = local.up(settings, lambda said: None, HOME)
        bucket = Bucket(state.outputs["ModelsBucket"], local.client("s3", state))
        if not active(bucket, manifest.task):
            publish(bucket, manifest, model)
            activate(bucket, manifest.name, manifest.version)
        made = cls(state)
        made.warm()
        return made

    def warm(self) -> None:
        """Do once what the schedule does."""
        if problem := local.warm(self._state, HOME):
            raise RuntimeError(f"the warm-up failed: {problem}")

    def renew(self) -> None:
        """Publish the function anew for its alias: no environment of it has been started yet."""
        self._renewed += 1
        given = self._lambda.get_function_configuration(FunctionName=_NAME)["Environment"]["Variables"]
        variables = {**given, "FASTSLOW_RENEWED": str(self._renewed)}
        self._lambda.update_function_configuration(FunctionName=_NAME, Environment={"Variables": variables})
        version = self._lambda.publish_version(FunctionName=_NAME)["Version"]
        self._lambda.update_alias(FunctionName=_NAME, Name="live", FunctionVersion=version)

    def api(self, parallel: int) -> Api:
        """What `fastslow classify` asks by, so many pictures at once."""
        return Api(self._url, key=self._key, parallel=parallel)

    @contextmanager
    def asking(self) -> Iterator[Callable[[bytes], Answer]]:
        """A function that sends a JPEG over a connection that is kept."""
        address = urlsplit(self._url)
        headers = {"Content-Type": "image/jpeg", "X-Api-Key": self._key}
        connection = http.client.HTTPConnection(address.netloc, timeout=60)

        def ask(picture: bytes) -> Answer:
            began = time.perf_counter()
            connection.request("POST", address.path, picture, headers)
            answer = connection.getresponse()
            body = answer.read()
            return Answer(answer.status, json.loads(body), time.perf_counter() - began)

        try:
            connection.connect()
            yield ask
        finally:
            connection.close()

    def at_once(self, picture: bytes, count: int) -> list[Answer]:
        """The answers to `count` callers who send the same picture at once."""

        def one(_: int) -> Answer:
            with self.asking() as ask:
                return ask(picture)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def fetches(self) -> Counter[str]:
        """How often each environment of the classifier has fetched a model, by the environment's name."""
        found: Counter[str] = Counter()
        for line in (HOME / "pool" / "logs" / f"{_NAME}.log").read_text().splitlines():
            text = line.partition(" ")[2]
            if text.startswith("{") and "CacheMiss" in (told := json.loads(text)):
                found[told["environment"]] += told["CacheMiss"]
        return found


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def scratch() -> Iterator[tuple[Path, Callable[[], object]]]:
    """A folder for a while, and what ends the stack; both go at the end."""

    def down() -> None:
        local.down(HOME)
        (HOME / "synthesised.txt").unlink(missing_ok=True)  # or the next first one would not be a first one

    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder), down
        finally:
            down()
