"""Signatures for S3 are those that botocore makes, for every method, query and body."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Botocores
from hypothesis import given
from hypothesis import strategies as st

from mu.store.signing import Credentials, query_of, signed

NOW = datetime(2026, 11, 21, 10, 30, 0, tzinfo=UTC)
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#%\"'<>\\^`{|}"), min_size=1)
VALUE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(
    key=WORD,
    bucket=WORD,
    secret=WORD,
    token=st.sampled_from(["", "a token/with+signs="]),
    more=st.sampled_from([{}, {"if-none-match": '"x"'}, {"range": "bytes=0-7", "x-amz-meta-blake2b": "00"}]),
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"]),
    query=st.dictionaries(st.sampled_from(["uploads", "prefix", "list-type", "uploadId", "a b"]), VALUE, max_size=3),
    body=st.binary(max_size=10),
)
def test_a_signature_is_the_one_that_botocore_makes(
    key: str,
    bucket: str,
    secret: str,
    token: str,
    more: dict[str, str],
    method: str,
    query: dict[str, str],
    body: bytes,
) -> None:
    path = f"/{quote(bucket)}/{quote(key, safe='/-_.~')}"
    sha256 = hashlib.sha256(body).hexdigest()
    who = Credentials("AKID", secret, token)
    ours = signed(method, "s3.example", path, "eu-west-1", who, NOW, more, query, sha256)
    whole = f"{path}?{query_of(query)}" if query else path
    request = AWSRequest(method, f"https://s3.example{whole}", headers=dict(more), data=body)
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    request.context["payload_signing_enabled"] = True
    peer = S3SigV4Auth(Botocores("AKID", secret, token or None), "s3", "eu-west-1")
    text = peer.canonical_request(_prepared(peer, request))
    signature = peer.signature(peer.string_to_sign(request, text), request)
    assert ours["authorization"].endswith(f"Signature={signature}"), text


def _prepared(peer: Any, request: AWSRequest) -> AWSRequest:
    """The request as botocore has it just before it signs, at our time."""
    peer._modify_request_before_signing(request)
    if "X-Amz-Date" in request.headers:
        request.headers.replace_header("X-Amz-Date", request.context["timestamp"])
    else:
        request.headers.add_header("X-Amz-Date", request.context["timestamp"])
    return request
