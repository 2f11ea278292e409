"""What is local stays local: no local command talks to another machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from deploy.errors import NotLoopback


def only_loopback(endpoint: str) -> str:
    """Give the endpoint back if it is an address of this machine's loopback. Raises NotLoopback.

    A name is refused, even `localhost`: what it means is decided elsewhere.
    """
    parts = urlsplit(endpoint)
    try:
        plain = parts.scheme in ("http", "https") and "@" not in parts.netloc and endpoint.isprintable()
        if plain and parts.port != 0 and ip_address(parts.hostname or "").is_loopback:
            return endpoint
    except ValueError:  # no port, or no address
        pass
    raise NotLoopback(f"{endpoint!r} is not on this machine: local commands take http://127.0.0.1:PORT alone")
