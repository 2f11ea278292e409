"""The file of a page."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipelines.encode.join import OutputFile
from pipelines.errors import OutputError, SettingsError


def page_file(path: str, overwrite: bool, others: Iterable[str]) -> OutputFile:
    """A page's file, to be entered before the work is done that it tells of.

    Raises SettingsError when the name is not that of a page, OutputError when it is one of the `others`.
    """
    if not path.lower().endswith((".html", ".htm")):
        raise SettingsError(f"{path}: a report must end in .html")
    file = OutputFile(path, overwrite)
    if any(file.path == Path(os.path.realpath(other)) for other in others):
        raise OutputError(f"{path}: is the input or the output; name another report")
    return file
