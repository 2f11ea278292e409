"""What the classifier does with a request, and with a call that only wants it warm."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from functions import environment
from functions.answers import Problem
from functions.classify.request import Request
from functions.current import Current
from functions.errors import CacheFull, FunctionError, NotThere
from functions.telemetry import tell
from vision.classifier import Classifier
from vision.errors import BadPicture, DamagedPicture, LargePicture, NotAPicture, VisionError
from vision.picture import least_size, read, tensor

__all__ = ["classify", "current", "warm"]

_LONGEST_HOLD_MS = 10_000
_PROBLEMS: tuple[tuple[type[BadPicture], int, str], ...] = (
    (NotAPicture, 422, "not_an_image"),
    (DamagedPicture, 422, "damaged_image"),
    (LargePicture, 413, "too_many_pixels"),
)
_RETRY = {"Retry-After": "5"}
_models: list[Current] = []


def current() -> Current:
    """The model that runs here; made at the first call, since a snapshot must not hold it."""
    if not _models:
        cores = environment.cores()
        _models.append(
            Current(
                "classify",
                environment.models(),
                environment.tmp(),
                lambda manifest, path: Classifier(manifest, path, cores),
                told=lambda error: tell("classify", {"SwitchFailed": 1}, error=f"{type(error).__name__}: {error}"),
            )
        )
    return _models[0]


def _model() -> Classifier:
    try:
        return current().get()
    except (FunctionError, VisionError, OSError) as error:
        tell("classify", {"NoModel": 1}, error=f"{type(error).__name__}: {error}")
        if isinstance(error, NotThere):
            message = "no model is published yet; try again once one is"
        elif isinstance(error, CacheFull):
            message = "the model does not fit here; its owner has to give the function more room"
        else:
            message = "the model cannot be had just now; try again"
        raise Problem(503, "no_model", message, _RETRY) from error


def classify(request: Request, cold: bool) -> dict[str, Any]:
    """Look at the picture; the body of the answer. Raises Problem."""
    began = time.perf_counter()
    model = _model()
    manifest = model.manifest
    if request.model not in ("", manifest.name, f"{manifest.name}@{manifest.version}"):
        here = f"{manifest.name}@{manifest.version}"
        raise Problem(
            404, "unknown_model", f"this model does not run here; ask for {here}, which does, or leave out `model`"
        )
    ready = time.perf_counter()
    try:
        picture = read(request.image, wanted=least_size(manifest.input))
    except BadPicture as error:
        status, code = next((status, code) for kind, status, code in _PROBLEMS if isinstance(error, kind))
        raise Problem(status, code, str(error)) from error
    decoded = time.perf_counter()
    samples = tensor(picture, manifest.input)
    prepared = time.perf_counter()
    labels = model.top(samples, request.top)
    done = time.perf_counter()
    steps = {
        "model": ready - began,
        "decode": decoded - ready,
        "prepare": prepared - decoded,
        "classify": done - prepared,
    }
    return {
        "labels": labels,
        "model": {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256},
        "timing_ms": {name: round(1000 * seconds, 3) for name, seconds in {**steps, "total": done - began}.items()},
        "cold": cold,
    }


def warm(call: object, cold: bool) -> dict[str, Any]:
    """Get the model ready and stay busy for `hold_ms`, so that calls at once meet different environments."""
    began = time.perf_counter()
    told: dict[str, Any] = {"environment": environment.name(), "cold": cold, "model": ""}
    with suppress(NotThere):  # nothing is published yet, and that is no fault of whoever warms
        told["model"] = str(current().refresh().manifest)
    hold = call.get("hold_ms", 0) if isinstance(call, dict) else 0
    left = min(hold, _LONGEST_HOLD_MS) / 1000 - (time.perf_counter() - began) if isinstance(hold, int | float) else 0
    time.sleep(max(0.0, left))
    return told
