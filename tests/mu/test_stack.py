"""Finding the stack: by name, in the account and region of the environment; what is said if there is none."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("boto3", reason="the backend aws needs the extra: pip install -e '.[aws]'")

from mu.away.stack import find_stack
from mu.errors import BackendError, Refused
from mu.store.s3 import S3Store

ANSWER = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
<Stacks><member><StackName>x</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>
<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}</Outputs></member></Stacks></DescribeStacksResult>
</DescribeStacksResponse>"""
OUTPUT = "<member><OutputKey>{}</OutputKey><OutputValue>{}</OutputValue></member>"
NONE = """<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
<Message>Stack with id other does not exist</Message></Error></ErrorResponse>"""


class Account(http.server.BaseHTTPRequestHandler):
    """CloudFormation, with the stacks `fastslow` and `idle`; and S3, which takes everything."""

    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(f"{body} {self.headers['Authorization']}")
        stacks = {
            "StackName=fastslow&": OUTPUT.format("ResultsBucket", "results") + OUTPUT.format("JobsQueue", "http://q"),
            "StackName=idle&": OUTPUT.format("ResultsBucket", "results"),
        }
        found = next((made for name, made in stacks.items() if name in f"{body}&"), None)
        self._say(400 if found is None else 200, NONE if found is None else ANSWER.format(found))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(f"{self.path} {self.headers['Authorization']}")
        self._say(200, "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """An account on this machine, and a profile with credentials and a region for it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(
        "[profile mine]\nregion = eu-west-3\naws_access_key_id = AKMINE\naws_secret_access_key = s\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.delenv("FASTSLOW_STACK", raising=False)
    kind = type("Kind", (Account,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kind.asked
        finally:
            server.shutdown()
            thread.join()


def test_the_stack_is_found_and_its_objects_are_reached_as_the_profile_says(asked: list[str]) -> None:
    stack = find_stack()
    assert "StackName=fastslow" in asked[0]
    assert "AKMINE/" in asked[0]
    assert "/eu-west-3/cloudformation" in asked[0]
    assert stack.cloud.url("jobs/x") == "s3://results/jobs/x"
    store = stack.store("jobs/one/store/")
    assert isinstance(store, S3Store)
    store.write("a/b", b"bytes")
    assert asked[1].startswith("/results/jobs/one/store/a/b ")
    assert "AKMINE/" in asked[1]
    assert "/eu-west-3/s3/" in asked[1]
    store.bucket.close()


def test_what_is_no_stack_that_takes_jobs_is_told(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="the stack idle takes no jobs: it was deployed without its coordinator"):
        find_stack("idle")
    monkeypatch.setenv("FASTSLOW_STACK", "other")
    with pytest.raises(BackendError, match=r"the stack other cannot be asked .*Stack with id other does not exist"):
        find_stack()


def test_nobody_to_ask_as_is_told(asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = find_stack()
    (tmp_path / "config").write_text("[profile mine]\nregion = eu-west-3\n")
    with pytest.raises(BackendError, match="Unable to locate credentials"):
        find_stack()
    (tmp_path / "config").write_text("[profile mine]\n")
    with pytest.raises(BackendError, match="region"):
        find_stack()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises((BackendError, Refused), match="nobody"):
        find_stack()
    assert stack is not None
