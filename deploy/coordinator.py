"""The coordinator's machine on this machine: what its first boot would fetch and run, as a process on loopback.

The launch template of the stack says it all, in a script that the machine runs when it first boots: what to download
from S3, and the environment. Here both are read out of it, for there are no machines in the cloud on this one.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import processes
from deploy.errors import ToolFailed
from deploy.processes import Process

__all__ = ["Boot", "boot_of", "credentials", "install", "start"]

_DOWNLOAD = re.compile(r"aws s3 cp '?s3://([^/' ]+)/([^' ]+)'? '?/opt/fastslow/(\w+)\.zip'?")
_ENVIRONMENT = re.compile(r"/etc/fastslow/environment <<'END'\n(.*?)\nEND", re.DOTALL)
LOG = "coordinator.log"


@dataclass(frozen=True)
class Boot:
    """What a machine's first boot takes: bucket and key of each package by its name, and the environment."""

    packages: Mapping[str, tuple[str, str]]
    environment: Mapping[str, str]
    profile: str
    """The instance profile, by name."""


def boot_of(client: Callable[[str], Any], group: str) -> Boot:
    """Read out of the launch template what the machines of a group boot with. Raises ToolFailed."""
    (found,) = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    template = found.get("LaunchTemplate") or found["MixedInstancesPolicy"]["LaunchTemplate"]
    versions = client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    data = versions[0]["LaunchTemplateData"]
    script = base64.b64decode(data["UserData"]).decode()
    environment = _ENVIRONMENT.search(script)
    packages = {name: (bucket, key) for bucket, key, name in _DOWNLOAD.findall(script)}
    if environment is None or not {"code", "libraries"} <= packages.keys():
        raise ToolFailed(f"the first boot of {group} downloads {sorted(packages)}, and that is not what was deployed")
    lines = dict(line.split("=", 1) for line in environment[1].splitlines())
    return Boot(packages, lines, data["IamInstanceProfile"]["Arn"].rpartition("/")[2])


def credentials(boot: Boot, client: Callable[[str], Any]) -> dict[str, str]:
    """The credentials of the machine's role as environment variables, for an hour: what it would find by itself."""
    (role,) = client("iam").get_instance_profile(InstanceProfileName=boot.profile)["InstanceProfile"]["Roles"]
    given = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="coordinator")["Credentials"]
    names = {"AccessKeyId": "ACCESS_KEY_ID", "SecretAccessKey": "SECRET_ACCESS_KEY", "SessionToken": "SESSION_TOKEN"}
    return {f"AWS_{name}": given[field] for field, name in names.items()}


def install(s3: Any, boot: Boot, folder: Path) -> None:
    """Fetch and unpack the packages into `folder`/python, as the machine does into /opt/fastslow."""
    shutil.rmtree(folder / "python", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("code", "libraries"):
        bucket, key = boot.packages[name]
        s3.download_file(bucket, key, str(folder / f"{name}.zip"))
        with zipfile.ZipFile(folder / f"{name}.zip") as zipped:
            zipped.extractall(folder)


def start(boot: Boot, folder: Path, *, python: Path, port: int, more: Mapping[str, str], log: Path) -> Process:
    """Start it, and wait until it hears its workers on loopback at `port`. Raises ToolFailed."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    (state / "address").unlink(missing_ok=True)
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    local = {"HOST": "127.0.0.1", "ADDRESS": "127.0.0.1", "PORT": str(port), "PAGES": "0", "STATE": str(state)}
    process = processes.start(
        [str(python), "-m", "mu.coordinator"],
        env={
            **bare,
            **boot.environment,
            **more,
            **{f"FASTSLOW_{name}": value for name, value in local.items()},
            "PYTHONPATH": str(folder / "python"),
            "PYTHONUNBUFFERED": "1",
        },
        folder=state,
        log=log,
    )
    until = time.monotonic() + 60
    while not (state / "address").exists():
        if not process.alive or time.monotonic() > until:
            process.end()
            raise ToolFailed(f"the coordinator does not start; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
    return process
