"""An object read in place: the bytes of a file, in whatever order they are asked for and whatever S3 does."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator

import pytest

from mu.errors import JobError, Missing, TransferFailed
from mu.store import ranged
from mu.store.bucket import Bucket
from mu.store.ranged import Ranged, Replaced
from tests.mu.s3 import Server, serving

FILM = "s3://results/films/a film & more.mp4"
DATA = random.Random(1).randbytes(1_500_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    for name, size in (("_SMALLEST", 10_000), ("_LARGEST", 200_000), ("_PART", 50_000), ("_KEPT", 300_000)):
        monkeypatch.setattr(ranged, name, size)
    with serving(monkeypatch) as running:
        put(DATA)
        yield running


def bucket(attempts: int = 4) -> Bucket:
    return Bucket("results", attempts=attempts, pause=0.001, patience=0.5)


def put(data: bytes) -> None:
    bucket().ask("PUT", "films/a film & more.mp4", body=data)


def asked(server: type[Server]) -> int:
    return sum(line.startswith("GET") for line in server.seen)


@pytest.mark.parametrize("seed", range(3))
def test_it_reads_like_a_file(server: type[Server], seed: int) -> None:
    chance = random.Random(seed)
    film, file = Ranged(FILM, bucket=bucket()), io.BytesIO(DATA)
    for _ in range(200):
        if chance.random() < 0.4:
            whence = chance.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            offset = {0: 0, 1: file.tell(), 2: len(DATA)}[whence]
            to = chance.choice([0, len(DATA), chance.randrange(len(DATA)), len(DATA) + chance.randrange(5000)])
            assert film.seek(to - offset, whence) == file.seek(to - offset, whence)
        size = chance.choice([0, 1, chance.randrange(100), chance.randrange(60_000), -1 if seed == 0 else 300_000])
        if not server.faults and chance.random() < 0.2:
            server.faults.append(chance.choice(["GET: 503", "GET: cut", "GET: half"]))
        assert film.read(size) == file.read(size)
        assert film.tell() == file.tell()
    into = bytearray(1000)
    film.seek(-10, os.SEEK_END)
    assert film.readinto(memoryview(into)) == 10
    assert into[:10] == DATA[-10:]


def test_who_reads_on_asks_seldom_and_who_comes_back_not_again(server: type[Server]) -> None:
    film = Ranged(FILM, bucket=bucket())
    server.seen.clear()
    whole = b"".join(iter(lambda: film.read(1000), b""))
    assert whole == DATA
    assert asked(server) < 40  # in 30 parts and the smaller ones before
    film.seek(len(DATA) - 5000)
    before = asked(server)
    film.read()
    assert asked(server) == before
    film.seek(0)
    assert film.read(100) == DATA[:100]
    assert asked(server) == before + 1


def test_no_more_is_kept_than_said(server: type[Server]) -> None:
    film = Ranged(FILM, bucket=bucket())
    for place in range(0, len(DATA), 30_000):
        film.seek(place)
        film.read(100)
        assert sum(len(piece.data) for piece in film._pieces.values()) <= 300_000


@pytest.mark.parametrize("later", [False, True])
def test_another_object_in_its_place_is_told(server: type[Server], later: bool) -> None:
    film = Ranged(FILM, bucket=bucket())
    if later:
        film.read(100)
    put(DATA[::-1])
    film.seek(500_000)
    for _ in range(2):  # and told again, since FFmpeg asks again
        with pytest.raises(Replaced, match="was replaced by another object"):
            film.read(100)
    with pytest.raises(Replaced):
        Ranged(FILM, film.version, bucket())
    assert Ranged(FILM, bucket=bucket()).read(10) == DATA[:-11:-1]


def test_an_object_that_goes_away_is_told(server: type[Server]) -> None:
    film = Ranged(FILM, bucket=bucket())
    bucket().delete("films/a film & more.mp4")
    with pytest.raises(Missing):
        film.read(1)
    with pytest.raises(Missing, match="is not there"):
        Ranged(FILM, bucket=bucket())


def test_s3_that_does_not_answer_is_a_reason_to_try_again(server: type[Server]) -> None:
    film = Ranged(FILM, bucket=bucket(attempts=2))
    server.faults += ["GET: 503", "GET: cut", "GET: half", "GET: half"]
    with pytest.raises(TransferFailed) as told:
        film.read(1)
    assert told.value.again
    assert len(server.faults) == 2
    with pytest.raises(TransferFailed):
        film.read(1)
    assert len(server.faults) == 2, "what failed is not asked for again"


def test_what_is_no_object_is_told() -> None:
    for url in ("results/film", "s3://results", "s3://results/", "s3://B/film"):
        with pytest.raises(JobError):
            Ranged(url)
