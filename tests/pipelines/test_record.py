"""What a job takes down of itself: every chunk in every stage, in an order that can be, and every frame as it is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from pipelines.encode.record import ALTREF, GOLDEN, KEY, LAST, WAIT, Record
from pipelines.media.packets import open_vp8
from pipelines.stream import describe
from tests.pipelines import clips


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path, float]:
    """A record, what was made, and how long it took."""
    folder = tmp_path_factory.mktemp("record")
    source = clips.make(folder / "in.mp4", frames=40)
    record = Record()
    report = encode_file(str(source), str(folder / "out.webm"), Settings(6, 3, 40, 5), workers=2, record=record)
    return record, folder / "out.webm", report.wall_s


def test_every_chunk_goes_through_every_stage(job: tuple[Record, Path, float]) -> None:
    record, _, wall_s = job
    assert [chunk.first for chunk in record.chunks] == list(range(0, 40, 6))
    for chunk in record.chunks:
        stages = [happened.span.stage for happened in record.happened if happened.chunk == chunk.index]
        wait = [WAIT] if chunk.previous is not None else []
        assert sorted(stages) == sorted(["read", "encode", "decode", *wait, "rebase", "join"])
        spans = {h.span.stage: h.span for h in record.happened if h.chunk == chunk.index}
        order = [spans[stage] for stage in ("read", "encode", "decode", *wait, "rebase", "join")]
        assert all(before.ended <= after.began for before, after in pairwise(order))
        assert all(record.began <= span.began <= span.ended <= record.began + wall_s + 0.1 for span in order)


def test_a_process_does_one_thing_at_a_time(job: tuple[Record, Path, float]) -> None:
    record, _, _ = job
    for process in {happened.process for happened in record.happened}:
        spans = sorted((h.span.began, h.span.ended) for h in record.happened if h.process == process)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_chunk_is_rebased_after_the_one_before_it(job: tuple[Record, Path, float]) -> None:
    record, _, _ = job
    rebased = {h.chunk: h.span for h in record.happened if h.span.stage == "rebase"}
    for chunk in record.chunks:
        if chunk.previous is not None:
            assert rebased[chunk.previous].ended <= rebased[chunk.index].began


def test_every_frame_is_taken_down_as_it_is(job: tuple[Record, Path, float]) -> None:
    record, target, _ = job
    with open_vp8(str(target)) as stream:
        frames = list(describe(stream.frames))
    assert len(record.frames) == len(frames) == 40
    assert list(record.frames.sizes) == [frame.bytes for frame in frames]
    assert list(record.frames.quantizers) == [frame.q for frame in frames]
    assert list(record.frames.times) == pytest.approx([number / 25 for number in range(40)])
    for flags, frame in zip(record.frames.flags, frames, strict=True):
        assert bool(flags & KEY) == (frame.type == "key")
        for bit, name in ((GOLDEN, "golden"), (ALTREF, "altref"), (LAST, "last")):
            assert bool(flags & bit) == any(told.split("<")[0] == name for told in frame.refreshes)
