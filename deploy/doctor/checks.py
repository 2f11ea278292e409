"""All that is looked at of an account before a deployment."""

from __future__ import annotations

from deploy.account import Clients
from deploy.doctor import account, packages, quotas
from deploy.doctor.finding import Check


def account_checks(clients: Clients, region: str, assembled: account.Assembled) -> list[tuple[str, Check]]:
    """The checks by name; `assembled` waits for the synthesised app."""
    return [
        *account.checks(clients, region, assembled),
        *quotas.checks(clients, assembled),
        *packages.checks(assembled),
    ]
