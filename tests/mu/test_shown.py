"""What is served of the service's jobs: those that run, and the last of those that are over."""

from __future__ import annotations

import random
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from mu import Job, Task
from mu.core.events import Stored, TimePassed
from mu.core.instructions import Ended, Instruction, Outcome
from mu.page.page import LARGEST_FILM, film_beside, relinked
from mu.page.serve import PIECE, Pages
from mu.record import Record
from mu.service.requests import page_key, store_prefix
from mu.service.shown import Board, Shown, pages
from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from tests import browser
from tests.mu.folder_cloud import FolderCloud
from tests.pipelines import clips
from tests.pipelines.test_playback import FRAMES, LOADED, PLAYED, RATE, SOUGHT

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
    assert b'src="data:video/webm;base64,dGhlIGZpbG0u"' in (whole := cloud.read(page_key(small.job.id)) or b"")
    assert film_beside(whole) == ""
    assert relinked(whole, "elsewhere") == whole
    assert f'src="store/{FILM}"'.encode() in (made := cloud.read(page_key(large.job.id)) or b"")
    assert film_beside(made) == f"store/{FILM}"
    assert film_beside(relinked(made, "a b&c.webm")) == "a b&c.webm"
    assert shown(cloud, "running", over=False).film() is None


@pytest.mark.skipif(browser.COMMAND is None, reason=browser.MISSING)
def test_a_large_film_plays_in_the_page_that_the_coordinator_serves(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=FRAMES, rate=RATE)
    encode_file(str(source), str(tmp_path / "out.webm"), Settings(12, 3, cq=40, speed=5), workers=2)
    film = (tmp_path / "out.webm").read_bytes()
    film += b"\xec\x01" + LARGEST_FILM.to_bytes(7) + bytes(LARGEST_FILM)  # an element that says nothing
    cloud = FolderCloud(tmp_path)
    job = shown(cloud, "film", size=len(film))
    cloud.write(store_prefix(job.job.id) + FILM, film)
    with Pages({job.job.id: job}) as served, browser.Browser() as chromium:
        page = chromium.open(f"{served.address}jobs/{job.job.id}")
        assert page.run(LOADED)[:3] == [FRAMES / RATE, 96, 64]
        for number in (70, 10):
            assert page.run(SOUGHT % (clips.BITS, clips.BITS, (number + 0.5) / RATE))[1:] == [False, number]
        end, _, ended, *_ = page.run(PLAYED)
        assert (end, ended) == (FRAMES / RATE, True)
        assert page.errors == []
        # And in a page that was copied from the bucket, with the film beside it.
        job.keep()
        copied = tmp_path / "a page.html"
        copied.write_bytes(relinked(cloud.read(page_key(job.job.id)) or b"", "the%20film.webm"))
        (tmp_path / "the film.webm").write_bytes(film)
        page = chromium.open(copied)
        assert page.run(LOADED)[:3] == [FRAMES / RATE, 96, 64]
        end, _, ended, *_ = page.run(PLAYED)
        assert (end, ended) == (FRAMES / RATE, True)
        assert page.errors == []


def test_a_part_of_a_film_is_served(tmp_path: Path) -> None:
    cloud = FolderCloud(tmp_path)
    film = random.Random(1).randbytes(PIECE + 1000)
    job, none = shown(cloud, "film", size=len(film)), shown(cloud, "runs", over=False)
    cloud.write(store_prefix(job.job.id) + FILM, film)
    with Pages({each.job.id: each for each in (job, none)}) as served:

        def ask(part: str, name: str = job.job.id) -> tuple[int, str | None, bytes]:
            request = urllib.request.Request(
                f"{served.address}jobs/{name}/film", headers={"Range": part} if part else {}
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, answer.headers["Content-Range"], answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.headers["Content-Range"], b""

        size, last = len(film), len(film) - 1
        assert ask("") == (200, None, film)
        assert ask("bytes=0-") == (206, f"bytes 0-{last}/{size}", film)
        assert ask(f"bytes=10-{PIECE + 20}") == (206, f"bytes 10-{PIECE + 20}/{size}", film[10 : PIECE + 21])
        assert ask("bytes=-5") == (206, f"bytes {size - 5}-{last}/{size}", film[-5:])
        assert ask(f"bytes=7-{10**12}") == (206, f"bytes 7-{last}/{size}", film[7:])
        for wrong in ("bytes=-", "bytes=-0", "bytes=5-4", f"bytes={size}-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"):
            assert ask(wrong)[:2] == (416, f"bytes */{size}"), wrong
        assert ask("", none.job.id)[0] == 404
        cloud.delete(store_prefix(job.job.id) + FILM)
        assert ask("bytes=0-")[0] == 502


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
