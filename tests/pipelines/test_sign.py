"""Signed requests: what arrives has a signature that AWS would compute as well."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("botocore", reason="signing needs the extra: pip install -e '.[aws]'")

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipelines.classify.answers import Picture
from pipelines.classify.api import Api
from pipelines.classify.sign import signer
from pipelines.errors import SettingsError
from tests.pipelines.answering import fine, serving

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}


def test_what_arrives_is_what_was_signed() -> None:
    with serving(lambda *_: fine()) as server:
        Api(server.url, sign=signer(server.url, KEYS), model="m@1")(Picture(name="a", data=b"bytes"))
    (call,) = server.calls
    told = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/execute-api/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        call.headers["Authorization"],
    )
    assert told
    lower = {name.lower(): value for name, value in call.headers.items()}
    signed = {name: lower[name] for name in told[1].split(";")}
    assert {"host", "x-amz-date", "content-type"} <= set(signed)
    host = server.url.partition("/v1")[0]
    request = AWSRequest("POST", host + call.path, signed, call.body)
    request.context["timestamp"] = lower["x-amz-date"]
    auth = SigV4Auth(Credentials(KEYS["AWS_ACCESS_KEY_ID"], "secret"), "execute-api", "eu-west-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert auth.signature(text, request) == told[2]


def test_the_region_is_that_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    url = "https://abc.execute-api.us-west-2.amazonaws.com/v1/frames"
    headers = signer(url)("POST", url, {}, b"")
    assert "/us-west-2/execute-api/" in headers["Authorization"]


def test_without_credentials_or_region_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SettingsError, match="no credentials"):
        signer("https://api.example.com/frames")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(SettingsError, match="no region"):
        signer("https://api.example.com/frames")
