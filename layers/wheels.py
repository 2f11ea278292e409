"""Wheels for the functions' Python and processor: fetched by pip, checked against the lock, opened."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from layers.errors import BadWheel, LayerError, Unavailable
from layers.recipes import PYTHON, UNZIPPED_LIMIT, Arch

ROOT = Path(__file__).resolve().parents[1]
LOCKS = Path(__file__).parent / "locks"
_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_GLIBC = range(17, 35)  # the functions' Amazon Linux 2023 has glibc 2.34


@dataclass(frozen=True)
class Pin:
    """A wheel, by its name, version and hash."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def read_lock(arch: Arch, folder: Path = LOCKS) -> dict[str, Pin]:
    """The wheels that `arch` is built of, by name. Raises LayerError for a line that is no pin."""
    path = folder / f"{arch}.txt"
    pins = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if not match:
                raise LayerError(f"{path.name}, line {number} is not NAME==VERSION --hash=sha256:...: {line!r}")
            pins[match["name"]] = Pin(match["name"], match["version"], match["sha256"])
    return pins


def find(pins: Sequence[Pin], arch: Arch, folder: Path) -> list[Path]:
    """The wheels of `pins`, from `folder`, where what is missing is put by pip first.

    Raises Unavailable when pip cannot get one, BadWheel when what it got is another than the lock's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if missing := [pin for pin, path in _held(pins, folder).items() if path is None]:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # others may build at the same time
            lock = Path(scratch, "wanted.txt")
            lock.write_text("".join(f"{pin}\n" for pin in missing))
            download(["--require-hashes", "--requirement", str(lock)], arch, Path(scratch))
            for path in Path(scratch).glob("*.whl"):
                path.replace(folder / path.name)
    held = _held(pins, folder)
    found = [path for path in held.values() if path is not None]
    if len(found) != len(pins):
        lost = ", ".join(f"{pin.name} {pin.version}" for pin, path in held.items() if path is None)
        raise BadWheel(f"no wheel in {folder} has the hash that layers/locks/{arch}.txt gives: {lost}")
    return found


def download(what: Sequence[str], arch: Arch, folder: Path) -> None:
    """Let pip fetch wheels for the functions' Python on `arch`, and nothing that would have to be compiled."""
    machine = _MACHINES[arch]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)] + [f"manylinux2014_{machine}"]
    platforms = [option for tag in tags for option in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms]
    done = subprocess.run([*command, "--dest", str(folder), *what], capture_output=True, text=True, check=False)
    if done.returncode:
        told = "\n".join(line for line in done.stderr.splitlines() if line.startswith("ERROR")) or done.stderr
        raise Unavailable(f"pip could not fetch wheels for {arch}:\n{told.strip()}")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _held(pins: Sequence[Pin], folder: Path) -> dict[Pin, Path | None]:
    hashes = {digest(path): path for path in sorted(folder.glob("*.whl"))}
    return {pin: hashes.get(pin.sha256) for pin in pins}


def contents(path: Path) -> dict[str, bytes]:
    """The files of a wheel by their names. Raises BadWheel for what is no wheel, or would unpack outside its folder."""
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as wheel:
            entries = [entry for entry in wheel.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > 2 * UNZIPPED_LIMIT:
                raise BadWheel(f"{path.name} would unpack to more than {2 * UNZIPPED_LIMIT:,} bytes")
            for entry in entries:
                name = PurePosixPath(entry.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
                    raise BadWheel(f"{path.name} holds a file outside its folder: {entry.filename!r}")
                files[str(name)] = wheel.read(entry)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise BadWheel(f"{path.name} cannot be read: {error}") from error
    return files
