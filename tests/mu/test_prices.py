"""What the coordinator says a job costs: the bill that the command line makes, out of one table of prices."""

from __future__ import annotations

import pytest

from cli.desk import work_of
from deploy import cost
from mu.errors import BackendError
from mu.service.prices import Prices
from mu.service.status import Status

FLEET = cost.Fleet(1769, "arm64", "t4g.small")


def test_it_is_the_bill() -> None:
    status = Status(
        id="a-0123456789abcdef",
        state="running",
        launched=1500,
        worker_s=12_345.6,
        wall_s=432.1,
        objects=7000,
        message_bytes=10**10,
    )
    prices = Prices.read(cost.prices(FLEET))
    assert prices is not None
    assert prices.of(status) == pytest.approx(cost.dollars(cost.of_job(work_of(status), FLEET)), rel=1e-5)


def test_a_machine_without_a_price_leaves_the_rest() -> None:
    known, rest = (Prices.read(cost.prices(cost.Fleet(1769, "arm64", name))) for name in ("t4g.small", "x9.huge"))
    assert known is not None
    assert rest is not None
    assert 0 < rest.wall_s < known.wall_s
    assert rest.worker_s == known.worker_s


@pytest.mark.parametrize("text", ["worker_s", "worker_s=1", "worker_s=a,launched=1,wall_s=1,objects=1,message_bytes=1"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(BackendError, match="are no prices"):
        Prices.read(text)
    assert Prices.read("") is None
