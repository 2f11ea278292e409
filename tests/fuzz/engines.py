"""What feeds the targets: plain mutation, which needs nothing; or atheris, guided by the codec's own branches."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.fuzz import inputs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
LONGEST = 2048  # bytes of an input
KEPT = 36_000  # bytes of what is kept for a target, packed
_NEAR = bytes((0, 1, 2, 127, 128, 254, 255))


class Report(NamedTuple):
    """What a run came to: how many inputs, in how many seconds, branches and pairs seen, and why it stopped, if so."""

    runs: int
    seconds: float
    coverage: str
    failure: str


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept, and are tried by every run of the tests."""
    path = CORPUS / f"{target}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in sorted(archive.namelist())]


def keep(target: str, entries: list[bytes]) -> None:
    """Make these the inputs that are kept: as bytes that depend on nothing else."""
    CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(CORPUS / f"{target}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for n, data in enumerate(sorted(entries)):
            info = zipfile.ZipInfo(f"{n:04}")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def seeds(target: str) -> list[bytes]:
    """What a run begins with when nothing is kept: inputs of the right kind, made by us."""
    rng = np.random.default_rng(1)
    if target == "frame":
        made = []
        for k, start in enumerate(inputs.starts()):
            old = inputs.context_of(start.state) if start.state else None
            size = len(start.state.segment_map) if start.state else 0
            made += [bytes((k,)) + inputs.frame(inputs.Draws(rng.bytes(300)), old, size) for _ in range(12)]
        return [data for data in made if len(data) <= LONGEST]
    if target in ("stream", "ivf"):
        files = [inputs.ivf_file(list(inputs.frames(rng.bytes(300)))) for _ in range(300)]
        return [data for data in files if len(data) <= LONGEST]
    if target == "state":
        states = [start.state for start in inputs.starts() if start.state and len(start.state.last) < 2000]
        all_of_it = [state.to_bytes(pack=pack) for state in states for pack in (False, True)]
        return [b"\1" + data for data in (*all_of_it, *(state.to_bytes(without=inputs.pictures()) for state in states))]
    return [rng.bytes(300) for _ in range(24)]


def mutated(rng: random.Random, pool: list[bytes]) -> bytes:
    """An input of the pool with one to four things changed."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 2 and data:
            data[at % len(data)] = rng.choice(_NEAR)
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 4:
            del data[at : at + rng.randint(1, 16)]
        elif kind == 5:
            other = rng.choice(pool)
            start = rng.randrange(len(other) + 1)
            data[at : at + rng.randrange(64)] = other[start : start + rng.randrange(64)]
        else:
            start = rng.randrange(len(data) + 1)
            data[at:at] = data[start : start + rng.randrange(32)]
    return bytes(data[:LONGEST])


def plain(
    target: Callable[[bytes], None], pool: list[bytes], runs: int, seconds: float, seed: int, folder: Path | None = None
) -> Report:
    """Mutate a pool until the time or the runs are over; what fails is written to ``folder`` and raised."""
    rng = random.Random(seed)
    start = time.monotonic()
    done = 0
    while done < runs and (done % 16 or time.monotonic() < start + seconds):
        data = mutated(rng, pool)
        try:
            target(data)
        except BaseException:
            if folder:
                (folder / f"failure-{target.__name__}-{seed}-{done}").write_bytes(data)
            raise
        done += 1
    return Report(done, time.monotonic() - start, "", "")


def build() -> None:
    """Bring the fuzzing build of the codec up to date."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "codec" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["build"] = script  # its dataclasses look themselves up
    spec.loader.exec_module(script)
    for path in script.build(targets=[script.fuzz_target()]):
        sys.stderr.write(f"{path.relative_to(ROOT)}\n")


def environment() -> dict[str, str]:
    """What a Python needs to run the fuzzing build: the runtime of atheris, and every object by itself in memory."""
    found = importlib.util.find_spec("atheris")
    if found is None or found.origin is None:
        raise SystemExit('atheris is not here: pip install "atheris>=3" (wheels for Linux on x86-64), or use --plain')
    runtime = Path(found.origin).parents[1] / "asan_with_fuzzer.so"
    options = "detect_leaks=0:malloc_context_size=3:detect_stack_use_after_return=0:quarantine_size_mb=64"
    return os.environ | {
        "FASTSLOW_CODEC": "fuzz",
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": options,
        "LD_PRELOAD": str(runtime),
        "PYTHONPATH": str(ROOT),
    }


def canary() -> None:
    """See that the address sanitizer is awake: let the codec read past the end of some bytes on purpose."""
    code = "from codec.boolcoder import BoolReader\nBoolReader(bytes(9), 0, 99).literal(31 * 99)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    if "AddressSanitizer: heap-buffer-overflow" not in done.stderr:
        raise SystemExit(f"the address sanitizer does not see a read past the end:\n{done.stderr[-2000:]}")


def guided(target: str, pool: Path, runs: int, seconds: float, seed: int, folder: Path) -> Report:
    """Run atheris in a Python of its own, on the fuzzing build; it adds to ``pool`` what finds new branches."""
    pool.mkdir(parents=True, exist_ok=True)
    if not any(pool.iterdir()):
        for n, data in enumerate(corpus(target) + seeds(target)):
            (pool / f"seed-{n:04}").write_bytes(data[:LONGEST])
    options = [f"-seed={seed}", "-print_final_stats=1", "-reload=0", "-len_control=0"]
    limits = [f"-runs={runs}"] * (runs > 0) + [f"-max_total_time={int(seconds)}"] * (seconds > 0)
    start = time.monotonic()
    code, log = _child(target, folder, *options, *limits, str(pool))
    executed = re.findall(r"number_of_executed_units: (\d+)", log) or re.findall(r"^#(\d+)", log, re.MULTILINE) or ["0"]
    coverage = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log)
    failure = "" if code == 0 else _reason(log) or f"ended with code {code}"
    seen = "{} branches, {} features, {} inputs kept".format(*coverage[-1]) if coverage else ""
    peak = re.findall(r"peak_rss_mb: (\d+)", log)
    told = folder / f"{target}.counts"
    counts = told.read_text() if told.exists() else ""
    seen = "; ".join(filter(None, [seen, *(f"{mb} MB at the most" for mb in peak), counts]))
    return Report(int(executed[-1]), time.monotonic() - start, seen, failure)


def minimise(target: str, pool: Path, folder: Path) -> int:
    """Make what finds the most of the branches with the fewest bytes the inputs that are kept; return how many."""
    few = folder / "fewest" / target
    few.mkdir(parents=True, exist_ok=True)
    for path in few.iterdir():
        path.unlink()
    code, log = _child(target, folder, "-merge=1", str(few), str(pool))
    if code:
        raise SystemExit(_reason(log) or f"the merge of {target} ended with code {code}")
    entries: list[bytes] = []
    room = KEPT
    for data in sorted((path.read_bytes() for path in few.iterdir()), key=len):
        room -= len(zlib.compress(data, 9)) + 100  # the archive's own
        if room > 0:
            entries.append(data)
    keep(target, entries)
    return len(entries)


def _child(target: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run libFuzzer on the fuzzing build; return its code and what it printed."""
    counts = folder / f"{target}.counts"
    counts.unlink(missing_ok=True)
    limits = [f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=3000", "-malloc_limit_mb=1000"]
    command = [sys.executable, "-m", "tests.fuzz.child", target, str(counts), *limits]
    command += [f"-artifact_prefix={folder}/{target}-", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, errors="replace", check=False)
    log = done.stdout + done.stderr
    (folder / f"{target}.log").write_text(log)
    return done.returncode, log


def _reason(log: str) -> str:
    found = re.findall(r"^.*(?:ERROR: \w+Sanitizer|ERROR: libFuzzer|Broken:|Error:|BINGO).*$", log, re.MULTILINE)
    return "; ".join(dict.fromkeys(line.strip() for line in found[:4]))
