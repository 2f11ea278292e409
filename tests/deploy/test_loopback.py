"""No local command talks to another machine."""

from __future__ import annotations

import pytest

from deploy.errors import NotLoopback
from deploy.loopback import only_loopback


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://127.9.9.9", "http://[::1]:1/"])
def test_this_machine(endpoint: str) -> None:
    assert only_loopback(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://lambda.us-east-1.amazonaws.com",
        "http://localhost:4566",
        "http://10.0.0.1:4566",
        "http://127.0.0.1.example.com",
        "http://user@127.0.0.1@example.com/",
        "http://user@127.0.0.1:4566",
        "http://127.0.0.1:4566\n.example.com",
        "http://127.0.0.1:99999",
        "127.0.0.1:4566",
        "ftp://127.0.0.1",
        "",
    ],
)
def test_anything_else(endpoint: str) -> None:
    with pytest.raises(NotLoopback, match="not on this machine"):
        only_loopback(endpoint)
