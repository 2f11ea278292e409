"""Programs of one's own on the deployed stack: those of docs/mu.md, with the one line changed that it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("aws_cdk", reason="the stack needs the extra: pip install -e '.[deploy]'")
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from cli.main import fastslow
from deploy import local
from deploy.tools import ROOT
from mu import Job, Task
from mu.service.requests import job_to_json
from tests.deploy.conftest import HOME, busy_here
from tests.deploy.test_jobs import Jobs
from tests.deploy.test_jobs import jobs as jobs  # the fixture

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages
GUIDE = (ROOT / "docs" / "mu.md").read_text()
AWAY = ', backend="aws"'


@pytest.fixture
def environment(stack: local.Running, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a shell has after `eval "$(fastslow local env)"`, and nothing else that would lead to a cloud."""
    monkeypatch.setattr(local.running, "__defaults__", (HOME,))
    done = CliRunner().invoke(fastslow, ["local", "env"])
    assert done.exit_code == 0, done.output
    told = dict(re.findall(r"^export (\w+)=(\S+)$", done.stdout, re.MULTILINE))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FASTSLOW_"))}
    return {**kept, **told, "PYTHONPATH": str(ROOT)}


def ended(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A program that has run in its folder."""
    return subprocess.run(
        [sys.executable, path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def printed(path: Path, environment: dict[str, str]) -> str:
    """What a program prints that runs in its folder."""
    done = ended(path, environment)
    assert done.returncode == 0, (done.stderr, (HOME / "coordinator.log").read_text()[-2000:])
    return done.stdout


def programs(folder: Path, name: str) -> tuple[Path, Path]:
    """A program of the guide as it is there, and with the lines changed that the guide changes for AWS."""
    (source,) = re.findall(rf"```python\n# {name}\.py\n(.*?)```", GUIDE, re.DOTALL)
    away = source
    for line in re.findall(rf"^ .*{AWAY}.*$", GUIDE, re.MULTILINE):
        away = away.replace(line.replace(AWAY, ""), line)
    assert away != source
    paths = folder / "here" / f"{name}.py", folder / "away" / f"{name}.py"
    for path, text in zip(paths, (source, away), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return paths


@pytest.mark.parametrize("name", ["squares", "words"])
def test_the_programs_of_the_guide_print_the_same(name: str, environment: dict[str, str], tmp_path: Path) -> None:
    here, away = programs(tmp_path, name)
    expected = printed(here, environment)
    assert printed(away, environment) == expected
    assert printed(away, environment) == expected, "the job is done: its results are there at once"


SCRIPT = """
import mu, own_helper
from own_package import inner

def tell(ctx, value):
    ctx.store("told", f"{own_helper.WHAT} {inner.where()} {value}".encode())

if __name__ == "__main__":
    task = mu.Task("tell", "__main__:tell", mu.argument("value"), stores=("told",))
    job = mu.Job("tell", (task,), mu.Limits(workers=1, tries=1))
    print(bytes(mu.run(job, backend="aws").objects["told"]).decode())
"""


def test_jobs_after_each_other_have_their_own_modules_of_the_same_names(
    jobs: Jobs, environment: dict[str, str], tmp_path: Path
) -> None:
    """In the same environments: more jobs than there are of these."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "inner.py").write_text("def where():\n    return __file__\n")
    for number in range(4):
        (tmp_path / "own_helper.py").write_text(f"WHAT = 'helper {number}'\n")
        told = printed(tmp_path / "script.py", environment)
        assert told == f"helper {number} /job/own_package/inner.py value\n"
    assert sum(local.environments(jobs.stack)["fastslow-worker-0"].values()) < 10


def test_a_package_that_workers_do_not_have_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace("import mu, own_helper", "import mu, hypothesis"))
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "inner.py").write_text("")
    said = ended(tmp_path / "script.py", environment).stderr
    assert "JobFailed: tell: " in said
    assert "No module named 'hypothesis'; workers have Python 3.13, fastslow" in said
    assert "numpy" in said


SLOW = """
import mu, time

def sleep(ctx, seconds):
    time.sleep(seconds)

if __name__ == "__main__":
    task = mu.Task("sleep", "__main__:sleep", mu.argument(600))
    mu.run(mu.Job("ctrl-c", (task,)), backend="aws")
"""


def test_ctrl_c_cancels_the_job_and_its_worker_leaves(jobs: Jobs, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SLOW)
    until(lambda: busy_here(jobs.stack, "worker-0") == 0)  # those of the jobs before have left
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            until(lambda: busy_here(jobs.stack, "worker-0") > 0)
            process.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
        finally:
            process.kill()
    until(lambda: busy_here(jobs.stack, "worker-0") == 0)
    listed = CliRunner().invoke(fastslow, ["jobs", "list", "--json"], env=environment)
    states = [each["state"] for each in json.loads(listed.stdout)["jobs"] if each["id"].startswith("ctrl-c-")]
    assert states == ["cancelled"]


def until(holds: Callable[[], bool]) -> None:
    """Wait; the limit is for a machine that does much else."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.1)


def test_the_api_takes_no_code(jobs: Jobs) -> None:
    job = Job("evil", (Task("a", "pipelines.probe:link"),), code="0" * 64)
    status, told = jobs.ask("POST", body=job_to_json(job))
    assert (status, told["error"]["code"]) == (400, "bad_job")
    assert "code of its own" in told["error"]["message"]


def test_without_a_stack_it_says_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import mu\nmu.map(abs, [1], backend='aws')\n")
    said = ended(tmp_path / "script.py", {**environment, "FASTSLOW_STACK": "none"}).stderr
    assert "BackendError: the stack none cannot be asked (FASTSLOW_STACK names another" in said
