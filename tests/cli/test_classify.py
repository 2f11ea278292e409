"""`fastslow classify` from its arguments to its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("onnxruntime", reason="classifying needs the extra: pip install -e '.[aws]'")

from cli.main import fastslow
from tests.pipelines import clips
from tests.pipelines.answering import Call, Told, fine, problem, serving
from tests.vision.made import MODEL, manifest, picture
from vision.library import Library

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FASTSLOW_API", "FASTSLOW_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTSLOW_MODELS", str(tmp_path / "library"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "model.onnx").write_bytes(MODEL)
    library = Library(tmp_path / "library")
    library.add(manifest(), tmp_path / "model.onnx")
    return library


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    for name, grey in (("dark", 10), ("bright", 240)):
        (tmp_path / f"{name}.jpg").write_bytes(picture(grey))
    return [str(tmp_path / "dark.jpg"), str(tmp_path / "bright.jpg")]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(fastslow, ["classify", *map(str, arguments)], prog_name="fastslow")


@pytest.mark.usefixtures("library")
def test_pictures_in_this_process(pictures: list[str]) -> None:
    done = run(*pictures)
    assert done.exit_code == 0, done.output
    dark, bright = done.stdout.splitlines()
    assert re.fullmatch(r"\S+dark\.jpg    night  [01]\.\d\d.*", dark)
    assert re.fullmatch(r"\S+bright\.jpg  day    [01]\.\d\d.*", bright)
    assert "fastslow: 2 by day-night 1 in " in done.stderr


@pytest.mark.usefixtures("library")
def test_a_video_as_json_and_csv(tmp_path: Path) -> None:
    film = clips.make(tmp_path / "film.mp4", frames=50)
    told = json.loads(run(film, "--frames", 5, "--json", "--top", 1, "-q").stdout)
    assert [frame["seconds"] for frame in told["frames"]] == [0.2, 0.6, 1.0, 1.4, 1.8]
    assert all(len(frame["labels"]) == 1 for frame in told["frames"])
    assert (told["classified"], told["failed"], told["complete"], told["asked"]) == (5, 0, True, "here")
    rows = list(csv.DictReader(io.StringIO(run(film, "--frames", 5, "--csv", "-q").stdout)))
    assert [row["seconds"] for row in rows] == ["0.200", "0.600", "1.000", "1.400", "1.800"]
    assert {row["label_1"] for row in rows} <= {"night", "day"}


def test_a_deployed_one_is_asked_with_its_key(pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: fine()) as server:
        monkeypatch.setenv("FASTSLOW_API", server.url)
        monkeypatch.setenv("FASTSLOW_API_KEY", "the-secret")
        done = run(*pictures, "--top", 2, "--model", "made-up")
    assert done.exit_code == 0, done.output
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["cat", "cat"]
    assert {call.path for call in server.calls} == {"/v1/frames?top=2&model=made-up"}
    assert {call.headers["x-api-key"] for call in server.calls} == {"the-secret"}
    assert "the-secret" not in done.output


def test_what_fails_is_listed_and_the_exit_code_says_so(pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    def tell(call: Call, _: int) -> Told:
        return problem(422, "damaged_image", "it is broken") if call.body == Path(pictures[0]).read_bytes() else fine()

    with serving(tell) as server:
        done = run(*pictures, tmp_path / "text", "--api", server.url)
        assert done.exit_code == 3
        assert "dark.jpg    failed: 422 damaged_image: it is broken" in done.stdout
        assert "bright.jpg  cat" in done.stdout
        assert "failed: no JPEG, PNG or WebP" in done.stdout
        assert "fastslow: 2 of 3 failed: 422 damaged_image" in done.stderr
        done = run(pictures[0], tmp_path / "text", "--api", server.url, "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["failed"] == 2


def test_a_wrong_key_is_told_in_a_line(pictures: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with serving(lambda *_: problem(403, "refused", "Forbidden")) as server:
        done = run(*pictures, "--api", server.url, "--api-key", "guessed", "--report", page)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"fastslow: {server.url} lets nobody in like this (403 refused: Forbidden)")
    assert not page.exists()


def test_who_refuses_in_the_middle_leaves_what_was_done(tmp_path: Path) -> None:
    film, page = clips.make(tmp_path / "film.mp4", frames=50), tmp_path / "page.html"
    with serving(lambda _, number: fine() if number < 5 else problem(403, "refused", "Forbidden")) as server:
        done = run(film, "--frames", 20, "--api", server.url, "--parallel", 1, "--report", page)
    assert done.exit_code == 3
    assert len(done.stdout.splitlines()) == 5
    assert "(403 refused: Forbidden)" in done.stderr
    assert "5 were done by then" in done.stderr
    assert b"ended early" in page.read_bytes()


@pytest.mark.usefixtures("library")
def test_a_page_is_written_once(pictures: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run(*pictures, "--report", page).exit_code == 0
    assert b"2 pictures" in page.read_bytes()
    done = run(*pictures, "--report", page)
    assert (done.exit_code, "exists already; --overwrite replaces it" in done.stderr) == (1, True)
    assert run(*pictures, "--report", page, "--overwrite").exit_code == 0
    assert run(*pictures, "--report", tmp_path / "page.txt").exit_code == 2
    assert run(*pictures, "--report", pictures[0], "--overwrite").exit_code == 2
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--json", "--csv"), "exclude one another"),
        (("--frames", 3), "are for one video"),
        (("--scenes",), "are for one video"),
        (("--local", "--api", "https://x.example/v1/frames"), "--local finds"),
        (("--local", "--api-key", "x"), "--local finds"),
        (("--api", "https://x.example/v1/frames", "--api-key", "x", "--iam"), "exclude one another"),
        (("--api", "https://x.example/v1/frames", "--library", "x"), "--library is for"),
        (("--api", "http://x.example/v1/frames", "--api-key", "x"), "over https alone"),
        (("--parallel", 0), "--parallel"),
    ],
)
def test_used_wrongly(pictures: list[str], arguments: tuple[object, ...], told: str) -> None:
    done = run(*pictures, *arguments)
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert "example" not in done.stdout


def test_without_a_model_it_says_where_one_comes_from(pictures: list[str]) -> None:
    done = run(*pictures)
    assert done.exit_code == 2
    assert "fastslow models fetch" in done.stderr


def test_of_several_models_one_is_named(pictures: list[str], library: Library, tmp_path: Path) -> None:
    library.add(manifest(version="2"), tmp_path / "model.onnx")
    done = run(*pictures)
    assert (done.exit_code, "day-night@1, day-night@2" in done.stderr) == (2, True)
    assert "by day-night 2" in run(*pictures, "--model", "day-night@2").stderr
    assert run(*pictures, "--model", "other").exit_code == 2


def test_local_wants_the_stack_to_be_up(pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy import local

    monkeypatch.setattr(local, "running", lambda: None)
    done = run(*pictures, "--local")
    assert (done.exit_code, done.stderr) == (
        1,
        "fastslow: the local stack is not up; `fastslow local up` brings it up\n",
    )


def test_what_is_no_video_is_told_in_a_line(tmp_path: Path, library: Library) -> None:
    assert library
    (tmp_path / "text").write_text("hello")
    done = run(tmp_path / "text")
    assert done.exit_code == 1
    assert "not a video that FFmpeg can read" in done.stderr
    assert "No such file" in run(tmp_path / "none.mp4").stderr


def test_an_interrupt_keeps_what_is_there(tmp_path: Path) -> None:
    film = clips.make(tmp_path / "film.mp4", frames=100)
    page = tmp_path / "page.html"

    def tell(_: Call, number: int) -> Told:
        if number >= 12:
            time.sleep(0.05)
            return problem(503, "no_model", "none is published", Retry_After="30")
        return fine()

    with serving(tell) as server:
        command = [sys.executable, "-m", "cli", "classify", str(film), "--frames", "50", "--json", "--parallel", "2"]
        command += ["--api", server.url, "--report", str(page)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        until = time.monotonic() + 60
        while len(server.calls) < 14 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    told = json.loads(out)
    assert 5 <= told["classified"] <= 12, "what had come, but for what came while a frame was picked"
    assert told["complete"] is False
    assert b"ended early" in page.read_bytes()
    assert err.endswith("fastslow: interrupted\n")
