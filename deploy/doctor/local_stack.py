"""The stack on this machine, as `fastslow local up` left it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deploy import local
from deploy.assembly import Assembly
from deploy.doctor.account import stack
from deploy.doctor.finding import Finding


def running(home: Path = local.HOME) -> Finding:
    """Whether it is up, and what its cloud says of it."""
    state = local.running(home)
    if not state:
        return Finding("stack", "ok", "nothing is up yet", "fastslow local up")
    if not state.alive or not state.outputs:
        return Finding("stack", "warning", "it is half up", "fastslow local up mends it")
    (template,) = (home / "cdk").glob("*.template.json")
    return stack(partial(_client, state), lambda: Assembly(template))


def _client(state: local.Running, service: str) -> object:
    return local.client(service, state)
