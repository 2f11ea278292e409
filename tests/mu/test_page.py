"""The page of a job, in a browser: complete in itself when the job is over, and live while it runs."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import mu
from mu import Edge, Job, Limits, Task, argument
from mu.core.events import Event
from mu.core.instructions import Instruction, TaskCommitted
from mu.page.page import Film, page
from mu.page.serve import Pages
from mu.record import Record
from pages.document import resource
from tests import browser
from tests.mu.jobs import random_job
from tests.mu.test_core import FAULTS
from tests.mu.world import World

COLOURS = """(() => {
  const canvas = document.querySelector("#%s canvas"), pen = canvas.getContext("2d");
  const data = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(data).size;
})()"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    if browser.COMMAND is None:
        pytest.skip(browser.MISSING)
    with browser.Browser() as running:
        yield running


class Watched(World):
    record: Record

    def noted(self, event: Event, instructions: list[Instruction]) -> None:
        self.record.note(event, instructions, self.now)


def finished(seed: int = 5) -> tuple[Job, Record, float]:
    """A job that met with everything."""
    rng = random.Random(seed)
    job, steps = random_job(rng, Limits(workers=4, tries=100))
    world = Watched(job, steps, rng, FAULTS["deaths"])
    world.record = Record(job, 0.0)
    world.run()
    return job, world.record, world.now


def opened(chromium: browser.Browser, where: Path | str, **how: Any) -> browser.Page:
    shown = chromium.open(where, **how)
    shown.wait_until("document.documentElement.dataset.ready == 'yes'")
    return shown


def test_a_finished_job_is_one_file(chromium: browser.Browser, tmp_path: Path) -> None:
    job, record, now = finished()
    path = tmp_path / "job.html"
    path.write_bytes(page(job, record, now, costs=0.5, film=Film("video/webm", 7, lambda *_: b"no film")))
    shown = opened(chromium, path, dark=True)
    assert shown.run("document.querySelector('[data-tile=Cost] .value').textContent") == "0.5000$"
    assert [address for address in shown.requests if not address.startswith("data:")] == [path.as_uri()]
    rows = shown.run("[...document.querySelectorAll('#numbers tbody tr')].map((row) => row.cells[1].textContent)")
    assert set(rows) == {"done"}
    shown.wait_until(COLOURS % "rows" + " > 4")
    shown.wait_until(COLOURS % "load" + " > 4")
    x, y, wide, high = shown.run(
        "(() => { const canvas = document.querySelector('#rows canvas'); canvas.scrollIntoView({block: 'center'});"
        " const box = canvas.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()"
    )
    for part in range(1, 20):
        shown.mouse("mouseMoved", x + wide * part / 20, y + high / 3)
        if told := shown.run("document.querySelector('#rows .tip:not([hidden])')?.textContent"):
            break
    assert "task" in told
    shown.run("document.querySelector('[data-mode=worker]').click()")
    shown.run("document.querySelector('[data-rows=\"2\"]').click()")
    assert shown.errors == []


def of_many(workers: int) -> Record:
    """A job in which everybody works, waits for the one before it in a chain of 16, and works on."""
    record = Record(Job("many", ()), 0.0)
    for number in range(workers):
        name, before = f"chunk/{number:06}", f"chunk/{number - 1:06}"
        came, waits, goes = 1000 + number % 700, 9000 + number % 900, 10_000 + 300 * (number % 16)
        record.facts += [
            ("launch", 0, number),
            ("come", came, number),
            ("assign", came, number, number, name),
            ("at", came + 100, number, "encode"),
            ("span", came, number, "encode", waits),
        ]
        if number % 16:
            record.facts += [("wait", waits, number, before, "state"), ("go", goes, number)]
        record.facts += [
            ("span", goes, number, "rebase", goes + 290),
            ("sent", goes + 290, number, f"chunk/{number + 1:06}", "state", 1_000_000),
            ("over", goes + 300, number, "done", ""),
            ("gone", goes + 310, number, ""),
        ]
    record.facts.sort(key=lambda fact: fact[1])
    return record


def test_four_thousand_rows_can_be_zoomed_into(chromium: browser.Browser, tmp_path: Path) -> None:
    record, path = of_many(4000), tmp_path / "many.html"
    path.write_bytes(page(record.job, record, 15.0))
    shown = opened(chromium, path)
    shown.wait_until(COLOURS % "rows" + " > 4")
    told = "document.querySelector('#rows .tip:not([hidden])')?.textContent"
    box = "(() => { const box = document.querySelector('#rows canvas').getBoundingClientRect(); return [%s]; })()"
    shown.run("document.querySelector('#rows canvas').scrollIntoView({block: 'center'})")
    x, y, wide, high = shown.run(box % "box.x, box.y, box.width, box.height")

    def under(down: float) -> int:
        """The task in the row there."""
        drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        shown.run(drawn)
        shown.mouse("mouseMoved", x + wide / 3, y + 8 + (high - 38) * down)
        shown.run(drawn)
        shown.wait_until(f"{told} ?? false")
        return int(re.search(r"chunk/(\d{6})", shown.run(told))[1])  # type: ignore[index]

    assert abs(under(0.5) - 2000) < 20
    assert under(0.9) - under(0.1) > 3000
    for _ in range(7):
        shown.run("document.querySelector('#rows [data-rows=\"2\"]').click()")
    first, last = under(0.1), under(0.9)
    assert 15 < last - first < 40
    assert 1900 < first < 2000 < last < 2100
    shown.run("document.querySelector('#rows [data-rows=\"0\"]').click()")
    assert under(0.9) - under(0.1) > 3000
    assert shown.errors == []


def test_what_a_run_is_at_is_shown_before_it_is_told_exactly(chromium: browser.Browser, tmp_path: Path) -> None:
    """The page is told by and by; each run's spans lie within it, one after the other, each of its stage."""
    path = tmp_path / "model.html"
    path.write_text(f"<script>{resource('mu.page', 'model.js')}; var model = new Model({{}});</script>")
    shown = chromium.open(path)
    at = "[...model.runs.get(1).spans].map((span) => [span.stage, span.began, span.ended])"

    def take(*facts: list[str | int]) -> Any:
        return shown.run(f"(model.take({json.dumps(facts)}), {at})")

    assert take(["launch", 0, 1], ["come", 10, 1], ["assign", 10, 1, 1, "relay/1"]) == []
    assert take(["at", 500, 1, "encode"]) == [["encode", 10, None]], "it was at that all the time"
    assert take(["wait", 900, 1, "relay/0", "baton"])[0] == ["encode", 10, 900]
    told = take(["go", 1000, 1], ["span", 10, 1, "encode", 890], ["at", 1200, 1, "rebase"])
    assert told == [["encode", 10, 890], ["wait", 900, 1000], ["rebase", 1000, None]]
    told = take(["span", 1005, 1, "rebase", 1300], ["at", 1400, 1, "join"], ["span", 1300, 1, "other", 1350])
    assert told[2:] == [["rebase", 1005, 1300], ["join", 1350, None], ["other", 1300, 1350]]
    assert take(["over", 1500, 1, "done", ""])[3] == ["join", 1350, 1500]
    assert shown.errors == []


def test_what_an_earlier_coordinator_saw_is_said_to_be_missing() -> None:
    job = Job("again", tuple(Task(name, "chores:square", argument(1)) for name in ("one", "two")))
    record = Record(job, 0.0)
    assert b"not shown" not in page(job, record, 1.0)
    record.restored([TaskCommitted("one")], 0.0)
    assert b"1 task done before a coordinator took the job up again" in page(job, record, 1.0)


def test_what_comes_from_outside_is_text(tmp_path: Path) -> None:
    job, record, now = finished()
    hostile = '</script><script>alert("x")</script>'
    record.facts.append(("gone", 1, 99, hostile))
    text = page(job, record, now, settings={hostile: hostile}).decode()
    assert hostile not in text


class _View:
    """A job that runs in a thread."""

    def __init__(self, job: Job) -> None:
        self.job, self.record = job, Record(job, time.monotonic())

    def now(self) -> float:
        return time.monotonic()

    def costs(self) -> float | None:
        return None

    def film(self) -> Film | None:
        return None


def relays(count: int, seconds: float) -> Job:
    names = [f"relay/{number}" for number in range(count)]
    tasks = []
    for number, name in enumerate(names):
        tasks.append(
            Task(
                name,
                "tests.mu.test_page:relay",
                argument([number, count, seconds]),
                sends=(Edge(names[number + 1], "baton"),) if number + 1 < count else (),
                receives=(Edge(names[number - 1], "baton"),) if number else (),
            )
        )
    return Job("relay", tuple(tasks))


def relay(ctx: mu.Context, plan: tuple[int, int, float]) -> None:
    """Wait for the one before, work, tell the one after."""
    number, count, seconds = plan
    if number:
        ctx.receive(f"relay/{number - 1}", "baton")
    time.sleep(seconds)
    ctx.progress("carry", 1, 1)
    if number + 1 < count:
        ctx.send(f"relay/{number + 1}", "baton", b"go")


def test_a_running_job_is_followed(chromium: browser.Browser) -> None:
    view = _View(relays(12, 0.3))
    with Pages({view.job.id: view}) as pages:
        thread = threading.Thread(target=mu.run, args=(view.job,), kwargs={"workers": 2, "watch": [view.record]})
        thread.start()
        shown = opened(chromium, f"{pages.address}jobs/{view.job.id}")
        shown.wait_until("document.getElementById('state')?.textContent == 'live'")
        done = "Number(document.querySelector('[data-tile=Tasks] .value').textContent.split('of')[0])"
        first = shown.run(done)
        shown.wait_until(f"{done} > {first}")
        shown.wait_until("document.getElementById('state')?.textContent == 'done'")
        shown.wait_until("document.documentElement.dataset.ready == 'yes'")
        assert shown.run(done) == 12
        assert shown.run("document.querySelector('#stages tbody').textContent").startswith("carry12")
        thread.join()
        assert shown.errors == []


def test_the_server_answers_this_machine_alone() -> None:
    job, record, _ = finished()
    view = _View(job)
    view.record = record
    with Pages({job.id: view}) as pages:
        port = int(pages.address.rsplit(":", 1)[1].strip("/"))

        def ask(path: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, bytes]:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request(method, path, headers={"Host": f"{host}:{port}"})
                answer = connection.getresponse()
                return answer.status, answer.read()

        assert job.name in ask("/")[1].decode()
        assert ask(f"/jobs/{job.id}")[0] == 200
        assert ask(f"/jobs/{job.id}/facts?from=0")[0] == 200
        assert b'"facts":[]' in ask(f"/jobs/{job.id}/facts?from=1000000")[1]
        assert ask(f"/jobs/{job.id}/facts?from=-1")[0] == 400
        assert ask("/jobs/other")[0] == 404
        assert ask(f"/jobs/{job.id}/../x")[0] == 404
        assert ask("/", host="evil.example")[0] == 403
        assert ask("/", method="POST")[0] == 501
