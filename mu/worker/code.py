"""The modules that a job takes along, in a worker's process: found after all others, and gone when the job is over."""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Self

from mu import programs
from mu.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mu.code import Module

__all__ = ["JobCode", "lacking"]

_FOLDER = "/job/"
"""Where the modules seem to be, in tracebacks. There is no such folder."""


class JobCode:
    """The code of a job while one of its workers is in this process; a context. `address` is that of an invitation.

    An environment of Lambda has worker after worker in one process: what the last one's job brought must be gone.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._finder: _Finder | None = None

    def __enter__(self) -> Self:
        if self._address:
            self._before = sys.path[:], dict(os.environ), os.getcwd()
        return self

    def __exit__(self, *_: object) -> None:
        if self._finder is not None:
            self._finder.forget()
            sys.path[:], variables, folder = self._before
            for name in os.environ.keys() - variables.keys():
                del os.environ[name]
            os.environ.update(variables)
            os.chdir(folder)

    def use(self) -> None:
        """Have the modules where programs are looked for; they are fetched the first time.

        Raises JobError for code that is not what the coordinator said, or would take the place of what workers have;
        BackendError if it cannot be fetched.
        """
        if not self._address or self._finder is not None:
            return
        from mu.code import LARGEST_CODE, decode_code  # here and below, for a job that has some
        from mu.store import open_store

        folder, _, digest = self._address.rpartition("/")
        modules = decode_code(open_store(folder).read(digest, LARGEST_CODE), digest)
        importlib.invalidate_caches()
        for top in sorted({name.partition(".")[0] for name in modules}):
            if top in sys.modules or importlib.util.find_spec(top) is not None:
                raise JobError(
                    f"the job takes a module {top} along, and workers have another one of this name: rename it"
                )
        self._finder = _Finder(modules)
        sys.meta_path.append(self._finder)


def lacking() -> str:
    """What to say of a module that is not there, if a job brought its own code."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return ""
    from importlib.metadata import distributions

    have = {f"{found.name} {found.version}" for found in distributions()}
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"workers have Python {version}, fastslow, {', '.join(sorted(have, key=str.lower))}, and the "
        "modules that the job takes along; of other packages those would have to be a part, as source"
    )


class _Finder:
    """Finds modules among those of a job, and loads them: a finder and a loader as importlib has them."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name not in self._modules:
            return None
        package = self._modules[name].package
        file = self.get_filename(name)
        inside = [os.path.dirname(file)] if package else None
        return spec_from_file_location(name, file, loader=self, submodule_search_locations=inside)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """See importlib.abc.Loader."""

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> CodeType:
        """See importlib.abc.InspectLoader."""
        return compile(self.get_source(name), self.get_filename(name), "exec", dont_inherit=True)

    def get_source(self, name: str) -> str:
        """See importlib.abc.InspectLoader: for tracebacks."""
        return self._modules[name].source

    def is_package(self, name: str) -> bool:
        """See importlib.abc.InspectLoader."""
        return self._modules[name].package

    def get_filename(self, name: str) -> str:
        """See importlib.abc.ExecutionLoader."""
        return f"{_FOLDER}{name.replace('.', '/')}{'/__init__' if self._modules[name].package else ''}.py"

    def forget(self) -> None:
        """Have no module of these anywhere."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in self._modules:
            sys.modules.pop(name, None)
            linecache.cache.pop(self.get_filename(name), None)
        programs.forget()
