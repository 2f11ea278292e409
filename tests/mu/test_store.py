"""Stores: what any of them does, and how each stands what its folder or bucket does to it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu.digest import digest
from mu.errors import BackendError, JobError, Missing, MuError, Refused, TransferFailed
from mu.store import Store, open_store, s3
from mu.store.bucket import Bucket
from mu.store.folder import FolderStore
from mu.store.s3 import S3Store
from tests.mu.s3 import Server, serving

BAD_NAMES = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/.b",
    ".a",
    "a\nb",
    "a b",
    "ä",
    "a\0",
    "x" * 201,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    monkeypatch.setattr(s3, "_READ_PART", 1 << 20)
    monkeypatch.setattr(s3, "_WRITE_PART", 5 << 20)  # S3 takes no smaller ones
    monkeypatch.setattr(s3, "_WRITE_WHOLE", 6 << 20)
    with serving(monkeypatch) as running:
        yield running


def remote(prefix: str = "jobs/one", attempts: int = 4) -> S3Store:
    return S3Store(Bucket("results", attempts=attempts, pause=0.001, patience=0.5), prefix)


@pytest.fixture(params=["folder", "durable folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "bucket":
        request.getfixturevalue("server")
        return remote()
    return FolderStore(tmp_path / "store", durable=request.param == "durable folder")


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 20, (1 << 20) + 1, 3_500_000, 11_000_000])
def test_what_is_written_is_read(store: Store, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    store.write("a/b.c", payload)
    store.write("a/b.c", memoryview(payload))  # once more does no harm
    read = store.read("a/b.c")
    assert read == payload
    assert read.readonly
    assert store.size("a/b.c") == size
    assert store.holds("a/b.c", payload)
    assert not store.holds("a/b", payload)
    assert not store.holds("a/b.c", payload + b"x")
    if size:
        assert not store.holds("a/b.c", bytes([payload[0] ^ 1]) + payload[1:])
        with pytest.raises(Refused, match="larger"):
            store.read("a/b.c", size - 1)


def test_only_the_bytes_that_are_wanted_are_read(store: Store) -> None:
    store.write("a", b"these", digest(b"these"))
    assert store.read("a", wanted=digest(b"these")) == b"these"
    with pytest.raises(TransferFailed, match="other bytes"):
        store.read("a", wanted=digest(b"those"))
    store.write("a", b"those", digest(b"those"))
    with pytest.raises(TransferFailed, match="other bytes"):
        store.read("a", wanted=digest(b"these"))


def test_objects_are_listed_and_deleted(store: Store) -> None:
    assert list(store.list()) == []
    for name in ("raw/2", "raw/1", "raw-1", "chunk/0/x", "c+d=e"):
        store.write(name, name.encode())
    assert list(store.list()) == ["c+d=e", "chunk/0/x", "raw-1", "raw/1", "raw/2"]
    assert list(store.list("raw/")) == ["raw/1", "raw/2"]
    assert list(store.list("raw")) == ["raw-1", "raw/1", "raw/2"]
    assert list(store.list("chunk/0/")) == ["chunk/0/x"]
    for beginning in ("nothing/", "/", "..", "../", "raw/../", "raw\0", ".", "raw//1"):
        assert list(store.list(beginning)) == []
    store.delete("chunk/0/x")
    store.delete("chunk/0/x")
    assert not store.exists("chunk/0/x")
    assert store.exists("raw/1")
    for ask in (store.read, store.size):
        with pytest.raises(Missing):
            ask("chunk/0/x")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_cannot_leave_the_store(store: Store, name: str) -> None:
    for ask in (store.read, store.size, store.exists, store.delete, lambda name: store.write(name, b"x")):
        with pytest.raises(JobError):
            ask(name)


@given(st.text(max_size=30))
def test_whatever_a_name_is_it_stays_in_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    top = tmp_path_factory.mktemp("top")
    store = FolderStore(top / "store")
    try:
        store.write(name, b"x")
    except MuError:
        assert not any(top.rglob("*"))
    else:
        assert list(store.list()) == [name]
        assert list(top.iterdir()) == [top / "store"]
    list(store.list(name))


def test_nothing_half_written_is_ever_there(tmp_path: Path) -> None:
    """Readers and listers beside a writer see the object whole, and its parts never."""
    store = FolderStore(tmp_path)
    payload = b"0123456789" * 100_000
    done = threading.Event()

    def write() -> None:
        for _ in range(30):
            store.write("a/b", payload)
            store.delete("a/b")
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert set(store.list()) <= {"a/b"}
        with suppress(Missing):
            assert store.read("a/b") == payload
    writer.join()
    assert not any(tmp_path.rglob("*.part"))


def test_what_a_folder_refuses_is_told(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a", b"x")
    for ask in (lambda: store.write("a/b", b"x"), lambda: store.read("a/b")):
        with pytest.raises(BackendError, match="a"):
            ask()
    (tmp_path / "folder").mkdir()
    for ask in (lambda: store.read("folder"), lambda: store.write("folder", b"x"), lambda: store.size("folder")):
        with pytest.raises(BackendError):
            ask()
    assert not any(tmp_path.rglob("*.part"))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path, durable=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendError, match="No space left"):
        store.write("a", b"x" * 1000)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "fault", ["GET: 500", "GET: 503", "GET: 429", "GET: cut", "GET: half", "GET: other bytes", "GET: slow"]
)
@pytest.mark.parametrize("size", [1000, 2_500_000])
def test_reading_survives_what_passes(server: type[Server], fault: str, size: int) -> None:
    store = remote()
    payload = random.Random(1).randbytes(size)
    store.write("a", payload)
    server.faults += [fault] * 2
    assert store.read("a") == payload
    assert not server.faults
    server.faults += [fault] * 100
    with pytest.raises(TransferFailed):
        store.read("a")


@pytest.mark.parametrize("fault", ["PUT: 500", "PUT: 503", "PUT: cut", "PUT: wrong upload", "PUT: lost"])
@pytest.mark.parametrize("size", [1000, 11_000_000])
def test_writing_survives_what_passes(server: type[Server], fault: str, size: int) -> None:
    store = remote()
    payload = random.Random(1).randbytes(size)
    server.faults += [fault] * 2
    store.write("a", payload)
    assert store.read("a") == payload
    server.faults += [fault] * 100
    with pytest.raises(TransferFailed, match="tried 4 times"):
        store.write("b", payload)
    assert store.exists("b") == (fault == "PUT: lost" and size == 1000)


def test_an_upload_that_fails_is_given_up_and_one_whose_end_was_lost_is_not(server: type[Server]) -> None:
    store = remote(attempts=2)
    payload = bytes(11_000_000)
    server.faults += ["PUT: 403"]
    with pytest.raises(Refused):
        store.write("a", payload)
    assert any(line.startswith("DELETE") and "uploadId" in line for line in server.seen)
    server.faults += ["POST.*uploadId: lost", "POST.*uploadId: 404"]  # the one that completes it was done
    store.write("a", payload)
    assert store.read("a") == payload


def test_large_objects_come_in_ranges_and_go_in_parts(server: type[Server]) -> None:
    store = remote()
    payload = random.Random(2).randbytes(11_000_000)
    store.write("a", payload)
    assert len([line for line in server.seen if line.startswith("PUT")]) == 3
    server.seen.clear()
    assert store.read("a") == payload
    assert len([line for line in server.seen if "bytes=" in line]) == 11


def test_what_others_wrote_has_no_digest_and_is_read(server: type[Server]) -> None:
    Bucket("results").ask("PUT", "jobs/one/film", body=b"film")
    assert remote().read("film") == b"film"


def test_who_may_not_is_told_at_once(server: type[Server]) -> None:
    store = remote()
    server.faults += ["GET: 403", "PUT: 403"]
    for ask in (lambda: store.read("a"), lambda: store.write("a", b"x")):
        before = len(server.seen)
        with pytest.raises(Refused):
            ask()
        assert len(server.seen) <= before + 2


def test_a_bucket_gives_any_key(server: type[Server]) -> None:
    bucket = Bucket("results")
    keys = ["a b.mp4", "a&b<c>.mp4", "ä/ö+%20.webm", *(f"many/{number:04}" for number in range(1005))]
    for key in keys:
        bucket.ask("PUT", key, body=b"x")
    assert set(bucket.keys("")) == set(keys)
    assert list(bucket.keys("many/")) == keys[3:]
    assert bucket.read("a&b<c>.mp4", 1)
    bucket.close()


def test_a_store_is_opened_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    opened = open_store("s3://results/jobs/one/")
    assert isinstance(opened, S3Store)
    assert (opened.bucket.name, opened._key("a")) == ("results", "jobs/one/a")
    assert open_store("s3://results")._key("a") == "a"  # type: ignore[attr-defined]
    for url in ("", "http://x/y", "s3://", "s3://B/x", "s3://results/a b", "s3://results/../other", "file:///tmp"):
        with pytest.raises(JobError):
            open_store(url)
