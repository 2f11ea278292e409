"""Fuzz the codec: python -m tests.fuzz [target ...] [--runs N] [--seconds S] [--plain]; docs/fuzzing.md tells of it.

Without --plain the inputs are guided by coverage of the compiled code, under the address sanitizer and with bounds
checks: that takes atheris (pip install atheris), and the build for it is made here. What fails is left in build/fuzz/,
and `python -m tests.fuzz target --try FILE...` runs it again on the normal build.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import engines

NAMES = ("frame", "stream", "forged", "state", "ivf", "rebase", "encode")


def main() -> None:
    """Run what the command line asks for and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("targets", nargs="*", metavar="target", choices=[[], *NAMES], help=f"of {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each target (default: until the time is over)")
    parser.add_argument("--seconds", type=float, default=0, help="for each target (default 60 unless --runs is given)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="mutate without guidance, on whichever build runs")
    parser.add_argument("--minimise", action="store_true", help="keep the inputs that reach most for the tests")
    parser.add_argument("--try", nargs="+", type=Path, dest="tried", metavar="FILE", help="run only these inputs")
    parser.add_argument("--folder", type=Path, default=engines.ROOT / "build" / "fuzz", help="for what is found")
    arguments = parser.parse_args()
    wanted = arguments.targets or NAMES
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not arguments.runs and not arguments.seconds:
        arguments.seconds = 60
    if arguments.tried:
        from tests.fuzz.targets import TARGETS

        for path in arguments.tried:
            TARGETS[wanted[0]](path.read_bytes())
        return
    if arguments.minimise:
        engines.build()
        for name in wanted:
            kept = engines.minimise(name, arguments.folder / "corpus" / name, arguments.folder)
            sys.stdout.write(f"{name:8} {kept} inputs kept\n")
        return
    sys.exit(run(wanted, arguments))


def run(wanted: list[str], arguments: argparse.Namespace) -> bool:
    """Run each target; print a line for it as it ends, and the sum. Return whether anything was found."""
    if not arguments.plain:
        engines.build()
        engines.canary()
    reports = []
    for name in wanted:
        if arguments.plain:
            from tests.fuzz.targets import TARGETS

            pool = engines.corpus(name) + engines.seeds(name)
            limits = arguments.runs or sys.maxsize, arguments.seconds or float("inf")
            report = engines.plain(TARGETS[name], pool, *limits, arguments.seed, arguments.folder)
        else:
            pool = arguments.folder / "corpus" / name
            limits = arguments.runs, arguments.seconds
            report = engines.guided(name, pool, *limits, arguments.seed, arguments.folder)
        reports.append(report)
        rate = report.runs / max(report.seconds, 1e-9)
        speed = f"{report.seconds:7.0f} s, {rate:6.0f} a second"
        sys.stdout.write(f"{name:8} {report.runs:9,} inputs, {speed}; {report.coverage}\n")
        if report.failure:
            sys.stdout.write(f"{name:8} FOUND {report.failure}\n")
        sys.stdout.flush()
    total = sum(report.runs for report in reports)
    build = "whichever build runs" if arguments.plain else "address sanitizer and bounds checks"
    sys.stdout.write(f"{'all':8} {total:9,} inputs; {build}; {time.strftime('%Y-%m-%d')}\n")
    return any(report.failure for report in reports)


if __name__ == "__main__":
    main()
