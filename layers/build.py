"""`python -m layers.build [--arch arm64|x86_64] [--only NAME] [--table]`: make the packages of the Lambda functions.

`build` is the same as a function, for the bundling of the CDK app: it leaves NAME.zip in a folder. What was built once
lies in build/packages under the fingerprint of all that went into it, and is not built again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import deflate

from layers import archive, wheels
from layers.bytecode import compile_all, functions_python
from layers.elf import strip
from layers.errors import BadWheel, LayerError, TooLarge, Unavailable
from layers.recipes import (
    ARCHITECTURES,
    COMPILED,
    EVERYWHERE,
    FUNCTIONS,
    MIB,
    PREFIX,
    PYTHON,
    RECIPES,
    UNZIPPED_LIMIT,
    ZIPPED_LIMIT,
    Arch,
    LeftOut,
    Recipe,
)
from layers.wheels import ROOT, Pin

BUILT = ROOT / "build" / "packages"
_SHOWN = 12  # files named when a package is too large


@dataclass(frozen=True)
class Package:
    """A zip ready for Lambda, and its sizes in bytes."""

    name: str
    arch: Arch
    path: Path
    zipped: int
    unzipped: int
    files: int
    sha256: str


def build(name: str, arch: Arch, folder: Path) -> Package:
    """Make the package `name` for `arch` as folder/name.zip.

    Raises TooLarge when the zip is over a limit of Lambda, Unavailable when a wheel or the codec cannot be had,
    BadWheel when a wheel is not the one that the lock names.
    """
    recipe = RECIPES[name]
    compiled = compiled_codec(arch) if "codec" in recipe.project else {}
    lock = wheels.read_lock(arch)
    pins = [lock[wheel] for wheel in recipe.wheels]
    project = project_files(recipe) | compiled
    python = functions_python() if recipe.bytecode else None
    if recipe.bytecode and not python:
        sys.stderr.write(f"layers: no CPython {PYTHON} is here (FASTSLOW_PYTHON), so {name!r} is without bytecode\n")
    kept = BUILT / arch / f"{name}-{_fingerprint(recipe, pins, project, python)}.zip"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = wheels.find(pins, arch, ROOT / "build" / "wheels" / arch)
        files = tree(recipe, [wheels.contents(path) for path in found], project)
        archive.write(kept, files | (compile_all(_interpreted(recipe, files), python) if python else {}))
    package = _measured(name, arch, kept)
    path = folder / f"{name}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, path)
    return Package(name, arch, path, package.zipped, package.unzipped, package.files, package.sha256)


def tree(recipe: Recipe, unpacked: Iterable[Mapping[str, bytes]], project: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the package holds: wheels and project without what is left out, libraries stripped, under the prefix."""
    left_out = EVERYWHERE + recipe.left_out
    files: dict[str, bytes] = {}
    for wheel in unpacked:
        compiled = {name.partition(".")[0] for name in wheel if name.endswith(".so")}
        files.update(
            {
                name: data
                for name, data in wheel.items()
                # Cython's sources lie beside what was made of them, and Python never reads them.
                if not _is_left_out(name, left_out) and name.removesuffix(".py") not in compiled
            }
        )
    files.update({name: data for name, data in project.items() if not _is_left_out(name, recipe.left_out)})
    trimmed = {}
    for name, data in files.items():
        try:
            trimmed[PREFIX + name] = strip(data) if ".so" in Path(name).suffixes else data
        except ValueError as error:
            raise BadWheel(f"{name} is a damaged library: {error}") from error
    return trimmed


def _interpreted(recipe: Recipe, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that get bytecode: not those modules of the codec that run compiled, nor folders of `sources`."""
    compiled = {Path(name).name.partition(".")[0] for name in files if "/codec/_compiled/" in name}
    without = {f"{PREFIX}codec/{name}.py" for name in compiled}
    folders = tuple(f"{PREFIX}{name}/" for name in recipe.sources)
    return {name: data for name, data in files.items() if name not in without and not name.startswith(folders)}


def _is_left_out(name: str, rules: Iterable[LeftOut]) -> bool:
    return any(fnmatchcase(name, rule.pattern) for rule in rules)


def project_files(recipe: Recipe, root: Path = ROOT) -> dict[str, bytes]:
    """The project's own Python that a recipe names, and what its pages are made of.

    Raises LayerError when a folder is not there.
    """
    files = {}
    for folder in recipe.project:
        if not (root / folder).is_dir():
            raise LayerError(f"the recipe of {recipe.name!r} names {folder}/, which is not there")
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".js", ".css") and "_compiled" not in path.parts:
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    return files


def compiled_codec(arch: Arch) -> dict[str, bytes]:
    """The libraries of the codec for `arch`, compiled now if they are not up to date. Raises Unavailable."""
    targets = [option for name in COMPILED[arch] for option in ("--target", name)]
    command = [sys.executable, str(ROOT / "codec" / "build.py"), *targets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the codec could not be compiled for {arch}:\n{done.stderr.strip()}")
    found = [path for name in COMPILED[arch] for path in (ROOT / "codec" / "_compiled" / name).glob("*.so")]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}


def check_zip(package: Package) -> None:
    """Raise TooLarge, with the largest files, if the zip is over what Lambda takes."""
    for what, size, limit in (
        ("zipped", package.zipped, ZIPPED_LIMIT),
        ("unzipped", package.unzipped, UNZIPPED_LIMIT),
    ):
        if size > limit:
            raise TooLarge(_too_large(f"package {package.name!r}", [package], what, size, limit))


def check_functions(packages: Iterable[Package]) -> dict[str, int]:
    """The bytes of each function with its layers unpacked, where all of them are given; raises TooLarge."""
    given = {package.name: package for package in packages}
    sizes = {}
    for function, names in FUNCTIONS.items():
        if given.keys() >= set(names):
            parts = [given[name] for name in names]
            sizes[function] = sum(part.unzipped for part in parts)
            if sizes[function] > UNZIPPED_LIMIT:
                raise TooLarge(_too_large(f"function {function!r}", parts, "unzipped", sizes[function], UNZIPPED_LIMIT))
    return sizes


def _too_large(whose: str, packages: Iterable[Package], what: str, size: int, limit: int) -> str:
    files = [
        (entry.file_size, entry.compress_size, entry.filename)
        for package in packages
        for entry in zipfile.ZipFile(package.path).infolist()
    ]
    lines = [f"  {raw:>12,}  {small:>12,}  {name}" for raw, small, name in sorted(files, reverse=True)[:_SHOWN]]
    return (
        f"{whose} is {size / MIB:.1f} MiB {what}, Lambda takes {limit / MIB:.0f} MiB; leave more out in "
        f"layers/recipes.py. The largest files (bytes, zipped):\n" + "\n".join(lines)
    )


def _measured(name: str, arch: Arch, path: Path) -> Package:
    with zipfile.ZipFile(path) as zipped:
        sizes = [entry.file_size for entry in zipped.infolist()]
    package = Package(name, arch, path, path.stat().st_size, sum(sizes), len(sizes), wheels.digest(path))
    check_zip(package)
    return package


def _fingerprint(recipe: Recipe, pins: Iterable[Pin], project: Mapping[str, bytes], python: str | None) -> str:
    """Of all that the bytes of a package depend on."""
    told = [repr(recipe), repr(EVERYWHERE), str(bool(python)), deflate.__version__, *map(str, pins)]
    told += [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(__file__).parent.glob("*.py"))]
    told += [f"{name} {hashlib.sha256(project[name]).hexdigest()}" for name in sorted(project)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def table(packages: Iterable[Package]) -> str:
    """The sizes as a table in Markdown, in MB of a million bytes."""
    packages = list(packages)
    lines = ["| package | arch | files | unzipped MB | zipped MB |", "|---|---|---|---|---|"]
    lines += [f"| {p.name} | {p.arch} | {p.files} | {p.unzipped / 1e6:.1f} | {p.zipped / 1e6:.1f} |" for p in packages]
    for arch in ARCHITECTURES:
        for name, size in check_functions(p for p in packages if p.arch == arch).items():
            lines.append(f"| function {name}: {', '.join(FUNCTIONS[name])} | {arch} | | {size / 1e6:.1f} | |")
    return "\n".join(lines)


def main() -> None:
    """Build what the command line asks for; prints paths, or the table."""
    parser = argparse.ArgumentParser(prog="python -m layers.build", description="Make the packages of the functions.")
    parser.add_argument("--arch", choices=(*ARCHITECTURES, "both"), default="arm64")
    parser.add_argument("--only", action="append", choices=RECIPES, metavar="NAME", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--output", type=Path, help="folder (default: dist/packages/ARCH)")
    parser.add_argument("--table", action="store_true", help="print the table of docs/packages.md instead of paths")
    args = parser.parse_args()
    made: list[Package] = []
    try:
        for arch in ARCHITECTURES if args.arch == "both" else (args.arch,):
            folder = args.output or ROOT / "dist" / "packages" / arch
            here = [build(name, arch, folder) for name in args.only or RECIPES]
            check_functions(here)
            made += here
    except LayerError as error:
        sys.exit(f"layers.build: {error}")
    for package in made:
        if not args.table:
            path = os.path.relpath(package.path)
            print(f"{path}  {package.zipped / 1e6:.1f} MB, unzipped {package.unzipped / 1e6:.1f}  {package.sha256}")
    if args.table:
        print(table(made))


if __name__ == "__main__":
    main()
