"""BLAKE2b of 16 bytes: tells whether two runs did the same, and whether bytes came whole."""

from __future__ import annotations

from _blake2 import blake2b  # hashlib would load OpenSSL, which takes 3 ms of every worker's start

__all__ = ["SIZE", "Digest", "digest"]

SIZE = 16
"""Bytes of a digest."""


def digest(payload: bytes | bytearray | memoryview) -> bytes:
    """The digest of a payload."""
    return blake2b(payload, digest_size=SIZE).digest()


class Digest:
    """The digest of a payload that comes in pieces."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=SIZE)

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """The next piece."""
        self._hash.update(piece)

    def digest(self) -> bytes:
        """Of all pieces so far."""
        return self._hash.digest()
