"""A film whose coordinator is killed again and again: the same bytes, and next to nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("uvloop", reason="the coordinator needs the extra: pip install -e '.[mu]'")

from pipelines.encode.plan import Settings
from tests.mu.kills import encode_while_killed
from tests.pipelines import clips

KILLS = 20


@pytest.mark.timeout(600)
def test_a_coordinator_killed_at_random_moments_changes_no_byte_and_little_is_done_twice(tmp_path: Path) -> None:
    film = clips.make(tmp_path / "in.mp4", frames=720, size=(640, 360))
    done = encode_while_killed(tmp_path, film, Settings(12, 5, 30, 1), KILLS, (0.1, 1.5))
    assert done.same
    assert KILLS // 2 <= done.kills <= KILLS, "some machines are done sooner"
    assert done.coordinators > 1
    # 60 tasks of the same size; counted, since a machine that does much else has no steady clock.
    assert done.runs - done.tasks < 0.1 * done.tasks, done.again
