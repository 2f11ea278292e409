"""Who encodes what: a film cut into chunks, the chunks grouped into chains. All of it is data and none of it runs.

chain 0                          chain 1
┌─────────┬─────────┬─────────┐  ┌─────────┬─────────┐
│ chunk 0 ├>chunk 1 ├>chunk 2 │  │ chunk 3 ├>chunk 4 │     > the state at the end of a chunk
└─────────┴─────────┴─────────┘  └─────────┴─────────┘
 K i i i i i i i i i i i i i i    K i i i i i i i i i     K key frame, i interframe
          l         l                      l              l lead frame: the frame before, encoded and thrown away
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipelines.errors import SettingsError
from pipelines.media.source import Source


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

    def __post_init__(self) -> None:
        for name, least, most in (("chunk_frames", 1, 10_000), ("chain", 1, 10_000), ("cq", 0, 63), ("speed", 0, 5)):
            if not least <= (value := getattr(self, name)) <= most:
                raise SettingsError(f"{name} must be {least} to {most}, not {value}")


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

    @property
    def source(self) -> str:
        """The name of its raw video: frame after frame as rasters of the codec, the lead frame first."""
        return f"raw/{self.index:06}"

    @property
    def result(self) -> str:
        """The name of what it makes (an IVF file)."""
        return f"encoded/{self.index:06}.ivf"

    def state_for(self, chunk: int) -> str:
        """The name of the final state on its way to `chunk`."""
        return f"state/{chunk:06}"


class Plan(msgspec.Struct, frozen=True):
    """A film, how it is to be encoded, and (about, until the film was read to its end) how many frames it has."""

    source: Source
    settings: Settings
    frames: int

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""
        return -(-self.frames // self.settings.chunk_frames)

    @property
    def chain_count(self) -> int:
        """How many chains there are."""
        return -(-self.chunk_count // self.settings.chain)

    def chunk(self, index: int) -> Chunk:
        """What the worker of chunk `index` needs to know."""
        settings, first = self.settings, index * self.settings.chunk_frames
        chain, position = divmod(index, settings.chain)
        last_of_chain = position == settings.chain - 1 or index == self.chunk_count - 1
        return Chunk(
            index=index,
            first=first,
            frames=min(settings.chunk_frames, self.frames - first),
            lead=position > 0,
            chain=chain,
            position=position,
            previous=None if position == 0 else index - 1,
            next=None if last_of_chain else index + 1,
            width=self.source.width,
            height=self.source.height,
            rate=self.source.rate,
            cq=settings.cq,
            speed=settings.speed,
        )

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk in the order of the film."""
        return map(self.chunk, range(self.chunk_count))

    def with_frames(self, frames: int) -> Plan:
        """The same plan for a film of another length; chunks that do not reach its end stay what they were."""
        return msgspec.structs.replace(self, frames=frames)
