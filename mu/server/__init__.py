"""The coordinator's shell for workers elsewhere: TLS, tokens, rendezvous; what is decided is decided in `mu.core`.

- `keys` is a job's certificate and tokens; `listener` the port; `framing` bytes and frames; `connection` one of them.
- `session` checks what a worker says; `hosted` is a job: it tells the core and does what that wants.
- `rendezvous` keeps messages: `message` a copy of one, `memory` and `disk` where its bytes are, `delivery` its way out.
- `journal` has what cannot be undone wait for the ledger. `launcher` starts workers; `processes` does so here.
"""

from mu.server.hosted import HostedJob, Observer
from mu.server.journal import Ledger
from mu.server.keys import JobKeys
from mu.server.launcher import Launcher, LaunchRefused
from mu.server.listener import Options
from mu.server.processes import LocalProcesses
from mu.server.server import Server

__all__ = [
    "HostedJob",
    "JobKeys",
    "LaunchRefused",
    "Launcher",
    "Ledger",
    "LocalProcesses",
    "Observer",
    "Options",
    "Server",
]
