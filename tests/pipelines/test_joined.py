"""A film encoded by a job that joins it itself, from a bucket or a file: the same bytes as `fastslow encode` makes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import uvloop

import mu
from mu.core.coordinator import Coordinator
from mu.core.instructions import Outcome
from mu.errors import TransferFailed
from mu.server import LocalProcesses, Server
from mu.store import open_store
from mu.store.bucket import Bucket
from pipelines.encode.job import Report, encode_file
from pipelines.encode.joined import encoding_job, remote_limits
from pipelines.encode.plan import Settings
from pipelines.encode.read import INDEX, REPORT, SOURCE, Joining, Sharing
from pipelines.errors import InputError
from pipelines.media.audio import SoundFile
from pipelines.media.complete import missing_bytes
from pipelines.media.pieces import Piece
from pipelines.media.read import Reader
from pipelines.media.source import Footage
from tests.mu import s3
from tests.pipelines import clips
from tests.pipelines.test_subtitles import SRT, film

STORE = "s3://results/jobs/one/store"
QUICK = Settings(chunk_frames=6, chain=3, cq=40, speed=5)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[s3.Server]]:
    with s3.serving(monkeypatch) as running:
        yield running


def limits() -> mu.Limits:
    return msgspec.structs.replace(remote_limits(3), straggler=None)


def served(folder: Path, job: mu.Job, store: str) -> Outcome:
    """Run a job with workers that call out to a server."""

    async def body() -> Outcome:
        async with Server() as server:
            hosted = server.host(Coordinator(job), launcher=LocalProcesses(), folder=folder / "m", store=store)
            outcome = await hosted.over
            await server.leave(hosted)
            return outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body())


@pytest.mark.parametrize("kind", ["webm", "matroska", "ivf"])
def test_on_this_machine_it_is_the_same_film(tmp_path: Path, kind: str) -> None:
    source = film(tmp_path / "in.mkv", {"srt": SRT}, title="A title")
    ending = {"matroska": "mkv"}.get(kind, kind)
    expected = encode_file(str(source), str(tmp_path / f"plain.{ending}"), QUICK, workers=2)
    how = Joining(kind)
    result = mu.run(encoding_job(str(source), QUICK, how, limits()), workers=2)
    assert bytes(result.objects[how.result]) == (tmp_path / f"plain.{ending}").read_bytes()
    report = msgspec.msgpack.decode(result.objects[REPORT], type=Report)
    assert report == msgspec.structs.replace(expected, wall_s=0.0, cpu_s={})
    assert set(result.objects) == {SOURCE, INDEX, REPORT, how.result}, "chunks go when they are joined"


def test_workers_that_call_out_read_the_film_from_a_bucket_and_join_it_there(
    tmp_path: Path, bucket: type[s3.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=40, sound=[("aac", 44100, "stereo")])
    encode_file(str(source), str(tmp_path / "plain.webm"), QUICK, workers=2)
    Bucket("results").ask("PUT", "films/a film.mp4", body=source.read_bytes())
    how = Joining()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    bucket.faults += ["GET.*raw: 503", "PUT.*encoded: cut", "GET.*film: half"]
    outcome = served(tmp_path, encoding_job("s3://results/films/a film.mp4", QUICK, how, limits()), STORE)
    assert outcome.kind == "done", outcome
    assert outcome.committed == 7 + 3
    assert not bucket.faults
    store = open_store(STORE)
    assert bytes(store.read(how.result)) == (tmp_path / "plain.webm").read_bytes()
    assert msgspec.msgpack.decode(store.read(REPORT), type=Report).key_frames == 3
    # What was copied of the film is gone, too.
    assert not list(tmp_path.glob("fastslow-*"))


GOP = {"x264-params": "keyint=12:min-keyint=4:scenecut=0"}
SHARED = Sharing(least_bytes=0, look_bytes=1)


def test_many_workers_read_it_there_and_nothing_of_it_is_on_their_disks(
    tmp_path: Path, bucket: type[s3.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=60, options=GOP, sound=[("aac", 44100, "stereo")])
    encode_file(str(source), str(tmp_path / "plain.webm"), QUICK, workers=2)
    Bucket("results").ask("PUT", "films/a film.mp4", body=source.read_bytes())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    bucket.faults += ["GET.*look: 503", "PUT.*look: cut", "GET.*film.mp4: half", "GET.*film.mp4: 503"]
    job = encoding_job("s3://results/films/a film.mp4", QUICK, Joining(), limits(), SHARED)
    outcome = served(tmp_path, job, STORE)
    assert outcome.kind == "done", outcome
    assert outcome.committed == 2 + 5 + 10 + 2
    assert not bucket.faults
    store = open_store(STORE)
    assert bytes(store.read(Joining().result)) == (tmp_path / "plain.webm").read_bytes()
    assert not list(store.list("raw/"))
    assert not list(tmp_path.glob("fastslow-*"))


def test_a_film_that_is_replaced_meanwhile_is_told(tmp_path: Path, bucket: type[s3.Server]) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=60, options=GOP)
    Bucket("results").ask("PUT", "films/film.mp4", body=source.read_bytes())
    with Reader("s3://results/films/film.mp4") as reader:
        footage = Footage(reader.source.path, reader.source.version, *reader.stored)
        Bucket("results").ask("PUT", "films/film.mp4", body=bytes(1000) + source.read_bytes())
        for open_again in (
            lambda: Reader(footage.path, footage.version),
            lambda: Piece(footage),
            lambda: missing_bytes(footage.path, footage.version),
            lambda: SoundFile(footage.path, (), footage.version),
        ):
            with pytest.raises(InputError, match="was replaced by another object while it was read"):
                open_again()


def test_a_film_that_cannot_be_read_on_is_a_reason_to_try_again(tmp_path: Path, bucket: type[s3.Server]) -> None:
    source = clips.make(tmp_path / "in.mp4", codec="ffv1", frames=60, size=(192, 128))
    assert source.stat().st_size > 1 << 19
    Bucket("results").ask("PUT", "films/film.mp4", body=source.read_bytes())
    with Reader("s3://results/films/film.mp4") as reader:
        pictures = iter(reader)
        next(pictures)
        bucket.faults += ["GET.*film: 503"] * 6
        with pytest.raises(TransferFailed):
            list(pictures)


def test_states_go_by_way_of_the_bucket_and_golden_pictures_ahead_of_them(
    tmp_path: Path, bucket: type[s3.Server]
) -> None:
    """Pictures of more than 1 MiB; the chain's two states are a golden picture and the rest each."""
    source = clips.make(tmp_path / "in.mp4", frames=9, size=(1280, 704), options={"preset": "ultrafast"})
    settings = Settings(chunk_frames=3, chain=3, cq=60, speed=5, scene_cuts=False)
    encode_file(str(source), str(tmp_path / "plain.ivf"), settings, workers=2)
    bucket.faults += [
        "PUT.*messages/: 503",
        "GET.*messages/: half",
        "PUT.*messages/: lost",
        "GET.*messages/: other bytes",
    ]
    how = Joining("ivf")
    outcome = served(tmp_path, encoding_job(str(source), settings, how, limits()), STORE)
    assert outcome.kind == "done", outcome
    assert not bucket.faults
    assert open_store(STORE).read(how.result) == (tmp_path / "plain.ivf").read_bytes()
    written = {line.split()[1] for line in bucket.seen if re.match(r"PUT .*/store/messages/", line)}
    assert len(written) == 4


def test_a_film_that_is_not_there_is_told(tmp_path: Path, bucket: type[s3.Server]) -> None:
    outcome = served(tmp_path, encoding_job("s3://results/films/none.mp4", QUICK, Joining(), limits()), STORE)
    assert outcome.kind == "failed"
    assert outcome.failures[0].reason == "InputError: s3://results/films/none.mp4: there is no such object"
