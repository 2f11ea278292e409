"""A film encoded by the deployed stack, from one bucket into another: the bytes that this machine makes alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("aws_cdk", reason="the stack needs the extra: pip install -e '.[deploy]'")
pytest.importorskip("boto3", reason="the stack needs the extra: pip install -e '.[aws]'")

from deploy import local
from pipelines.encode.job import Report, encode_file
from pipelines.encode.joined import encoding_job, remote_limits
from pipelines.encode.plan import Settings
from pipelines.encode.read import REPORT, Joining, Sharing
from tests.deploy.test_jobs import Jobs, committed, over
from tests.deploy.test_jobs import jobs as jobs  # the fixture
from tests.pipelines import clips

pytestmark = pytest.mark.timeout(900)  # the first one builds the packages

QUICK = Settings(chunk_frames=12, chain=3, cq=40, speed=5)


def test_a_film_is_encoded_to_the_bytes_that_one_machine_makes(jobs: Jobs, tmp_path: Path) -> None:
    film = clips.make(tmp_path / "film.mp4", frames=120, size=(320, 192), sound=[("aac", 44100, "stereo")])
    expected = encode_file(str(film), str(tmp_path / "plain.webm"), QUICK, workers=2)
    media = jobs.stack.outputs["MediaBucket"]
    local.client("s3", jobs.stack).upload_file(str(film), media, "a film.mp4")
    how = Joining()
    job = encoding_job(f"s3://{media}/a film.mp4", QUICK, how, remote_limits(3))
    jobs.submit(job)
    jobs.until(job, committed(2))
    for environment in jobs.environments()[:1]:
        os.kill(environment, signal.SIGKILL)
    told = jobs.until(job, over)
    assert (told["state"], told["counts"]["committed"]) == ("done", 10 + 3)
    results = jobs.results(job)
    assert results[how.result] == (tmp_path / "plain.webm").read_bytes()
    report = msgspec.msgpack.decode(results[REPORT], type=Report)
    assert report == msgspec.structs.replace(expected, wall_s=0.0, cpu_s={})
    assert not any(name.startswith(("raw/", "encoded/")) for name in results), "what is temporary goes when it was used"


def test_many_workers_read_a_film_in_its_bucket(jobs: Jobs, tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=24:min-keyint=4:bframes=3:scenecut=0"}
    clip: dict[str, Any] = {"frames": 120, "size": (320, 192), "options": options}
    film = clips.make(tmp_path / "film.mp4", **clip, sound=[("aac", 44100, "stereo")])
    expected = encode_file(str(film), str(tmp_path / "plain.webm"), QUICK, workers=2)
    media = jobs.stack.outputs["MediaBucket"]
    local.client("s3", jobs.stack).upload_file(str(film), media, "a shared film.mp4")
    sharing = Sharing(least_bytes=0, look_bytes=24 * 320 * 192)
    job = encoding_job(f"s3://{media}/a shared film.mp4", QUICK, Joining(), remote_limits(3), sharing)
    jobs.submit(job)
    told = jobs.until(job, over)
    assert (told["state"], told["counts"]["committed"]) == ("done", 2 + 5 + 10 + 2)
    results = jobs.results(job)
    assert results[Joining().result] == (tmp_path / "plain.webm").read_bytes()
    report = msgspec.msgpack.decode(results[REPORT], type=Report)
    assert report == msgspec.structs.replace(expected, wall_s=0.0, cpu_s={})
    assert not any(name.startswith(("raw/", "look/")) for name in results)


def test_large_states_lie_in_the_bucket_on_their_way(jobs: Jobs, tmp_path: Path) -> None:
    film = clips.make(tmp_path / "film.mp4", frames=24, size=(1280, 720))
    settings = Settings(chunk_frames=6, chain=4, cq=40, speed=5)
    encode_file(str(film), str(tmp_path / "plain.webm"), settings, workers=2)
    media = jobs.stack.outputs["MediaBucket"]
    local.client("s3", jobs.stack).upload_file(str(film), media, "a large film.mp4")
    how = Joining()
    job = encoding_job(f"s3://{media}/a large film.mp4", settings, how, remote_limits(3))
    jobs.submit(job)
    told = jobs.until(job, over)
    assert (told["state"], told["counts"]["committed"]) == ("done", 4 + 2)
    counts = told["counts"]
    assert counts["stored_messages"] >= 3, "a picture of 1.4 MB from each chunk to the next"
    assert counts["message_bytes"] - counts["stored_bytes"] < 1 << 20, "what is small goes through the coordinator"
    results = jobs.results(job)
    assert results[how.result] == (tmp_path / "plain.webm").read_bytes()
    assert not any(name.startswith("messages/") for name in results)
