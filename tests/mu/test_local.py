"""Jobs on real processes of this machine: what comes out, what survives what, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mu
from mu import Job, JobError, JobFailed, Limits, MapFailed, Task, argument
from mu.record import Record
from tests.mu import chores, programs_of_workers
from tests.mu.chores import HERE, LARGE, Film, Point, Trouble

ROOT = Path(__file__).resolve().parents[2]


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_results_come_in_the_order_of_the_items() -> None:
    assert mu.map(chores.square, range(50), workers=3) == [n * n for n in range(50)]
    assert mu.map(chores.square, [], workers=3) == []
    assert mu.map(chores.swapped, [Point(1, 2)]) == [{"x": 2, "y": 1}]
    assert os.getpid() not in mu.map(chores.pid_of, range(3))


def test_every_failure_is_collected_and_every_result_kept() -> None:
    with pytest.raises(MapFailed, match=r"item 0: ValueError: 0 is even; 3 of 5 items failed") as raised:
        mu.map(chores.odd_only, range(5), workers=2)
    assert raised.value.results == [None, 1, None, 3, None]
    assert list(raised.value.failures) == [0, 2, 4]
    trace = raised.value.failures[2].traceback
    assert "odd_only" in trace
    assert "mu/local" not in trace, "it is told from the program on"


def test_a_worker_that_dies_takes_only_its_item_along() -> None:
    with pytest.raises(MapFailed) as raised:
        mu.map(chores.dies_on_three, range(6), workers=2)
    assert raised.value.results == [0, 1, 2, None, 4, 5]
    assert raised.value.failures[3].reason.endswith("was killed by SIGKILL; is there enough memory?")
    assert len(raised.value.failures[3].tries) == 3


@pytest.mark.parametrize("batch", [None, 7])
def test_items_that_go_to_a_worker_together_fail_one_by_one(batch: int | None) -> None:
    with pytest.raises(MapFailed) as raised:
        mu.map(chores.odd_only, range(150), workers=2, batch=batch)
    assert raised.value.results == [n if n % 2 else None for n in range(150)]
    assert list(raised.value.failures) == list(range(0, 150, 2))
    assert raised.value.failures[2].reason == "ValueError: 2 is even"
    assert "odd_only" in raised.value.failures[2].traceback
    with pytest.raises(MapFailed) as raised:
        mu.map(chores.dies_on_three, range(150), workers=2, batch=batch)
    assert raised.value.results == [n if n != 3 else None for n in range(150)]
    assert len(raised.value.failures[3].tries) == 3


@pytest.mark.parametrize(
    ("function", "items", "says"),
    [
        (lambda n: n, [1], "a lambda"),
        (chores.square, [object()], "item 0 cannot be sent"),
        (chores.square, [1, b"x" * 300_000], "item 1 cannot be sent.*too large"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_runs(function: Any, items: list[Any], says: str) -> None:
    with pytest.raises(JobError, match=says):
        mu.map(function, items)


@pytest.mark.parametrize(
    ("function", "item", "says"),
    [
        (chores.square, "text", "does not fit: Expected `int`, got `str`"),
        (chores.unspeakable, 1, "returned what is no plain data"),
        (chores.leaves, 3, "SystemExit: 3"),
    ],
)
def test_what_goes_wrong_with_an_item_is_its_failure(function: Any, item: Any, says: str) -> None:
    with pytest.raises(MapFailed, match=says):
        mu.map(function, [item], workers=1)


def test_who_does_not_catch_a_failure_sees_the_traceback_of_the_function() -> None:
    with pytest.raises(MapFailed) as caught:
        mu.map(chores.square, ["text"], workers=1)
    (note,) = caught.value.__notes__
    assert note.startswith("In item/0:\nTraceback")
    assert "does not fit" in note
    with pytest.raises(MapFailed) as lost:
        mu.map(chores.dies_on_three, [3], workers=1)
    assert lost.value.__notes__[0].startswith("Tries of item/0:\n  ")


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("folder", [False, True])
def test_messages_along_a_chain(size: int, folder: bool, tmp_path: Path) -> None:
    job = Job("chain", tuple(chores.chain(9, size)))
    record = Record(job, time.monotonic())
    result = mu.run(job, workers=2, store=tmp_path if folder else None, watch=[record])
    assert sorted(result.objects) == [f"sum/{n}" for n in range(9)]
    for n in range(9):
        assert bytes(result.objects[f"sum/{n}"]) == bytes([n + 1]) + bytes(size - 1)
    counts = record.counts(time.monotonic())
    assert (counts.committed, counts.messages, counts.outcome) == (9, 8, "done")
    assert counts.stages["add"].done == 9


@pytest.mark.parametrize("folder", [False, True])
def test_a_program_adds_tasks_as_it_reads(folder: bool, tmp_path: Path) -> None:
    limits = Limits(slots=2, workers=3, ahead=3, order="given", temporary=("raw/",))
    read = Task(
        "read", f"{HERE}:reads", argument(Film(40, 100_000)), stores=("raw/",), adds=(f"{HERE}:part",), slot=False
    )
    seen: list[tuple[str, bytes]] = []
    result = mu.run(
        Job("film", (read,), limits),
        store=tmp_path if folder else None,
        on_object=lambda name, payload: seen.append((name, bytes(payload))),
        keep=folder,
    )
    assert sorted(seen) == sorted((f"done/{n}", f"{n} 100000".encode()) for n in range(40))
    assert sorted(result.objects) == (sorted(f"done/{n}" for n in range(40)) if folder else [])
    if folder:
        assert not list((tmp_path / "raw").glob("*"))


def test_inputs_are_there_from_the_beginning() -> None:
    raw = {"raw/7": bytes([7]) * 50, "raw/8": bytes([8]) * LARGE}
    tasks = [Task(f"t{n}", f"{HERE}:part", argument(n), (f"raw/{n}",), (f"done/{n}",)) for n in (7, 8)]
    result = mu.run(Job("inputs", tuple(tasks)), inputs=raw)
    assert bytes(result.objects["done/8"]) == b"8 300000"


def trouble(kind: str, tmp_path: Path, size: int, limits: Limits) -> Job:
    about = argument(Trouble(kind, str(tmp_path / "mark"), size))
    return Job("trouble", (Task("it", f"{HERE}:troubled", about, stores=("made",)),), limits)


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("kind", ["kill", "stop", "again", "garbage", "nonsense", "fork server"])
def test_a_task_whose_worker_is_lost_runs_again(kind: str, size: int, tmp_path: Path) -> None:
    job = trouble(kind, tmp_path, size, Limits(lease_s=2 if kind == "stop" else 60, tries=9))
    record = Record(job, time.monotonic())
    result = mu.run(job, watch=[record])
    assert bytes(result.objects["made"]) == bytes(size)
    assert record.counts(time.monotonic()).workers["lost"] >= 1


@pytest.mark.parametrize("program", [programs_of_workers.compute, programs_of_workers.block])
def test_a_program_that_never_ends_is_stopped(program: Callable[..., None]) -> None:
    endless = Task("endless", f"{programs_of_workers.__name__}:{program.__name__}", argument(600.0))
    began = time.monotonic()
    with pytest.raises(JobFailed, match=r"computed for longer than the 0.2 s that a run may take") as raised:
        mu.run(Job("endless", (endless,), Limits(run_s=0.2, tries=2)))
    assert len(raised.value.failures[0].tries) == 2
    assert 0.4 <= time.monotonic() - began < 60


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_program_that_does_not_do_the_same_twice_has_failed(size: int, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="ran twice and stored two different objects made"):
        mu.run(trouble("another", tmp_path, size, Limits()))


@pytest.mark.parametrize("what", ["fetch", "store", "send", "receive", "add", "progress"])
def test_a_program_does_only_what_its_task_declares(what: str) -> None:
    with pytest.raises(JobFailed, match="it: Misuse: "):
        mu.run(Job("misuse", (Task("it", f"{HERE}:misuses", argument(what)),)))


def test_a_backend_that_is_not_there() -> None:
    with pytest.raises(JobError, match="no backend 'moon'"):
        mu.run(Job("x", ()), backend="moon")


SCRIPT = """
import signal, sys, mu
from tests.mu import chores

def twice(number: int) -> int:
    return 2 * number

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in a shell's background are deaf to it
    print(mu.map(twice, [1, 2, 3], workers=2), flush=True)
    if len(sys.argv) > 2:
        mu.run(mu.Job("chain", tuple(chores.chain(9, int(sys.argv[2]), sys.argv[1]))), workers=2, store=sys.argv[1])
    elif len(sys.argv) > 1:
        mu.map(chores.sleeps, [sys.argv[1]] * 2, workers=2)
"""


def script(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_functions_of_a_script_are_found() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, script(Path(folder)) as child:
        out, err = child.communicate()
    assert (out, err) == ("[2, 4, 6]\n", "")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(how: signal.Signals, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with script(tmp_path, str(marks)) as child:
        try:
            assert eventually(lambda: len(list(marks.iterdir())) == 2), "both workers run"
            workers = [int(path.name) for path in marks.iterdir()]
            family = {
                *workers,
                *(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in workers),
            }
            child.send_signal(how)
            child.communicate()
        finally:
            child.kill()  # or leaving would wait for it
    assert eventually(lambda: not any(map(is_alive, family)))
    assert len(family) == 3


def test_a_job_in_a_folder_goes_on_where_it_was(tmp_path: Path) -> None:
    lines = [str(tmp_path / f"{n}.txt") for n in range(6)]
    assert mu.map(chores.noted, lines, store=tmp_path / "store") == lines
    (tmp_path / "store" / "result" / "3").unlink()
    assert mu.map(chores.noted, lines, store=tmp_path / "store") == lines
    assert [len(Path(line).read_text().splitlines()) for line in lines] == [1, 1, 1, 2, 1, 1]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
@pytest.mark.parametrize("size", [10, LARGE])
def test_a_coordinator_that_is_killed_leaves_a_job_that_goes_on(size: int, tmp_path: Path) -> None:
    """The fifth link of nine kills it; what is committed then is not done again."""
    store = tmp_path / "store"
    store.mkdir()
    with script(tmp_path, str(store), str(size)) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    result = mu.run(Job("chain", tuple(chores.chain(9, size, str(store)))), workers=2, store=store)
    assert [bytes(result.objects[f"sum/{n}"])[:1] for n in range(9)] == [bytes([n + 1]) for n in range(9)]
    runs = [len((store / f"ran{n}").read_text().splitlines()) for n in range(9)]
    assert max(runs) == 2
    assert sum(runs) < 14, "done is done"
