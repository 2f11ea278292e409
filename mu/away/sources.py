"""What of a program's source is its own: the modules that workers elsewhere do not have.

A program's module goes along whole, with its package if it is in one, and so does what it imports, as far as that is
neither Python's, nor fastslow's, nor an installed package.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, find_spec
from pathlib import Path

from mu.code import LARGEST_CODE, Module
from mu.errors import JobError
from mu.job import Job
from mu.programs import MAIN, main_script

__all__ = ["DEPLOYED", "modules_of", "sources_of"]

DEPLOYED = ("codec", "functions", "mu", "pages", "pipelines", "vision")
"""The packages of fastslow that workers have."""
_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def modules_of(job: Job) -> set[str]:
    """The modules that a job's programs are in."""
    programs = {program for task in job.tasks for program in (task.program, *task.adds)}
    return {program.partition(":")[0] for program in programs}


def sources_of(modules: Iterable[str]) -> dict[str, Module]:
    """The source of these modules and of all of their own that they import, by name; `__main__` is this script.

    Raises JobError for one that cannot be found or has no source, has the name of another one that workers have, or is
    too large.
    """
    found: dict[str, Module] = {}
    size = 0
    wanted = {name.partition(".")[0] for name in modules}
    waiting, seen = sorted(wanted), set(wanted)
    while waiting:
        top = waiting.pop()
        for name, path, package in _files(top, asked=top in wanted):
            found[name] = module = Module(_source(path) if path else "", package)
            size += len(module.source)
            if size > LARGEST_CODE:
                raise JobError(
                    f"{top} is too large to be taken along to workers, with its package and what it imports: at "
                    f"most {LARGEST_CODE:,} bytes of source; move the programs into a package of their own"
                )
            fresh = _imported(module.source) - seen
            waiting += sorted(fresh)
            seen |= fresh
    return found


def _files(top: str, *, asked: bool) -> Iterator[tuple[str, Path | None, bool]]:
    """Name, file and whether it is a package, of all modules of a top-level one if it is to be taken along."""
    if top == "__main__":
        script = main_script()
        if script is None:
            raise JobError("workers cannot find what was typed in: write it in a module")
        yield MAIN, Path(script), False
        return
    spec = _spec(top)
    if spec is None:
        if asked and top not in DEPLOYED:
            raise JobError(f"there is no module {top} on this machine (sys.path), to be taken along to workers")
        return
    folders = [Path(each).resolve() for each in spec.submodule_search_locations or ()]
    place = Path(spec.origin).resolve() if spec.has_location and spec.origin else folders[0] if folders else None
    if place is None or _is_pythons(place):
        return  # Python's own
    if top in DEPLOYED and place.is_relative_to(_ROOT / top):
        return
    if top in DEPLOYED or top in sys.stdlib_module_names:
        raise JobError(f"the module {top} of {place} has the name of another one that workers have: rename it")
    if _is_installed(place) and not asked:
        return
    if folders:
        for folder in folders:
            yield from _package(top, folder)
    elif place.suffix == ".py":
        yield top, place, False
    elif asked:
        raise JobError(f"{top} is {place}, which is no Python source that workers could take along")


def _package(name: str, folder: Path, above: tuple[Path, ...] = ()) -> Iterator[tuple[str, Path | None, bool]]:
    """The modules of a package, those of its packages included; its folder's own one first.

    A link that leads back to a folder `above` is not followed.
    """
    init = folder / "__init__.py"
    inside: list[tuple[str, Path | None, bool]] = []
    try:
        place, paths = folder.resolve(), sorted(folder.iterdir())
    except OSError as error:
        raise JobError(f"{folder} cannot be taken along to workers: {error}") from error
    if place in above:
        return
    for path in paths:
        if path.is_dir() and path.name.isidentifier() and path.name != "__pycache__":
            inside += _package(f"{name}.{path.name}", path, (*above, place))
        elif path.suffix == ".py" and path.stem.isidentifier() and path != init:
            inside.append((f"{name}.{path.stem}", path, False))
    if inside or init.exists():
        yield name, init if init.exists() else None, True
        yield from inside


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except (ImportError, ValueError):  # it is there, and says not from where
        return None


def _is_installed(place: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(place.parts)


def _is_pythons(place: Path) -> bool:
    return not _is_installed(place) and any(place.is_relative_to(each) for each in _PYTHON)


def _source(path: Path) -> str:
    try:
        return decode_source(path.read_bytes())
    except (OSError, SyntaxError, UnicodeError) as error:
        raise JobError(f"{path} cannot be taken along to workers: {error}") from error


def _imported(source: str) -> set[str]:
    """The top-level modules that a source imports, wherever in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()  # for another Python, or a template; whoever imports it hears of it
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names
