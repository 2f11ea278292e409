"""What people and programs see of a job on the deployed stack: events, its cost, its page, its film, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_cdk", reason="the stack needs the extra: pip install -e '.[deploy]'")
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from click.testing import CliRunner

from cli.main import fastslow
from deploy import local
from deploy.tools import ROOT
from mu.service.requests import page_key
from tests.deploy.conftest import HOME
from tests.deploy.test_jobs import Jobs
from tests.deploy.test_jobs import jobs as jobs  # the fixture
from tests.pipelines import clips

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages

QUICK = ["--chunk-frames", "6", "--chain", "3", "--speed", "5", "--cq", "41", "--backend", "aws", "--workers", "3"]


@pytest.fixture
def away(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The stack, and an environment that leads there."""
    for name, value in local.credentials(jobs.stack.cloud_url).items():
        monkeypatch.setenv(name, value)
    return jobs


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(fastslow, [*arguments])
    assert done.exit_code == 0, done.output
    return done


def test_a_film_s_events_measure_page_and_cost(away: Jobs, tmp_path: Path) -> None:
    source, target, page = clips.make(tmp_path / "in.mkv", frames=40), tmp_path / "out.webm", tmp_path / "page.html"
    done = run("encode", str(source), str(target), *QUICK, "--measure", "--report", str(page), "--events")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [each["event"] for each in told]
    assert kinds[-1] == "done"
    assert set(kinds) == {"progress", "estimate", "job", "done"}
    report, (job,) = told[-1]["result"], {each["job"] for each in told if each["event"] == "job"}
    last = [each for each in told if each.get("job") == job][-1]
    assert last["state"] == "done"
    assert {name: stage["done"] for name, stage in last["stages"].items()}["join"] == 40
    assert last["stages"]["rebase"] == {"done": 40.0, "total": 40.0}
    compared = json.loads(run("vp8", "compare", str(source), str(target), "--json").stdout)
    assert report["psnr_y"] == compared["psnr_y"] > 20

    status, told_by_api = away.ask("GET", f"/{job}")
    assert status == 200
    shown = json.loads(run("jobs", "show", job[:15], "--json").stdout)
    assert shown["dollars"] == pytest.approx(told_by_api["dollars"], abs=2e-6)
    assert last["dollars"] == shown["dollars"] > 0
    assert (
        page.read_bytes()
        == local.client("s3", away.stack)
        .get_object(Bucket=away.stack.outputs["ResultsBucket"], Key=page_key(job))["Body"]
        .read()
    )
    assert b'src="data:video/webm;base64,' in page.read_bytes()
    assert f"{told_by_api['dollars']:.4f}" in page.read_text()

    address = f"{local.pages_url(HOME)}jobs/{job}/film"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Range": "bytes=100-"}), timeout=30) as part:
        assert (part.status, part.read()) == (206, target.read_bytes()[100:])


def test_a_film_of_a_bucket_is_measured_where_it_is(away: Jobs, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", frames=30)
    media, results = away.stack.outputs["MediaBucket"], away.stack.outputs["ResultsBucket"]
    local.client("s3", away.stack).upload_file(str(source), media, "films/in.mkv")
    arguments = (f"s3://{media}/films/in.mkv", f"s3://{results}/films/measured.webm", *QUICK, "--measure", "--json")
    first = json.loads(run("encode", *arguments).stdout)
    assert first["psnr_y"] > 20
    done = CliRunner().invoke(fastslow, ["encode", arguments[0], "s3://no-such-bucket/out.webm", *QUICK])
    assert (done.exit_code, "there is no such bucket" in done.stderr) == (1, True)


def test_ctrl_c_cancels_what_encode_began(away: Jobs, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=400, size=(640, 480), options={"preset": "ultrafast"})
    target = tmp_path / "out.webm"
    how = ["--backend", "aws", "--workers", "2", "--speed", "0", "--chunk-frames", "12", "--events", "--yes"]
    command = [sys.executable, "-m", "cli", "encode", str(source), str(target), *how]
    with (
        (tmp_path / "stderr").open("w+") as err,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=err, text=True) as process,
    ):
        assert process.stdout is not None
        told: list[dict[str, Any]] = []
        for line in process.stdout:
            told.append(json.loads(line))
            if told[-1].get("workers", {}).get("working"):
                process.send_signal(signal.SIGINT)
                break
        told += [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 130, told
        err.seek(0)
        said = err.read()
    assert (told[-1]["event"], told[-1]["reason"], told[-1]["exit_code"]) == ("failed", "interrupted", 130)
    (job,) = {each["job"] for each in told if each["event"] == "job"}
    assert f"cancelling {job}" in said
    assert f"{job} is cancelled; it cost" in said
    assert not target.exists()
    assert away.ask("GET", f"/{job}")[1]["state"] == "cancelled"
    end = time.monotonic() + 60
    while local.environments(away.stack)["fastslow-worker-0"]["busy"]:
        assert time.monotonic() < end, "a worker works on"
        time.sleep(0.1)
