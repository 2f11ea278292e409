"""`python -m mu.worker` that counts: every run of a program, and its processor time, as lines of the file MU_RUNS."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import msgspec

from mu import programs
from mu.worker.__main__ import main


class Ran(msgspec.Struct, frozen=True):
    """A run's beginning, or its end: then with the seconds of its process and whether the program came to its end."""

    task: str
    process: int
    number: int
    """Of the runs of this process."""
    seconds: float | None = None
    whole: bool = False


def counted(call: Any, path: str) -> Any:
    """`programs.call`, which writes down what it calls."""
    runs = 0

    def note(ran: Ran) -> None:
        with open(path, "ab", buffering=0) as file:
            file.write(msgspec.json.encode(ran) + b"\n")

    def calls(program: str, context: Any, argument: msgspec.Raw) -> None:
        nonlocal runs
        runs += 1
        ran = Ran(context._task.name, os.getpid(), runs)
        note(ran)
        whole, began = False, time.process_time()
        try:
            call(program, context, argument)
            whole = True
        finally:
            note(msgspec.structs.replace(ran, seconds=time.process_time() - began, whole=whole))

    return calls


if __name__ == "__main__":
    programs.call = counted(programs.call, os.environ["MU_RUNS"])
    sys.exit(main())
