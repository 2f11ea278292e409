"""Large messages in a job's store, where they lie instead of passing through the coordinator.

    messages/KEY/DIGEST        KEY is a digest of whose message it is, DIGEST that of its bytes

Two runs that send the same write the same object twice; two that disagree write two, and neither the other's.
"""

from __future__ import annotations

import msgspec

from mu.digest import digest
from mu.errors import Missing, Refused, TransferFailed
from mu.job import MESSAGES, Key
from mu.store.names import Store

__all__ = ["BYPASS", "message_name", "read_message"]

BYPASS = 1 << 20
"""Bytes: a larger message goes by way of the store, if there is one that workers share."""


def message_name(key: Key, found: bytes) -> str:
    """What a message is called whose digest is `found`."""
    return f"{MESSAGES}/{digest(msgspec.msgpack.encode(key)).hex()}/{found.hex()}"


def read_message(store: Store, key: Key, size: int, wanted: bytes) -> memoryview:
    """A message's bytes, if they are those that were sent. Raises TransferFailed: another try may help."""
    try:
        view = store.read(message_name(key, wanted), max(size, 1), wanted)
    except (Missing, Refused) as error:
        raise TransferFailed(f"{key.name} of {key.sender} cannot be had from the store: {error}") from error
    if len(view) != size:
        raise TransferFailed(f"{key.name} of {key.sender} has {len(view)} bytes in the store, not the {size} sent")
    return view
