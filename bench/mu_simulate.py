"""How long an encode would take on thousands of workers: `python -m bench.mu_simulate [--draw]`.

The coordinator's mind is the real one (`bench.mu_clock`). First with ExCamera's published stage times, against its
published total times; then with our own stage costs, measured on this machine in the same run (`bench.mu_stages`).

What is assumed is in the constants below, and in docs/simulated.md.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench import mu_picture
from bench.clips import ROOT
from bench.mu_clock import Cloud, Compute, Receive, Result, Send, Simulation, Step, Transfer
from bench.mu_reading import Shared
from bench.mu_stages import Reading, Stages, measure, read
from bench.table import Row, show
from deploy.cost import CALL, GB_SECOND, GET, PUT
from mu.job import Edge, Job, Key, Limits, Task
from pipelines.encode.joined import remote_limits
from pipelines.encode.plan import PICTURES, STATE

__all__ = ["rows"]

FILM_S, RATE = 888, 24
BYPASS = 1 << 20
"""Bytes: larger messages go by way of the store."""
OWN = "own"
"""The state at which a chunk's own encoding ends, before it is rebased."""
CORRELATION = 0.5
"""How much of a stage's spread a whole chain has in common: a hard scene is hard for all its chunks."""
TAIL = 1.25
"""No stage takes longer than so many times its 95th percentile: that is what the times of plain chunks show."""
SPREAD = {"search": 20 / 10.9, "serial": 5.4 / 3.8}
"""95th percentile by mean, of libvpx and of a hop: ExCamera's, for our stages too."""

LAMBDA = 1.5
"""A Lambda processor (arm64, 1769 MB) takes so many times longer than one here. Assumed; 1 and 2 are in the table."""
MEMORY_GB = 1769 / 1024
REQUEST_DOLLARS = CALL + 4 * GET + 3 * PUT
"""A worker's: its invocation; job, frames, a picture and a state read from S3, these two and a result written."""
PACKED, PACK_S_PER_MB = 0.45, 0.011
"""Decision 2: how much smaller a packed state is, and what packing and unpacking take."""


def starts(rng: random.Random) -> float:
    """ExCamera's median run: half of 3,552 workers after 2.2 s, the last after 3.3 s."""
    return rng.uniform(1.1, 3.3)


@dataclass(frozen=True)
class Stage:
    """A stage's seconds, as published: mean, 95th percentile, worst."""

    mean: float
    p95: float
    worst: float

    def draw(self, z: float) -> float:
        """The time at z standard deviations: lognormal, cut off at the worst."""
        ratio = math.log(self.p95 / self.mean)
        sigma = 1.645 - math.sqrt(max(0.0, 1.645**2 - 2 * ratio))
        return min(self.worst, self.mean * math.exp(sigma * z - sigma * sigma / 2))

    def times(self, factor: float) -> Stage:
        """The same, so many times as long."""
        return Stage(self.mean * factor, self.p95 * factor, self.worst * factor)


def published(mean: float, p95: float, worst: float | None = None) -> Stage:
    """As the table of ExCamera's paper has it."""
    return Stage(mean, p95, worst or TAIL * p95)


DOWNLOAD, SEARCH, DECODE = published(1.5, 2.1), published(10.9, 20), published(2.9, 4.0)
REENCODE, HOP, UPLOAD = published(16.3, 25.5), published(3.8, 5.4, 23.9), 0.25
HOP_TRANSFER = 0.8
"""Of a hop's seconds, those that do not grow with the chunk: a state of some 30 MB on its way. Assumed."""
HOP_FRAME = (HOP.mean - HOP_TRANSFER) / 6
"""So a frame takes this to rebase; REENCODE is one frame encoded, and so much for each of the others."""


@dataclass(frozen=True)
class Shape:
    """A film cut into chunks of `frames`, and chains of `chain` chunks."""

    frames: int
    chain: int

    def __str__(self) -> str:
        return f"[{self.frames},{self.chain}]"

    @property
    def chunks(self) -> int:
        """How many chunks, and workers."""
        return math.ceil(FILM_S * RATE / self.frames)

    def job(self, names: Sequence[str], limits: Limits, before: Sequence[Task] = ()) -> Job:
        """Each chunk a task that hands messages of these names to the next of its chain, after those `before`."""
        tasks = list(before)
        fetches = before[-1].stores if before else ()
        for number in range(self.chunks):
            sends = [Edge(_name(number + 1), each) for each in names] if self.follows(number + 1) else []
            receives = [Edge(_name(number - 1), each) for each in names] if self.follows(number) else []
            tasks.append(
                Task(
                    _name(number),
                    "pipelines.encode.worker:encode",
                    fetches=fetches,
                    sends=tuple(sends),
                    receives=tuple(receives),
                )
            )
        return Job("simulated", tuple(tasks), limits)

    def follows(self, number: int) -> bool:
        """Whether a chunk continues a chain."""
        return number < self.chunks and number % self.chain > 0


def _name(number: int) -> str:
    return f"chunk/{number:06}"


def _number(task: Task) -> int:
    return int(task.name.partition("/")[2])


class Film:
    """How hard each chunk is for each stage: partly its chain's, partly its own."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self._shape, self._seed = shape, seed

    def z(self, number: int, stage: str) -> float:
        """In standard deviations."""
        chain = random.Random(f"{self._seed} chain {number // self._shape.chain}").gauss(0, 1)
        own = random.Random(f"{self._seed} {stage} {number}").gauss(0, 1)
        return math.sqrt(CORRELATION) * chain + math.sqrt(1 - CORRELATION) * own


def excamera(shape: Shape, seed: int = 1) -> Result:
    """Their program with their stage times, which grow with the chunk where each frame costs the same."""
    scale, film = shape.frames / 6, Film(shape, seed)

    def steps(task: Task) -> list[Step]:
        number = _number(task)

        def takes(what: str, stage: Stage, factor: float = scale) -> Compute:
            return Compute(what, stage.times(factor).draw(film.z(number, what)))

        made: list[Step] = [takes("fetch", DOWNLOAD), takes("search", SEARCH)]
        before, after = (_name(number - 1), task.name), (task.name, _name(number + 1))
        if shape.chain > 1:
            made.append(takes("decode", DECODE))
        if shape.follows(number + 1):
            made.append(Send(Key(*after, "decoded"), 0))
        if shape.follows(number):
            hop = (HOP_TRANSFER + HOP_FRAME * shape.frames) / HOP.mean
            reencode = 1 + HOP_FRAME * (shape.frames - 6) / REENCODE.mean
            made += [Receive(Key(*before, "decoded")), takes("encode", REENCODE, reencode)]
            made += [Receive(Key(*before, "final")), takes("rebase", HOP, hop)]
        if shape.follows(number + 1):
            made.append(Send(Key(*after, "final"), 0))
        return [*made, Compute("store", UPLOAD)]

    limits = Limits(workers=10_000, lease_s=0, straggler=None)
    return Simulation(shape.job(("decoded", "final"), limits), steps, Cloud(starts), seed).run()


@dataclass(frozen=True)
class Way:
    """How our program hands its state on."""

    name: str = "states by way of the store, golden pictures ahead"
    by_store: bool = True
    bypass: int = BYPASS
    """Bytes; smaller messages go through the coordinator all the same."""
    relay_rate: float = 600e6
    """The coordinator's bytes a second, if they go through it."""
    packed: bool = False
    early: bool = True
    """The golden picture goes as soon as the first frame is made: half of the state is there before it is needed."""
    decoded: bool = False
    """In place of the state's other picture go the coded frames, and who receives them decodes them."""
    parallel_first: bool = False
    """The first frame is encoded on the neighbour's own state, in parallel, and in the row only rebased."""
    slower: float = LAMBDA
    deaths: float = 0.0


def ours(shape: Shape, stages: Stages, way: Way = Way(), seed: int = 1, reading: Reading | None = None) -> Result:
    """`fastslow encode` as a job of so many workers; with `reading` the film is read too, and is not there raw."""
    film, n = Film(shape, seed), shape.frames
    packed = PACKED if way.packed else 1.0
    sizes = {STATE: stages.state_bytes * packed}
    if way.early:
        golden = stages.raw_bytes * packed
        sizes = {**dict.fromkeys(PICTURES, 0.0), PICTURES[0]: golden, STATE: sizes[STATE] - golden}
    if way.decoded:
        sizes[STATE] = n * stages.coded_bytes
    if way.parallel_first:
        sizes[OWN] = stages.state_bytes * packed
    packing = stages.pack / 2 * way.slower
    if way.packed:
        packing += PACK_S_PER_MB * stages.state_bytes / 1e6 / 2 * way.slower

    shared = Shared(shape.chunks * n, reading, way.slower) if reading else None

    def steps(task: Task) -> Sequence[Step]:
        if shared and not task.name.startswith("chunk/"):
            return shared.steps(task)
        number = _number(task)
        before, after = (_name(number - 1), task.name), (task.name, _name(number + 1))
        continues, hands_on = shape.follows(number), shape.follows(number + 1)

        def takes(stage: str, seconds: float, spread: str = "serial") -> Compute:
            mean = seconds * way.slower
            p95 = mean * SPREAD[spread]
            return Compute(stage, Stage(mean, p95, TAIL * p95).draw(film.z(number, spread)))

        def sends(*names: str) -> list[Step]:
            there = [name for name in names if name in sizes] if hands_on else []
            return [Send(Key(*after, name), sizes[name], way.by_store and sizes[name] > way.bypass) for name in there]

        def receives(*names: str) -> Iterator[Step]:
            for name in [name for name in names if name in sizes]:
                yield Receive(Key(*before, name))
                if way.by_store and sizes[name] > way.bypass:
                    yield Transfer("transfer", sizes[name])

        made: list[Step] = [Transfer("fetch", n * stages.raw_bytes)]
        if shared:
            made = shared.chunk(number * n, n)
        made.append(takes("search", n * (stages.search + stages.parse), "search"))
        if way.parallel_first and shape.chain > 1:
            made += [takes("rebase", n * stages.rebase), *sends(OWN)]
            made += [*receives(OWN), takes("rebase", stages.first)] if continues else []
        if continues:
            made += [*receives(*PICTURES, STATE), Compute("transfer", packing)]
            made += [takes("transfer", (n - 1) * stages.decode)] if way.decoded else []
        made.append(takes("rebase", stages.first if continues and not way.parallel_first else stages.rebase))
        made += [*sends(*PICTURES), takes("rebase", (n - 1) * stages.rebase)]
        made += [Compute("transfer", packing), *sends(STATE)] if hands_on else []
        return [*made, Transfer("store", n * stages.coded_bytes)]

    cloud = Cloud(starts, relay_rate=way.relay_rate, deaths=way.deaths)
    limits = Limits(workers=10_000, lease_s=0, reconnect_s=remote_limits(1).reconnect_s, straggler=3.0)
    job = shape.job(tuple(sizes), limits, shared.tasks() if shared else ())
    return Simulation(job, steps, cloud, seed).run()


def dollars(result: Result) -> float:
    """What the workers cost."""
    return result.billed * MEMORY_GB * GB_SECOND["arm64"] + result.workers * REQUEST_DOLLARS


AS_IT_IS = Way()
DECODED = Way("... coded frames instead of the last picture", decoded=True)
BEST = Way("... first frames encoded in parallel", parallel_first=True)
THROUGH = Way("whole states through one coordinator, 0.6 GB/s", by_store=False, early=False)
BOTH = replace(BEST, name="... both", decoded=True)
WAYS = (
    AS_IT_IS,
    Way("... whole states, as it was", early=False),
    Way("... packed", packed=True),
    DECODED,
    BEST,
    BOTH,
)
INSTEAD = (
    THROUGH,
    Way("... packed", by_store=False, packed=True, early=False),
    Way("... four coordinators for one job's chains, 2.4 GB/s", by_store=False, relay_rate=2.4e9, early=False),
)
"""What was before large messages went by way of the store, and what else could have been done."""
PUBLISHED = {(6, 16): 157, (12, 16): 231, (24, 4): 219, (6, 1): 28.8, (12, 1): 62, (24, 1): 123}
SHAPES = [Shape(n, x) for n in (6, 12, 24) for x in (1, 4, 16)]


def rows() -> Iterator[Row]:
    """Theirs against what they published; then ours."""
    for (n, x), seconds in PUBLISHED.items():
        simulated = excamera(Shape(n, x)).seconds
        off = 100 * (simulated / seconds - 1)
        goal = 15 if (n, x) == (6, 16) else None
        text = f"{off:+.1f}"
        yield Row(
            f"ExCamera[{n},{x}]: simulated {simulated:.0f} s, published {seconds:g} s",
            text,
            abs(off),
            goal,
            goal,
            more_is_better=False,
            unit=" %",
        )
    stages = measure()
    for way in WAYS:
        yield _row(f"ours [6,16]: {way.name}", ours(Shape(6, 16), stages, way), goals=True)
    reading = read()
    for way in (AS_IT_IS, BEST):
        whole = ours(Shape(6, 16), stages, way, reading=reading)
        yield _row(f"ours [6,16], and the film is read: {way.name}", whole, goals=True)
    for slower in (1.0, 2.0):
        way = replace(AS_IT_IS, slower=slower)
        yield _row(f"ours [6,16]: as it is, Lambda {slower:g} times slower than here", ours(Shape(6, 16), stages, way))
    died = ours(Shape(6, 16), stages, replace(AS_IT_IS, deaths=0.005))
    yield _row("ours [6,16]: as it is, and one worker in 200 dies", died)
    for way in INSTEAD:
        yield _row(f"ours [6,16]: {way.name}", ours(Shape(6, 16), stages, way))
    for shape in SHAPES:
        yield _row(f"ours {shape}", ours(shape, stages, AS_IT_IS))


def _row(what: str, result: Result, *, goals: bool = False) -> Row:
    text = f"{result.seconds:.1f} s, {dollars(result):.2f} $, {result.workers:,} workers"
    at_least, aim = (60, 40) if goals else (None, None)
    return Row(what, text, result.seconds, at_least, aim, more_is_better=False)


def draw() -> None:
    """The picture of docs/simulated.md."""
    stages, shape = measure(), Shape(6, 16)
    panels = [("ExCamera's stage times", excamera(shape))]
    panels += [(f"ours, {way.name}", ours(shape, stages, way)) for way in (THROUGH, AS_IT_IS)]
    mu_picture.draw(ROOT / "docs/pictures/simulated.svg", panels)


if __name__ == "__main__":
    if "--draw" in sys.argv[1:]:
        draw()
    else:
        show("888 s of 4K film at 24 a second, simulated", rows())
