"""What runs in the Python with the sanitizer, started by ``engines``: python -m tests.fuzz.child target counts ..."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["codec"]):  # what is not compiled tells of its branches as well
    import codec
    import codec.ivf
    import codec.serialise
from tests.fuzz import inputs, targets

EVERY = 1000


def main() -> None:
    """Give libFuzzer a target, and write down now and then what happened to the inputs."""
    _, name, counts, *options = sys.argv
    target, path = targets.TARGETS[name], Path(counts)
    done = 0

    def one(data: bytes) -> None:
        nonlocal done
        target(data)
        done += 1
        if done % EVERY == 0:
            path.write_text(", ".join(f"{count} {what}" for what, count in sorted(targets.counts.items())))

    inputs.starts()
    assert codec.BUILD == "fuzz"
    # To merge, libFuzzer starts itself by this, in a shell.
    again = f"{sys.executable} -m tests.fuzz.child {name} {counts}"
    atheris.Setup([again, *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
