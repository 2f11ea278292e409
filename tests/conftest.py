"""What every test may use: the folder of vectors and clips beside the project, where it is there."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import codec

# pytest's own limit is enough: how long an example takes depends on who else uses the machine.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

SHARED = Path(os.environ.get("FASTSLOW_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def pytest_report_header() -> list[str]:
    found = SHARED if SHARED.is_dir() else "not here, so what needs its vectors and clips is skipped (FASTSLOW_SHARED)"
    return [f"codec: {codec.BUILD}", f"shared: {found}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests of the deployed stack first.

    pytest-xdist's workers begin at the front of their halves and take from the ends of others', so one of them brings
    the stack up, and not each.
    """
    items.sort(key=lambda item: "stack" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test vectors and clips that is no part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    return SHARED
