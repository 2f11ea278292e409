"""What the documents say the idle stack costs is what comes out of its template."""

from __future__ import annotations

import re
from collections.abc import Callable

from deploy import cost
from tests.infra.conftest import ROOT, Template

DEPLOY = (ROOT / "docs" / "deploy.md").read_text()


def test_the_documents_have_every_line_of_the_bill(template: Template) -> None:
    lines = cost.estimate(template.path)
    rows = re.findall(r"^\| (.+?) \| .* \| ([\d.]+) \$ \|$", DEPLOY, re.MULTILINE)
    assert rows == [(line.what, f"{line.dollars:.2f}") for line in lines]
    assert f"| **all** | | **{cost.total(lines).removesuffix(' a month')}** |" in DEPLOY


def test_the_documents_say_what_the_coordinator_is_of_that(synthesise: Callable[..., Template]) -> None:
    left = cost.total(cost.estimate(synthesise(coordinator="false").path)).removesuffix(" a month")
    assert f"Without the coordinator (`-c coordinator=false`) it is {left}, of which" in DEPLOY
