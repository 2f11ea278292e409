"""The model store: what is published stays, a switch is one write, and two who write at once do not lose each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vision.made import MODEL, manifest
from tests.vision.onnx import averages
from vision import store
from vision.bucket import Bucket, Conflict
from vision.errors import BadManifest, StoreError
from vision.manifest import Manifest, encode


def model(folder: Path, version: str) -> tuple[Manifest, Path]:
    data = averages(8, [-float(version), float(version)])
    path = folder / f"{version}.onnx"
    path.write_bytes(data)
    return manifest(data, version=version), path


def test_publish_then_activate_then_roll_back(tmp_path: Path, bucket: Bucket) -> None:
    assert store.active(bucket, "classify") is None
    with pytest.raises(StoreError, match="no day-night 1; published is nothing"):
        store.activate(bucket, "day-night", "1")
    for version in "123":
        described, path = model(tmp_path, version)
        store.publish(bucket, described, path)
        store.publish(bucket, described, path)
        assert store.activate(bucket, "day-night", version).manifest == described
        store.activate(bucket, "day-night", version)
    assert store.published(bucket) == [("day-night", "1"), ("day-night", "2"), ("day-night", "3")]
    state = store.active(bucket, "classify")
    assert state
    assert [each.version for each in (state.manifest, *state.earlier)] == ["3", "2", "1"]
    assert store.rollback(bucket, "classify").manifest.version == "2"
    assert store.rollback(bucket, "classify").manifest.version == "1"
    with pytest.raises(StoreError, match="no way back"):
        store.rollback(bucket, "classify")
    with pytest.raises(StoreError, match="no way back"):
        store.rollback(bucket, "detect")


def test_a_version_never_changes(tmp_path: Path, bucket: Bucket) -> None:
    described, path = model(tmp_path, "1")
    store.publish(bucket, described, path)
    with pytest.raises(StoreError, match="new version"):
        store.publish(bucket, manifest(path.read_bytes(), version="1", labels=("a", "b")), path)
    with pytest.raises(StoreError, match="SHA-256 is another"):
        store.publish(bucket, described, model(tmp_path, "2")[1])


def test_what_is_not_whole_is_not_activated(tmp_path: Path, bucket: Bucket) -> None:
    described, path = model(tmp_path, "1")
    bucket.write("models/day-night/1.json", encode(described), replaces=None)
    with pytest.raises(StoreError, match="publish it again"):
        store.activate(bucket, "day-night", "1")
    bucket.write(store.blob_key(described.sha256), path.read_bytes()[:-1], replaces=None)
    with pytest.raises(StoreError, match="publish it again"):
        store.activate(bucket, "day-night", "1")
    store.publish(bucket, described, path)  # mends it
    store.activate(bucket, "day-night", "1")


def test_who_comes_second_reads_again(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in "12":
        store.publish(bucket, *model(tmp_path, version))
    write = bucket.write

    def overtaken(key: str, data: bytes, *, replaces: str | None) -> None:
        monkeypatch.undo()
        store.activate(bucket, "day-night", "1")
        write(key, data, replaces=replaces)

    monkeypatch.setattr(bucket, "write", overtaken)
    state = store.activate(bucket, "day-night", "2")
    assert [each.version for each in (state.manifest, *state.earlier)] == ["2", "1"]


def test_a_write_has_its_condition(bucket: Bucket) -> None:
    bucket.write("a", b"one", replaces=None)
    with pytest.raises(Conflict):
        bucket.write("a", b"two", replaces=None)
    held = bucket.read("a", 10)
    assert held
    bucket.write("a", b"two", replaces=held[1])
    with pytest.raises(Conflict):
        bucket.write("a", b"three", replaces=held[1])


def test_what_s3_says_is_told(bucket: Bucket) -> None:
    nowhere = Bucket("nowhere")
    assert bucket.read("nothing", 10) is None
    assert bucket.size("nothing") is None
    for call in (lambda: nowhere.read("a", 10), lambda: list(nowhere.names(""))):
        with pytest.raises(StoreError, match="nowhere"):
            call()
    bucket.write("a", b"0123456789", replaces=None)
    with pytest.raises(StoreError, match="larger than"):
        bucket.read("a", 9)


def test_a_file_that_cannot_go_up_is_told(tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for target, path in ((Bucket("nowhere"), tmp_path / "file"), (bucket, tmp_path / "nothing")):
        with pytest.raises(StoreError, match="could not be written"):
            target.upload("key", path)


@pytest.mark.parametrize("what", ["credentials", "server"])
def test_without_credentials_or_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    if what == "server":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    (tmp_path / "file").write_bytes(b"x")
    bucket = Bucket("models")
    with pytest.raises(StoreError, match="cannot be asked"):
        bucket.read("a", 1)
    with pytest.raises(StoreError, match="could not be written"):
        bucket.upload("a", tmp_path / "file")


def test_names_come_in_pages() -> None:
    class Client:
        def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
            if "ContinuationToken" not in asked:
                return {"Contents": [{"Key": "models/a/1.json"}], "IsTruncated": True, "NextContinuationToken": "x"}
            return {"Contents": [{"Key": "models/b/1.json"}, {"Key": "models/b/notes.txt"}], "IsTruncated": False}

    assert store.published(Bucket("b", Client())) == [("a", "1"), ("b", "1")]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"manifest": 1}', b"\xff"])
def test_what_says_nothing_of_a_model_is_refused(data: bytes) -> None:
    with pytest.raises(BadManifest, match="active"):
        store.parse_active(data)


def test_a_large_file_goes_up_in_parts(tmp_path: Path, bucket: Bucket) -> None:
    path = tmp_path / "large"
    path.write_bytes(MODEL * (9_000_000 // len(MODEL)))
    bucket.upload("large", path)
    assert bucket.size("large") == path.stat().st_size
