"""`fastslow models` from a file to what runs, and from a server that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.local import PUBLIC, _publish
from cli.main import fastslow
from tests.vision.conftest import bucket as bucket  # the fixture
from tests.vision.made import MODEL
from vision import public, store
from vision.bucket import Bucket
from vision.library import Library

ADD = ("--name", "day-night", "--licence", "Apache-2.0", "--size", 8, 8, "--mean", 127.5, "--scale", 1 / 127.5)
LABELS = b"cat\nparrot\n"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTSLOW_MODELS", str(tmp_path / "library"))
    (tmp_path / "model.onnx").write_bytes(MODEL)
    (tmp_path / "labels.txt").write_text(" 0  night\n 1  day\n")
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(fastslow, ["models", *map(str, arguments)], prog_name="fastslow")


def add(folder: Path, *more: object) -> Result:
    return run("add", folder / "model.onnx", *ADD, "--labels", folder / "labels.txt", *more)


def test_from_a_file_to_what_runs(library: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSLOW_MODELS_BUCKET", bucket.name)
    for version in ("1", "2"):
        assert add(library, "--version", version).exit_code == 0
        assert run("publish", "day-night", version).output == f"day-night {version}: published in s3://models\n"
        assert run("activate", "day-night", version).output == f"day-night {version}: active for classify\n"
    assert json.loads(run("list", "--json").output) == {
        "here": [["day-night", "1"], ["day-night", "2"]],
        "published": [["day-night", "1"], ["day-night", "2"]],
        "active": {"classify": "day-night 2"},
    }
    assert run("rollback").output == "day-night 1: active for classify\n"
    assert run("list").output.splitlines() == [
        "day-night 1  here, published, active for classify",
        "day-night 2  here, published",
    ]
    active = store.active(bucket, "classify")
    assert active
    assert active.manifest.labels == ("night", "day")
    assert active.manifest.input.scale == (1 / 127.5,) * 3


def test_what_cannot_be_added(library: Path) -> None:
    assert add(library, "--version", "1").exit_code == 0
    assert add(library, "--version", "1").exit_code == 0  # the same again
    for arguments, told in (
        (("--version", "1", "--source", "elsewhere"), "give this one a new version"),
        (("--version", "A B"), "version"),
        (("--version", "2", "--session", "what.ever=1"), "session"),
        (("--version", "2", "--size", 9, 9), "does not run"),
        (("--version", "2", "--colours", "Y"), "does not run"),
    ):
        result = add(library, *arguments)
        assert result.exit_code == 1, arguments
        assert told in result.output
    assert "no day-knight in" in run("publish", "day-knight", "--bucket", "models").output
    (library / "model.onnx").write_bytes(b"no model")
    assert "cannot load" in add(library, "--version", "3").output
    assert run("add", library / "nothing.onnx", *ADD, "--version", "1").exit_code == 1
    assert sorted(path.name for path in (library / "library" / "day-night").iterdir()) == ["1"]


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the model, and breaks in the way that the path's first folder names."""

    def do_GET(self) -> None:
        fault = self.path.split("/")[1]
        if fault == "missing":
            self.send_error(404)
            return
        wanted = LABELS if self.path.endswith(public.IMAGENET.path) else MODEL
        self.send_response(200)
        self.send_header("Content-Length", str(len(wanted)))
        self.end_headers()
        data = bytes(len(wanted)) if fault == "wrong" or (fault == "unnamed" and wanted is LABELS) else wanted
        self.wfile.write(data[: len(data) // 2] if fault == "half" else data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    model = replace(
        public.KNOWN["mobilenet-v2-opencv"],
        sha256=hashlib.sha256(MODEL).hexdigest(),
        bytes=len(MODEL),
        size=(8, 8),
        classes=2,
        labels=replace(public.IMAGENET, sha256=hashlib.sha256(LABELS).hexdigest(), bytes=len(LABELS)),
    )
    monkeypatch.setitem(public.KNOWN, model.name, model)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


def test_a_public_model_is_fetched(library: Path, server: str) -> None:
    result = run("fetch", "mobilenet-v2-opencv", "--mirror", f"{server}/good")
    assert result.exit_code == 0, result.output
    assert run("list").output == "mobilenet-v2-opencv 2022apr  here\n"
    assert Library(library / "library").find("mobilenet-v2-opencv")[0].labels == ("cat", "parrot")


def test_classes_may_be_named_otherwise(library: Path, server: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Katze\nPapagei\n")
    result = run(
        "fetch", "mobilenet-v2-opencv", "--mirror", f"{server}/unnamed", "--labels", str(tmp_path / "names.txt")
    )
    assert result.exit_code == 0, result.output
    assert Library(library / "library").find("mobilenet-v2-opencv")[0].labels == ("Katze", "Papagei")


@pytest.mark.parametrize(
    ("fault", "told"),
    [("missing", "404"), ("half", "bytes came"), ("wrong", "SHA-256"), ("unnamed", "SHA-256"), ("", "refused")],
)
def test_a_server_that_misbehaves_is_told(library: Path, server: str, fault: str, told: str) -> None:
    mirror = f"{server}/{fault}" if fault else "http://127.0.0.1:9"
    result = run("fetch", "mobilenet-v2-opencv", "--mirror", mirror)
    assert result.exit_code == 1
    assert told in result.output
    assert run("list").output == ""


def test_known_models_are_listed() -> None:
    assert [line.split()[0] for line in run("fetch").output.splitlines()] == list(public.KNOWN)
    assert run("fetch", "gpt").exit_code == 2


def test_up_brings_a_public_model_and_says_nothing_on_stdout(
    library: Path, server: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3, local = pytest.importorskip("boto3"), pytest.importorskip("deploy.local")
    nowhere = local.processes.Process(1, 1)
    state = local.Running(nowhere, nowhere, "", "", "", {"ModelsBucket": bucket.name})
    monkeypatch.setattr(local, "client", lambda service, _: boto3.client(service))
    known = public.KNOWN[PUBLIC]
    assert known.labels
    monkeypatch.setitem(public.KNOWN, PUBLIC, replace(known, labels=replace(known.labels, base=f"{server}/good")))

    said: list[str] = []
    monkeypatch.setattr(public, "BASE", f"{server}/missing")
    assert _publish(state, None, library / "library", said.append) == ""
    assert "404" in said[-1]
    monkeypatch.setattr(public, "BASE", f"{server}/good")
    assert _publish(state, None, library / "library", said.append) == f"{PUBLIC} 2022apr"
    now = store.active(bucket, "classify")
    assert now
    assert now.manifest.labels == ("cat", "parrot")
    assert _publish(state, None, library / "nothing", said.append) == f"{PUBLIC} 2022apr", "it is active already"
    assert capsys.readouterr().out == ""
