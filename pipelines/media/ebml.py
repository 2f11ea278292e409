"""Elements of EBML (RFC 8794), which Matroska and WebM are made of: an identifier, a size, and what is in them."""

from __future__ import annotations

import struct

UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
"""Of an element that is still being written; 8 bytes, as `long_size` makes."""


def element(identifier: int, payload: bytes) -> bytes:
    """An element with anything in it."""
    return ident(identifier) + vint(len(payload)) + payload


def uint(identifier: int, value: int) -> bytes:
    """An element that is a number from 0."""
    return element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def sint(identifier: int, value: int) -> bytes:
    """An element that is a number of either sign."""
    return element(identifier, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def real(identifier: int, value: float) -> bytes:
    """An element that is a floating-point number."""
    return element(identifier, struct.pack(">d", value))


def text(identifier: int, value: str) -> bytes:
    """An element that is text; what is no text (half of a surrogate pair) becomes a question mark."""
    return element(identifier, value.encode("utf-8", "replace"))


def void(size: int) -> bytes:
    """An element of nothing that takes `size` bytes (2 to 128) in all."""
    return b"\xec" + vint(size - 2) + bytes(size - 2)


def ident(identifier: int) -> bytes:
    """An identifier, which has its length in its first bits already."""
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def long_size(size: int) -> bytes:
    """A size in 8 bytes, whatever it is."""
    return struct.pack(">Q", size | 1 << 56)


def vint(size: int) -> bytes:
    """A number of up to 8 bytes whose leading zeros tell how many; all ones are kept for "unknown"."""
    length = 1
    while size >= (1 << 7 * length) - 1:
        length += 1
    return (size | 1 << 7 * length).to_bytes(length, "big")
