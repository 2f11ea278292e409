"""What one environment of a function has, however many calls it serves: its name, its cache under /tmp, its buckets."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import uuid
from functools import cache
from pathlib import Path

from functions.cache import Cache
from functions.objects import Objects

__all__ = ["First", "cores", "models", "name", "tmp"]

_SHARE = 0.8  # of /tmp that the cache may fill
_ONE_CORE = 1769  # MB of memory for which a function gets one processor


@cache
def name() -> str:
    """What tells this environment from others. Made at the first call: those of one snapshot would share it."""
    return uuid.uuid4().hex


@cache
def tmp() -> Cache:
    """The cache, in FASTSLOW_CACHE or a folder under /tmp; at most FASTSLOW_CACHE_MB, or a share of the disk."""
    folder = Path(os.environ.get("FASTSLOW_CACHE") or Path(tempfile.gettempdir(), "fastslow"))
    folder.mkdir(parents=True, exist_ok=True)
    limit = os.environ.get("FASTSLOW_CACHE_MB")
    return Cache(folder, int(limit) * 1_000_000 if limit else int(shutil.disk_usage(folder).total * _SHARE))


@cache
def models() -> Objects:
    """The bucket of models."""
    return Objects(os.environ["FASTSLOW_MODELS_BUCKET"])


def cores() -> int:
    """The processors that the function's memory brings."""
    return max(1, round(int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", _ONE_CORE)) / _ONE_CORE))


class First:
    """True the first time it is asked, whichever thread asks; false ever after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        """Whether this is the first time."""
        return self._lock.acquire(blocking=False)
