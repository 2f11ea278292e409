"""This machine: the tools to deploy with, and what running the stack here takes."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from deploy import interpreters, tools
from deploy.doctor.finding import Check, Finding
from deploy.errors import DeployError
from deploy.pool.sandbox import namespaces_work

MEMORY = (1.0, 2.5)
"""GB of free memory below which the local stack cannot run, and below which it is tight."""
DISK = (1.0, 3.0)
"""... and of free disk: packages, environments, what functions unpack."""
_GB = 1e9


def checks() -> Sequence[tuple[str, Check]]:
    """The checks of the tools that every deployment takes; without the app, that it is not here is all there is."""
    if not _here():
        return [("checkout", checkout)]
    return [("checkout", checkout), ("node", node), ("cdk", cdk), ("python", partial(python, local=False))]


def local_checks(folder: Path = tools.ROOT) -> Sequence[tuple[str, Check]]:
    """The checks of all that `fastslow local up` takes."""
    if not _here():
        return checks()
    return [
        *checks()[:-1],
        ("python", partial(python, local=True)),
        ("system", system),
        ("walls", walls),
        ("memory", memory),
        ("disk", partial(disk, folder)),
        ("loopback", loopback),
    ]


def checkout() -> Finding:
    """Whether the app is here, and what it is made with."""
    if not _here():
        found = "the stack is deployed from a checkout of the project; there is no app.py beside the packages"
        return Finding("checkout", "failed", found, "git clone, make up")
    missing = [name for name in ("aws_cdk", "cdk_nag", "constructs") if not find_spec(name)]
    if missing:
        found = f"the extra `deploy` is not installed: no {', '.join(missing)}"
        return Finding("checkout", "failed", found, "pip install -e '.[aws,deploy]', or make up")
    return Finding("checkout", "ok", f"{tools.ROOT}, run by Python {platform.python_version()}")


def _here() -> bool:
    return (tools.ROOT / "app.py").exists()


def node() -> Finding:
    """Node, which CDK runs in."""
    try:
        found = subprocess.run([str(tools.node()), "--version"], capture_output=True, text=True, check=True)
    except (DeployError, OSError, subprocess.CalledProcessError) as error:
        return Finding("node", "failed", str(error), "pip install -e '.[aws,deploy]', or make up")
    return Finding("node", "ok", found.stdout.strip(), facts={"version": found.stdout.strip()})


def cdk() -> Finding:
    """AWS's `cdk`, installed now if it is not there."""
    try:
        program = Path(tools.cdk()[-1])
    except DeployError as error:
        return Finding("cdk", "failed", str(error), "look at network and proxy; npm takes it from its registry once")
    version = json.loads((program.parents[1] / "package.json").read_text())["version"]
    return Finding("cdk", "ok", str(version), facts={"version": version})


def python(*, local: bool) -> Finding:
    """The functions' Python, fetched now if that goes: they run under it here, and packages get bytecode from it."""
    try:
        found = interpreters.brought_python()
    except DeployError as error:
        if local:
            return Finding("python", "failed", str(error), f"uv python install {interpreters.VERSION}")
        told = (
            f"no Python {interpreters.VERSION} is here, so packages are built without bytecode: cold starts take longer"
        )
        return Finding("python", "warning", told, f"uv python install {interpreters.VERSION}, or FASTSLOW_PYTHON")
    return Finding("python", "ok", f"{interpreters.VERSION}, {found}", facts={"path": str(found)})


def system() -> Finding:
    """The local stack reads /proc and makes namespaces, so it is Linux's."""
    if sys.platform != "linux":
        return Finding("system", "failed", f"this is {sys.platform}", "run it on Linux, in a virtual machine or WSL 2")
    return Finding("system", "ok", f"Linux {platform.release()}, {platform.machine()}")


def walls() -> Finding:
    """Whether environments can be walled off from each other."""
    if namespaces_work():
        return Finding("walls", "ok", "user namespaces: each environment has a /tmp, /var/task and /opt of its own")
    found = "no user namespaces: environments are plain processes, and nothing bounds their /tmp"
    todo = "it works all the same; else look at sysctl kernel.apparmor_restrict_unprivileged_userns"
    return Finding("walls", "warning", found, todo)


def memory(told: Path = Path("/proc/meminfo")) -> Finding:
    """Free memory."""
    (line,) = (line for line in told.read_text().splitlines() if line.startswith("MemAvailable:"))
    return _enough("memory", int(line.split()[1]) * 1024, MEMORY, "-c warm=1 -c workers=1, or a larger machine")


def disk(folder: Path) -> Finding:
    """Free disk where packages and environments are made."""
    return _enough("disk", shutil.disk_usage(folder).free, DISK, f"make room below {folder}")


def _enough(name: str, free: int, bounds: tuple[float, float], todo: str) -> Finding:
    least, tight = bounds
    found, facts = f"{free / _GB:.1f} GB free", {"free": free}
    if free < least * _GB:
        return Finding(name, "failed", f"{found}, and it takes {least:g}", todo, facts)
    if free < tight * _GB:
        return Finding(name, "warning", f"{found}, which is tight", todo, facts)
    return Finding(name, "ok", found, facts=facts)


def loopback() -> Finding:
    """Whether a port of loopback can be had."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        return Finding("loopback", "failed", f"no port of 127.0.0.1 can be had: {error}", "bring the interface lo up")
    return Finding("loopback", "ok", "any free ports of 127.0.0.1")
