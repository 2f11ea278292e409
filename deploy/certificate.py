"""A certificate for the cloud on this machine, which nothing but what we start trusts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import ToolFailed, ToolMissing


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate of 127.0.0.1 that signs itself, and of its key."""

    certificate: Path
    key: Path


def made(folder: Path) -> Certificate:
    """Make one that holds for 30 days. Raises ToolMissing without openssl, ToolFailed when that fails."""
    openssl = shutil.which("openssl")
    if not openssl:
        raise ToolMissing("TLS for the local stack takes the program openssl, which is not here")
    both = Certificate(folder / "certificate.pem", folder / "key.pem")
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", *new, *names, "-keyout", str(both.key), "-out", str(both.certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailed(f"openssl failed:\n{done.stderr.strip()[-1000:]}")
    both.key.chmod(0o600)
    return both
