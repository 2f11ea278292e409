"""Programs by name: `package.module:function`, found when they are needed and called with plain data.

A program is a function of a module, called with a context and its task's argument. The argument is decoded as the
type that the function's second parameter is annotated with (anything that msgspec knows: numbers, text, dataclasses,
structs); without an annotation it comes as plain lists, dicts, numbers, text and bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from mu.errors import JobError

if TYPE_CHECKING:
    from types import ModuleType

    from mu.context import Context

__all__ = ["MAIN", "argument_of", "call", "forget", "load", "loading", "main_is", "main_script", "name_of"]

MAIN = "__mu_main__"
"""The name under which workers load the script whose functions are those of `__main__`."""
_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


def call(program: str, context: Context, argument: msgspec.Raw) -> None:
    """Run a program. Raises JobError if it cannot be found or its argument be decoded, else what it raises."""
    load(program)(context, argument_of(program, 1, argument))


_loading = 0


def loading() -> bool:
    """Whether the module of a program is being imported."""
    return _loading > 0


@lru_cache(maxsize=256)
def load(program: str) -> Callable[..., Any]:
    """The function of this name; its module is imported. Raises JobError, or what the module raises."""
    if not _NAME.match(program):
        raise JobError(f"{program!r} is no name of a program: it is module:function")
    module_name, _, name = program.partition(":")
    global _loading
    _loading += 1
    try:
        module = _main_module() if module_name == "__main__" else importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise  # a module that the program's own one needs
        raise JobError(f"{program}: there is no module {missing} where the worker looks for it (sys.path)") from error
    finally:
        _loading -= 1
    function = getattr(module, name, None)
    if function is None:
        raise JobError(f"{program}: the module {module_name} has no {name}")
    if not callable(function) or isinstance(function, type) or getattr(function, "__qualname__", "") != name:
        raise JobError(f"{program} is no function that its module defines")
    found: Callable[..., Any] = function
    return found


def forget() -> None:
    """Look for every program anew: modules are not what they were."""
    load.cache_clear()
    _decoder.cache_clear()


def argument_of(program: str, position: int, argument: msgspec.Raw | bytes | memoryview) -> Any:
    """An argument, decoded as the type of the function's parameter at this position (from 0). Raises JobError."""
    try:
        return _decoder(program, position).decode(argument)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise JobError(f"{program}: its argument does not fit: {error}") from error


@lru_cache(maxsize=256)
def _decoder(program: str, position: int) -> msgspec.msgpack.Decoder[Any]:
    function = load(program)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # compiled, without a signature
        return msgspec.msgpack.Decoder()
    if position >= len(parameters) or parameters[position].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise JobError(f"{program} takes {len(parameters)} parameters, and needs {position + 1}")
    annotation = parameters[position].annotation
    if annotation is inspect.Parameter.empty:
        return msgspec.msgpack.Decoder()
    if isinstance(annotation, str):
        space = {**vars(sys.modules[function.__module__])}
        try:
            annotation = eval(annotation, space)  # the module's own text, which runs anyhow
        except Exception as error:  # anything may be written there
            raise JobError(
                f"{program}: the type {annotation} of {parameters[position].name} is not there at run time "
                f"({error}); import it outside `if TYPE_CHECKING`"
            ) from error
    try:
        return msgspec.msgpack.Decoder(annotation)
    except TypeError as error:
        raise JobError(f"{program}: {parameters[position].name} has a type that is no plain data: {error}") from error


def name_of(function: Callable[..., Any]) -> str:
    """The name by which workers find a function. Raises JobError for one that they cannot find."""
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if not isinstance(name, str) or not isinstance(module, str) or isinstance(function, type):
        raise JobError(f"{function!r} is no function that workers can find; write one in a module")
    if "<" in name or "." in name:
        what = "a lambda" if "<lambda>" in name else f"{name}, a function inside another or a method"
        raise JobError(f"workers cannot find {what}: write it with `def` at the top of its module")
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if spec is not None:
            module = str(spec.name)  # started by `python -m`
        elif main_script() is None:
            raise JobError(f"workers cannot find {name}, which was typed in: write it in a module")
    return f"{module}:{name}"


def main_script() -> str | None:
    """The path of the script that this process runs, if it is one."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    return os.path.abspath(path) if path and getattr(main, "__spec__", None) is None else None


_script: str | None = None


def main_is(script: str) -> None:
    """From now on the functions of `__main__` are those of this script, which is loaded when the first is needed.

    It is loaded under another name, so what is behind its `if __name__ == "__main__"` does not run.
    """
    global _script
    _script = script


def _main_module() -> ModuleType:
    if _script is None:
        try:
            return importlib.import_module(MAIN)  # the job took it along
        except ModuleNotFoundError as error:
            if error.name != MAIN:
                raise
            return sys.modules["__main__"]
    if MAIN not in sys.modules:
        spec = importlib.util.spec_from_file_location(MAIN, _script)
        if spec is None or spec.loader is None:
            raise JobError(f"{_script} is no Python script that workers can load")
        module = importlib.util.module_from_spec(spec)
        sys.modules[MAIN] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[MAIN]
            raise
    return sys.modules[MAIN]
