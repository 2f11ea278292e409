"""Reading S3 from servers that misbehave."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from functions import objects
from functions.errors import Missing, Refused, TransferError
from functions.objects import Objects
from mu.store.bucket import Bucket


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the test says, in turn; the last answer stays."""

    script: list[str]
    seen: list[tuple[str, dict[str, str]]]
    over: threading.Event

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if what == "slow":
            self.over.wait(60)
        if what == "reset":
            self.close_connection = True
            return
        if what.isdigit():
            self.send_response(int(what))
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"<Error>")
            return
        if what == "credentials":
            body = json.dumps(
                {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
            ).encode()
        else:
            body = b"0123456789"
        self.send_response(304 if self.headers.get("If-None-Match") == '"tag"' else 200)
        self.send_header("ETag", '"tag"')
        if self.headers.get("If-None-Match") != '"tag"':
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:5] if what == "half" else body)
        else:
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    kind = type("Scripted", (Server,), {"script": ["good"], "seen": [], "over": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.server_port}",
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(objects, "_PAUSE", 0)
        yield kind
        kind.over.set()
        running.shutdown()
        thread.join()


def test_an_object_is_read_and_only_when_it_changed(server: type[Server]) -> None:
    bucket = Objects("models")
    assert bucket.read("a b/ö.json", 10) == (b"0123456789", '"tag"')
    path, headers = server.seen[0]
    assert path == "/models/a%20b/%C3%B6.json"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert bucket.read("a", 10, unless='"tag"') is None
    assert b"".join(bucket.stream("a")) == b"0123456789"
    with pytest.raises(Refused, match="larger"):
        bucket.read("a", 9)


@pytest.mark.parametrize("fault", ["500", "503", "429", "half", "reset", "slow"])
def test_what_breaks_is_tried_again(server: type[Server], fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "slow":
        monkeypatch.setattr(objects, "_PATIENCE", 1.0)
    server.script = [fault, fault, "good"]
    assert Objects("models").read("a", 10)
    assert len(server.seen) == 3
    server.script, server.seen = [fault], []
    with pytest.raises(TransferError):
        Objects("models").read("a", 10)
    assert len(server.seen) == 3
    with pytest.raises(TransferError):
        list(Objects("models").stream("a"))


@pytest.mark.parametrize(("status", "error"), [("404", Missing), ("403", Refused), ("400", Refused), ("301", Refused)])
def test_what_will_not_change_is_told_at_once(server: type[Server], status: str, error: type[Exception]) -> None:
    server.script = [status]
    with pytest.raises(error):
        Objects("models").read("a", 10)
    assert len(server.seen) == 1


def test_a_server_that_is_not_there(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match="refused"):
        Objects("models").read("a", 10)


def test_a_snapshot_asks_for_its_credentials(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", os.environ["AWS_ENDPOINT_URL"] + "/2021/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    server.script = ["credentials", "good"]
    bucket = Objects("models")
    assert bucket.read("a", 10)
    assert bucket.read("a", 10)
    assert [path for path, _ in server.seen] == ["/2021/credentials", "/models/a", "/models/a"]
    assert server.seen[0][1]["authorization"] == "let me in"
    assert server.seen[1][1]["x-amz-security-token"] == "t"
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    with pytest.raises(Refused, match="no credentials"):
        Objects("models").read("a", 10)


def test_where_a_bucket_is_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Bucket("models").host == "models.s3.eu-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert Bucket("models").host == "models.s3.cn-north-1.amazonaws.com.cn"
