"""Encoding while workers are killed: the same bytes come out, however often that happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.encode.plan import Settings
from tests.pipelines import clips
from tests.pipelines.kills import encode_while_workers_are_killed

KILLS = 50


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_fifty_workers_killed_in_one_job_change_no_byte(tmp_path: Path) -> None:
    film = clips.make(tmp_path / "in.mp4", frames=240, size=(160, 96))
    plain, made = encode_while_workers_are_killed(tmp_path, film, Settings(4, 3, 40, 5), KILLS)
    assert made.data == plain.data
    assert made.done == pytest.approx(plain.done), "what is done again is not counted twice"
