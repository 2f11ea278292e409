"""Messages of the queue and jobs from outside: what is none is refused by JobError and nothing else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu import Job, JobError, Task, argument
from mu.service.requests import (
    LARGEST_MESSAGE,
    Cancel,
    Run,
    checked_id,
    decode_job,
    encode_job,
    encode_request,
    job_from_json,
    job_to_json,
    read_request,
)
from pipelines.probe import probe_job

JOB = Job("some/film", (Task("a", "pipelines.x:y"),))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "tasks", "limits", "program", "argument", "sends", "receives", "stores", "do", "job")
SHAPED = st.dictionaries(
    st.sampled_from(FIELDS), VALUES | st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), max_size=3)
)


def test_requests_come_back_as_they_were() -> None:
    for request in (Run(JOB.id), Cancel(JOB.id)):
        assert read_request(encode_request(request)) == request
    assert decode_job(encode_job(JOB)).id == JOB.id == checked_id(JOB.id)


def test_a_job_goes_through_json() -> None:
    job = probe_job(4)
    assert job_from_json(job_to_json(job), ["pipelines."]) == job
    with pytest.raises(JobError, match="bytes belong into the store"):
        job_to_json(Job("x", (Task("a", "pipelines.x:y", argument(b"bytes")),)))


@given(st.text() | st.binary() | SHAPED.map(json.dumps))
def test_what_is_no_request_is_refused(body: str | bytes) -> None:
    for read in (read_request, lambda body: job_from_json(body, ["pipelines."])):
        try:
            read(body)
        except JobError:
            continue


@given(st.binary(max_size=200))
def test_what_is_no_job_in_the_bucket_is_refused(data: bytes) -> None:
    with contextlib.suppress(JobError):
        decode_job(data)
    whole = bytearray(encode_job(JOB))
    for at, byte in enumerate(data):
        whole[(at * 7) % len(whole)] ^= byte
    with contextlib.suppress(JobError):
        decode_job(bytes(whole))


@pytest.mark.parametrize(
    "body",
    [
        "x" * (LARGEST_MESSAGE + 1),
        '{"do": "run"}',
        '{"do": "dance", "job": "film-0123456789abcdef"}',
        '{"do": "run", "job": "../../x-0123456789abcdef"}',
        '{"do": "run", "job": "film-0123456789abcdef", "more": 1}',
        '{"do": "run", "job": "film-0123456789abcdef\\n"}',
    ],
)
def test_requests_that_are_almost_right(body: str) -> None:
    with pytest.raises(JobError):
        read_request(body)
