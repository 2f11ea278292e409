"""A classifier at work: onnxruntime with the settings its manifest gives, from a picture to labels with scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from vision.errors import BadModel
from vision.manifest import Manifest, Output

__all__ = ["Classifier", "Score", "open_session"]

_ERRORS_ONLY = 3


class Score(msgspec.Struct, frozen=True):
    """A label and its probability."""

    label: str
    score: float


def open_session(path: Path, settings: dict[str, str], threads: int = 1) -> onnxruntime.InferenceSession:
    """Load an ONNX file; raises BadModel when onnxruntime cannot."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    for key, value in settings.items():
        options.add_session_config_entry(key, value)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise BadModel(f"onnxruntime cannot load {path.name}: {str(error).splitlines()[0]:.300}") from error


class Classifier:
    """A loaded model. It may be used by several threads at once."""

    def __init__(self, manifest: Manifest, path: Path, threads: int = 1) -> None:
        """Load `path` and try it on an empty picture; raises BadModel if it is not what the manifest says."""
        self.manifest = manifest
        self._session = open_session(path, manifest.session, threads)
        for what, names, given in (
            ("input", [manifest.input.name], self._session.get_inputs()),
            ("output", [output.name for output in manifest.outputs], self._session.get_outputs()),
        ):
            here = [each.name for each in given]
            if missing := [name for name in names if name not in here]:
                raise BadModel(f"{manifest} has no {what} {missing[0]!r}; it has {', '.join(here)}")
        want = manifest.input
        shape = (want.height, want.width, len(want.mean))
        if want.layout == "NCHW":
            shape = (shape[2], *shape[:2])
        self.scores(np.zeros((1, *shape), want.type))

    def scores(self, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The probability of each label, float32, for a batch of one; raises BadModel if that is not what comes."""
        output = self.manifest.outputs[0]
        try:
            (given,) = self._session.run([output.name], {self.manifest.input.name: tensor})
        except Exception as error:
            raise BadModel(f"{self.manifest} does not run: {str(error).splitlines()[0]:.300}") from error
        scores = _probabilities(np.asarray(given, np.float32).reshape(-1), output)
        if scores.size != len(self.manifest.labels):
            raise BadModel(f"{self.manifest} gives {scores.size} scores for {len(self.manifest.labels)} labels")
        if not np.isfinite(scores).all():
            raise BadModel(f"{self.manifest} gives scores that are no numbers")
        return scores

    def top(self, tensor: np.ndarray[Any, Any], count: int) -> list[Score]:
        """The `count` most probable labels, the most probable first."""
        scores = self.scores(tensor)
        best = np.argsort(-scores, kind="stable")[:count]
        return [Score(self.manifest.labels[index], round(float(scores[index]), 6)) for index in best]


def _probabilities(values: np.ndarray[Any, Any], output: Output) -> np.ndarray[Any, Any]:
    if output.kind != "logits" or not values.size:
        return values
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())
