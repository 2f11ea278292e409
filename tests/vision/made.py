"""Manifests and pictures that tests of several layers need."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image

from tests.vision.onnx import averages
from vision.manifest import Input, Manifest, Output

# Dark pictures are "night" and bright ones "day": samples become -1..1, and the sign of the mean decides.
MODEL = averages(8, [-4.0, 4.0])


def manifest(data: bytes = MODEL, **changes: Any) -> Manifest:
    """The manifest of a small classifier."""
    fields: dict[str, Any] = {
        "name": "day-night",
        "version": "1",
        "file": "model.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "licence": "Apache-2.0",
        "input": Input(name="input", width=8, height=8, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3),
        "outputs": (Output(name="prob", kind="probabilities"),),
        "labels": ("night", "day"),
    }
    return Manifest(**{**fields, **changes})


def picture(grey: int = 230, size: tuple[int, int] = (64, 48), kind: str = "JPEG", **options: Any) -> bytes:
    """A picture of one grey with a little texture."""
    samples = np.full((size[1], size[0], 3), grey, np.uint8)
    samples[::7, ::5] //= 2
    file = io.BytesIO()
    Image.fromarray(samples).save(file, kind, **options)
    return file.getvalue()
