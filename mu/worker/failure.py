"""What a worker says of a program that raised."""

from __future__ import annotations

import os

from mu.wire import Failed
from mu.worker.code import lacking

__all__ = ["failed"]

_TEXT, _LONG = 4096, 65536
"""Most characters of an error's text, and of its traceback."""
_MOST_FRAMES = 100
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def failed(error: BaseException, *, again: bool | None = None) -> Failed:
    """What is to be said; the traceback begins where the program does. `again` is the error's own word if not given."""
    import traceback  # here, since a worker starts sooner without it

    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001  whatever a program's own exception does
        text = f"(its text cannot be had: {type(other).__name__})"
    if isinstance(error, ModuleNotFoundError) and (more := lacking()):
        text = f"{text}; {more}"
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    lines = "".join(traceback.format_exception(type(error), error, frames, limit=-_MOST_FRAMES))
    if again is None:
        again = getattr(type(error), "again", False) is True
    kind = _plain(type(error).__name__)[:_TEXT]
    return Failed(kind, _plain(" ".join(text.split()))[:_TEXT], _plain(lines)[-_LONG:], again)


def _plain(text: str) -> str:
    """Text that can be said: without halves of characters."""
    return text.encode(errors="replace").decode()
