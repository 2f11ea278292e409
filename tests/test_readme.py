"""What the README shows, run as it stands there."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.ivf import IvfHeader, write_frame, write_header
from pipelines import libvpx

README = Path(__file__).resolve().parents[1] / "README.md"


def examples() -> list[str]:
    """Of Python."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_a_map_does_what_the_readme_shows(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(examples()[0])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "[3, 5]\n"


@pytest.mark.skipif(codec.BUILD == "uncompiled", reason="takes seconds a frame")
def test_the_library_does_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, 64 * 64 * 3 // 2, np.uint8)
    frames = [np.roll(texture, 2 * number).tobytes() for number in range(3)]
    monkeypatch.chdir(tmp_path)
    with Path("film.ivf").open("wb") as file:
        write_header(file, IvfHeader(64, 64, 25, 1, len(frames)))
        for number, packet in enumerate(libvpx.encode(frames, libvpx.Settings(64, 64, Fraction(25), 30, 2))):
            write_frame(file, number, packet.data)

    example = examples()[-1]
    names: dict[str, object] = {}
    exec(example, names)

    assert capsys.readouterr().out.endswith("(64, 64) False\n")
    state, before = names["state"], names["before"]
    assert isinstance(state, codec.State)
    assert isinstance(before, codec.State)
    assert state != before
    assert isinstance(names["data"], bytes)
