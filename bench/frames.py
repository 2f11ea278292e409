"""What a classifier's scores lose on the way from a video's frame to the JPEG that is sent, and how long picking takes.

Beside it, what noise of one level changes: a model that is sensitive to that cannot hear finer differences.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from bench.classify import MODEL, manifest
from bench.clips import shared
from bench.table import Row
from pipelines.classify.frames import even_frames
from pipelines.media.film import Film
from vision.classifier import Classifier
from vision.picture import least_size, read, tensor

CLIPS = ("anim_bigbuckbunny_1280x720", "natural_flower_960x540", "traffic_dashcam_960x540", "faces_dev")
EACH = 40
"""Frames of each clip."""
COUNT = 150
HOUR, TIMES = "people_onebyone_768x432", 26
"""139 seconds, so often, are an hour."""

Scores = np.ndarray[Any, Any]


def rows() -> Iterator[Row]:
    """Measure, where the clips and the model are."""
    folder = shared()
    if not folder:
        return
    classifier = Classifier(manifest(folder), folder / MODEL)
    want = classifier.manifest.input
    exact, noisy, sent = [], [], []
    size = 0
    noise = np.random.default_rng(1)
    for name in CLIPS:
        path = str(folder / "media" / f"{name}.mp4")
        with Film(path) as film:
            for picture in even_frames(path, EACH):
                found = film.at(Fraction(picture.seconds or 0).limit_denominator(1000) + Fraction(1, 1000))
                assert found is not None
                samples = _rgb(found[1])
                exact.append(classifier.scores(tensor(Image.fromarray(samples), want)))
                level = np.clip(samples + noise.integers(-1, 2, samples.shape), 0, 255).astype(np.uint8)
                noisy.append(classifier.scores(tensor(Image.fromarray(level), want)))
                sent.append(classifier.scores(tensor(read(picture.data, wanted=least_size(want)), want)))
                size += len(picture.data)
    yield Row("a frame as it is sent, mean size", f"{size / len(sent) / 1000:.0f}", size / len(sent) / 1000, unit=" kB")
    for what, scores in (("as a frame is sent", sent), ("by noise of one level", noisy)):
        yield from _compared(what, exact, scores)
    yield _hour(folder)


def _compared(what: str, exact: list[Scores], scores: list[Scores]) -> Iterator[Row]:
    changes = [float(np.abs(one - other).max()) for one, other in zip(exact, scores, strict=True)]
    middle, high = np.percentile(changes, (50, 95))
    yield Row(
        f"largest change of a score {what}, median (95th percentile)", f"{middle:.3f} ({high:.3f})", float(middle)
    )
    sure = [(one, other) for one, other in zip(exact, scores, strict=True) if one.max() >= 0.5]
    for name, pairs in (
        ("all frames", list(zip(exact, scores, strict=True))),
        ("those with a score from 0.5 on", sure),
    ):
        same = sum(int(one.argmax() == other.argmax()) for one, other in pairs)
        text = f"{same} of {len(pairs)}"
        yield Row(f"the same label first {what}, of {name}", text, same / max(1, len(pairs)))


def _rgb(frame: av.VideoFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A frame of BT.601 in limited range as RGB, computed in floating point: swscale's shortcuts are a level off."""
    planes = []
    for plane in frame.reformat(format="yuv420p").planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        image = Image.fromarray(rows.astype(np.float32))
        planes.append(np.asarray(image.resize((frame.width, frame.height), Image.Resampling.BILINEAR)))
    y, u, v = (planes[0] - 16) * 255 / 219, (planes[1] - 128) * 255 / 224, (planes[2] - 128) * 255 / 224
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _hour(folder: Path) -> Row:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "hour.mp4")
        frames = _repeated(folder / "media" / f"{HOUR}.mp4", path)
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            assert sum(bool(picture.data) for picture in even_frames(str(path), COUNT)) == COUNT
            taken.append(time.perf_counter() - began)
        with Film(str(path)) as film:
            for number in range(COUNT):
                film.at(film.seconds * (2 * number + 1) / (2 * COUNT))
    seconds = sorted(taken)[1]
    what = f"{COUNT} frames of an hour, as JPEG ({film.decoded:,} of its {frames:,} frames decoded), wall time"
    return Row(what, f"{seconds:.1f}", seconds, unit=" s")


def _repeated(source: Path, target: Path) -> int:
    """The same film so many times over, without encoding it anew; how many frames it then has."""
    count = 0
    with av.open(str(target), "w") as out:
        stream = None
        shift = 0
        for _ in range(TIMES):
            with av.open(str(source)) as film:
                video = film.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                for packet in film.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    out.mux(packet)
                    count += 1
                shift += video.duration or 0
    return count
