"""The codec that this environment runs: the one that is published, or the layer's."""

from __future__ import annotations

import sys

from functions import environment
from functions.errors import Damaged
from functions.telemetry import tell

__all__ = ["use_published"]


def use_published() -> None:
    """Import the codec that is published, unless one is imported already; the layer's, if that one is damaged.

    Raises FunctionError if the store cannot be reached: workers with different codecs would make different films, so
    that none guesses.
    """
    if "codec" in sys.modules:
        return
    from functions.binaries import use_codec  # here, since it is not needed until there is a task

    try:
        use_codec(environment.models(), environment.tmp())
    except Damaged as error:
        tell("worker", {}, error=f"the layer's codec runs: {error}")
