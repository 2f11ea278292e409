"""A video file that is looked at here and there: the frame that is shown at a time, without decoding all before it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.error

from pipelines.errors import InputError
from pipelines.media.read import aspect_of, demuxed, open_container, video_stream

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_LEAP = Fraction(2)
"""Seconds to a frame from which on it is worth a jump, where a file does not tell where its key frames are."""
_RUN_UPS = (0, 2, 10, 60)
"""Seconds that a jump aims before its target, one try after the other: some files cannot be entered where they say."""
_SHORTLY = Fraction(1)
"""Seconds before a frame that is wanted, up to which no frame is decoded that no other one needs."""
_LATE = Fraction(2)
"""Seconds that the last frame may stay on the screen, at least."""


class Film:
    """An open video file; a context. Raises InputError when it cannot be read, or holds no video."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.damaged = 0
        """Packets that could not be decoded so far."""
        self.decoded = 0
        """Frames that were decoded so far."""
        self._timed = True  # whether frames tell when they are shown, wherever one begins to read
        self._whole: float = -math.inf  # the time from which on every frame is decoded, in ticks
        self._open()
        first = next(self._frames, None)
        if first is None:
            self.close()
            raise InputError(f"{path}: not one frame of its video can be decoded; is the file complete?")
        self._start = self._time(first)
        self._here, self._next = first, next(self._frames, None)
        self._end: Fraction | None = None  # of what can be decoded, once that is known
        self._leap = _LEAP
        self._keys = self._key_frames()
        self.seconds = self._length()
        """From the first frame to the end of the last, as the file says; 0 if it does not."""

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def aspect(self) -> Fraction:
        """Width to height of a stored pixel."""
        return aspect_of(self._stream)

    def at(self, seconds: Fraction) -> tuple[Fraction, VideoFrame] | None:
        """The frame that is shown so long after the first one, and when it appears; None after the end of the file.

        Quickest when called with times that grow.
        """
        wanted = self._start + seconds
        if self._end is not None and wanted > self._end:
            return None
        self._whole = float((wanted - _SHORTLY) / self._base) if self._timed else -math.inf
        self._go(wanted, jump=wanted < self._time(self._here) or self._worth_a_jump(wanted))
        if self._time(self._here) < wanted - _SHORTLY and self._whole > -math.inf:
            self._whole = -math.inf  # a frame that is shown for long: what was left out may have been shown after it
            self._go(wanted, jump=True)
        if self._next is None:
            self._end = self._time(self._here) + max(_LATE, self._duration(self._here))
            if wanted > self._end:
                return None
        return self._time(self._here) - self._start, self._here

    def _go(self, wanted: Fraction, *, jump: bool) -> None:
        """Decode until the frame that is shown at `wanted` is here."""
        if jump:
            self._jump(wanted)
        while self._next is not None and self._time(self._next) <= wanted:
            self._here, self._next = self._next, next(self._frames, None)

    def _open(self) -> None:
        self._container = open_container(self.path)
        try:
            self._stream = video_stream(self._container, self.path)
            self._stream.thread_type = "AUTO"
            self._base = self._stream.time_base or Fraction(1, 1000)
            kinds = set(self._container.format.name.split(","))
            # AVI has no times, and what FFmpeg guesses is wrong where frames are stored in another order.
            self._counted = "avi" in kinds and bool(self._stream.codec_context.has_b_frames)
            self._timed = not self._counted and "mpeg" not in kinds  # a program stream's times are wrong after a jump
            self._frames = self._decode()
        except BaseException:
            self._container.close()
            raise

    def _decode(self) -> Iterator[VideoFrame]:
        """The frames from here on, from the first key frame on, each with a time."""
        step = max(1, round(1 / (Fraction(self._stream.average_rate or 25) * self._base)))
        due, key = 0, None
        for packet in demuxed(self._container, [self._stream], self.path):
            needed = packet.pts is None or packet.pts >= self._whole
            self._stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            if key is None and packet.is_keyframe and packet.pts is not None:
                key = packet.pts
            try:
                frames = self._stream.decode(packet)
            except av.error.InvalidDataError:
                self.damaged += 1
                continue
            except av.error.FFmpegError as error:
                raise InputError(f"{self.path}: its video cannot be decoded: {error.strerror}") from error
            for frame in frames:
                self.decoded += 1
                if frame.pts is None or self._counted:
                    frame.pts = due
                    self._timed = False
                due = frame.pts + (frame.duration or step)
                # What is shown before the first key frame needs frames that were jumped over.
                if not self._timed or key is None or frame.pts >= key:
                    yield frame

    def _time(self, frame: VideoFrame) -> Fraction:
        return (frame.pts or 0) * self._base

    def _duration(self, frame: VideoFrame) -> Fraction:
        return (frame.duration or 0) * self._base

    def _worth_a_jump(self, wanted: Fraction) -> bool:
        """Whether there is a key frame on the way, as far as the file tells."""
        if self._next is None or not self._timed:
            return False
        position = self._time(self._next)
        if len(self._keys) > 1 and wanted <= self._keys[-1] + 600:  # a file that grew may tell of its beginning alone
            nearest = bisect_right(self._keys, wanted)
            return nearest > 0 and self._keys[nearest - 1] > position
        return wanted - position > self._leap

    def _jump(self, wanted: Fraction) -> None:
        """Go to a frame that is shown no later than `wanted`."""
        position = self._time(self._here)
        for run_up in _RUN_UPS if self._timed else ():
            with suppress(av.error.FFmpegError):
                target = math.floor((wanted - run_up) / self._base)
                self._container.seek(target, stream=self._stream, backward=True)
                self._frames = self._decode()
                first = next(self._frames, None)
                if first is not None and first.pts is not None and self._time(first) <= wanted:
                    if position <= wanted and self._time(first) <= position:
                        self._leap *= 2
                    self._here, self._next = first, next(self._frames, None)
                    self._keys = self._keys or self._key_frames()  # some files tell only once it was jumped
                    return
        self.close()
        self._open()
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{self.path}: has changed while it was read")
        self._here, self._next = first, next(self._frames, None)

    def _key_frames(self) -> list[Fraction]:
        entries = self._stream.index_entries
        return sorted(entry.timestamp * self._base for entry in entries if entry.is_keyframe)

    def _length(self) -> Fraction:
        if self._stream.duration:
            first = self._stream.start_time
            return max(Fraction(0), self._stream.duration * self._base - (self._start - (first or 0) * self._base))
        if self._container.duration:
            begins = Fraction(self._container.start_time or 0, av.time_base)
            return max(Fraction(0), Fraction(self._container.duration, av.time_base) - (self._start - begins))
        return Fraction(0)
