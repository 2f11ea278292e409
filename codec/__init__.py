"""VP8 whose state is a value: decoding, parsing, rebasing and encoding as pure functions (RFC 6386)."""

from codec import _select

BUILD = _select.select(__path__)
"""What runs: "x86_64_v3", "x86_64", "aarch64" or "uncompiled"."""

from codec.assemble import Coded  # noqa: E402  the build must be chosen first
from codec.decode import advance, decode, parse  # noqa: E402
from codec.effort import Effort  # noqa: E402
from codec.encode import Refresh, encode, encode_frame  # noqa: E402
from codec.errors import CodecError, CorruptState, CorruptStream, Mismatch, TooLarge  # noqa: E402
from codec.frame import Frame  # noqa: E402
from codec.image import Image  # noqa: E402
from codec.policy import Policy  # noqa: E402
from codec.rebase import rebase, rebase_frame  # noqa: E402
from codec.state import State  # noqa: E402

__all__ = [
    "BUILD",
    "CodecError",
    "Coded",
    "CorruptState",
    "CorruptStream",
    "Effort",
    "Frame",
    "Image",
    "Mismatch",
    "Policy",
    "Refresh",
    "State",
    "TooLarge",
    "advance",
    "decode",
    "encode",
    "encode_frame",
    "parse",
    "rebase",
    "rebase_frame",
]
