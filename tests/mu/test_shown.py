"""What is served of the service's jobs: those that run, and the last of those that are over."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import Job, Task
from mu.core.events import Stored, TimePassed
from mu.core.instructions import Ended, Instruction, Outcome
from mu.page.page import LARGEST_FILM
from mu.record import Record
from mu.service.requests import page_key, store_prefix
from mu.service.shown import Board, Shown, pages
from tests.mu.folder_cloud import FolderCloud

FILM = "film/encoded.webm"


def shown(cloud: FolderCloud, name: str, *, over: bool = True, size: int = 9) -> Shown:
    record = Record(Job(name, (Task("join", "a.b:c", stores=(FILM,)),)), 0.0)
    record.note(Stored(1, FILM, size, bytes(16)), [], 1.0)
    ended: list[Instruction] = [Ended(Outcome("done", 1))] if over else []
    record.note(TimePassed(), ended, 2.0)
    return Shown(record.job, record, cloud)  # type: ignore[arg-type]


def test_a_small_film_is_part_of_the_page_and_a_large_one_lies_beside_it(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path)
    small, large = shown(cloud, "small"), shown(cloud, "large", size=LARGEST_FILM + 1)
    for each in (small, large):
        cloud.write(store_prefix(each.job.id) + FILM, b"the film.")
        each.keep()
    assert b'src="data:video/webm;base64,dGhlIGZpbG0u"' in (cloud.read(page_key(small.job.id)) or b"")
    assert f'src="store/{FILM}"'.encode() in (cloud.read(page_key(large.job.id)) or b"")
    assert shown(cloud, "running", over=False).film() is None


def test_of_many_jobs_those_that_are_over_go_first(tmp_path: Path) -> None:
    board, cloud = Board(), FolderCloud(tmp_path)
    board.show(first := shown(cloud, "runs", over=False))
    for number in range(150):
        board.show(shown(cloud, f"over-{number}"))
    assert len(board) == 100
    assert first.job.id in board
    assert next(name for name in reversed(board)).startswith("over-149-")


def test_jobs_run_without_pages_where_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pages(Board(), taken.getsockname()[1]) as address:
        assert address == ""
