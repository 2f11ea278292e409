"""Public models that `fastslow models fetch` knows: where they are, their hashes, and what they want of a picture.

All come from the OpenCV model zoo (github.com/opencv/opencv_zoo), which describes each in its folder. Names of tensors
are read from the file when it has come. The zoo has no file of ImageNet's classes, so their names come from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from vision.manifest import Task

__all__ = ["BASE", "IMAGENET", "KNOWN", "PublicLabels", "PublicModel"]

BASE = "https://github.com/opencv/opencv_zoo/raw/main"


@dataclass(frozen=True)
class PublicLabels:
    """Names of classes in public, one a line."""

    base: str
    path: str
    sha256: str
    bytes: int


IMAGENET = PublicLabels(
    "https://github.com/pytorch/hub/raw/3658dec5a4542903230047c6a7b9e8d5a0cf996c",
    "imagenet_classes.txt",
    "1f386e0d1cb6e28b9c2dac651c3dea6801e98ad1b41a14ce6bb1a093d72069f5",
    10_472,
)


@dataclass(frozen=True)
class PublicModel:
    """A model in public: `path` below the zoo's address, and what its manifest will say."""

    name: str
    version: str
    task: Task
    path: str
    sha256: str
    bytes: int
    licence: str
    about: str
    size: tuple[int, int] = (0, 0)  # width, height; 0: any
    colours: str = "BGR"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    classes: int = 0
    labels: PublicLabels | None = None  # None: classes are numbers


# ImageNet's usual mean and deviation, of samples 0..255.
_MEAN = (123.675, 116.28, 103.53)
_SCALE = (1 / 58.395, 1 / 57.12, 1 / 57.375)

KNOWN = {
    model.name: model
    for model in (
        PublicModel(
            "mobilenet-v2-opencv",
            "2022apr",
            "classify",
            "models/image_classification_mobilenet/image_classification_mobilenetv2_2022apr.onnx",
            "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
            13_964_571,
            "Apache-2.0",
            "1,000 classes of ImageNet",
            size=(224, 224),
            colours="RGB",
            mean=_MEAN,
            scale=_SCALE,
            classes=1000,
            labels=IMAGENET,
        ),
        PublicModel(
            "yunet-opencv",
            "2023mar",
            "detect",
            "models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            232_589,
            "MIT",
            "finds faces",
        ),
        PublicModel(
            "sface-opencv",
            "2021dec",
            "embed",
            "models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
            "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            38_696_353,
            "Apache-2.0",
            "128 numbers that tell faces apart; wants them aligned",
            size=(112, 112),
        ),
        PublicModel(
            "yolox-opencv",
            "2022nov",
            "detect",
            "models/object_detection_yolox/object_detection_yolox_2022nov.onnx",
            "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
            35_858_002,
            "Apache-2.0",
            "finds 80 kinds of things",
            size=(640, 640),
            colours="RGB",
            classes=80,
        ),
    )
}
