"""What a terminal, a log and a program are told of how far something is: that is so, and no nonsense."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from rich.console import Console

from cli.errors import Failure, Terminated
from cli.events import Events
from cli.progress import Lines, Looker, Picture, Silence, clock, line, money
from cli.standing import Left, Stage, Standing, of_status
from mu.record import Counts, StageCount
from mu.service.status import Status
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from tests.pipelines import clips

JOB = "encode-0123456789abcdef"
RUNS = Standing(
    job=JOB,
    elapsed_s=42.0,
    left_s=73.0,
    stages={"read": Stage(240.0, 240.0), "encode": Stage(120.4, 240.0), "tidy": Stage(3.0)},
    tasks=22,
    committed=9,
    workers={"starting": 12, "working": 8, "waiting": 2, "idle": 0, "lost": 1},
    dollars=0.0123,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def counts(**more: Any) -> Counts:
    given: dict[str, Any] = {
        "elapsed_s": 10.0,
        "tasks": 20,
        "committed": 5,
        "failed": 0,
        "running": 3,
        "workers": {"working": 3, "lost": 1},
        "worker_s": 30.0,
        "messages": 0,
        "message_bytes": 0,
        "objects": 0,
        "object_bytes": 0,
        "stages": {},
    }
    return Counts(**(given | more))


def test_time_left_is_what_it_turns_out_to_be_at_an_even_speed() -> None:
    left = Left()
    told = {now: left.at(now, now / 100) for now in range(101)}
    assert [told[now] for now in (0, 1, 2)] == [None] * 3
    assert all(abs((told[now] or 0) - (100 - now)) < 0.1 for now in range(5, 100))
    assert told[100] is None, "nothing is left"


def test_time_left_follows_the_speed_of_late() -> None:
    left = Left()
    for now in range(100):
        left.at(now, now / 1000)
    for now in range(100, 150):
        told = left.at(now, 0.1 + (now - 100) / 100)
    assert told == pytest.approx(41, rel=0.05)


def test_nothing_is_said_of_the_time_left_where_nothing_is_known() -> None:
    left = Left()
    assert left.at(0, None) is left.at(1, 0.0) is None
    for now in range(2, 10):
        left.at(now, now / 100)
    assert left.at(10, 0.1) is not None
    assert left.at(10 + Left.SILENT_S + 1, 0.1) is None, "it stands still"
    assert left.at(30, 0.05) is None, "there is more to do than was known"


def test_a_film_s_stages_say_what_is_left_and_tasks_that_grow_in_number_do_not() -> None:
    told = counts(stages={"read": StageCount(120.0, None, 1.0), "encode": StageCount(60.0, None, 9.0)})

    def standing(at: float, told: Counts, **how: Any) -> Standing:
        return of_status(Status(id=JOB, state="running", counts=told), 0.5, at, left, at, **how)

    left = Left()
    for now in range(5):
        stages = {"read": StageCount(120.0, None, 1.0), "encode": StageCount(12.0 * now, None, 2.0 * now)}
        seen = standing(float(now), counts(stages=stages), frames=120, grows=True)
    assert seen.left_s == pytest.approx(6.0, rel=0.2)
    assert seen.stages == {
        "read": Stage(120.0, 120.0),
        "encode": Stage(48.0, 120.0),
        "decode": Stage(0.0, 120.0),
        "rebase": Stage(0.0, 120.0),
        "join": Stage(0.0, 120.0),
    }
    assert seen.workers == {"starting": 0, "working": 3, "waiting": 0, "idle": 0, "lost": 1}
    assert (seen.tasks, seen.committed, seen.dollars) == (20, 5, 0.5)
    for grows in (True, False):
        left = Left()
        for now in range(6):
            seen = standing(float(now), counts(committed=now + 1), frames=0, grows=grows)
        assert (seen.left_s is None) == grows
    left = Left()
    over = of_status(Status(id=JOB, state="done", counts=told), 0.5, 9.0, left, 9.0, frames=120, grows=True)
    assert over.left_s is None


def test_a_line_says_all_of_it() -> None:
    assert line(RUNS) == (
        "running, 0:42; read 240 of 240, encode 120 of 240, tidy 3; 9 of 22 tasks; "
        "12 starting, 8 working, 2 waiting, 1 lost; 0.0123 $; about 1:13 left"
    )
    assert line(Standing(job=JOB, state="queued", dollars=0.0)) == "queued, 0:00"
    failed = msgspec.structs.replace(RUNS, state="failed", failed=1, left_s=None, stages={}, workers={})
    assert line(failed) == "failed, 0:42; 9 of 22 tasks; 1 task failed; 0.0123 $"


def test_lines_come_seldom_and_when_the_state_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Lines(clock) as lines:
        for second in range(26):
            clock.now = float(second)
            lines.stand(RUNS)
        lines.stand(msgspec.structs.replace(RUNS, state="done"))
    told = capsys.readouterr()
    assert [text.split(",")[0] for text in told.err.splitlines()] == ["fastslow: running"] * 2 + ["fastslow: done"]
    assert told.out == ""


def drawn(*standings: Standing, counted: tuple[str, int, int] | None = None) -> str:
    clock = Clock()
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    picture = Picture(console, clock)
    for standing in standings:
        picture.stand(standing)
    if counted:
        picture.count(*counted[:1], 0, counted[2])
        clock.now = 5.0
        picture.count(*counted)
    with console.capture() as capture:
        console.print(picture.drawn())
    return capture.get()


def test_the_picture_shows_stages_workers_money_and_time() -> None:
    rows = [row.split() for row in drawn(RUNS).splitlines()]
    assert rows[0] == ["job", JOB, "running"]
    assert [row[-3:] for row in rows[1:3]] == [["240", "of", "240"], ["120", "of", "240"]]
    assert rows[3][0], rows[3][-1] == ("tidy", "3")
    assert rows[4][-3:] == ["9", "of", "22"]
    assert rows[5] == ["workers", "12", "starting,", "8", "working,", "2", "waiting,", "1", "lost"]
    assert rows[6] == ["cost", "so", "far", "0.0123", "$"]
    assert rows[7] == ["time", "0:42,", "about", "1:13", "left"]
    assert all(len(row) <= 100 for row in drawn(RUNS).splitlines())
    assert "left" not in drawn(msgspec.structs.replace(RUNS, left_s=None))
    assert "about 0:05 left" in drawn(counted=("measure", 50, 100))
    silent = msgspec.structs.replace(RUNS, silent_s=75.0)
    assert "coordinator     silent for 1:15; the job waits until it is back" in drawn(silent)
    assert "coordinator silent for 1:15" in line(silent)
    assert "1 task" in drawn(msgspec.structs.replace(RUNS, state="failed", failed=1))


def test_a_terminal_is_drawn_on_until_the_end() -> None:
    shown = io.StringIO()
    with Picture(Console(file=shown, width=100, force_terminal=True)) as picture:
        picture.stand(RUNS)
        picture.stand(msgspec.structs.replace(RUNS, title="another reading"))
    assert "another reading" in shown.getvalue()
    assert "about 1:13 left" in shown.getvalue()


def test_numbers_are_short() -> None:
    assert [clock(each) for each in (0.4, 59.6, 3600, 3725)] == ["0:00", "1:00", "1:00:00", "1:02:05"]
    assert [money(each) for each in (0.00123, 1.5, 1234.5)] == ["0.0012 $", "1.50 $", "1,234.50 $"]


class Kept(Silence):
    def __init__(self) -> None:
        self.standings: list[Standing] = []

    def stand(self, standing: Standing) -> None:
        self.standings.append(standing)


def test_an_encoding_here_tells_of_stages_and_workers(tmp_path: Path) -> None:
    clip, kept = clips.make(tmp_path / "in.mp4", frames=60, size=(320, 192)), Kept()
    look = Looker(kept)
    encode_file(
        str(clip), str(tmp_path / "out.webm"), Settings(6, 3, speed=5), workers=2, watch=look.watch, follow=look.follow
    )
    last = kept.standings[-1]
    assert {name: stage.done for name, stage in last.stages.items()} == dict.fromkeys(last.stages, 60.0)
    assert last.stages["join"].total == 60.0
    assert any(standing.workers["working"] for standing in kept.standings)
    assert (last.tasks, last.job, last.dollars) == (11, "", None)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = capsys.readouterr()
    assert told.err == ""
    found = [json.loads(text) for text in told.out.splitlines()]
    assert all(isinstance(each.pop("time"), float) for each in found)
    return found


def test_an_event_has_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs rely on this: a field may be added here, none may go."""
    clock = Clock()
    told = Events(clock)
    for second in (0.0, 0.4, 0.8, 1.2):
        clock.now = second
        told.stand(RUNS)
    told.stand(msgspec.structs.replace(RUNS, state="done"))
    first, *others = events(capsys)
    assert [each["state"] for each in others] == ["running", "done"], "one a second, and what is new at once"
    assert first == {
        "event": "progress",
        "job": JOB,
        "state": "running",
        "title": "",
        "elapsed_s": 42.0,
        "left_s": 73.0,
        "stages": {
            "read": {"done": 240.0, "total": 240.0},
            "encode": {"done": 120.4, "total": 240.0},
            "tidy": {"done": 3.0, "total": None},
        },
        "tasks": 22,
        "committed": 9,
        "failed": 0,
        "workers": {"starting": 12, "working": 8, "waiting": 2, "idle": 0, "lost": 1},
        "dollars": 0.0123,
        "silent_s": 0.0,
    }


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (Failure("no such film"), "no such film", 1),
        (click.UsageError("no"), "no", 2),
        (click.Abort(), "nothing was done", 1),
        (Terminated(2), "interrupted", 130),
    ],
)
def test_what_ends_a_command_is_an_event(
    error: BaseException, reason: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), Events().told():
        raise error
    assert events(capsys) == [{"event": "failed", "reason": reason, "exit_code": code}]
