"""Who encodes what: a film cut into chunks, the chunks grouped into chains. All of it is data and none of it runs.

chain 0                          chain 1
┌─────────┬─────────┬─────────┐  ┌─────────┬─────────┐
│ chunk 0 ├>chunk 1 ├>chunk 2 │  │ chunk 3 ├>chunk 4 │     > the state at the end of a chunk
└─────────┴─────────┴─────────┘  └─────────┴─────────┘
 K i i i i e i i i i e i i i i    K i i i i e i i i i     K key frame, i libvpx's interframe, moved onto the state
                                                          e interframe of our own in place of libvpx's key frame

Or libvpx's key frame is that of a lead frame, the one before the chunk, which is encoded and thrown away.

A chunk has N frames, and one at the end of a scene or of the film a few less or more. A chain has X chunks, or ends
with its scene: nothing before a cut helps to predict what is behind it, so the key frame costs nothing there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import msgspec

from pipelines.errors import SettingsError
from pipelines.media.source import Place, Source

PICTURES, STATE = ("golden", "altref"), "state"
"""The messages from a chunk to the next: pictures that are made before its last frame, and the rest of its state."""
_SAMPLES = 8
"""About how many chunks of a long film are samples in a survey; of a short one it is every third."""


class Settings(msgspec.Struct, frozen=True):
    """How to encode. Raises SettingsError for values that make no sense."""

    chunk_frames: int = 24
    """Frames a chunk."""
    chain: int = 16
    """Chunks a chain; a chain begins with a key frame."""
    cq: int = 30
    """Quality, 0 (best) to 63: libvpx's cq-level."""
    speed: int = 2
    """libvpx's cpu-used with deadline good, 0 (slow, small) to 5 (fast, large)."""
    scene_cuts: bool = True
    """Whether a scene begins a chain."""
    first_frame: Literal["lead", "reencode"] = "reencode"
    """How a chunk that continues a chain gets on without its key frame: it falls on a frame before the chunk, which is
    thrown away; or it is the chunk's first, which is then encoded anew on the state before."""

    def __post_init__(self) -> None:
        for name, least, most in (("chunk_frames", 1, 10_000), ("chain", 1, 10_000), ("cq", 0, 63), ("speed", 0, 5)):
            if not least <= (value := getattr(self, name)) <= most:
                raise SettingsError(f"{name} must be {least} to {most}, not {value}")
        if self.first_frame not in ("lead", "reencode"):
            raise SettingsError(f"first_frame must be lead or reencode, not {self.first_frame}")


class Stretch(msgspec.Struct, frozen=True):
    """A stretch of the film that becomes one chunk."""

    index: int
    first: int
    """The number of its first frame in the film."""
    frames: int
    chain: int
    position: int
    """Its place in the chain, from 0."""
    continues: bool
    """Whether the next chunk belongs to the same chain."""


class Cutter:
    """Cuts a film into stretchs while it is read. Told of each frame, in order, and how the film goes on from there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._index = self._first = self._frames = self._chain = self._position = 0

    @property
    def ahead(self) -> int:
        """How many of the next frames it needs to know.

        A chunk of fewer would give libvpx nothing to plan with: the chunk before it takes them, up to this many.
        """
        return max(1, min(8, self._settings.chunk_frames // 4))

    @property
    def most_frames(self) -> int:
        """How many frames a stretch can have."""
        return self._settings.chunk_frames + self.ahead - 1

    @property
    def lead(self) -> bool:
        """Whether the chunk at hand begins with a lead frame."""
        return self._position > 0 and self._settings.first_frame == "lead"

    def take(self, ahead: Sequence[bool]) -> Stretch | None:
        """Take the next frame; returns the stretch that ends with it, if one does.

        `ahead`: of each frame after it, whether it begins a scene; fewer than `self.ahead` of them end the film.
        """
        self._frames += 1
        scene_ends = not ahead or ahead[0]
        soon = len(ahead) < self.ahead or any(ahead[: self.ahead])
        if not scene_ends and (self._frames < self._settings.chunk_frames or soon):
            return None
        continues = not scene_ends and self._position < self._settings.chain - 1
        stretch = Stretch(self._index, self._first, self._frames, self._chain, self._position, continues)
        self._index += 1
        self._first += self._frames
        self._frames = 0
        self._chain += not continues
        self._position = self._position + 1 if continues else 0
        return stretch


class Task(msgspec.Struct, frozen=True):
    """What is done with every chunk while the film is read once; by default, all of it."""

    kind: Literal["encode", "survey", "rebase"] = "encode"
    """Search and rebase; libvpx's first pass alone; or rebase what an earlier reading searched for."""
    scale: float = 1.0
    """By how much the quantizers that libvpx chose are made coarser (above 1) or finer."""
    surveyed: bool = False
    """Whether libvpx's first pass was done in a survey."""
    keep: bool = False
    """Whether what libvpx made is stored, so that it can be rebased again."""
    measure: Literal["", "bytes", "psnr", "ssim"] = ""
    """What is to be known of a finished chunk."""
    probes: tuple[int, ...] = ()
    """In a survey: the qualities (cq) at which samples are encoded and measured."""


class Chunk(msgspec.Struct, frozen=True):
    """All that the worker of a chunk needs to know."""

    index: int
    first: int
    """The number of its first frame in the film."""
    frames: int
    """How many frames it puts out."""
    lead: bool
    """Whether its raw video begins with the frame before the first, to be encoded and thrown away."""
    chain: int
    position: int
    """Its place in the chain, from 0."""
    previous: int | None
    """The chunk whose final state it continues; None for a chain's first."""
    next: int | None
    """The chunk that continues from its final state; None for a chain's last."""
    width: int
    height: int
    rate: tuple[int, int]
    cq: int
    speed: int
    reencode: bool = False
    """Whether a first frame is encoded anew, not thrown away as a lead frame."""
    task: Task = Task()
    sample: bool = False
    """Whether a survey encodes it."""
    place: Place | None = None
    """Where its frames lie in the film, the lead frame first; None: they are stored as raw video."""

    @property
    def name(self) -> str:
        """The name of the task that encodes it."""
        return self.neighbour(self.index)

    def neighbour(self, index: int) -> str:
        """The name of the task of another chunk of the film."""
        return f"chunk/{index:06}"

    @property
    def read(self) -> str:
        """The name of what is known of it when it was read (a MessagePack of `ChunkRead`)."""
        return f"read/{self.index:06}"

    @property
    def source(self) -> str:
        """The name of its raw video: frame after frame as rasters of the codec, the lead frame first."""
        return f"raw/{self.index:06}"

    @property
    def result(self) -> str:
        """The name of what it makes (an IVF file)."""
        return f"encoded/{self.index:06}.ivf"

    def refreshes_all(self, number: int) -> bool:
        """Whether a frame is to become all references, whatever libvpx decided: the last, if the first is not anew."""
        return self.next is not None and number == self.frames - 1 and not self.reencode

    @property
    def statistics(self) -> str:
        """The name of what libvpx's first pass finds out."""
        return f"statistics/{self.index:06}"

    @property
    def searched(self) -> str:
        """The name of what libvpx makes of it (a MessagePack of the frames)."""
        return f"searched/{self.index:06}"

    @property
    def measured(self) -> str:
        """The name of what it came to (a MessagePack of tallies; see `tally`)."""
        return f"measured/{self.index:06}"

    @property
    def inputs(self) -> list[str]:
        """The names of what its worker needs of an earlier reading of the film."""
        return [self.searched] if self.task.kind == "rebase" else [self.statistics] if self.task.surveyed else []

    @property
    def outputs(self) -> list[str]:
        """The names of what its worker makes."""
        if self.task.kind == "survey":
            return [self.measured, self.statistics]
        kept = [self.searched] if self.task.keep else []
        return [*kept, *([self.measured] if self.task.measure else []), self.result]


class Plan(msgspec.Struct, frozen=True):
    """A film and how it is to be encoded: what makes a chunk of a stretch."""

    source: Source
    settings: Settings
    task: Task = Task()

    def chunk(self, stretch: Stretch) -> Chunk:
        """What the worker of a stretch needs to know."""
        settings = self.settings
        return Chunk(
            index=stretch.index,
            first=stretch.first,
            frames=stretch.frames,
            lead=stretch.position > 0 and settings.first_frame == "lead",
            chain=stretch.chain,
            position=stretch.position,
            previous=stretch.index - 1 if stretch.position else None,
            next=stretch.index + 1 if stretch.continues else None,
            width=self.source.width,
            height=self.source.height,
            rate=self.source.rate,
            cq=settings.cq,
            speed=settings.speed,
            reencode=settings.first_frame == "reencode",
            task=self.task,
            sample=stretch.index % self._sample_every == 0,
        )

    @property
    def _sample_every(self) -> int:
        """How many chunks there are for one that is a sample; 12 if the file does not say how long it is."""
        if not self.source.frames:
            return 12
        about = -(-self.source.frames // self.settings.chunk_frames)
        return max(3, about // _SAMPLES)

    def chunks(self, frames: int, scenes: Collection[int] = ()) -> Iterator[Chunk]:
        """Every chunk, in order, of a film with so many frames where new scenes begin with these."""
        cutter = Cutter(self.settings)
        for number in range(frames):
            after = range(number + 1, min(number + 1 + cutter.ahead, frames))
            if stretch := cutter.take([later in scenes for later in after]):
                yield self.chunk(stretch)
