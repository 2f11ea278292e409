"""A store in memory that may break, and events as API Gateway makes them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from functions.errors import Missing, TransferError
from tests.vision.made import manifest
from tests.vision.onnx import averages
from vision.manifest import Manifest
from vision.store import Active, active_key, blob_key

EVENTS = Path(__file__).parent / "events"


class Store:
    """Objects by key. `broken` is how many of the next reads fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.broken = 0

    def activate(self, described: Manifest, data: bytes) -> None:
        self.objects[blob_key(described.sha256)] = data
        self.objects[active_key(described.task)] = msgspec.json.encode(Active(described))

    def read(self, key: str, largest: int, unless: str = "") -> tuple[bytes, str] | None:
        data = self._data(key)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return None if etag == unless else (data, etag)

    def stream(self, key: str) -> Iterator[bytes]:
        yield self._data(key)

    def _data(self, key: str) -> bytes:
        self.reads.append(key)
        if self.broken:
            self.broken -= 1
            raise TransferError(f"{key}: s3.secret-host.internal broke off")
        if key not in self.objects:
            raise Missing(key)
        return self.objects[key]


def version(number: int) -> tuple[Manifest, bytes]:
    """Versions of the small classifier: the even ones have day and night the other way round."""
    data = averages(8, [-4.0, 4.0 + number / 100])
    labels = ("night", "day") if number % 2 else ("day", "night")
    return manifest(data, version=str(number), labels=labels), data


def event(kind: str, body: bytes | str, **changes: Any) -> dict[str, Any]:
    """One of the events in tests/functions/events, with this body."""
    made: dict[str, Any] = json.loads((EVENTS / f"{kind}.json").read_text())
    made["isBase64Encoded"] = isinstance(body, bytes)
    made["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return {**made, **changes}
