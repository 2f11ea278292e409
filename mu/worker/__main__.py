"""`python -m mu.worker`: a worker that calls out. Its invitation comes as JSON on standard input, for it is secret."""

from __future__ import annotations

import sys

import msgspec

from mu.errors import MuError
from mu.store import open_store
from mu.wire import Invitation
from mu.worker.work import work

_LARGEST = 1 << 16  # bytes of an invitation
USAGE = 2
"""The exit code for what is no invitation; 1 is for a coordinator that cannot be reached or makes no sense."""


def main() -> int:
    """Work; the exit code."""
    try:
        invitation = msgspec.json.decode(sys.stdin.buffer.read(_LARGEST), type=Invitation)
        store = open_store(invitation.store)
    except (msgspec.MsgspecError, UnicodeDecodeError, MuError) as error:
        sys.stderr.write(f"mu.worker: standard input has no invitation: {error}\n")
        return USAGE
    try:
        work(invitation, store)
    except MuError as error:
        sys.stderr.write(f"mu.worker: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
