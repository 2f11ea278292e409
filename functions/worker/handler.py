"""Will do a part of a job. Its function, role and network are there; the job framework comes in a later version."""

from __future__ import annotations

from typing import Any, NoReturn


class NoJobsYet(NotImplementedError):
    """This version of fastslow deploys the workers but has no jobs for them."""


def handler(event: dict[str, Any], context: Any) -> NoReturn:
    """Refuse what is sent."""
    raise NoJobsYet("this version of fastslow runs jobs on one machine only: fastslow encode")
