"""A classifier says what is in a picture, and a model that is not what its manifest says is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.vision.made import MODEL, manifest, picture
from tests.vision.onnx import averages
from vision.classifier import Classifier
from vision.errors import BadModel
from vision.library import read_labels
from vision.manifest import Input, Manifest, Output
from vision.picture import read, tensor


def load(folder: Path, data: bytes = MODEL, **changes: object) -> Classifier:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return Classifier(manifest(data, **changes), path)


@pytest.mark.parametrize(("grey", "label"), [(20, "night"), (235, "day")])
def test_it_tells_day_from_night(tmp_path: Path, grey: int, label: str) -> None:
    model = load(tmp_path)
    first, second = model.top(tensor(read(picture(grey)), model.manifest.input), 5)
    assert first.label == label
    assert first.score > 0.9 > 0.1 > second.score
    assert first.score + second.score == pytest.approx(1, abs=1e-5)


def test_logits_become_probabilities(tmp_path: Path) -> None:
    outputs = (Output(name="prob", kind="logits"),)
    model = load(tmp_path, averages(8, [-4.0, 4.0], softmax=False), outputs=outputs)
    scores = model.scores(np.full((1, 3, 8, 8), 1.0, np.float32))
    assert scores == pytest.approx([np.exp(-8) / (1 + np.exp(-8)), 1 / (1 + np.exp(-8))], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ("one", "two", "three")}, "2 scores for 3 labels"),
        ({"outputs": (Output(name="nothing", kind="logits"),)}, "no output 'nothing'; it has prob"),
        ({"input": Input(name="x", width=8, height=8)}, "no input 'x'; it has input"),
        ({"input": Input(name="input", width=9, height=8)}, "does not run"),
        ({"input": Input(name="input", width=8, height=8, type="uint8")}, "does not run"),
    ],
)
def test_a_model_that_is_not_what_its_manifest_says(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(BadModel, match=told):
        load(tmp_path, **changes)


def test_a_model_without_sense(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="no numbers"):
        load(tmp_path, averages(8, [float("inf"), 1.0]))
    with pytest.raises(BadModel, match="cannot load"):
        load(tmp_path, b"no model")


@pytest.fixture
def mobilenet(shared: Path) -> Classifier:
    path = shared / "models" / "mobilenet_v2_1.0_224_u8.onnx"
    data = path.read_bytes()
    described = Manifest(
        name="mobilenet-v2",
        version="1",
        file=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence="Apache-2.0",
        input=Input(name="input", width=224, height=224, mean=(128.0,) * 3, scale=(1 / 128,) * 3),
        outputs=(Output(name="prob", kind="probabilities"),),
        labels=read_labels(shared / "models" / "imagenet_labels.txt"),
        session={"session.disable_quant_qdq": "1"},
    )
    return Classifier(described, path)


@pytest.mark.parametrize(
    ("name", "label"),
    [("cat.jpg", "Egyptian cat"), ("hot_dog.jpg", "hotdog, hot dog, red hot"), ("parrot.jpg", "macaw")],
)
def test_real_pictures(shared: Path, mobilenet: Classifier, name: str, label: str) -> None:
    data = (shared / "media" / "images" / name).read_bytes()
    for wanted in (None, (256, 256)):
        best = mobilenet.top(tensor(read(data, wanted=wanted), mobilenet.manifest.input), 5)
        assert best[0].label == label
        assert best[0].score > 0.9
