"""A codec out of the store: imported from under /tmp in place of the layer's, and the layer's where it cannot be."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import fastslow
from layers import archive, build
from layers.recipes import RECIPES, Arch
from pipelines import updates
from pipelines.errors import InputError, SettingsError
from tests.vision.conftest import bucket as bucket  # the fixture
from vision.bucket import Bucket
from vision.store import blob_key

ARCH: Arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
MACHINE: updates.Machine = "aarch64" if ARCH == "arm64" else "x86_64"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)  # the first one may have to compile the codec

PROGRAM = """
import pathlib, sys
from functions.binaries import use_codec
from functions.cache import Cache
from functions.errors import Damaged, Missing

class Store:
    def read(self, key, largest, unless=""):
        path = pathlib.Path(key)
        if not path.exists():
            raise Missing(key)
        return path.read_bytes(), "tag"
    def stream(self, key):
        yield pathlib.Path(key).read_bytes()

try:
    print(use_codec(Store(), Cache(pathlib.Path("cache"), 100_000_000)))
except Damaged as error:
    print("damaged")
import codec
print(codec.BUILD, codec.__file__)
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build("codec", ARCH, tmp_path_factory.mktemp("codec")).path


def published(folder: Path, packed: Path, bucket: Bucket) -> updates.Update:
    """Publish, and lay what is in the bucket into a folder."""
    update = updates.publish(bucket, MACHINE, packed)
    for key in (updates.updates_key(MACHINE), blob_key(update.sha256)):
        held = bucket.read(key, 1 << 30)
        assert held
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(held[0])
    return update


def run(folder: Path) -> list[str]:
    command = [sys.executable, "-c", PROGRAM]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_codec_of_the_store_is_imported(tmp_path: Path, packed: Path, bucket: Bucket) -> None:
    update = published(tmp_path, packed, bucket)
    for _ in range(2):
        sha256, compiled, path = run(tmp_path)
        assert sha256 == update.sha256
        assert compiled.startswith(MACHINE)
        assert path.endswith(f"cache/{sha256}.tree/python/codec/__init__.py")
    updates.rollback(bucket, MACHINE)
    held = bucket.read(updates.updates_key(MACHINE), 1000)
    assert held
    (tmp_path / updates.updates_key(MACHINE)).write_bytes(held[0])
    assert run(tmp_path)[0] == "None"


def test_without_an_update_the_layers_codec_runs(tmp_path: Path) -> None:
    sha256, _, path = run(tmp_path)
    assert (sha256, path) == ("None", str(ROOT / "codec" / "__init__.py"))


@pytest.mark.parametrize("fault", ["broken source", "no build for this processor"])
def test_a_codec_that_cannot_be_imported_leaves_the_layers(
    tmp_path: Path, packed: Path, bucket: Bucket, fault: str
) -> None:
    files = {"python/codec/__init__.py": b"import codec.nowhere\n", f"python/codec/_compiled/{MACHINE}/x.so": b"x"}
    if fault != "broken source":
        files["python/codec/__init__.py"] = b"BUILD = 'uncompiled'\n"
    archive.write(tmp_path / "codec.zip", files)
    published(tmp_path, tmp_path / "codec.zip", bucket)
    told, _, path = run(tmp_path)
    assert (told, path) == ("damaged", str(ROOT / "codec" / "__init__.py"))


def test_what_is_no_codec_is_not_published(tmp_path: Path, packed: Path, bucket: Bucket) -> None:
    other: updates.Machine = "x86_64" if MACHINE == "aarch64" else "aarch64"
    with pytest.raises(InputError, match=r"layers\.build"):
        updates.publish(bucket, other, packed)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    for path in (tmp_path / "x.zip", tmp_path / "nothing.zip"):
        with pytest.raises(InputError):
            updates.publish(bucket, MACHINE, path)
    with pytest.raises(InputError, match="which codec runs"):
        updates.parse(b"[]")


def test_back_and_forth(tmp_path: Path, packed: Path, bucket: Bucket) -> None:
    updates.publish(bucket, MACHINE, packed)
    updates.publish(bucket, MACHINE, packed)
    assert len(updates.read_updates(bucket, MACHINE)[0].updates) == 1
    assert updates.rollback(bucket, MACHINE) is None
    with pytest.raises(SettingsError, match="nothing to take back"):
        updates.rollback(bucket, MACHINE)


def test_the_command(packed: Path, bucket: Bucket) -> None:
    where = ["--machine", MACHINE, "--bucket", bucket.name]
    result = CliRunner().invoke(fastslow, ["codec", "publish", str(packed), *where])
    assert result.output == f"{MACHINE}: codec {updates.read_updates(bucket, MACHINE)[0].updates[0].sha256}\n"
    result = CliRunner().invoke(fastslow, ["codec", "rollback", *where])
    assert result.output == f"{MACHINE}: codec of the layer\n"
    assert CliRunner().invoke(fastslow, ["codec", "rollback", *where]).exit_code == 2


def test_the_package_holds_the_codec_alone() -> None:
    assert RECIPES["codec"].project == ("codec",)
    assert not RECIPES["codec"].wheels
