"""A program's account of its time: nothing is told twice, nothing is lost, and the bounds of the protocol hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from mu.digest import Digest, digest
from mu.worker.timing import WAIT, Timing


class Clock:
    """Wall and processor time that pass when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.cpu = 100.0, 5.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.process_time", lambda: self.cpu)

    def __call__(self, wall: float, cpu: float) -> None:
        self.now += wall
        self.cpu += cpu


def test_spans_and_processor_time_go_to_the_stage_that_took_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    account = Timing()
    said: list[Any] = []
    for stage, wall, cpu in (("encode", 0.05, 0.04), ("encode", 0.06, 0.05), ("decode", 0.03, 0.01)):
        clock(wall, cpu)
        said += account.progress(stage, 1, 9)
    clock(2, 0)
    account.waited()
    clock(0.2, 0.1)
    said += account.progress("encode", 2, None)
    said += account.flush()
    assert [(p.stage, p.done, p.total) for p in said] == [("encode", 1, 9), ("encode", 3, None), ("decode", 1, 9)]
    assert sum(p.cpu_s for p in said) == pytest.approx(0.2)
    spans = [span for p in said for span in p.spans] + list(account.end())
    assert [span.stage for span in spans] == ["encode", "decode", WAIT, "encode"]
    assert spans[0].began == 0
    assert all(one.ended == other.began for one, other in pairwise(spans))
    assert spans[-1].ended == pytest.approx(2.34)
    assert account.end() == ()


def test_a_program_that_says_a_lot_is_told_of_in_bounded_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    account = Timing()
    said: list[Any] = []
    for number in range(5000):
        clock(1e-6, 1e-6)
        said += account.progress("ab"[number % 2], 1, None)
    said += account.flush()
    assert len(said) < 50
    assert max(len(p.spans) for p in said) <= 1000
    assert sum(p.done for p in said) == 5000
    assert sum(len(p.spans) for p in said) + len(account.end()) == 5000


def test_a_digest_of_pieces_is_that_of_the_whole() -> None:
    pieces = Digest()
    pieces.update(b"ab")
    pieces.update(memoryview(b"c"))
    assert pieces.digest() == digest(b"abc") == digest(bytearray(b"abc"))
    assert len(pieces.digest()) == 16
    assert digest(b"") != digest(b"\0")
