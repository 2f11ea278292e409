"""What is asked, what is answered, and what may go wrong in between.

ClassifyError
├── Refused     whoever answers would refuse every picture: a wrong key, a wrong address
├── Rejected    this picture is refused; another one may not be
└── Later       not now: throttled, no connection, a failure that may pass
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from pipelines.errors import PipelineError

__all__ = [
    "Answer",
    "Ask",
    "ClassifyError",
    "Label",
    "Later",
    "Model",
    "Outcome",
    "Picture",
    "Refused",
    "Rejected",
    "printable",
]

_LONGEST = 300


class ClassifyError(PipelineError):
    """A picture was not classified."""


class Refused(ClassifyError):
    """Nobody's picture would be classified as it was asked for."""


class Rejected(ClassifyError):
    """This picture will not be classified, however often it is sent."""


class Later(ClassifyError):
    """This picture may be classified later; `after` is the least time until then that was told, in seconds."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Label(msgspec.Struct, frozen=True):
    """What a picture may show, and how probable that is."""

    label: Annotated[str, Meta(max_length=200)]
    score: Annotated[float, Meta(ge=0, le=1)]


class Model(msgspec.Struct, frozen=True):
    """Who says so."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=64)]
    sha256: Annotated[str, Meta(max_length=64)] = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Answer(msgspec.Struct, frozen=True):
    """What the classifier says of a picture, the most probable label first; `cold`: its environment was new."""

    labels: Annotated[tuple[Label, ...], Meta(max_length=1000)]
    model: Model
    cold: bool = False


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to be classified, or why it cannot be."""

    name: str
    """Of its file, or its time in the film."""
    seconds: float | None = None
    """When it is shown, from the first frame of its film on."""
    data: bytes = b""
    kind: str = "image/jpeg"
    thumbnail: bytes = b""
    """A small JPEG of it, where one was asked for."""
    problem: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a picture: labels, or a problem."""

    index: int
    """Its place among all that were asked for."""
    name: str
    seconds: float | None = None
    labels: tuple[Label, ...] = ()
    problem: str = ""
    model: Model | None = None
    cold: bool = False
    tries: int = 0
    ms: float = 0.0
    """From when it was first sent until its answer came, waiting between tries included."""
    thumbnail: bytes = b""


Ask = Callable[[Picture], Answer]
"""Asks once; raises ClassifyError. Called by several threads at a time."""


def printable(text: str) -> str:
    """A text from outside as it may be shown: in one line, not too long, without what a terminal would obey."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else "\ufffd" for each in line[:_LONGEST])
