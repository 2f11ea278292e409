"""The cache: what it promises under threads, faults, a full disk and a budget."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from functions import cache as module
from functions.cache import ATTEMPTS, Cache, Lease
from functions.errors import CacheFull, Damaged, TransferError

DATA = b"a model, or something like it" * 100
HASH = hashlib.sha256(DATA).hexdigest()


class Source:
    """A store that may break in ways of its own at each attempt, and counts them."""

    def __init__(self, data: bytes = DATA, *faults: str) -> None:
        self.data = data
        self.faults = list(faults)
        self.reads = 0

    def __call__(self) -> Iterator[bytes]:
        self.reads += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise TransferError("connection refused")
        half = len(self.data) // 2
        yield self.data[:half]
        if fault == "half":
            return
        if fault == "broken":
            raise TransferError("connection reset")
        yield self.data[half:] if fault != "wrong" else bytes(len(self.data) - half)
        if fault == "more":
            yield b"!"


def never() -> Iterable[bytes]:
    raise AssertionError("nothing is to be fetched")


def make(folder: Path, budget: int = 1 << 20) -> Cache:
    return Cache(folder / "cache", budget, sleep=lambda _: None)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache").iterdir())


def test_a_miss_fetches_and_a_hit_does_not(tmp_path: Path) -> None:
    cache = make(tmp_path)
    with cache.file(HASH, len(DATA), Source()) as lease:
        assert lease.path.read_bytes() == DATA
    with cache.file(HASH, len(DATA), never):
        pass
    counts = cache.counts()
    assert (counts.hits, counts.misses, counts.fetched_bytes) == (1, 1, len(DATA))
    assert left(tmp_path) == [HASH]


@pytest.mark.parametrize("fault", ["refused", "half", "broken", "wrong", "more"])
def test_a_fault_is_survived_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    cache = make(tmp_path)
    source = Source(DATA, *[fault] * (ATTEMPTS - 1))
    with cache.file(HASH, len(DATA), source) as lease:
        assert lease.path.read_bytes() == DATA
    assert source.reads == ATTEMPTS
    assert cache.counts().broken == ATTEMPTS - 1
    assert left(tmp_path) == [HASH]


@pytest.mark.parametrize("fault", ["refused", "half", "broken", "wrong", "more"])
def test_a_fault_that_stays_is_told_and_the_next_call_tries_anew(tmp_path: Path, fault: str) -> None:
    cache = make(tmp_path)
    with pytest.raises(TransferError if fault in ("refused", "broken") else Damaged):
        cache.file(HASH, len(DATA), Source(DATA, *[fault] * ATTEMPTS))
    assert left(tmp_path) == []
    assert cache.size() == 0
    cache.file(HASH, len(DATA), Source()).release()


def test_one_download_however_many_threads_ask(tmp_path: Path) -> None:
    cache = make(tmp_path)
    slow = threading.Event()

    class Slow(Source):
        def __call__(self) -> Iterator[bytes]:
            slow.wait(10)
            return super().__call__()

    source = Slow()
    with ThreadPoolExecutor(32) as pool:
        leases = [pool.submit(cache.file, HASH, len(DATA), source) for _ in range(32)]
        while not cache.counts().misses:
            time.sleep(0.001)
        slow.set()
        assert {lease.result().path.read_bytes() for lease in leases} == {DATA}
    assert source.reads == 1
    counts = cache.counts()
    assert (counts.misses, counts.hits + counts.shared) == (1, 31)


def test_threads_share_a_failure(tmp_path: Path) -> None:
    cache = make(tmp_path)
    begun, go = threading.Event(), threading.Event()

    def read() -> Iterable[bytes]:
        begun.set()
        go.wait(10)
        raise TransferError("gone")

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.file, HASH, len(DATA), read)
        begun.wait(10)
        others = [pool.submit(cache.file, HASH, len(DATA), read) for _ in range(7)]
        time.sleep(0.05)
        go.set()
        assert all(isinstance(each.exception(), TransferError) for each in (first, *others))
    assert cache.counts().misses < 8
    cache.file(HASH, len(DATA), Source()).release()


def test_what_an_earlier_process_left_is_checked_before_it_is_used(tmp_path: Path) -> None:
    make(tmp_path).file(HASH, len(DATA), Source()).release()
    make(tmp_path).file(HASH, len(DATA), never).release()
    (tmp_path / "cache" / HASH).write_bytes(DATA[:-1] + b"?")
    with make(tmp_path).file(HASH, len(DATA), Source()) as lease:
        assert lease.path.read_bytes() == DATA


def test_what_was_changed_or_vanished_beneath_is_fetched_again(tmp_path: Path) -> None:
    cache = make(tmp_path)
    path = tmp_path / "cache" / HASH
    cache.file(HASH, len(DATA), Source()).release()
    path.unlink()
    cache.file(HASH, len(DATA), Source()).release()
    path.write_bytes(bytes(len(DATA) + 1))
    with cache.file(HASH, len(DATA), Source()) as lease:
        assert lease.path.read_bytes() == DATA
    assert cache.counts().misses == 3


def test_old_parts_and_trees_are_swept_away_and_a_smaller_budget_is_kept(tmp_path: Path) -> None:
    make(tmp_path).file(HASH, len(DATA), Source()).release()
    folder = tmp_path / "cache"
    parent = os.getppid()  # a process that is there
    kept, old, own = f".{HASH}.{parent}.1.part", f".{HASH}.{parent}.2.part", f".{HASH}.{os.getpid()}.3.part"
    for name in (".x.part", kept, old, own, f".{HASH}.999999999.4.part", f".{HASH}.{parent}.5.part.zip.part"):
        (folder / name).write_bytes(b"half")
    os.utime(folder / old, (0, 0))
    (folder / f"{HASH}.tree").mkdir()
    (folder / "not ours").write_bytes(b"")
    make(tmp_path)
    assert left(tmp_path) == sorted([kept, f".{HASH}.{parent}.5.part.zip.part", HASH, "not ours"])
    assert make(tmp_path, len(DATA) - 1).size() == 0


def test_an_environment_that_was_killed_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from functions.cache import Cache\n"
        "def read():\n"
        "    yield b'half'\n"
        "    print('here', flush=True)\n"
        "    time.sleep(60)\n"
        f"Cache(pathlib.Path(sys.argv[1]), 10**6).file('{HASH}', {len(DATA)}, read)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as killed:
        assert killed.stdout
        assert killed.stdout.readline() == b"here\n"
        assert len(left(tmp_path)) == 1
        killed.kill()
    with make(tmp_path).file(HASH, len(DATA), Source()) as lease:
        assert lease.path.read_bytes() == DATA
    assert left(tmp_path) == [HASH]


def test_what_is_larger_than_the_room_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    cache = make(tmp_path, 2 * len(DATA) - 1)
    with pytest.raises(CacheFull, match="larger /tmp"):
        cache.file("0" * 64, 2 * len(DATA), never)
    held = cache.file(HASH, len(DATA), Source())
    with pytest.raises(CacheFull, match="in use"):
        cache.file("0" * 64, len(DATA), never)
    held.release()
    other = bytes(len(DATA))
    cache.file(hashlib.sha256(other).hexdigest(), len(other), Source(other)).release()
    assert cache.counts().evicted == 1


@pytest.mark.parametrize("full_for_ever", [False, True])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_for_ever: bool) -> None:
    cache = make(tmp_path)
    old = b"old" * 1000
    cache.file(hashlib.sha256(old).hexdigest(), len(old), Source(old)).release()

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            if full_for_ever or len(left(tmp_path)) > 1:  # something else is there besides this part
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]

    def create(path: Path) -> BinaryIO:
        return Full(path, "wb")  # type: ignore[return-value]

    monkeypatch.setattr(module, "_create", create)
    if full_for_ever:
        with pytest.raises(CacheFull, match="full disk"):
            cache.file(HASH, len(DATA), Source())
        assert left(tmp_path) == []
        monkeypatch.undo()
    with cache.file(HASH, len(DATA), Source()) as lease:
        assert lease.path.read_bytes() == DATA
    assert cache.counts().evicted == 1


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return file.getvalue()


def test_a_tree_is_unpacked_once(tmp_path: Path) -> None:
    data = zipped({"codec/__init__.py": b"answer = 42\n", "codec/a/b.so": b"\x7fELF"})
    digest = hashlib.sha256(data).hexdigest()
    cache = make(tmp_path)
    with cache.tree(digest, len(data), 100, Source(data)) as lease:
        assert (lease.path / "codec" / "a" / "b.so").read_bytes() == b"\x7fELF"
    cache.tree(digest, len(data), 100, never).release()
    assert left(tmp_path) == [f"{digest}.tree"]
    assert cache.size() == 16


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x"])
def test_a_tree_does_not_reach_outside(tmp_path: Path, name: str) -> None:
    data = zipped({name: b"x"})
    with pytest.raises(Damaged, match="outside"):
        make(tmp_path).tree(hashlib.sha256(data).hexdigest(), len(data), 100, Source(data))
    assert left(tmp_path) == []


@pytest.mark.parametrize("data", [b"no zip", zipped({"a": bytes(101)}), zipped({"a": b"x" * 50})[:-5] + b"     "])
def test_a_bad_tree_is_refused(tmp_path: Path, data: bytes) -> None:
    cache = make(tmp_path)
    with pytest.raises(Damaged):
        cache.tree(hashlib.sha256(data).hexdigest(), len(data), 100, Source(data))
    assert left(tmp_path) == []
    assert cache.size() == 0


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "A" * 64, "0" * 65])
def test_a_name_is_a_hash(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        make(tmp_path).file(name, 1, never)


class Anything(RuleBasedStateMachine):
    """Whatever is done in whatever order: never over budget, what is leased is there, what is there is what it says."""

    BUDGET = 1000
    FILES = tuple(bytes([n]) * (n * 60) for n in range(1, 9))

    def __init__(self) -> None:
        super().__init__()
        self.scratch = TemporaryDirectory()
        self.cache = make(Path(self.scratch.name), self.BUDGET)
        self.leases: list[tuple[Lease, bytes]] = []

    def teardown(self) -> None:
        self.scratch.cleanup()

    @rule(data=st.sampled_from(FILES), faults=st.lists(st.sampled_from(["half", "wrong", "broken", ""]), max_size=3))
    def lease(self, data: bytes, faults: list[str]) -> None:
        held = {held for _, held in self.leases}
        try:
            lease = self.cache.file(hashlib.sha256(data).hexdigest(), len(data), Source(data, *faults))
        except CacheFull:
            assert data not in held
            assert sum(map(len, held)) + len(data) > self.BUDGET
        except TransferError:
            assert len(faults) == ATTEMPTS
            assert "" not in faults
        else:
            self.leases.append((lease, data))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 99))
    def release(self, number: int) -> None:
        lease, _ = self.leases.pop(number % len(self.leases))
        lease.release()
        lease.release()

    @rule(data=st.sampled_from(FILES))
    def lose(self, data: bytes) -> None:
        if all(data != held for _, held in self.leases):
            (self.cache.folder / hashlib.sha256(data).hexdigest()).unlink(missing_ok=True)

    @precondition(lambda self: not self.leases)
    @rule()
    def begin_a_new_process(self) -> None:
        self.cache = make(Path(self.scratch.name), self.BUDGET)

    @invariant()
    def everything_holds(self) -> None:
        assert self.cache.size() <= self.BUDGET
        here = {path.name: path.read_bytes() for path in self.cache.folder.iterdir()}
        assert all(hashlib.sha256(data).hexdigest() == name for name, data in here.items())
        assert all(lease.path.read_bytes() == data for lease, data in self.leases)


TestAnything = Anything.TestCase
TestAnything.settings = settings(deadline=None, max_examples=40, stateful_step_count=30)


def test_many_threads_and_little_room(tmp_path: Path) -> None:
    files = [bytes([n]) * 400 for n in range(8)]
    cache = make(tmp_path, 3 * 400)
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(60):
            data = files[(number * 7 + turn * turn) % 8]
            try:
                with cache.file(hashlib.sha256(data).hexdigest(), len(data), Source(data)) as lease:
                    if lease.path.read_bytes() != data or cache.size() > 3 * 400:
                        wrong.append(f"{number} {turn}")
            except CacheFull:
                pass  # three others were in use

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(work, number) for number in range(8)]:
            each.result()
    assert not wrong
    counts = cache.counts()
    assert counts.hits + counts.misses + counts.shared >= 100
