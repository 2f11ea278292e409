"""The walls round an environment: namespaces of its own where the machine allows it, and limits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Everything of this machine is there, but /var/task and /opt are the function's, and /tmp is empty, bounded and its
# own. What it needs of what these folders hide is put back where it was.
_BUILD = r"""
set -e
root=$1 task=$2 opt=$3 tmp=$4 data=$5 chroot=$6; shift 6
mount --rbind / "$root"
mount -t tmpfs -o size="$tmp"m,mode=1777 tmp "$root/tmp"
mount -t tmpfs -o size=1m,mode=755 var "$root/var"
mount -t tmpfs -o size=1m,mode=755 opt "$root/opt"
mkdir "$root/var/task"
mount --bind "$task" "$root/var/task"
for each in "$opt"/*; do
    [ -d "$each" ] || continue
    mkdir "$root/opt/${each##*/}"
    mount --bind "$each" "$root/opt/${each##*/}"
done
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}"; : > "$root$1"; fi
    mount --bind "$1" "$root$1"
    shift
done
shift
ulimit -d "$data"
exec "$chroot" "$root" sh -c 'cd /var/task && exec "$@"' sh "$@"
"""
_HIDDEN = ("/tmp/", "/var/", "/opt/")


@dataclass(frozen=True)
class Sandbox:
    """How to start a process in an environment, and where it finds its code there."""

    command: list[str]
    folder: Path  # to start it in, seen from outside
    task: str
    opt: str
    tmp: str


@cache
def namespaces_work() -> bool:
    """Whether this machine lets us make user and mount namespaces (some container hosts and kernels do not)."""
    unshare = shutil.which("unshare")
    if not unshare or not _chroot():
        return False
    probe = [unshare, "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs probe /tmp && mount --rbind / /mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def build(
    command: Sequence[str],
    *,
    root: Path,
    task: Path,
    opt: Path,
    scratch: Path,
    memory: int,
    tmp: int,
    seen: Sequence[str],
    isolated: bool,
) -> Sandbox:
    """The walls for one process with `memory` MB of data and `tmp` MB of /tmp.

    Args:
        command: What to run inside.
        root: An empty folder, the same for all: each environment mounts its own world there.
        task: The function's code, unpacked.
        opt: Its layers, unpacked.
        scratch: A folder of this environment's own, its /tmp where there are no namespaces.
        memory: MB of memory that it may write (RLIMIT_DATA; what is merely reserved does not count).
        tmp: MB of /tmp.
        seen: Folders and files, by absolute paths, that are seen inside wherever they lie.
        isolated: False where `namespaces_work` is false: memory is limited, but /tmp is an unbounded folder that TMPDIR
            names, and /var/task and /opt are not there.
    """
    data = str(memory * 1024)
    if not isolated:
        limited = ["sh", "-c", 'ulimit -d "$1"; shift; exec "$@"', "sh", data, *command]
        return Sandbox(limited, folder=task, task=str(task), opt=str(opt), tmp=str(scratch))
    kept = [each for each in seen if each.startswith(_HIDDEN)]
    walls = ["unshare", "--map-root-user", "--mount", "sh", "-c", _BUILD, "sh"]
    known = [str(root), str(task), str(opt), str(tmp), data, _chroot(), *kept, "--"]
    return Sandbox([*walls, *known, *command], folder=root, task="/var/task", opt="/opt", tmp="/tmp")


def _chroot() -> str:
    # Where only root has these folders in its PATH, the program is there all the same.
    return shutil.which("chroot", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or ""
