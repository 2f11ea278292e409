"""The deployed stack on this machine, brought up once for all tests that drive it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from deploy.tools import ROOT

if TYPE_CHECKING:
    from deploy.local import Running

SETTINGS = {"workers": "1", "warm": "2", "concurrency": "3", "warm_minutes": "1"}
HOME = ROOT / "build" / f"local-{os.environ.get('PYTEST_XDIST_WORKER', 'tested')}"
"""Where the stack of this process has its files."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Running]:
    """The stack with SETTINGS, in HOME."""
    for module, extra in (("aws_cdk", "deploy"), ("boto3", "aws")):
        if not find_spec(module):
            pytest.skip(f"the stack needs the extra: pip install -e '.[{extra}]'")
    from deploy import interpreters, local
    from deploy.errors import ToolMissing

    try:
        interpreters.functions_python()
    except ToolMissing as error:
        pytest.skip(str(error))
    try:
        yield local.up(SETTINGS, lambda said: None, HOME)
    finally:
        local.down(HOME)
