"""The packages of this machine's kind are built and used: by the functions' Python, with nothing else on its path."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import msgspec
import pytest

from layers import archive, build, wheels
from layers.bytecode import compile_all, functions_python
from layers.recipes import FUNCTIONS, PYTHON, RECIPES, Arch
from layers.wheels import ROOT
from tests.functions.made import event, version
from tests.vision.made import picture
from vision.store import Active

ARCH: Arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
pytestmark = [
    pytest.mark.skipif(platform.system() != "Linux", reason="the packages are for Linux"),
    pytest.mark.timeout(600),  # the first one fetches 160 MB of wheels
]

CODEC = """
import codec
assert codec.BUILD != "uncompiled", codec.BUILD
print(codec.State, codec.BUILD)
"""
VIDEO = """
import av, io, numpy
file = io.BytesIO()
with av.open(file, "w", format="webm") as out:
    stream = out.add_stream("libvpx", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for grey in range(0, 200, 40):
        out.mux(stream.encode(av.VideoFrame.from_ndarray(numpy.full((64, 64, 3), grey, "uint8"), format="rgb24")))
    out.mux(stream.encode())
file.seek(0)
frames = [frame.to_ndarray(format="rgb24").mean() for frame in av.open(file).decode(video=0)]
assert numpy.allclose(frames, range(0, 200, 40), atol=3), frames
"""
# A model by hand, in the bytes of ONNX's protocol buffers: y = Relu(x), x of two floats.
VISION = """
import io, numpy, onnxruntime
from PIL import Image

def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data
def tensor(name):
    size = field(1, bytes([8, 2]))
    return field(1, name) + field(2, field(1, bytes([8, 1]) + field(2, size)))
node = field(1, b"x") + field(2, b"y") + field(4, b"Relu")
graph = field(1, node) + field(2, b"g") + field(11, tensor(b"x")) + field(12, tensor(b"y"))
model = bytes([8, 8]) + field(7, graph) + field(8, bytes([16, 13]))
session = onnxruntime.InferenceSession(model)
assert session.run(None, {"x": numpy.array([-1, 2], "float32")})[0].tolist() == [0, 2]
assert numpy.allclose(numpy.linalg.inv(numpy.eye(3) * 2), numpy.eye(3) / 2)
for kind in ("JPEG", "PNG", "WEBP"):
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, kind)
    file.seek(0)
    picture = Image.open(file, formats=["JPEG", "PNG", "WEBP"])
    picture.load()
    assert (picture.format, picture.size) == (kind, (64, 48))
"""
COORDINATOR = """
import asyncio, warnings
import boto3, cryptography.x509, msgspec, uvloop
from cryptography.hazmat.primitives.asymmetric import ec
ec.generate_private_key(ec.SECP256R1())
for service in ("s3", "sqs", "sts", "lambda"):
    boto3.client(service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
uvloop.run(asyncio.sleep(0))
import mu.ledger, mu.service.requests
"""
CLASSIFY = """
import json, pathlib, sys
sys.path.insert(0, "task")
from functions import environment
from functions.classify.handler import handler

class Store:
    def read(self, key, largest, unless=""):
        return pathlib.Path("active.json").read_bytes(), "tag"
    def stream(self, key):
        yield pathlib.Path("model.onnx").read_bytes()

environment.models = Store
event = json.loads(pathlib.Path("event.json").read_text())
answer = handler(event, None)
assert json.loads(answer["body"])["labels"][0]["label"] == "day", answer
"""


@pytest.fixture(scope="session")
def python() -> str:
    found = functions_python()
    if not found:
        pytest.skip(f"no CPython {PYTHON} is here to use the packages with (FASTSLOW_PYTHON names one)")
    return found


@pytest.mark.parametrize(
    ("names", "program"),
    [
        (("video", "code"), VIDEO + CODEC),
        (("vision",), VISION),
        (FUNCTIONS["classify"], CLASSIFY),
        (("code", "coordinator"), COORDINATOR),
    ],
    ids=["video", "vision", "classify", "coordinator"],
)
def test_a_trimmed_package_works(tmp_path: Path, python: str, names: tuple[str, ...], program: str) -> None:
    for name in names:
        package = build.build(name, ARCH, tmp_path)
        assert package.path == tmp_path / f"{name}.zip"
        with zipfile.ZipFile(package.path) as zipped:
            zipped.extractall(tmp_path / "opt")
    shutil.copytree(ROOT / "functions", tmp_path / "task" / "functions")
    described, data = version(1)
    (tmp_path / "active.json").write_bytes(msgspec.json.encode(Active(described)))
    (tmp_path / "model.onnx").write_bytes(data)
    (tmp_path / "event.json").write_text(json.dumps(event("jpeg", picture(235))))
    # -S and -B: no other packages, and nothing written; -W error as everywhere.
    command = [python, "-S", "-B", "-W", "error", "-c", program]
    environment = {"PYTHONPATH": str(tmp_path / "opt" / "python"), "PATH": os.environ["PATH"]}
    environment["FASTSLOW_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arch", ["arm64", "x86_64"])
def test_a_package_is_the_same_bytes_when_built_again(tmp_path: Path, arch: Arch) -> None:
    first = build.build("vision", arch, tmp_path)
    recipe = RECIPES["vision"]
    lock = wheels.read_lock(arch)
    found = wheels.find([lock[name] for name in recipe.wheels], arch, wheels.ROOT / "build" / "wheels" / arch)
    files = build.tree(recipe, [wheels.contents(path) for path in found], {})
    python = functions_python()
    archive.write(tmp_path / "again.zip", files | (compile_all(files, python) if python else {}))
    assert wheels.digest(tmp_path / "again.zip") == first.sha256
    with zipfile.ZipFile(first.path) as zipped:
        names = zipped.namelist()
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyi", ".h", ".a"))]
    assert not [name for name in names if "libonnxruntime.so" in name]
    assert not [name for name in names if not name.startswith("python/")]
