"""The deployed stack on this machine: `python -m bench.stack`, some two minutes.

It brings the stack up in a folder of its own, with the real `cdk`, and drives it through its API: one caller, first
calls, many callers, the frames of an episode. Bare onnxruntime in one process does the same in turn. All is gone
afterwards. It needs the model and the media of the shared folder, and a CPython of the functions' version.
"""

from __future__ import annotations

import io
import platform
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from pipelines.classify.answers import Picture
from pipelines.classify.frames import even_frames
from pipelines.classify.job import classify
from pipelines.media.film import Film
from vision.classifier import open_session
from vision.manifest import Manifest

WARM = 4
UPS, CALLS, COLD, ROUNDS, MANY, FRAMES, EPISODES, IMPORTS = 3, 300, 10, 5, 200, 150, 5, 9
SIZES = {"video": (45, 40), "vision": (40, 36), "code": (3, 1)}
"""MB that packages may have at most, zipped, and the aim."""


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
    bare, settings = Bare(given, model), {"warm": str(WARM)}
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
    yield next(deployed(IMPORTS))


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


class Bare:
    """The model in this process, without any of ours round it; each of the threads that ask uses one processor."""

    def __init__(self, given: Manifest, model: Path) -> None:
        self._session, self._want = open_session(model, given.session), given.input

    def jpeg(self, data: bytes, *, small: bool) -> int:
        """Classify a JPEG; `small`: decoded no larger than needed."""
        picture = Image.open(io.BytesIO(data))
        if small:
            picture.draft("RGB", (256, 256))
        return self.picture(picture)

    def picture(self, picture: Image.Image) -> int:
        """The number of the most probable label."""
        want = self._want
        fitted = picture.convert("RGB").resize((want.width, want.height), Image.Resampling.BILINEAR)
        samples = (np.asarray(fitted, np.float32) - np.float32(want.mean[0])) * np.float32(want.scale[0])
        (scores,) = self._session.run(None, {want.name: samples.transpose(2, 0, 1)[None]})
        return int(scores.argmax())


def _one_caller(stack: Deployed, picture: bytes, bare: Bare) -> Iterator[Row]:
    """A 200 kB JPEG again and again, and in turn by bare onnxruntime."""
    posts, whole, small = [], [], []
    with stack.asking() as ask:
        for number in range(CALLS + 5):
            answer = ask(picture)
            answer.checked()
            peers = [1000 * seconds(lambda: bare.jpeg(picture, small=fraction)) for fraction in (False, True)]  # noqa: B023
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
    """Frames of a film: all through the API, and by bare onnxruntime on both processors, in turn."""
    pictures = list(even_frames(film, FRAMES))
    stack.renew()
    stack.warm()
    ask = stack.api(WARM)

    def ours(source: Iterable[Picture]) -> None:
        for outcome in classify(source, ask, parallel=WARM):
            if outcome.problem:
                raise RuntimeError(outcome.problem)

    with ThreadPoolExecutor(2) as two:
        pairs = [
            (
                seconds(lambda: ours(pictures)),
                seconds(lambda: list(two.map(lambda picture: bare.jpeg(picture.data, small=True), pictures))),
                seconds(lambda: ours(even_frames(film, FRAMES))),
                seconds(lambda: list(two.map(bare.picture, _shown(film)))),
            )
            for _ in range(EPISODES)
        ]
    ask.close()
    who = f"{WARM} warm, against bare onnxruntime on two processors"
    yield _row(f"{FRAMES} frames, JPEGs already, {who}", [a / b for a, b, _, _ in pairs], 2.0, 1.2, unit=" x")
    yield _row("- wall time", [a for a, _, _, _ in pairs])
    yield _row("- out of their film, decoded and sent", [c / d for _, _, c, d in pairs], 2.0, 1.2, unit=" x")
    yield _row("- wall time", [c for _, _, c, _ in pairs])


def _shown(path: str) -> Iterator[Image.Image]:
    """The same frames of a film, as anyone would take them."""
    with Film(path) as film:
        for number in range(FRAMES):
            if found := film.at(film.seconds * (2 * number + 1) / (2 * FRAMES)):
                yield Image.fromarray(found[1].to_ndarray(format="rgb24"))


if __name__ == "__main__":
    show("The stack, medians (spread)", rows())
