"""The deployed stack on this machine: `python -m bench.stack`, some two minutes.

It brings the stack up in a folder of its own, with the real `cdk`, and drives it through its API: one caller, first
calls, many callers, the frames of an episode. Bare onnxruntime in one process does the same in turn. All is gone
afterwards. It needs the model and the media of the shared folder, and a CPython of the functions' version.
"""

from __future__ import annotations

import io
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
from PIL import Image

from bench.classify import MODEL, PICTURE, manifest
from bench.clips import MEDIA, shared
from bench.deployed import Deployed, prepared, scratch, seconds
from bench.paired import Spread
from bench.startup import deployed
from bench.table import Row, show
from deploy.errors import ToolMissing
from layers import build
from layers.recipes import Arch
from vision.classifier import open_session
from vision.manifest import Manifest

WARM = 4
UPS, CALLS, COLD, ROUNDS, MANY, FRAMES, EPISODES, IMPORTS = 3, 300, 10, 5, 200, 150, 5, 9
SIZES = {"video": (45, 40), "vision": (40, 36), "code": (3, 1)}
"""MB that packages may have at most, zipped, and the aim."""

Bare = Callable[[bytes, bool], object]
"""Classifies a JPEG in this process; True: decoded no larger than needed."""


def rows() -> Iterator[Row]:
    """Bring the stack up, measure, and end it."""
    folder = shared()
    if folder is None or platform.system() != "Linux":
        return
    try:
        prepared()
    except ToolMissing as error:
        sys.stderr.write(f"bench: {error}\n")
        return
    given, model, picture = manifest(folder), folder / MODEL, (folder / PICTURE).read_bytes()
    bare, settings = _bare(given, model), {"warm": str(WARM)}
    with scratch() as (here, down):
        yield from _packages(here)
        Deployed.up(settings, given, model)  # its packages are kept
        first: list[float] = []
        second: list[float] = []
        for _ in range(UPS):
            down()
            for taken in (first, second):
                taken.append(seconds(lambda: Deployed.up(settings, given, model)))
        yield _row("fastslow local up, all installed and packages made: first", first, 90, 45, digits=1)
        yield _row("- second", second, 20, 5, digits=1)
        stack = Deployed.up(settings, given, model)
        yield from _one_caller(stack, picture, bare)
        yield from _first_calls(stack, picture)
        yield from _episode(stack, str(folder / "media" / MEDIA["people"]), bare)
    yield from deployed(IMPORTS)


def _row(
    what: str,
    values: list[float],
    at_least: float | None = None,
    aim: float | None = None,
    *,
    unit: str = " s",
    digits: int = 2,
) -> Row:
    spread = Spread.of(values)
    return Row(what, spread.text(digits), spread.median, at_least, aim, more_is_better=False, unit=unit)


def _packages(here: Path) -> Iterator[Row]:
    """The sizes, and how long it takes to make packages that were never made."""
    arch: Arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
    kept, build.BUILT = build.BUILT, here / "built"
    made: list[build.Package] = []
    try:
        taken = seconds(lambda: made.extend(build.build(name, arch, here) for name in SIZES))
    finally:
        build.BUILT = kept
    for package in made:
        size, goals = package.zipped / 1e6, SIZES[package.name]
        yield Row(f"package {package.name}, {arch}", f"{size:.1f}", size, *goals, more_is_better=False, unit=" MB")
    yield Row("making these packages anew", f"{taken:.1f}", taken, unit=" s")


def _bare(given: Manifest, model: Path) -> Bare:
    session, want = open_session(model, given.session), given.input

    def classify(picture: bytes, small: bool) -> object:
        file = Image.open(io.BytesIO(picture))
        if small:
            file.draft("RGB", (256, 256))
        image = file.convert("RGB").resize((want.width, want.height), Image.Resampling.BILINEAR)
        samples = (np.asarray(image, np.float32) - np.float32(want.mean[0])) * np.float32(want.scale[0])
        (scores,) = session.run(None, {want.name: samples.transpose(2, 0, 1)[None]})
        return given.labels[int(scores.argmax())]

    return classify


def _one_caller(stack: Deployed, picture: bytes, bare: Bare) -> Iterator[Row]:
    """A 200 kB JPEG again and again, and in turn by bare onnxruntime."""
    posts, whole, small = [], [], []
    with stack.asking() as ask:
        for number in range(CALLS + 5):
            answer = ask(picture)
            answer.checked()
            peers = [1000 * seconds(lambda: bare(picture, fraction)) for fraction in (False, True)]  # noqa: B023
            if number >= 5:
                posts.append(1000 * answer.seconds)
                whole.append(peers[0])
                small.append(peers[1])
    p99 = sorted(posts)[len(posts) * 99 // 100]
    yield _row(
        f"POST of a JPEG of {len(picture) // 1000} kB, warm, one caller: p50", posts, 60, 25, unit=" ms", digits=1
    )
    yield Row("- p99", f"{p99:.1f}", p99, 150, 60, more_is_better=False, unit=" ms")
    yield _row("- the same by bare onnxruntime and Pillow in one process", whole, unit=" ms", digits=1)
    yield _row("- and with the JPEG decoded at a fraction, as the classifier does", small, unit=" ms", digits=1)
    more = [ours - theirs for ours, theirs in zip(posts, small, strict=True)]
    yield _row("- our overhead on top of that", more, 40, 10, unit=" ms", digits=1)


def _first_calls(stack: Deployed, picture: bytes) -> Iterator[Row]:
    """What callers meet who come first, or at once."""
    alone, cold = [], 0
    for _ in range(COLD):
        stack.renew()
        (answer,) = stack.at_once(picture, 1)
        assert answer.checked()["cold"], "an environment was there already"
        alone.append(answer.seconds)
    yield _row("cold start to first answer through the API, model fetched", alone, 2.5, 1)
    for _ in range(ROUNDS):
        stack.renew()
        stack.warm()
        cold += sum(answer.checked()["cold"] for answer in stack.at_once(picture, WARM))
    what = f"after a warm-up of {WARM}: of {WARM} requests at once, {ROUNDS} times, those that see a cold /tmp"
    yield Row(what, f"{cold}", cold, 0, 0, more_is_better=False)
    before = stack.fetches()
    stack.renew()
    answers = stack.at_once(picture, MANY)
    fetches = stack.fetches() - before
    failed = sum(answer.status != 200 for answer in answers)
    most = max(fetches.values())
    what = f"{MANY} first calls at once, {len(fetches)} environments: downloads of the model in one"
    yield Row(what, f"{most}", most, 1, more_is_better=False)
    yield Row("- failed requests", f"{failed}", failed, 0, more_is_better=False)
    yield _row("- their answers came after", [answer.seconds for answer in answers], digits=1)


def _episode(stack: Deployed, film: str, bare: Bare) -> Iterator[Row]:
    """Frames of a film as JPEGs: all through the API, and by bare onnxruntime on both processors, in turn."""
    pictures = _jpegs(film)
    ratios, walls = [], []
    stack.renew()
    stack.warm()
    with ExitStack() as connections, ThreadPoolExecutor(WARM) as four, ThreadPoolExecutor(2) as two:
        mine = threading.local()

        def ask(picture: bytes) -> object:
            if not hasattr(mine, "ask"):
                mine.ask = connections.enter_context(stack.asking())
            return mine.ask(picture).checked()

        for _ in range(EPISODES):
            ours = seconds(lambda: list(four.map(ask, pictures)))
            theirs = seconds(lambda: list(two.map(lambda picture: bare(picture, True), pictures)))
            ratios.append(ours / theirs)
            walls.append(ours)
    what = f"{FRAMES} frames through the API, {WARM} warm, against bare onnxruntime on two processors"
    yield _row(what, ratios, 2.0, 1.2, unit=" x")
    yield _row("- wall time", walls)


def _jpegs(film: str) -> list[bytes]:
    """Frames of a film, evenly."""
    with av.open(film) as container:
        wanted = set(np.linspace(0, container.streams.video[0].frames - 1, FRAMES).astype(int).tolist())
        files = []
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                file = io.BytesIO()
                Image.fromarray(frame.to_ndarray(format="rgb24")).save(file, "JPEG", quality=90)
                files.append(file.getvalue())
    return files


if __name__ == "__main__":
    show("The stack, medians (spread)", rows())
