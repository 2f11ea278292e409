"""What the classifier adds to bare onnxruntime, and how long its first answer takes: `python -m bench.classify`.

Out of the packages, under the functions' Python, with a server of this machine as S3; Lambda's own start and the API
come on top. It needs the model and the picture of the shared folder, and a CPython of the functions' version.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.clips import ROOT, shared
from bench.paired import Spread
from bench.table import Row, show
from layers.build import build
from layers.bytecode import functions_python
from layers.recipes import FUNCTIONS, Arch
from vision.library import read_labels
from vision.manifest import Input, Manifest, Output
from vision.store import Active, active_key, blob_key

ROUNDS = 15
CALLS = 40
MODEL, LABELS, PICTURE = "models/mobilenet_v2_1.0_224_u8.onnx", "models/imagenet_labels.txt", "media/images/cat.jpg"

# Answers once and leaves (argument "once"), or prints the milliseconds of calls, bare and ours in turn.
PROGRAM = """
import json, sys, time
from functions.classify.handler import handler
event = json.load(open("event.json"))
answer = json.loads(handler(event, None)["body"])
assert "cat" in answer["labels"][0]["label"], answer
if sys.argv[1] != "once":
    import io, numpy, onnxruntime
    from PIL import Image
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession("model.onnx", options)
    picture = open("picture.jpg", "rb").read()
    def bare():
        image = Image.open(io.BytesIO(picture)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        samples = (numpy.asarray(image, numpy.float32) - 128) / 128
        session.run(None, {"input": samples.transpose(2, 0, 1)[None]})
    def taken(call):
        began = time.process_time()
        call()
        return 1000 * (time.process_time() - began)
    print(json.dumps([(taken(bare), taken(lambda: handler(event, None))) for _ in range(int(sys.argv[1]))]))
"""


def rows() -> Iterator[Row]:
    """Measure, where there is what it takes."""
    folder, python = shared(), functions_python()
    if not folder or not python or platform.system() != "Linux":
        return
    with tempfile.TemporaryDirectory() as scratch, _store(folder) as endpoint:
        here = Path(scratch)
        _unpack(here, folder)
        environment = {"PYTHONPATH": f"{here}/task:{here}/opt/python", "PATH": os.environ["PATH"]}
        environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        environment |= {"FASTSLOW_MODELS_BUCKET": "models", "FASTSLOW_CACHE": str(here / "cache")}

        def run(argument: str) -> str:
            shutil.rmtree(here / "cache", ignore_errors=True)
            command = [python, "-S", "-B", "-c", PROGRAM, argument]
            done = subprocess.run(command, cwd=here, env=environment, check=True, capture_output=True, text=True)
            return done.stdout.splitlines()[-1]

        pairs = json.loads(run(str(CALLS)))[5:]
        bare, ours = (Spread.of([pair[side] for pair in pairs]) for side in (0, 1))
        more = Spread.of([ours - bare for bare, ours in pairs])
        yield Row("a picture by bare onnxruntime and Pillow, CPU time", bare.text(1), bare.median, unit=" ms")
        yield Row("the same by the handler, warm", ours.text(1), ours.median, unit=" ms")
        what = "the handler on top of bare onnxruntime (it decodes large JPEGs at a fraction)"
        yield Row(what, more.text(1), more.median, 40, 10, more_is_better=False, unit=" ms")
        seconds = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            run("once")
            seconds.append(1000 * (time.perf_counter() - began))
        cold = Spread.of(seconds)
        what = "start of Python to first answer, model fetched, wall time"
        yield Row(what, cold.text(0), cold.median, 2500, 1000, more_is_better=False, unit=" ms")


def _unpack(here: Path, folder: Path) -> None:
    arch: Arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
    for name in FUNCTIONS["classify"]:
        with zipfile.ZipFile(build(name, arch, here).path) as zipped:
            zipped.extractall(here / "opt")
    shutil.copytree(ROOT / "functions", here / "task" / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(folder / PICTURE, here / "picture.jpg")
    shutil.copy(folder / MODEL, here / "model.onnx")
    body = base64.b64encode((folder / PICTURE).read_bytes()).decode()
    event = {"headers": {"Content-Type": "image/jpeg"}, "body": body, "isBase64Encoded": True}
    (here / "event.json").write_text(json.dumps(event))


def manifest(folder: Path) -> Manifest:
    """What describes the model of the shared folder."""
    data = (folder / MODEL).read_bytes()
    return Manifest(
        name="mobilenet-v2",
        version="1",
        file=Path(MODEL).name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence="Apache-2.0",
        input=Input(name="input", width=224, height=224, mean=(128.0,) * 3, scale=(1 / 128,) * 3),
        outputs=(Output(name="prob", kind="probabilities"),),
        labels=read_labels(folder / LABELS),
        session={"session.disable_quant_qdq": "1"},
    )


@contextmanager
def _store(folder: Path) -> Iterator[str]:
    """A server that has the model and says that it is active."""
    given = manifest(folder)
    objects = {
        f"/models/{active_key('classify')}": msgspec.json.encode(Active(given)),
        f"/models/{blob_key(given.sha256)}": (folder / MODEL).read_bytes(),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(objects[self.path])))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(objects[self.path])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    show(f"Classifier, median of {CALLS} calls and {ROUNDS} starts (spread)", rows())
