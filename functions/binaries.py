"""The codec from the store, if one is published there: fetched, checked, unpacked under /tmp, and imported."""

from __future__ import annotations

import importlib
import platform
import sys

from functions.cache import Cache
from functions.current import Source
from functions.errors import Damaged, Missing
from pipelines.updates import LARGEST_UPDATES, parse, updates_key
from vision.store import blob_key

__all__ = ["use_codec"]


def use_codec(source: Source, cache: Cache, machine: str | None = None) -> str | None:
    """Import the store's codec in place of the layer's; its SHA-256, or None if the layer's own is to run.

    To be called before anything imports `codec`. A process keeps the codec that it has imported, and its files stay
    leased. Raises Damaged if what came cannot be imported (then the layer's codec can be), else as `Cache.tree` does.
    """
    if "codec" in sys.modules:
        raise RuntimeError("a codec is imported already: call this before anything imports one")
    try:
        held = source.read(updates_key(machine or platform.machine()), LARGEST_UPDATES)
    except Missing:
        return None
    updates = parse(held[0]).updates if held else ()
    if not updates:
        return None
    update = updates[0]
    lease = cache.tree(update.sha256, update.bytes, update.unpacked, lambda: source.stream(blob_key(update.sha256)))
    folder = str(lease.path / "python")
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        codec = importlib.import_module("codec")
        if codec.BUILD == "uncompiled":
            raise ImportError("none of its builds is for this processor")
    except Exception as error:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "codec"]:
            del sys.modules[name]
        lease.release()
        raise Damaged(f"the codec {update.sha256} cannot be imported: {type(error).__name__}: {error}") from error
    return update.sha256
