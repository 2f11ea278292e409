"""VP8 whose state is a value: decoding, parsing and rebasing as pure functions (RFC 6386)."""

from codec._select import select

BUILD = select(__path__)
"""What runs: "x86_64_v3", "x86_64", "aarch64" or "uncompiled"."""
