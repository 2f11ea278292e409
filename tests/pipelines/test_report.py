"""The page of `--report` as a text: complete, true, closed to the outside, and whole whatever names it is given."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from pipelines.encode.plan import Settings
from pipelines.errors import OutputError, SettingsError
from pipelines.media.packets import open_vp8
from pipelines.media.read import Reader
from pipelines.report.file import page_file
from pipelines.report.page import Job, render
from pipelines.report.pictures import pictures, shown_size
from pipelines.stream import describe, images
from tests.pipelines import clips, reports

VOID = {"meta", "link", "img", "br", "input"}


class Elements(HTMLParser):
    """The elements of a page with their attributes and their text; every one that is opened must be closed."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.feed(page.decode())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.found.append((tag, dict(attrs), text))
        if tag not in VOID:
            self.open.append((tag, text))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, text in self.open:
            text.append(data)

    def texts(self, tag: str) -> list[str]:
        return ["".join(text) for name, _, text in self.found if name == tag]

    def data(self) -> Any:
        ((_, _, text),) = [element for element in self.found if element[1].get("id") == "data"]
        return json.loads("".join(text))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return reports.job(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(job: Job) -> Elements:
    return Elements(render(job))


def test_the_numbers_are_those_of_the_file(job: Job, page: Elements) -> None:
    data = page.data()
    with open_vp8(job.target) as stream:
        frames = list(describe(stream.frames))
    told = data["frames"]
    assert told["bytes"] == [frame.bytes for frame in frames]
    assert told["q"] == [frame.q for frame in frames]
    assert told["time"] == [round(number / 25, 3) for number in range(reports.FRAMES)]
    assert [n for n, flags in enumerate(told["flags"]) if flags & 1] == [0, 18, 36]
    assert [chunk[:2] for chunk in data["chunks"]] == [[n, min(6, 40 - n)] for n in range(0, 40, 6)]
    assert data["report"]["psnr_y"] == job.report.psnr_y
    with open_vp8(job.target) as stream, Reader(job.source) as reader:
        pairs = [
            (one.planes[0].astype(float), other.y) for one, other in zip(reader, images(stream.frames), strict=True)
        ]
    for number, (before, after) in enumerate(pairs):
        error = np.mean((before - after) ** 2)
        assert told["psnr"][number] == pytest.approx(10 * np.log10(255**2 / error), abs=0.006)


def test_libvpx_beside_it_is_one_run(job: Job, page: Elements) -> None:
    peer = page.data()["libvpx"]
    assert len(peer["bytes"]) == len(peer["psnr"]) == reports.FRAMES
    assert job.report.libvpx is not None
    assert job.report.libvpx.key_frames == 1
    assert job.report.libvpx.kbps == pytest.approx(sum(peer["bytes"]) * 8 / 1.6 / 1000, abs=0.001)
    assert job.report.libvpx.wall_s > 0
    assert "Beside plain libvpx" in page.texts("h2")


def test_the_work_is_told_from_its_start_to_its_end(job: Job, page: Elements) -> None:
    data = page.data()
    assert data["stages"] == ["read", "encode", "decode", "wait", "rebase", "join"]
    assert (data["processes"][0], data["processes"][-1]) == ("reader", "join")
    for _, chunk, _, began, ended in data["spans"]:
        assert 0 <= began <= ended <= data["wall_ms"] + 100
        assert 0 <= chunk < 7
    assert sum(data["stages"][span[2]] == "wait" for span in data["spans"]) == 4, "all but the first of each chain"


def test_readings_of_the_film_are_told(job: Job) -> None:
    began = job.record.began
    record = replace(job.record, readings=[("survey", began), ("attempt <2>", began + 0.25)])
    page = Elements(render(replace(job, record=record)))
    assert page.data()["readings"] == [["survey", 0], ["attempt <2>", 250]]
    assert "attempt <2>, from 0.25\u2009s" in page.texts("li")


def test_without_measuring_it_tells_what_it_has(tmp_path: Path) -> None:
    page = Elements(render(reports.job(tmp_path, "out.ivf", measure=False)))
    assert "psnr" not in page.data()["frames"]
    assert "libvpx" not in page.data()
    assert "Beside plain libvpx" not in page.texts("h2")


def test_the_page_is_complete_in_itself(job: Job, page: Elements) -> None:
    for tag, attributes, _ in page.found:
        assert tag not in ("iframe", "object", "embed", "base", "form", "video", "audio")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(rb"https?://|url\(|@import|fetch\(|XMLHttp|WebSocket", render(job))


def test_the_policy_names_the_style_and_the_program(page: Elements) -> None:
    (policy,) = [a["content"] or "" for _, a, _ in page.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for directive, text in (("style-src", page.texts("style")[0]), ("script-src", page.texts("script")[1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_hostile_names_stay_names(tmp_path: Path, job: Job) -> None:
    hostile = reports.HOSTILE
    report = msgspec.structs.replace(job.report, warnings=[f"{hostile}: is odd", "\udcff\u2028"])
    target = tmp_path / hostile.replace("/", "")
    target.write_bytes(Path(job.target).read_bytes())
    page = Elements(render(replace(job, source=f"/x/{hostile}", target=str(target), report=report)))
    assert page.texts("h1") == [target.name]
    assert page.data()["report"]["warnings"] == report.warnings
    assert [tag for tag, _, _ in page.found if tag in ("script", "img")].count("script") == 2
    assert all((a.get("src") or "").startswith("data:image/jpeg;base64,") for t, a, _ in page.found if t == "img")
    assert f"{hostile}: is odd" in page.texts("li")


def test_ten_thousand_frames_are_less_than_three_megabytes(job: Job) -> None:
    long = reports.longer(job, 250)
    page = render(long)
    assert len(Elements(page).data()["frames"]["psnr"]) == 10_000
    assert len(page) < 1_500_000


def test_pictures_are_those_frames(job: Job, page: Elements) -> None:
    addresses = {a["alt"]: a["src"] or "" for t, a, _ in page.found if t == "img"}
    for alt, number in (("first frame", 0), ("middle", 20), ("last frame", 39)):
        data = base64.b64decode(addresses[f"{alt} of the output"].removeprefix("data:image/jpeg;base64,"))
        decoder = av.CodecContext.create("mjpeg", "r")
        (frame,) = decoder.decode(av.Packet(data))
        assert (frame.width, frame.height) == (96, 64)
        assert clips.number_in(frame.to_ndarray(format="gray")) == number


def test_a_picture_is_as_wide_as_it_is_shown(job: Job) -> None:
    source = job.record.source
    assert source is not None
    wide = msgspec.structs.replace(source, width=1440, height=1080, aspect=(4, 3))
    assert shown_size(wide) == (480, 270)
    assert shown_size(msgspec.structs.replace(source, width=100, height=1000)) == (36, 360)
    assert shown_size(msgspec.structs.replace(source, width=1, height=1000)) == (1, 360)
    assert list(pictures(job.target, source, [5, 38], [0, 18, 36])) == [5, 38]


def test_where_a_report_may_go(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    with page_file(str(page), False, ["in.mp4"]) as file:
        file.write(b"page")
        assert not page.exists(), "it appears when it is complete"
    assert page.read_bytes() == b"page"
    with pytest.raises(OutputError, match="--overwrite"):
        page_file(str(page), False, [])
    with pytest.raises(SettingsError, match=r"must end in \.html"):
        page_file(str(tmp_path / "film.webm"), True, [])
    with pytest.raises(OutputError, match="is the input or the output"):
        page_file(str(page), True, [str(page)])


def test_settings_are_told_as_on_the_command_line(page: Elements) -> None:
    names = {field.replace("_", "-") for field in Settings.__struct_fields__}
    assert {"chunk-frames", "chain", "cq", "speed", "workers"} <= set(page.data()["settings"]) <= names | {"workers"}
