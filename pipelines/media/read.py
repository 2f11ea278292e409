"""Any video file as upright 8-bit pictures in 4:2:0, every frame once and in order, each with its time.

What is done to a picture: 10-bit, 4:2:2, RGB and whatever else FFmpeg knows become 8-bit 4:2:0 by swscale; full range
becomes limited, since VP8 has no flag for it; the turn and the mirror of the display matrix are carried out. The matrix
of a YUV picture (BT.709, BT.2020) is kept, not converted to the BT.601 of VP8's header: the container names it. RGB
becomes BT.601. Interlaced pictures stay as they are.

Damage in the middle of a file is concealed by FFmpeg and counted; damage at its end means that the rest is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import msgspec

from pipelines.errors import InputError, TruncatedInput
from pipelines.media.complete import missing_bytes
from pipelines.media.in_place import is_object, open_bytes, open_object
from pipelines.media.labels import chapters_of, created, label_of, tags_of
from pipelines.media.orientation import UPRIGHT, Orientation, from_display_matrix
from pipelines.media.source import Colour, Source, Track

if TYPE_CHECKING:
    import numpy as np
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.sidedata.sidedata import SideData
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

_UNTOLD = 2  # H.273's code point for "unspecified"
_BT601 = 6
_FULL_RANGE, _LIMITED_RANGE = 2, 1
_SWSCALE_BT601 = 5
_MAX_SIDE = 16383  # VP8 has 14 bits for a side
_BUFFER = 1 << 16  # bytes that FFmpeg takes at a time of what is not a file

# Formats that `complete` can tell of whether they were cut off. Of the others only a damaged last frame tells, and with
# frame threads FFmpeg may forget to say that a frame is damaged.
_STRUCTURED = {"mov", "matroska", "webm", "avi", "mpegts", "ivf", "yuv4mpegpipe"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of the input."""

    pts: int
    """When it is shown, in the source's time base; grows from frame to frame."""
    duration: int
    """For how long the file says it is shown; 0: it does not say."""
    frame: VideoFrame
    """8-bit 4:2:0 in limited range, as it is stored."""
    orientation: Orientation

    @property
    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Y, U and V, upright, as arrays over the frame's own memory."""
        import numpy as np  # here, since what only hands pictures on starts sooner without it

        half = (self.frame.height + 1) // 2, (self.frame.width + 1) // 2
        shapes = ((self.frame.height, self.frame.width), half, half)
        planes = []
        for (height, width), plane in zip(shapes, self.frame.planes, strict=False):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(self.orientation.apply(rows[:height, :width]))
        return planes[0], planes[1], planes[2]

    def write_raster(self, target: memoryview) -> None:
        """Write the upright planes one after the other, each padded to whole macroblocks by its last pixels."""
        start = 0
        side = 16
        for plane in self._rows():
            height, width, line, data = plane
            stride = -(-width // side) * side
            if line == stride:
                target[start : start + stride * height] = data[: stride * height]
            else:
                for row in range(height):
                    place = start + row * stride
                    target[place : place + width] = data[row * line : row * line + width]
            if stride > width:
                for place in range(start, start + stride * height, stride):
                    target[place + width : place + stride] = bytes([target[place + width - 1]]) * (stride - width)
            last = bytes(target[start + stride * (height - 1) : start + stride * height])
            end = start + stride * -(-height // side) * side
            target[start + stride * height : end] = last * ((end - start) // stride - height)
            start, side = end, 8

    def _rows(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """Of each upright plane: height, width, bytes from row to row, and the bytes."""
        if self.orientation != UPRIGHT:
            for turned in self.planes:
                yield *turned.shape, turned.shape[1], memoryview(turned.tobytes())
            return
        half = (self.frame.height + 1) // 2, (self.frame.width + 1) // 2
        shapes = ((self.frame.height, self.frame.width), half, half)
        for (height, width), plane in zip(shapes, self.frame.planes, strict=False):
            yield height, width, plane.line_size, memoryview(plane)


@dataclass(slots=True)
class Reader:
    """An open video file: `source` says what it is, iterating gives its pictures; `damaged` counts concealed errors."""

    path: str
    version: str = ""
    """Of an object that is read in its bucket: its ETag, if it must be that one."""
    damaged: int = field(default=0, init=False)
    source: Source = field(init=False)
    _container: InputContainer = field(init=False)
    _stream: VideoStream = field(init=False)
    _frames: Iterator[VideoFrame] = field(init=False)
    _first: VideoFrame = field(init=False)
    _orientation: Orientation = field(default=UPRIGHT, init=False)

    def __post_init__(self) -> None:
        """Open the file and decode its first frame. Raises InputError with a line that says what is wrong with it."""
        self._container, self.version = opened(self.path, self.version)
        try:
            self._stream = video_stream(self._container, self.path)
            structured = not _STRUCTURED.isdisjoint(self._container.format.name.split(","))
            self._stream.thread_type = "AUTO" if structured else "SLICE"
            self._frames = self._decode()
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"{self.path}: not one frame of its video can be decoded; is the file complete?")
            self._first = first
            self._orientation = orientation_of(first)
            self.source = self._describe(first)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[Picture]:
        """Every frame once. Raises TruncatedInput at the end of a file that was cut off."""
        step = max(1, round(1 / (self.source.fps * self.source.seconds_a_tick)))
        due = 0
        frame: VideoFrame | None = self._first
        previous: int | None = None
        while frame is not None:
            pts = due if frame.pts is None else frame.pts
            if previous is not None and pts <= previous:
                pts = previous + 1  # two frames of one time: neither is dropped
            duration = frame.duration or 0
            yield Picture(pts, duration, converted(frame, self.stored), self._orientation)
            previous, due = pts, pts + (duration or step)
            frame = next(self._frames, None)

    def _decode(self) -> Iterator[VideoFrame]:
        ends = _Ends(self._container, self._stream, self.path, self.version)
        corrupt = False  # whether the frame that was decoded last is damaged
        for packet in demuxed(self._container, [self._stream], self.path):
            ends.see(packet)
            try:
                frames = self._stream.decode(packet)
            except av.error.InvalidDataError:
                self.damaged += 1
                ends.broken = ends.packets
                continue
            except av.error.FFmpegError as error:
                raise InputError(f"{self.path}: its video cannot be decoded: {error.strerror}") from error
            for frame in frames:
                corrupt = frame.is_corrupt
                self.damaged += corrupt
                yield frame
        ends.check(corrupt)

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the pictures as they are stored."""
        return self._first.width, self._first.height

    @property
    def orientation(self) -> Orientation:
        """How they are turned upright."""
        return self._orientation

    def _describe(self, first: VideoFrame) -> Source:
        stream, turned = self._stream, self._orientation.transpose
        size, aspect = (first.width, first.height), aspect_of(stream)
        if turned:
            size, aspect = size[::-1], 1 / aspect
        if max(size) > _MAX_SIDE:
            raise InputError(f"{self.path}: {size[0]}x{size[1]} pixels; VP8 ends at {_MAX_SIDE} a side: scale it down")
        time_base, rate = stream.time_base or Fraction(1, 1000), _rate(stream)
        title, tags, lost_tags = tags_of(self._container.metadata)
        chapters, lost_chapters = chapters_of(self._container)
        return Source(
            path=self.path,
            width=size[0],
            height=size[1],
            aspect=(aspect.numerator, aspect.denominator),
            time_base=(time_base.numerator, time_base.denominator),
            rate=(rate.numerator, rate.denominator),
            constant_rate=stream.base_rate == stream.average_rate and stream.average_rate is not None,
            frames=_frame_count(self._container, stream, rate),
            colour=_colour(first),
            label=msgspec.structs.replace(label_of(stream), default=True),
            tracks=tuple(map(_track, self._container.streams.audio)),
            subtitles=tuple(map(_track, self._container.streams.subtitles)),
            title=title,
            tags=tags,
            chapters=chapters,
            created=created(self._container.metadata),
            dropped=lost_tags + lost_chapters,
            version=self.version,
        )


class _Ends:
    """Notices a file that ends before it should."""

    def __init__(self, container: InputContainer, stream: VideoStream, path: str, version: str) -> None:
        self.path, self.packets, self.broken = path, 0, -1
        self._version = version
        self._format, self._told = container.format.name, stream.frames
        self._seen = 0.0
        self._byte = 0

    def see(self, packet: Packet[VideoStream]) -> None:
        if not packet.size:
            return  # the empty packet that ends a stream
        self.packets += 1
        if packet.is_corrupt:
            self.broken = self.packets
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base:
            self._seen = max(self._seen, float((time + (packet.duration or 0)) * packet.time_base))
        if packet.pos is not None:
            self._byte = max(self._byte, packet.pos + packet.size)

    def check(self, corrupt: bool) -> None:
        """Raise TruncatedInput if the file was cut off; `corrupt`: its last frame is damaged."""
        if missing := missing_bytes(self.path, self._version):
            raise TruncatedInput(f"{self.path}: cut off: at least {missing} bytes are missing at its end")
        # Raw frames leave no remainder; IVF counts them in its header.
        remainder = self._format == "yuv4mpegpipe" and 0 < self._byte < self._size()
        if corrupt or remainder or self.broken == self.packets > 0:
            raise TruncatedInput(f"{self.path}: cut off in the middle of a frame, {self._seen:.2f} s in")
        if self._format == "ivf" and self.packets < self._told:
            raise TruncatedInput(f"{self.path}: cut off: it has {self.packets} of the {self._told} frames it tells of")

    def _size(self) -> int:
        """In bytes; 0 of what is no file, such as an address or a pipe."""
        if not is_object(self.path) and not os.path.isfile(self.path):
            return 0
        with open_bytes(self.path, self._version) as file:
            return file.seek(0, os.SEEK_END)


def open_container(path: str, version: str = "") -> InputContainer:
    """Open a file, or an object in its bucket, with FFmpeg.

    Raises InputError with a line that says why it cannot be read; TransferFailed if another try may help.
    """
    return opened(path, version)[0]


def opened(path: str, version: str = "") -> tuple[InputContainer, str]:
    """The same, and the version of an object; the path of a file has none."""
    film = open_object(path, version) if is_object(path) else None
    try:
        if film is None:
            return av.open(path, metadata_errors="replace"), ""
        return av.open(film, "r", metadata_errors="replace", buffer_size=_BUFFER), film.version
    except av.error.InvalidDataError as error:
        if film.size == 0 if film else os.path.isfile(path) and not os.path.getsize(path):
            raise InputError(f"{path}: empty (0 bytes)") from error
        raise InputError(f"{path}: not a video that FFmpeg can read, or its beginning or end is missing") from error
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def demuxed(container: InputContainer, streams: Sequence[Stream], path: str) -> Iterator[Packet[Any]]:
    """The packets of these streams in the order of the file; an empty one ends each stream. Raises InputError."""
    try:
        yield from container.demux(streams)
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: cannot be read on: {error.strerror}") from error


def video_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that is the film, among those that are cover pictures. Raises InputError."""
    picture = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & picture]
    if not streams:
        sound = ", only sound" if container.streams.audio else ""
        raise InputError(f"{path}: holds no video{sound}; give a file with a video stream")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.codec_context is None:
        raise InputError(f"{path}: this FFmpeg has no decoder for its video; convert it with another tool first")
    return stream


def converted(frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    """A frame as VP8 has it, of this width and height: 8-bit 4:2:0 in limited range."""
    full_range = frame.color_range == _FULL_RANGE
    if frame.format.name == "yuv420p" and not full_range and (frame.width, frame.height) == size:
        return frame
    matrix = _SWSCALE_BT601 if frame.format.is_rgb else None
    # One thread: those that swscale starts for every frame cost more than they help, and stay as long as the frame.
    limited = {"dst_colorspace": matrix, "dst_color_range": _LIMITED_RANGE}
    return frame.reformat(*size, "yuv420p", **limited, threads=1)


def _track(stream: AudioStream | SubtitleStream) -> Track:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    return Track(stream.index, codec, label_of(stream))


def orientation_of(frame: VideoFrame) -> Orientation:
    """How a frame of a file is to be turned."""
    matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    return from_display_matrix(bytes(matrix)) if matrix else UPRIGHT


def aspect_of(stream: VideoStream) -> Fraction:
    """Width to height of a stored pixel."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def _rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate, stream.codec_context.framerate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate).limit_denominator(1_000_000)
    return Fraction(25)


def _frame_count(container: InputContainer, stream: VideoStream, rate: Fraction) -> int:
    if stream.frames:
        return stream.frames
    if stream.duration and stream.time_base:
        return max(1, round(stream.duration * stream.time_base * rate))
    return max(1, round(Fraction(container.duration, av.time_base) * rate)) if container.duration else 0


def _colour(frame: VideoFrame) -> Colour:
    matrix = _BT601 if frame.format.is_rgb else int(frame.colorspace)
    known = [
        value if 0 < value < 256 else _UNTOLD for value in (matrix, int(frame.color_trc), int(frame.color_primaries))
    ]
    return Colour(*known)
