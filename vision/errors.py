"""What can go wrong in looking at images, and whose fault it is.

VisionError
├── BadPicture           the caller's picture
│   ├── NotAPicture      no JPEG, PNG or WebP
│   ├── DamagedPicture   one that ends early or is broken
│   └── LargePicture     more pixels than are decoded
├── BadManifest          the description of a model breaks a rule
├── BadModel             a model that cannot be loaded, or is not what its manifest says
├── LibraryError         the folder of models on this machine: what was asked for is not there, or is there already
├── DownloadError        a public model could not be fetched
└── StoreError           the bucket: nothing of the name, something else of the name, or it refuses
"""

from __future__ import annotations

__all__ = [
    "BadManifest",
    "BadModel",
    "BadPicture",
    "DamagedPicture",
    "DownloadError",
    "LargePicture",
    "LibraryError",
    "NotAPicture",
    "StoreError",
    "VisionError",
]


class VisionError(Exception):
    """Base of every error that this package raises; its text is one line that says what to do."""


class BadPicture(VisionError):
    """The picture cannot be looked at. The text is fit for whoever sent it."""


class NotAPicture(BadPicture):
    """The bytes are no picture of a kind that is read here."""


class DamagedPicture(BadPicture):
    """The picture ends early, or is broken."""


class LargePicture(BadPicture):
    """The picture has more pixels than are decoded."""


class BadManifest(VisionError):
    """The description of a model breaks a rule."""


class BadModel(VisionError):
    """The model cannot be loaded, or is not what its manifest says."""


class LibraryError(VisionError):
    """The library has no such model, or has another one under this name and version."""


class DownloadError(VisionError):
    """The server did not answer, or what it sent is something else."""


class StoreError(VisionError):
    """The bucket has no such model, has another one under this name and version, or refuses."""
