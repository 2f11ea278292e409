"""Programs by name: what is found, what its argument becomes, and what is said of one that cannot be run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mu import argument
from mu.errors import JobError
from mu.programs import argument_of, call, load, name_of


class Stretch(msgspec.Struct, frozen=True):
    first: int
    frames: int


seen: list[object] = []


def typed(context: object, stretch: Stretch) -> None:
    seen.append(stretch)


def plain(context, value):  # type: ignore[no-untyped-def]
    seen.append(value)


def hidden_type(context: object, value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


def no_data(context: object, value: set[int] | list[int]) -> None:
    pass


def alone(context: object) -> None:
    pass


HERE = __name__
NOT_A_FUNCTION = 5
as_another = typed


@pytest.mark.parametrize(
    ("name", "value", "comes"),
    [
        ("typed", Stretch(3, 4), Stretch(3, 4)),
        ("plain", Stretch(3, 4), {"first": 3, "frames": 4}),
        ("plain", (1, b"x", None), [1, b"x", None]),
    ],
)
def test_an_argument_is_decoded_as_the_type_of_the_second_parameter(name: str, value: Any, comes: Any) -> None:
    seen.clear()
    call(f"{HERE}:{name}", None, argument(value))  # type: ignore[arg-type]
    assert seen == [comes]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("typed", "no name of a program"),
        ("os.path:join:x", "no name of a program"),
        ("no_such_package.inner:run", "no module no_such_package where"),
        (f"{HERE}:none", "has no none"),
        (f"{HERE}:NOT_A_FUNCTION", "no function that its module defines"),
        (f"{HERE}:Stretch", "no function that its module defines"),
        (f"{HERE}:as_another", "no function that its module defines"),
    ],
)
def test_a_program_that_cannot_be_found_says_why(program: str, says: str) -> None:
    with pytest.raises(JobError, match=says):
        load(program)


def test_a_module_that_needs_one_that_is_not_there_says_so_itself(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_module_either\ndef run(context, value): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_either"):
        load("needs_another:run")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("typed", {"first": 1}, "missing required field `frames`"),
        ("typed", "text", "does not fit"),
        ("hidden_type", 1, "is not there at run time"),
        ("no_data", 1, "no plain data"),
        ("alone", None, "takes 1 parameters, and needs 2"),
    ],
)
def test_an_argument_that_does_not_fit_says_why(name: str, value: Any, says: str) -> None:
    with pytest.raises(JobError, match=says):
        argument_of(f"{HERE}:{name}", 1, argument(value))


def test_names_of_functions() -> None:
    assert name_of(typed) == f"{HERE}:typed"

    def inner() -> None:
        pass

    for function, says in (
        (lambda: None, "a lambda"),
        (inner, "inside another"),
        (Stretch, "no function"),
        ("".join, "no function"),
    ):
        with pytest.raises(JobError, match=says):
            name_of(function)
