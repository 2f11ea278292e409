"""The page of `--report` in Chromium: it draws, answers to pointer and keys, and complains of nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.report.page import Job, render
from tests import browser
from tests.pipelines import reports

pytestmark = pytest.mark.skipif(browser.COMMAND is None, reason=browser.MISSING)

READY = "document.documentElement.dataset.ready == 'yes'"
COLOURS = """(() => {
  const canvas = document.querySelector("#%s canvas"), pen = canvas.getContext("2d");
  return new Set(new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
})()"""
PLACE = (
    "(() => { const r = document.querySelector('#%s canvas').getBoundingClientRect(); return [r.x, r.y, r.width]; })()"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    with browser.Browser() as running:
        yield running


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return reports.job(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def path(job: Job) -> Path:
    page = Path(job.target).with_name("report.html")
    page.write_bytes(render(job))
    return page


def open_page(chromium: browser.Browser, path: Path, **how: int) -> browser.Page:
    page = chromium.open(path, **how)
    page.wait_until(READY)
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


@pytest.mark.parametrize("dark", [False, True])
def test_it_draws_in_both_schemes_and_asks_nobody(chromium: browser.Browser, path: Path, dark: bool) -> None:
    page = open_page(chromium, path, dark=dark)
    for name in ("frames", "timeline"):
        assert page.run(COLOURS % name) > 20
    light = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (light < 60) == dark
    assert page.errors == []
    assert all(address == path.resolve().as_uri() or address.startswith("data:") for address in page.requests)


def test_the_pointer_shows_the_exact_numbers(chromium: browser.Browser, path: Path, job: Job) -> None:
    page = open_page(chromium, path)
    page.run("document.querySelector('#frames').scrollIntoView()")
    x, y, width = page.run(PLACE % "frames")
    inner = width - 58 - 10
    page.mouse("mouseMoved", x + 58 + inner * 18.5 / 40, y + 80)
    page.wait_until("!document.querySelector('#frames .tip').hidden")
    told = page.run(
        "[...document.querySelectorAll('#frames .tip div')].map((d) => [...d.children].map((c) => c.textContent))"
    )
    facts = {name: value.replace("\u2009", "") for name, value in told}
    assert page.run("document.querySelector('#frames .tip b').textContent") == "frame 18"
    assert facts["bytes"] == str(job.record.frames.sizes[18])
    assert facts["quantizer"] == str(job.record.frames.quantizers[18])
    assert facts["kind"] == "key"
    assert facts["becomes"] == "last golden altref"
    assert job.record.quality is not None
    assert facts["PSNR-Y"] == f"{job.record.quality.each_psnr_y[18]:.2f} dB"
    assert page.errors == []


def test_keys_move_and_zoom(chromium: browser.Browser, path: Path) -> None:
    page = open_page(chromium, path)
    page.run("document.querySelector('#frames canvas').focus()")
    heard = "document.querySelector('#frames .heard').textContent"
    page.key("Home")
    page.key("ArrowRight")
    assert page.run(heard).startswith("frame 1. ")
    page.key("+")
    page.key("End")
    assert page.run(heard).startswith("frame 39. ")
    page.run("document.querySelector('#timeline canvas').focus()")
    page.key("ArrowDown")
    assert " by worker 1" in page.run("document.querySelector('#timeline .heard').textContent")
    page.run("document.querySelector('[data-mode=chunk]').click()")
    page.run("document.querySelector('[data-scale]').click()")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.run(COLOURS % "timeline") > 20
    assert page.errors == []


def test_dragging_looks_closer_and_a_double_click_shows_all(chromium: browser.Browser, path: Path) -> None:
    page = open_page(chromium, path)
    page.run("document.querySelector('#frames').scrollIntoView()")
    x, y, width = page.run(PLACE % "frames")

    def frame_in_the_middle() -> str:
        page.mouse("mouseMoved", x + 58 + (width - 68) / 2, y + 80)
        return str(page.run("document.querySelector('#frames .tip b').textContent"))

    assert frame_in_the_middle() in ("frame 19", "frame 20")
    page.mouse("mousePressed", x + 58, y + 80)
    page.mouse("mouseMoved", x + 58 + (width - 68) / 2, y + 80)
    page.mouse("mouseReleased", x + 58 + (width - 68) / 2, y + 80)
    assert frame_in_the_middle() in ("frame 9", "frame 10")
    page.run("document.querySelector('#frames canvas').dispatchEvent(new MouseEvent('dblclick'))")
    assert frame_in_the_middle() in ("frame 19", "frame 20")


def test_the_table_and_the_files_have_every_number(chromium: browser.Browser, path: Path, job: Job) -> None:
    page = open_page(chromium, path)
    rows = "[...document.querySelectorAll('#numbers tbody tr')].map((r) => [...r.children].map((c) => c.textContent))"
    page.run("document.querySelector('[data-on]').click()")
    table = page.run(rows)
    assert [row[0] for row in table] == [str(n) for n in range(25, 40)]
    assert [row[4].replace("\u2009", "") for row in table] == [str(size) for size in job.record.frames.sizes[25:]]
    page.run("document.querySelector('[data-kind=chunks]').click()")
    assert len(page.run(rows)) == 7
    page.run("URL.createObjectURL = (blob) => { window.blob = blob; return 'data:,'; }")
    page.run("HTMLAnchorElement.prototype.click = () => {}")
    page.run("document.querySelector('[data-save=frames]').click()")
    lines = page.run("window.blob.text()").splitlines()
    assert len(lines) == 41
    assert lines[0].startswith("frame,time,chunk,kind,bytes,quantizer,becomes,PSNR-Y,SSIM-Y,libvpx: bytes")
    assert lines[19].split(",")[4] == str(job.record.frames.sizes[18])
    page.run("document.querySelector('[data-save=json]').click()")
    assert page.run("window.blob.text().then((text) => JSON.parse(text).frames.bytes.length)") == 40


def test_it_fits_a_narrow_window(chromium: browser.Browser, path: Path) -> None:
    page = open_page(chromium, path, width=360)
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.errors == []


def test_ten_thousand_frames_are_drawn_at_once(chromium: browser.Browser, job: Job, tmp_path: Path) -> None:
    path = tmp_path / "long.html"
    path.write_bytes(render(reports.longer(job, 250)))
    began = time.monotonic()
    page = open_page(chromium, path)
    assert time.monotonic() - began < 10
    assert page.run(COLOURS % "frames") > 20
    page.run("document.querySelector('#frames').scrollIntoView()")
    x, y, width = page.run(PLACE % "frames")
    page.mouse("mouseMoved", x + width / 2, y + 80)
    page.wait_until("!document.querySelector('#frames .tip').hidden")
    assert " to " in page.run("document.querySelector('#frames .tip b').textContent"), (
        "a column of pixels is many frames"
    )
    assert page.errors == []


def test_a_film_of_one_frame(chromium: browser.Browser, tmp_path: Path) -> None:
    path = tmp_path / "one.html"
    path.write_bytes(render(reports.job(tmp_path, frames=1)))
    page = open_page(chromium, path)
    for name in ("frames", "timeline"):
        page.run(f"document.querySelector('#{name} canvas').focus()")
        for key in ("End", "ArrowLeft", "ArrowDown", "ArrowUp", "+", "-", "0", "Home", "PageUp"):
            page.key(key)
        assert page.run(COLOURS % name) > 5
    assert page.errors == []


def test_hostile_names_run_nothing(chromium: browser.Browser, tmp_path: Path) -> None:
    job = reports.job(tmp_path, reports.HOSTILE, measure=False)
    path = tmp_path / "report.html"
    path.write_bytes(render(job))
    page = open_page(chromium, path)
    assert page.run("document.querySelector('h1').textContent") == Path(job.target).name
    assert page.run("document.querySelectorAll('img[onerror]').length") == 0
    assert page.errors == []
