"""The deployed stack on this machine, brought up once for all tests that drive it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def busy_here(stack: Running, name: str) -> int:
    """How many environments of a function work just now."""
    from deploy import local

    return local.environments(stack).get(f"fastslow-{name}", {"busy": 0})["busy"]


@contextmanager
def silence(stack: Running) -> Iterator[None]:
    """Without the schedule, whose warm-up takes environments at any time; begins when it is over."""
    from deploy import local

    events = local.client("events", stack)
    rules = [each["Name"] for each in events.list_rules()["Rules"]]
    for rule in rules:
        events.disable_rule(Name=rule)
    try:
        until = time.monotonic() + 60
        while any(busy_here(stack, name) for name in ("classify", "warmup")):
            assert time.monotonic() < until, "an environment works on and on"
            time.sleep(0.05)
        yield
    finally:
        for rule in rules:
            events.enable_rule(Name=rule)


@pytest.fixture
def silent(stack: Running) -> Iterator[None]:
    """`silence`, for one test."""
    with silence(stack):
        yield
