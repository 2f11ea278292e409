"""What `deploy.assembly` reads out of the real app as it is synthesised."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("aws_cdk", reason="the stack needs the extra: pip install -e '.[deploy]'")

from deploy.assembly import UNZIPPED_LIMIT, ZIPPED_LIMIT, Assembly
from layers import recipes
from tests.infra.conftest import Template


def test_the_app_is_read_right(synthesise: Callable[..., Template], template: Template) -> None:
    assembly = Assembly(template.path)
    assert assembly.stack == "fastslow"
    assert assembly.reserved == {"fastslow-classify": 200, "fastslow-warmup": 1}
    assert (assembly.warm, assembly.workers) == (4, 4)
    parameter, version = assembly.bootstrap
    assert parameter.startswith("/cdk-bootstrap/")
    assert version >= 6
    assert assembly.packages.keys() == {"video", "vision", "code"}
    assert assembly.unpacked["fastslow-worker-0"] > assembly.unpacked["fastslow-classify"] > 10_000
    bare = Assembly(synthesise(warm=0, coordinator="false", concurrency=0, email="who@example.com", budget=50).path)
    assert (bare.warm, bare.reserved) == (0, {})
    (budget,) = bare.of_kind("Budgets::Budget").values()
    assert budget["Budget"]["BudgetLimit"]["Amount"] == 50


def test_the_limits_are_those_that_packages_are_built_to() -> None:
    assert (ZIPPED_LIMIT, UNZIPPED_LIMIT) == (recipes.ZIPPED_LIMIT, recipes.UNZIPPED_LIMIT)
