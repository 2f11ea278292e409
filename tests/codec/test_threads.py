"""Threads: states are shared without harm, and the long parts of the codec let other threads run meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import codec
from codec.decisions import Decisions
from codec.decode import context_of
from codec.header import Context
from tests.codec import forge, streams

THREADS = 8
ZEROMV = 7
STREAMS = ("partitions 8", "regions", "references", "altref, still", "best motion")

pytestmark = pytest.mark.skipif(codec.BUILD == "uncompiled", reason="the codec is not compiled")


@pytest.fixture(autouse=True)
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(3e-4)
    yield
    sys.setswitchinterval(before)


Work = Callable[[], object]


def shared_work() -> list[Work]:
    """Calls on states, frames and images that many of them share."""
    calls: list[Work] = []
    for name in STREAMS:
        packets = streams.stream(name)[:5]
        states: list[codec.State | None] = [None]
        for data in packets:
            states.append(codec.decode(states[-1], data)[0])
        for data, before, after in zip(packets, states, states[1:], strict=False):
            assert after is not None
            other = states[-1]
            image, frame = after.image, codec.parse(before, data)
            packed = after.to_bytes(pack=True)
            calls += [
                lambda data=data, before=before: codec.decode(before, data),
                lambda data=data, before=before: codec.parse(before, data),
                lambda other=other, image=image, frame=frame: codec.rebase_frame(other, image, frame, last=True),
                lambda before=before, image=image, frame=frame: codec.rebase_frame(before, image, frame),
                lambda other=other, image=image: codec.encode(other, image, q_index=50, effort=codec.Effort.REALTIME),
                lambda after=after: after.to_bytes(),
                lambda packed=packed: codec.State.from_bytes(packed),
            ]
    return calls


def test_eight_threads_get_what_one_gets() -> None:
    calls = shared_work()
    alone = [call() for call in calls]
    start = threading.Barrier(THREADS)

    def all_in_an_order_of_its_own(seed: int) -> list[object]:
        order = np.random.default_rng(seed).permutation(len(calls)).tolist()
        start.wait()
        results = {n: calls[n]() for n in order}
        return [results[n] for n in range(len(calls))]

    with ThreadPoolExecutor(THREADS) as pool:
        for results in pool.map(all_in_an_order_of_its_own, range(THREADS)):
            assert results == alone


def time_for_others(call: Work) -> float:
    """How much processor time another Python thread used while the call ran, as a share of what the call used itself.

    Whatever else the machine does, it treats the two alike; but who waits for the interpreter uses next to none.
    """
    used = [0.0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            used[0] = time.thread_time()

    other = threading.Thread(target=tick)
    other.start()
    try:
        start, before = time.thread_time(), used[0]
        call()
        after, end = used[0], time.thread_time()
    finally:
        stop.set()
        other.join()
    assert end > start + 0.003, "too short to tell"
    return (after - before) / (end - start)


@pytest.fixture(scope="module")
def long_calls() -> dict[str, Work]:
    """Calls that take long."""
    rng = np.random.default_rng(1)
    d = Decisions(192, 128)
    n = d.columns * d.rows
    d.y_modes[:], d.b_modes[:] = (
        rng.integers(0, 5, n, np.uint8).tobytes(),
        rng.integers(0, 10, 16 * n, np.uint8).tobytes(),
    )
    tokens = b"\x55" + rng.bytes(300 * n)
    key = forge.key_header(3072, 2048, filter_level=20)
    state, _ = codec.decode(None, forge.written_frame(key, Context(), d, [tokens]))
    old = context_of(state)
    d.y_modes[:], d.references[:] = bytes([ZEROMV]) * n, rng.integers(1, 4, n, np.uint8).tobytes()
    data = forge.written_frame(forge.inter_header(old, filter_level=20), old, d, [tokens])
    noise = codec.Image(256, 256, rng.bytes(98304))
    small = codec.encode_frame(None, codec.Image(256, 256, bytes(98304)), q_index=20, effort=codec.Effort.FAST)
    frame, image = codec.parse(state, data), codec.decode(state, data)[0].image
    return {
        "decode": lambda: codec.decode(state, data),
        "parse": lambda: codec.parse(state, data),
        "rebase": lambda: codec.rebase(state, image, frame),
        "encode": lambda: codec.encode(small.state, noise, q_index=20, effort=codec.Effort.FAST),
    }


TRIES = 40


@pytest.mark.parametrize("name", ["decode", "parse", "rebase", "encode"])
def test_others_run_meanwhile(name: str, long_calls: dict[str, Work]) -> None:
    # A busy machine may keep the other thread waiting in any one try, never in all of them.
    assert any(time_for_others(long_calls[name]) > 0.6 for _ in range(TRIES))


def test_the_measure_sees_that_others_wait() -> None:
    """A call of Python's own that keeps the interpreter to itself for as long."""
    assert not any(time_for_others(lambda: sum(range(6_000_000))) > 0.6 for _ in range(TRIES // 4))
