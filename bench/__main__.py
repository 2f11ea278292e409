"""All numbers of docs/benchmarks.md: `make bench`, or `python -m bench [NAME]...` with names of PARTS.

The compression takes about an hour on two processors the first time; what libvpx encodes is kept in build/bench.
"""

from __future__ import annotations

import platform
import sys
from importlib import import_module

import codec
from bench.table import show

PARTS = (
    "decode",
    "rebase",
    "encode",
    "startup",
    "classify",
    "stack",
    "frames",
    "wall",
    "mu_core",
    "mu_server",
    "mu_bypass",
    "mu_stages",
    "mu_simulate",
    "mu_worker",
    "bdrate",
    "first_frame",
    "cuts",
    "aims",
    "mu_ledger",
    "mu_kills",
    "mu_local",
    "mu_launch",
    "mu_cancel",
    "mu_away",
)


def main(names: list[str]) -> None:
    """Run the named parts, or all, and print a table of each."""
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"bench: there is no {', '.join(sorted(unknown))}; choose among {', '.join(PARTS)}")
    for name in names or PARTS:
        part = import_module(f"bench.{name}")
        title = f"{name}: Python {platform.python_version()}, {platform.machine()}, codec build {codec.BUILD}"
        show(title, part.rows())


if __name__ == "__main__":
    main(sys.argv[1:])
