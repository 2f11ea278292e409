"""A model of the library in this process: the same pictures, answered as the deployed function would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.classify.answers import Answer, Label, Model, Picture, Rejected
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from vision.library import Library
    from vision.manifest import Manifest

__all__ = ["Here", "choose"]


class Here:
    """Classifies by a model's file; each of the threads that ask uses one processor. Raises BadModel."""

    def __init__(self, manifest: Manifest, path: Path, *, top: int = 5) -> None:
        from vision.classifier import Classifier

        self._classifier = Classifier(manifest, path, threads=1)
        self._top = top
        self._model = Model(manifest.name, manifest.version, manifest.sha256)

    def __call__(self, picture: Picture) -> Answer:
        """Look at a picture; raises Rejected if it is none."""
        from vision.errors import BadPicture
        from vision.picture import least_size, read, tensor

        want = self._classifier.manifest.input
        try:
            samples = tensor(read(picture.data, wanted=least_size(want)), want)
        except BadPicture as error:
            raise Rejected(str(error)) from error
        labels = tuple(Label(each.label, each.score) for each in self._classifier.top(samples, self._top))
        return Answer(labels, self._model)


def choose(library: Library, model: str = "") -> tuple[Manifest, Path]:
    """The classifier of a library that `model` (NAME or NAME@VERSION) names, or the only one there is.

    Raises SettingsError, which lists those that are there.
    """
    name, _, version = model.partition("@")
    found = [(m, p) for m, p in library.all() if m.task == "classify"]
    fitting = [(m, p) for m, p in found if name in ("", m.name) and version in ("", m.version)]
    if len(fitting) == 1:
        return fitting[0]
    here = ", ".join(f"{manifest.name}@{manifest.version}" for manifest, _ in found)
    if not found:
        raise SettingsError(
            f"no classifier in {library.folder}; `fastslow models fetch mobilenet-v2-opencv` or `models add` brings "
            "one, --api asks a deployed one, --local that of `fastslow local up`"
        )
    if not fitting:
        raise SettingsError(f"no classifier {model} in {library.folder}, where there is {here}")
    raise SettingsError(f"several classifiers are in {library.folder}: say which by --model: {here}")
