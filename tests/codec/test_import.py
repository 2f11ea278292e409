"""Importing the codec: what it costs over a bare interpreter, and what it does not bring along."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import codec
from tests.codec import builds, streams

ROOT = Path(__file__).resolve().parents[2]
# At most, and over a bare interpreter; the aim is half of it (docs/benchmarks.md).
LIMIT = 0.060

compiled = pytest.mark.skipif(codec.BUILD == "uncompiled", reason="the codec runs uncompiled")


def python(program: str, *options: str, build: str = codec.BUILD, data: bytes = b"") -> str:
    """Run a program in a Python of its own and return what it prints."""
    environment = {**os.environ, "FASTSLOW_CODEC": build, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *options, "-c", program]
    done = subprocess.run(command, input=data, capture_output=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@compiled
def test_neither_numpy_nor_av_nor_cython_is_imported() -> None:
    """Nor anything else that a function would wait for when it starts."""
    heavy = {"numpy", "av", "cython", "Cython", "asyncio", "typing", "pathlib", "logging", "pipelines"}
    bare = set(python("import sys; print(*sys.modules)").split())
    brought = set(python("import sys, codec; print(*sys.modules)").split()) - bare
    assert brought & heavy == set()


@pytest.mark.parametrize("build", [*builds.HERE, "uncompiled"])
def test_frames_are_decoded_without_numpy(build: str) -> None:
    """Numpy is for those who look at the pixels as arrays."""
    program = """
import sys
sys.modules["numpy"] = None
import codec
state, image = codec.decode(None, sys.stdin.buffer.read())
codec.State.from_bytes(state.to_bytes())
print(codec.BUILD, image.width, len(image.raster))
"""
    assert python(program, build=build, data=streams.stream("tiny 17x15")[0]) == f"{build} 17 768\n"


@compiled
def test_it_takes_little_over_a_bare_interpreter() -> None:
    """Both in turn, so that what else the machine does meets both; the quickest of each is what they cost."""
    bare, ours = [], []
    for _ in range(60):
        for seconds, program in ((bare, "pass"), (ours, "import codec")):
            start = time.perf_counter()
            python(program)
            seconds.append(time.perf_counter() - start)
        if len(ours) >= 5 and min(ours) - min(bare) < LIMIT:
            return
    spread = f"median {statistics.median(ours) - statistics.median(bare):.3f}"
    pytest.fail(f"importing the codec takes {min(ours) - min(bare):.3f} s over a bare interpreter ({spread})")


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(codec.__all__) == sorted(set(codec.__all__))
    for name in codec.__all__:
        thing = getattr(codec, name)
        assert isinstance(thing, str) or thing.__doc__


@pytest.mark.parametrize("build", [*builds.HERE, "uncompiled"])
def test_a_build_is_chosen_by_its_name(build: str) -> None:
    where = python("import codec.decode; print(codec.BUILD, codec.decode.__module__, codec.__path__[0])", build=build)
    assert where.startswith(f"{build} codec.decode ")
    assert where.strip().endswith(f"_compiled/{build}") == (build != "uncompiled")
