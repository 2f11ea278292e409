"""The page of `fastslow classify --report`: whole and harmless as text, and at work in Chromium."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.classify.answers import Label, Model, Outcome
from pipelines.classify.frames import clock, files, thumbnail_width
from pipelines.classify.page import LANES, render
from pipelines.classify.results import Result, as_csv, as_data, as_lines
from tests import browser
from tests.pipelines.test_report import Elements
from tests.vision.made import picture

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!--, =cmd"
NAMES = [f"label {number}, synonym" for number in range(30)]
MODEL = Model("made-up", "1", "0" * 64)


def result(count: int, *, failing: int = 0, film: bool = True, labels: list[str] = NAMES, **more: Any) -> Result:
    """A job of so many frames, of which every `failing`th failed; scenes of one label each."""
    choose = random.Random(count)
    width = thumbnail_width(count)
    thumbnails = [picture(grey=30 + 25 * shade, size=(width, width * 9 // 16)) for shade in range(8)]
    outcomes = []
    for index in range(count):
        seconds = index * 2.0 + 1 if film else None
        common: dict[str, Any] = {
            "index": index,
            "name": clock(seconds) if seconds is not None else f"folder/{index}.jpg",
        }
        if failing and index % failing == failing - 1:
            outcomes.append(Outcome(**common, seconds=seconds, problem=f"422 damaged_image: {HOSTILE}", tries=1))
            continue
        top = labels[index * 12 // count % len(labels)]
        rest = choose.sample([each for each in labels if each != top], min(4, len(labels) - 1))
        scores = sorted((choose.random() for _ in range(1 + len(rest))), reverse=True)
        found = tuple(
            Label(name, round(score / sum(scores), 6)) for name, score in zip([top, *rest], scores, strict=True)
        )
        outcomes.append(
            Outcome(
                **common,
                seconds=seconds,
                labels=found,
                model=MODEL,
                tries=1 + (index == 1),
                ms=12.5 + index,
                cold=not index,
                thumbnail=thumbnails[index % 8],
            )
        )
    fields: dict[str, Any] = {"source": "some folder/episode.mp4" if film else "", "picked": "evenly" if film else ""}
    fields |= {"asked": "https://example.com/v1/frames", "wall_s": 3.21, "parallel": 4}
    fields |= {"seconds": 2.0 * count if film else 0.0, "outcomes": tuple(outcomes)}
    return Result(**{**fields, **more})


def test_its_text_is_complete_without_its_program() -> None:
    job = result(24, failing=8)
    elements = Elements(render(job))
    assert elements.texts("h1") == ["episode.mp4"]
    text = "".join(elements.texts("body"))
    for told in ("24 frames", "made-up 1", "3 failed", "1 from cold environments", "1 tried again", "Not classified"):
        assert told in text.replace("\u2009", " "), told
    pictures = [found for name, found, _ in elements.found if name == "img" and found.get("src")]
    assert len(pictures) == 21
    assert all((found["src"] or "").startswith("data:image/jpeg;base64,") for found in pictures)
    assert elements.data()["frames"] == as_data(job)["frames"]
    assert len(elements.data()["lanes"]) <= LANES
    policy = next(found["content"] for name, found, _ in elements.found if name == "meta" and "content" in found)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_what_comes_from_outside_is_only_text() -> None:
    job = result(6, labels=[HOSTILE, HOSTILE + "2"], failing=3, source=HOSTILE + ".mp4", asked=HOSTILE)
    elements = Elements(render(job))
    assert elements.data()["frames"][0]["labels"][0]["label"] == HOSTILE
    assert not [found for _, found, _ in elements.found if "onerror" in found]
    assert len([name for name, _, _ in elements.found if name == "script"]) == 2


def test_names_of_files_lose_the_folder_that_they_share() -> None:
    page = render(result(3, film=False)).decode()
    assert "folder/" not in page
    assert "3 pictures" in page


def test_nothing_at_all_still_makes_a_page() -> None:
    for job in (result(0), result(1), result(1, failing=1), result(1, film=False)):
        Elements(render(job))


def test_pages_of_many_frames_stay_small() -> None:
    assert len(render(result(600))) < 6e6


def test_as_csv() -> None:
    job = result(8, failing=4, labels=['a "b", c', "x"])
    lines = as_csv(job.outcomes).splitlines()
    assert lines[0] == "name,seconds,problem,label_1,score_1,label_2,score_2"
    assert len(lines) == 9
    assert lines[1].startswith('0:01.00,1.000,,"a ""b"", c",0.')
    assert lines[4].startswith("0:07.00,7.000,")
    assert as_csv([]) == "name,seconds,problem\n"


def test_as_data() -> None:
    told = json.loads(json.dumps(as_data(result(8, failing=4))))
    assert (told["classified"], told["failed"], told["cold"], told["retries"]) == (6, 2, 1, 1)
    assert told["models"] == [{"name": "made-up", "version": "1", "sha256": "0" * 64}]
    assert told["frames"][0]["model"] == 0
    assert told["frames"][3]["model"] is None
    assert told["frames"][3]["problem"].startswith("422")


def test_as_lines() -> None:
    lines = as_lines(result(4, failing=4).outcomes)
    assert lines[0].startswith("0:01.00  label 0 ")
    assert lines[3].startswith("0:07.00  failed: 422 damaged_image: </script>")
    assert all(len(line) <= 40 for line in as_lines(result(4, failing=4).outcomes, 40))
    (line,) = as_lines([Outcome(index=0, name="a\x1b[31m.jpg", labels=(Label("\x07cat", 1.0),))])
    assert line == "a\ufffd[31m.jpg  \ufffdcat  1.00"


def test_thumbnails_of_files_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(size=(640, 480)))
    (found,) = files([str(tmp_path / "a.jpg")], thumbnails=True)
    outcome = Outcome(index=0, name=found.name, labels=(Label("day", 1.0),), thumbnail=found.thumbnail)
    page = render(Result(source="", asked="here", outcomes=(outcome,), wall_s=1.0))
    assert page.count(b'src="data:image/jpeg') == 1


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    if browser.COMMAND is None:
        pytest.skip(browser.MISSING)
    with browser.Browser() as running:
        yield running


def opened(chromium: browser.Browser, folder: Path, job: Result, **how: Any) -> browser.Page:
    path = folder / "page.html"
    path.write_bytes(render(job))
    page = chromium.open(path, **how)
    page.wait_until("document.documentElement.dataset.ready == 'yes'")
    page.wait_until("[...document.images].every((image) => image.complete)")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


COLOURS = """(() => {
  const canvas = document.querySelector("#labels canvas"), pen = canvas.getContext("2d");
  return new Set(new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
})()"""
WHEN = "document.querySelector('.inspect .when b').textContent"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("count", [1, 5, 600])
def test_it_draws_in_both_schemes_and_asks_nobody(
    chromium: browser.Browser, tmp_path: Path, dark: bool, count: int
) -> None:
    page = opened(chromium, tmp_path, result(count, failing=3), dark=dark)
    assert page.run(COLOURS) > 10
    light = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (light < 60) == dark
    assert page.errors == []
    assert all(address.startswith(("file:", "data:")) for address in page.requests)


@pytest.mark.parametrize("width", [340, 390, 800])
def test_it_fits_a_narrow_window(chromium: browser.Browser, tmp_path: Path, width: int) -> None:
    page = opened(chromium, tmp_path, result(150, failing=9), width=width)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.errors == []


def test_the_pointer_shows_the_frame(chromium: browser.Browser, tmp_path: Path) -> None:
    job = result(40)
    page = opened(chromium, tmp_path, job)
    assert page.run(WHEN) == "0:01.00", "the first, before anyone points"
    place = "const r = document.querySelector('#labels canvas').getBoundingClientRect(); return [r.x, r.y, r.width];"
    x, y, width = page.run(f"(() => {{ {place} }})()")
    left = 190
    page.mouse("mouseMoved", x + left + (width - left - 10) * 25.5 / 40, y + 120)
    page.wait_until(f"{WHEN} == '0:51.00'")
    row = "[row.children[0].textContent, row.querySelector('meter').value]"
    shown = page.run(f"[...document.querySelectorAll('.inspect li')].map((row) => {row})")
    assert [name for name, _ in shown] == [label.label for label in job.outcomes[25].labels]
    assert [score for _, score in shown] == pytest.approx([label.score for label in job.outcomes[25].labels])
    assert page.run("document.querySelector('.inspect img').src") == page.run(
        "document.querySelectorAll('.cards img')[25].src"
    )
    assert page.run("document.querySelectorAll('.cards figure')[25].classList.contains('chosen')")
    assert page.errors == []


def test_keys_and_buttons_move(chromium: browser.Browser, tmp_path: Path) -> None:
    page = opened(chromium, tmp_path, result(40, failing=4))
    page.run("document.querySelector('#labels canvas').focus()")
    page.key("ArrowRight")
    assert page.run(WHEN) == "0:03.00"
    page.key("End")
    assert page.run(WHEN) == "1:19.00"
    assert page.run("document.querySelector('#labels .heard').textContent").startswith("1:19.00. failed: 422")
    assert page.run("document.querySelector('.inspect .note').textContent").startswith("Not classified: 422")
    page.run("document.querySelector('[data-step=\"-1\"]').click()")
    assert page.run(WHEN) == "1:17.00"
    for key in ("+", "+", "Home", "-", "0", "PageDown", "Escape", "ArrowUp"):
        page.key(key)
    assert page.run(WHEN) == "0:01.00"
    page.run("document.querySelectorAll('.cards figure')[7].click()")
    assert page.run(WHEN) == "0:15.00"
    assert page.errors == []


def test_cards_of_one_label_and_files_to_save(chromium: browser.Browser, tmp_path: Path) -> None:
    job = result(24, failing=8)
    page = opened(chromium, tmp_path, job)
    shown = "document.querySelectorAll('.cards figure:not([hidden])').length"
    assert page.run(shown) == 24
    page.run("document.querySelectorAll('.chips button')[1].click()")
    first = page.run("document.querySelectorAll('.chips button')[1].dataset.label")
    assert page.run(shown) == sum(bool(each.labels) and each.labels[0].label == first for each in job.outcomes)
    page.run("document.querySelector('.chips button').click()")
    assert page.run(shown) == 24
    page.run("URL.createObjectURL = (blob) => { window.blob = blob; return 'data:,'; }")
    page.run("HTMLAnchorElement.prototype.click = () => {}")
    page.run("document.querySelector('[data-save=frames]').click()")
    assert len(page.run("window.blob.text()").splitlines()) == 25
    page.run("document.querySelector('[data-save=json]').click()")
    assert page.run("window.blob.text().then((text) => JSON.parse(text).frames.length)") == 24
    assert page.errors == []


def test_of_many_cards_the_first_are_shown_until_all_are_asked_for(chromium: browser.Browser, tmp_path: Path) -> None:
    page = opened(chromium, tmp_path, result(600))
    shown = "document.querySelectorAll('.cards figure:not([hidden])').length"
    assert page.run(shown) == 120
    page.run("[...document.querySelectorAll('#gallery button')].at(-1).click()")
    assert page.run(shown) == 600
    assert page.run("[...document.querySelectorAll('#gallery button')].at(-1).hidden")
    assert page.errors == []


def test_nothing_to_show_breaks_nothing(chromium: browser.Browser, tmp_path: Path) -> None:
    for job in (result(0), result(1, failing=1), result(3, film=False), result(2, labels=[HOSTILE])):
        page = opened(chromium, tmp_path, job)
        page.run("document.querySelector('#labels canvas').focus()")
        for key in ("End", "ArrowLeft", "+", "-", "0", "Home", "PageUp"):
            page.key(key)
        assert page.run("document.querySelectorAll('img[onerror]').length") == 0
        assert page.errors == []
