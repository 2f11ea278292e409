"""Pieces of a film, each decoded from a key frame on: the pictures that come out where all before it is decoded, too.

Not every file keeps what its key frames promise. What shows that one does not raises Unclean: then the film is to be
read from its start to its end (`read.Reader`), which takes every file as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.logging

from pipelines.errors import InputError
from pipelines.media.read import Picture, converted, demuxed, opened, video_stream
from pipelines.media.source import Entry, Footage, Place

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

_RUN_UPS = (0, 1, 10)
"""Seconds that a jump aims before a key frame, one try after the other."""
_INDEXED = {"mov", "matroska", "avi", "mpegts"}
_HARMLESS = "mmco: unref short failure"
"""H.264 lets go of a picture that is not there: one before the key frame. It would be gone now in any case."""
_TOLD_UNNEEDED = ("h264", "mpeg2video")
"""Codecs whose pictures say that no other one needs them. HEVC's say so of some that others do need."""
_DECODED_ON = 1000
"""Packets: a jump that ends so far before its key frame has failed."""


class Unclean(Exception):
    """Decoded piece by piece, the film would be another one, or might; its text says why."""


def key_frames(path: str, version: str = "") -> list[Entry]:
    """Where one can begin to decode, as the file's index tells; not all of them need be in it. Raises Unclean.

    An MPEG transport stream and an MP4 in fragments have none: they are read from start to end.
    """
    container, _ = opened(path, version)
    with container:
        stream = video_stream(container, path)
        kinds = set(container.format.name.split(","))
        if "matroska" in kinds:
            _seek(container, stream, 0)  # its index is read when it is needed
        index = [(entry.timestamp, entry.is_keyframe, entry.is_discard) for entry in stream.index_entries]
        if "mpegts" in kinds or ("mov" in kinds and len(index) != stream.frames):
            packets = demuxed(container, [stream], path)
            times = [packet.dts for packet in packets if packet.is_keyframe and packet.dts is not None]
        else:
            times = [time for time, key, discarded in index if key and not discarded]
    if not times or not kinds & _INDEXED:
        raise Unclean("it has no index of its key frames")
    if any(later <= time for time, later in pairwise(times)):
        raise Unclean("the times of its key frames do not grow")
    return [Entry(time, "pts" if "matroska" in kinds else "dts") for time in times]


class Piece:
    """An open film of which a piece is decoded; a context.

    Decoding takes one thread. Raises InputError when the film cannot be opened.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self.edge: int | None = None
        """When the key frame `until` is shown, once it was met."""
        self._container, _ = opened(footage.path, footage.version)
        try:
            self._stream = video_stream(self._container, footage.path)
            self._stream.codec_context.thread_count = 1  # FFmpeg complains in the thread that decodes
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Piece:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def pictures(
        self, entry: Entry | None, until: Entry | None = None, first: int | None = None, *, skips: bool = True
    ) -> Iterator[Picture]:
        """The pictures from a key frame's on, or from the film's first on, to its end; once. Raises Unclean.

        What is shown before the key frame, though it is stored behind it, is no part of it, nor is what is shown
        before `first`; with `skips` not all of that is decoded.
        """
        start = shown = None
        entered = False
        for packet in self._packets(entry):
            if packet.size:
                if packet.pts is None:
                    raise Unclean("it does not say when its frames are shown")
                if packet.is_corrupt:
                    raise Unclean("it is damaged")
                if start is None:
                    start = packet.pts
                elif until is not None and _is(packet, until):
                    self.edge = packet.pts
            # What comes before the key frame in the film lacks what it is predicted from; of the key frame itself
            # whoever decodes on from the piece before sees whether it is the same.
            excused = entry is not None and bool(packet.size) and (not entered or (packet.pts or 0) < (start or 0))
            entered = True
            self._skip(skips and packet.size and first is not None and (packet.pts or 0) < first)
            for frame in self._decode(packet, excused, _HARMLESS if entry is not None else None):
                if frame.pts is None:
                    raise Unclean("it does not say when its frames are shown")
                if shown is not None and frame.pts <= shown:
                    raise Unclean("its frames come in another order than they are shown")
                shown = frame.pts
                if (entry is not None and frame.pts < (start or 0)) or (first is not None and frame.pts < first):
                    continue
                self._check(frame)
                yield Picture(frame.pts, frame.duration or 0, self._converted(frame), self._footage.orientation)

    def _packets(self, entry: Entry | None) -> Iterator[Packet[Any]]:
        """The packets from a key frame's on."""
        if entry is None:
            yield from demuxed(self._container, [self._stream], self._footage.path)
            return
        base = self._stream.time_base
        for run_up in _RUN_UPS:
            _seek(self._container, self._stream, entry.time - (round(run_up / base) if base else 0))
            packets = demuxed(self._container, [self._stream], self._footage.path)
            for number, packet in enumerate(packets):
                if _is(packet, entry):
                    yield packet
                    yield from packets
                    return
                if number == _DECODED_ON:
                    break
        raise Unclean("a key frame of its index is not where it should be")

    def _skip(self, passed: object) -> None:
        """Do not decode what no other picture needs, if it need not be shown."""
        context = self._stream.codec_context
        if context.name in _TOLD_UNNEEDED:
            context.skip_frame = "NONREF" if passed else "DEFAULT"

    def _decode(self, packet: Packet[Any], excused: bool, harmless: str | None) -> list[VideoFrame]:
        """The frames that come out when a packet is put in, against which FFmpeg may say something if it is excused."""
        with complaints() as said:
            try:
                frames = self._stream.decode(packet)
            except av.error.FFmpegError as error:
                frames = []
                said.append(f"it cannot be decoded: {error.strerror}")
        said = [line for line in said if line != harmless]
        if said and not excused:
            raise Unclean(f"FFmpeg says that it is damaged ({said[0]})")
        return frames

    def _check(self, frame: VideoFrame) -> None:
        if frame.is_corrupt:
            raise Unclean("it is damaged")
        if (frame.width, frame.height) != (self._footage.width, self._footage.height):
            raise Unclean("the size of its pictures changes")

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        return converted(frame, (self._footage.width, self._footage.height))


def pictures(place: Place, frames: int, *, skips: bool = True) -> Iterator[Picture]:
    """The pictures of a place in the film, which are so many. Raises InputError if they are others than were seen.

    With `skips` not all is decoded on the way there.
    """
    times: list[int] = []
    try:
        with Piece(place.footage) as film:
            for picture in film.pictures(place.entry, first=place.first, skips=skips):
                times.append(picture.pts)
                if picture.pts > place.last or times[0] != place.first or len(times) > frames:
                    break
                yield picture
                if picture.pts == place.last:
                    break
    except Unclean as error:
        raise InputError(f"{place.footage.path}: {error}, unlike when it was looked at") from error
    if len(times) != frames or times[-1] != place.last:
        raise InputError(f"{place.footage.path}: has other frames than when it was looked at")


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What FFmpeg says of errors in this thread meanwhile."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    said: list[str] = []
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=False), av.logging.Capture() as logs:  # of other threads nothing is heard
            yield said
        said += [text.strip() for severity, _, text in logs if severity <= av.logging.ERROR]
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)


def _seek(container: Any, stream: Any, time: int) -> None:
    try:
        container.seek(time, stream=stream, backward=True)
    except av.error.FFmpegError as error:
        raise Unclean(f"there is no going to a key frame: {error.strerror}") from error


def _is(packet: Packet[Any], entry: Entry) -> bool:
    time = packet.pts if entry.clock == "pts" else packet.dts
    return bool(packet.size) and packet.is_keyframe and time == entry.time
