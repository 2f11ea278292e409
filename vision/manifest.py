"""A model's manifest: all that is needed to run it, besides the file itself.

It travels as JSON and comes from outside, so every field has a bound, and unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from vision.errors import BadManifest

__all__ = ["LARGEST_MANIFEST", "LARGEST_MODEL", "TASKS", "Input", "Manifest", "Output", "Task", "encode", "parse"]

LARGEST_MANIFEST = 4 << 20  # bytes
LARGEST_MODEL = 2 << 30  # bytes

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
Version = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,30}[a-z0-9])?$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$")]
Tensor = Annotated[str, Meta(min_length=1, max_length=200)]
Pixels = Annotated[int, Meta(ge=0, le=4096)]
Channel = Annotated[float, Meta(ge=-1e6, le=1e6)]
Label = Annotated[str, Meta(max_length=200)]
Setting = Annotated[str, Meta(pattern=r"^(session|optimization|mlas)\.[a-z0-9_.]{1,80}$")]
Task = Literal["classify", "detect", "embed", "upscale"]
TASKS: tuple[Task, ...] = get_args(Task)


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tensor a model wants: samples of 0..255, of which `mean` is taken, then multiplied by `scale`, by channel."""

    name: Tensor
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    width: Pixels = 0  # 0: whatever the picture has
    height: Pixels = 0
    colours: Literal["RGB", "BGR", "Y"] = "RGB"
    type: Literal["float32", "uint8"] = "float32"
    mean: Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=3)] = (0.0, 0.0, 0.0)
    scale: Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=3)] = (1.0, 1.0, 1.0)
    fit: Literal["crop", "stretch"] = "crop"  # how a picture of other proportions is made to fit
    keep: Annotated[float, Meta(gt=0, le=1)] = 0.875  # of the shorter side, when cropped around the centre


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor a model gives; logits become probabilities by softmax."""

    name: Tensor
    kind: Literal["probabilities", "logits", "raw"] = "raw"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of one version. A name and version never mean another file, so a change wants a new version."""

    name: Name
    version: Version
    task: Task = "classify"
    file: FileName
    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=LARGEST_MODEL)]
    licence: Annotated[str, Meta(min_length=1, max_length=100)]
    source: Annotated[str, Meta(max_length=500)] = ""
    input: Input
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=32)]
    labels: Annotated[tuple[Label, ...], Meta(max_length=100_000)] = ()
    session: Annotated[dict[Setting, Annotated[str, Meta(max_length=100)]], Meta(max_length=16)] = {}

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def __post_init__(self) -> None:
        channels = 1 if self.input.colours == "Y" else 3
        if len(self.input.mean) != channels or len(self.input.scale) != channels:
            raise ValueError(f"{self.input.colours} has {channels} channels: give as many of mean and scale")
        if self.task == "classify":
            if not self.labels:
                raise ValueError("a classifier has labels, one for each score")
            if not (self.input.width and self.input.height):
                raise ValueError("a classifier's input has a width and a height")
            if self.outputs[0].kind == "raw":
                raise ValueError("a classifier's first output is of kind probabilities or logits")


_DECODER = msgspec.json.Decoder(Manifest)


def parse(data: bytes) -> Manifest:
    """Read a manifest from JSON. Raises BadManifest, which names the field and the rule."""
    if len(data) > LARGEST_MANIFEST:
        raise BadManifest(f"a manifest of {len(data):,} bytes; at most {LARGEST_MANIFEST:,} are read")
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"this is no manifest of a model: {error}") from error


def encode(manifest: Manifest) -> bytes:
    """A manifest as JSON, the same bytes for the same manifest."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)
