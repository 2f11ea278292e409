"""The models on this machine: a folder of manifests and files.

<library>/<name>/<version>/manifest.json
<library>/<name>/<version>/<file>
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vision.errors import BadManifest, BadModel, LibraryError
from vision.manifest import LARGEST_MANIFEST, Manifest, encode, parse

__all__ = ["Library", "default_folder", "hash_file", "read_labels", "tensors", "try_out"]

_LARGEST_LABELS = 4 << 20  # bytes


def default_folder() -> Path:
    """$FASTSLOW_MODELS, or `fastslow/models` where the desktop's rules keep data (XDG)."""
    named = os.environ.get("FASTSLOW_MODELS")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(named) if named else Path(data) / "fastslow" / "models"


def hash_file(path: Path) -> tuple[str, int]:
    """SHA-256 and bytes of a file; raises LibraryError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """Labels, one a line; numbers that count the lines are left out. Raises BadManifest."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_LABELS + 1)
        if len(data) > _LARGEST_LABELS:
            raise BadManifest(f"{path}: more than {_LARGEST_LABELS:,} bytes of labels")
        lines = [line.strip() for line in data.decode().splitlines()]
    except OSError as error:
        raise BadManifest(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadManifest(f"{path}: labels are text in UTF-8, one a line") from error
    for first in (0, 1):
        counted = [re.fullmatch(rf"{number}[\s:,]+(.*)", line) for number, line in enumerate(lines, first)]
        if all(counted):
            return tuple(match[1] for match in counted if match)
    return tuple(lines)


def try_out(manifest: Manifest, path: Path) -> None:
    """Load the model and compare it with its manifest; raises BadModel."""
    from vision.classifier import Classifier, open_session

    if manifest.task == "classify":
        Classifier(manifest, path)
        return
    session = open_session(path, manifest.session)
    here = {each.name for each in (*session.get_inputs(), *session.get_outputs())}
    if missing := [
        name for name in (manifest.input.name, *(each.name for each in manifest.outputs)) if name not in here
    ]:
        raise BadModel(f"{manifest} has no tensor {missing[0]!r}; it has {', '.join(sorted(here))}")


class Library:
    """The models in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, manifest: Manifest, file: Path) -> Path:
        """Copy a model in, after trying it out; returns where it is. Adding the same again changes nothing.

        Raises LibraryError if another one has the name and version, BadModel if it is not what its manifest says.
        """
        if hash_file(file) != (manifest.sha256, manifest.bytes):
            raise LibraryError(f"{file} is not the file of {manifest}: its SHA-256 or size is another")
        place = self.folder / manifest.name / manifest.version
        if place.exists():
            if self.find(manifest.name, manifest.version)[0] == manifest:
                return place
            raise LibraryError(
                f"another {manifest} is in {place}, and a version never changes: give this one a new version"
            )
        try_out(manifest, file)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=place.parent, prefix="."))
        try:
            shutil.copyfile(file, beside / manifest.file)
            (beside / "manifest.json").write_bytes(encode(manifest))
            beside.chmod(0o755)
            beside.rename(place)
        except OSError as error:
            raise LibraryError(f"{place}: {error.strerror}") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return place

    def find(self, name: str, version: str | None = None) -> tuple[Manifest, Path]:
        """A model's manifest and file; without a version the only one there is. Raises LibraryError."""
        found = [(m, p) for m, p in self.all() if m.name == name and version in (None, m.version)]
        if len(found) == 1:
            return found[0]
        what = name if version is None else f"{name} {version}"
        if found:
            versions = ", ".join(manifest.version for manifest, _ in found)
            raise LibraryError(f"{name} is here in versions {versions}: say which")
        here = ", ".join(str(manifest) for manifest, _ in self.all()) or "nothing"
        raise LibraryError(
            f"no {what} in {self.folder}, where there is {here}; `fastslow models add` or `fetch` brings it"
        )

    def all(self) -> Iterator[tuple[Manifest, Path]]:
        """Every model's manifest and file, by name and version; raises BadManifest for one that was spoilt."""
        for path in sorted(self.folder.glob("[!.]*/[!.]*/manifest.json")):
            with path.open("rb") as file:
                data = file.read(LARGEST_MANIFEST + 1)
            try:
                manifest = parse(data)
            except BadManifest as error:
                raise BadManifest(f"{path}: {error}") from error
            yield manifest, path.parent / manifest.file


def tensors(path: Path) -> tuple[Sequence[str], Sequence[str]]:
    """The names of a model's inputs and outputs; raises BadModel."""
    from vision.classifier import open_session

    session = open_session(path, {})
    return [each.name for each in session.get_inputs()], [each.name for each in session.get_outputs()]
