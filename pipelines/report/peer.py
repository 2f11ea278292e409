"""The same film by libvpx alone, in one piece and one thread: what fastslow is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import msgspec

import codec
from pipelines import libvpx
from pipelines.encode.job import Beside, Report
from pipelines.encode.plan import Settings
from pipelines.encode.record import KEY, Frames
from pipelines.errors import InputError
from pipelines.media.read import Reader
from pipelines.quality import Comparison


@dataclass(frozen=True, slots=True)
class Peer:
    """What one run of libvpx made of the film."""

    frames: Frames
    quality: Comparison
    seconds: float
    """Wall time of both passes and of reading the film once; a second reading, for the second pass, is not in it."""

    @property
    def key_frames(self) -> int:
        """How many key frames there are."""
        return sum(bool(flags & KEY) for flags in self.frames.flags)

    def kbps(self, seconds: float) -> float:
        """The bit rate of a film of this length, in 1000 bits a second."""
        return sum(self.frames.sizes) * 8 / seconds / 1000

    def added_to(self, report: Report) -> Report:
        """The report with this beside it."""
        beside = Beside(
            kbps=round(self.kbps(report.frames / report.fps), 3),
            key_frames=self.key_frames,
            wall_s=round(self.seconds, 3),
            psnr_y=round(self.quality.psnr_y, 4),
            ssim_y=round(self.quality.ssim_y, 6),
        )
        return msgspec.structs.replace(report, libvpx=beside)


def beside_libvpx(
    path: str, settings: Settings, frames: int, watch: Callable[[int], object] = lambda frames: None
) -> Peer:
    """Encode all of a film with libvpx: one key frame, the same quality and speed, two passes, no altref frames.

    `watch` hears how many of 3 times `frames` were gone through: two passes and the comparison. Raises InputError.
    """
    film = _Film(path, frames, watch)
    began = time.monotonic()
    source = film.source
    chosen = libvpx.Settings(source.width, source.height, source.fps, settings.cq, settings.speed)
    packets = libvpx.encode(film, chosen, padded=True)
    seconds = time.monotonic() - began - sum(film.reading[1:])
    told, quality = Frames(), Comparison()
    state: codec.State | None = None
    with Reader(path) as reader:
        for number, (picture, packet) in enumerate(zip(reader, packets, strict=True)):
            state, image = codec.decode(state, packet.data)
            told.add(Fraction(number), packet.data)
            assert image is not None  # without altref frames all are shown
            quality.add(picture.planes, (image.y, image.u, image.v))
            watch(2 * frames + number + 1)
    return Peer(told, quality, seconds)


class _Film:
    """The rasters of a film, read anew each time that they are gone through."""

    def __init__(self, path: str, frames: int, watch: Callable[[int], object]) -> None:
        self._path, self._frames, self._watch = path, frames, watch
        self.reading: list[float] = []
        """Seconds of reading, by pass."""
        with Reader(path) as reader:
            self.source = reader.source

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[memoryview]:
        done = len(self.reading) * self._frames
        self.reading.append(0.0)
        raster = memoryview(bytearray(self.source.frame_size))
        since = time.monotonic()
        with Reader(self._path) as reader:
            count = 0
            for count, picture in enumerate(reader, 1):
                picture.write_raster(raster)
                self.reading[-1] += time.monotonic() - since
                yield raster
                self._watch(done + count)
                since = time.monotonic()
        if count != self._frames:
            raise InputError(f"{self._path}: had {self._frames} frames before and now has {count}; was it changed?")
