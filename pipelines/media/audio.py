"""The sound of a file for a WebM or Matroska: Opus and Vorbis packets as they are, everything else encoded to Opus.

Sound is never cut where chunks of video meet: this reads the file once more, from start to end, beside the video.
A hole in the timestamps becomes silence and an overlap is cut, so that sound and picture stay together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, cast

import av
import av.error
import numpy as np

from pipelines.errors import InputError
from pipelines.media.matroska import VIDEO, Block
from pipelines.media.matroska_head import Sound
from pipelines.media.others import Step, Steps
from pipelines.media.read import demuxed, open_container
from pipelines.media.source import Track

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_RATE = 48000
_PACKET = 960
"""Samples of an Opus packet: 20 ms."""
_BITS_A_CHANNEL = 64_000
_JUMP = _RATE // 20
"""50 ms in samples: what is less is the rounding of timestamps, not a hole."""
_AHEAD = 4000
"""So many packets are kept at most while tracks that lie badly interleaved in the file are put in order."""
# The channels that Opus has by their number (RFC 7845 §5.1.1.2), as FFmpeg names them; more are mixed down.
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")


class _Way(Protocol):
    """A track on its way from the file to the output."""

    sound: Sound
    damaged: int

    def take(self, packet: Packet[AudioStream]) -> Iterator[Block]:
        """What becomes of a packet of the file; an empty packet ends the track."""


class SoundFile:
    """The sound tracks of a file: see `Steps`.

    Raises InputError when a track cannot be decoded; damaged packets are left out and counted.
    """

    def __init__(self, path: str, tracks: tuple[Track, ...], version: str = "") -> None:
        self._container = open_container(path, version)
        self._ways: dict[int, _Way] = {}
        streams = {stream.index: stream for stream in self._container.streams.audio}
        for number, track in enumerate(tracks, VIDEO + 1):
            stream = streams[track.index]
            kind = _Copied if _can_be_copied(stream) else _Encoded
            self._ways[track.index] = kind(path, number, track, stream)
        self._packets = demuxed(self._container, [streams[track.index] for track in tracks], path)

    @property
    def tracks(self) -> list[Sound]:
        """What to tell of the tracks; of Vorbis without its delay."""
        return [way.sound for way in self._ways.values()]

    @property
    def damaged(self) -> int:
        """How many packets could not be decoded so far."""
        return sum(way.damaged for way in self._ways.values())

    def next(self) -> Step | None:
        """The next packet; None at the end."""
        packet = next(self._packets, None) if self._ways else None
        if packet is None:
            return None
        return Step(list(self._ways[packet.stream.index].take(cast("Packet[AudioStream]", packet))))

    def close(self) -> None:
        """Close the file."""
        self._container.close()


class SoundReader:
    """Puts what is read of sound tracks in order: `sounds` describes them, `until` gives their packets."""

    def __init__(self, file: Steps[Sound]) -> None:
        self._file = file
        self._waiting: list[Block] = []
        numbers = range(VIDEO + 1, VIDEO + 1 + len(file.tracks))
        self._reached: dict[int, Fraction | None] = dict.fromkeys(numbers)
        self._over = not numbers

    @property
    def sounds(self) -> list[Sound]:
        """What to tell of the tracks in the output's header."""
        self._read(None)
        starts = {block.track: block.time for block in reversed(self._waiting)}
        sounds = list(self._file.tracks)
        for number, sound in enumerate(sounds, VIDEO + 1):
            if sound.codec == "vorbis" and (start := starts.get(number, Fraction(0))) < 0:
                sounds[number - VIDEO - 1] = replace(
                    sound, delay=-start
                )  # its header does not tell of it, as Opus's does
        return sounds

    @property
    def damaged(self) -> int:
        """How many packets could not be decoded so far."""
        return self._file.damaged

    def start(self) -> Fraction:
        """When the first packet of all goes to its decoder, in seconds; 0 if there is none."""
        delays = {number: sound.delay for number, sound in enumerate(self.sounds, VIDEO + 1)}
        return min((block.time + delays[block.track] for block in self._waiting), default=Fraction(0))

    def until(self, time: Fraction) -> list[Block]:
        """The packets before `time` in the order of their times; each is given once."""
        self._read(time)
        return self._give(time)

    def rest(self) -> Iterator[Block]:
        """All packets that are left."""
        while not self._over:
            reached = [time for time in self._reached.values() if time is not None]
            yield from self.until(max(reached, default=Fraction(0)) + 1)
        yield from self._give(None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _give(self, time: Fraction | None) -> list[Block]:
        self._waiting.sort(key=lambda block: (block.time, block.track))
        given = len(self._waiting)
        if time is not None:
            given = next((i for i, block in enumerate(self._waiting) if block.time >= time), given)
        blocks, self._waiting = self._waiting[:given], self._waiting[given:]
        return blocks

    def _read(self, time: Fraction | None) -> None:
        """Read on until every track has come to `time` (None: has begun), or too much waits for one that has not."""
        while not self._over:
            behind = [reached is None or (time is not None and reached < time) for reached in self._reached.values()]
            if not any(behind) or (len(self._waiting) > _AHEAD and not all(behind)):
                return
            step = self._file.next()
            if step is None:
                self._over = True
                return
            for block in step.blocks:
                self._reached[block.track] = block.time
                self._waiting.append(block)


class _Copied:
    """Opus and Vorbis: the packets stay as they are."""

    def __init__(self, path: str, number: int, track: Track, stream: AudioStream) -> None:
        private = stream.codec_context.extradata or b""
        opus = private.startswith(b"OpusHead")
        self.damaged = 0
        self.sound = Sound(
            codec="opus" if opus else "vorbis",
            private=private,
            sample_rate=_RATE if opus else stream.codec_context.sample_rate,
            channels=stream.codec_context.channels,
            delay=_pre_skip(private) if opus else Fraction(0),
            label=track.label,
        )
        self._number = number
        self._next = Fraction(0)

    def take(self, packet: Packet[AudioStream]) -> Iterator[Block]:
        if not packet.size:
            return
        time = self._next if packet.pts is None else packet.pts * packet.time_base
        duration = (packet.duration or 0) * packet.time_base
        discard = Fraction(0)
        if packet.has_sidedata("skip_samples"):
            skip = bytes(packet.get_sidedata("skip_samples"))
            discard = Fraction(struct.unpack_from("<I", skip, 4)[0], self.sound.sample_rate)
        self._next = time + duration
        yield Block(self._number, time, bytes(packet), duration=duration, discard=discard)


class _Encoded:
    """Everything else: decoded, brought to 48 kHz, encoded to Opus."""

    def __init__(self, path: str, number: int, track: Track, stream: AudioStream) -> None:
        if stream.codec_context is None or not stream.codec_context.channels:
            raise InputError(
                f"{path}: this FFmpeg has no decoder for sound track {number - VIDEO}; leave it out: --no-audio"
            )
        self._stream, self._number = stream, number
        channels = min(stream.codec_context.channels, len(_LAYOUTS))
        self._layout, self._channels = _LAYOUTS[channels - 1], channels
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.format, self._encoder.layout = _RATE, "flt", self._layout
        self._encoder.time_base = Fraction(1, _RATE)
        self._encoder.bit_rate = _BITS_A_CHANNEL * channels
        self._encoder.open()
        private = self._encoder.extradata or b""
        self._delay = _pre_skip(private)
        self.damaged = 0
        self.sound = Sound("opus", private, _RATE, channels, self._delay, track.label)
        self._resampler = self._new_resampler()
        self._origin: int | None = None
        self._heard = Fraction(0)  # when, counted in samples from the origin, what was decoded so far ends
        self._pending = np.empty((0, channels), np.float32)
        self._samples = 0  # that went into `_pending`
        self._drop = 0
        self._packets = 0

    def take(self, packet: Packet[AudioStream]) -> Iterator[Block]:
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            yield from self._hear(frame)
        if not packet.size:
            yield from self._finish()

    def _hear(self, frame: AudioFrame) -> Iterator[Block]:
        if frame.pts is not None and frame.time_base:
            time = round(frame.pts * frame.time_base * _RATE)
            if self._origin is None:
                self._origin = time
            gap = time - self._origin - round(self._heard)
            if abs(gap) > _JUMP:
                self._heard += gap
                self._drop += max(0, -gap)
                while gap > 0:
                    silence = min(gap, _RATE)
                    yield from self._push(np.zeros((silence, self._channels), np.float32))
                    gap -= silence
        self._heard += Fraction(frame.samples * _RATE, frame.sample_rate)
        try:
            resampled = self._resampler.resample(frame)
        except ValueError:  # the number of channels or the rate has changed
            resampled = self._resampler.resample(None)
            self._resampler = self._new_resampler()
            resampled += self._resampler.resample(frame)
        for piece in resampled:
            yield from self._push(_samples(piece, self._channels))

    def _push(self, samples: Samples) -> Iterator[Block]:
        dropped = min(self._drop, len(samples))
        self._drop -= dropped
        samples = samples[dropped:]
        self._samples += len(samples)
        self._pending = np.concatenate((self._pending, samples))
        while len(self._pending) >= _PACKET:
            packet, self._pending = self._pending[:_PACKET], self._pending[_PACKET:]
            yield from self._encode(packet)

    def _finish(self) -> Iterator[Block]:
        for piece in self._resampler.resample(None):
            yield from self._push(_samples(piece, self._channels))
        if not self._samples:
            return
        # Opus puts out `delay` before the first sample, so the last sample comes out that much later.
        delay = round(self._delay * _RATE)
        packets = -(-(self._samples + delay) // _PACKET)
        while self._packets < packets:
            last = np.zeros((_PACKET, self._channels), np.float32)
            last[: len(self._pending)] = self._pending
            self._pending = self._pending[:0]
            end = self._packets == packets - 1
            yield from self._encode(last, packets * _PACKET - delay - self._samples if end else 0)

    def _encode(self, samples: Samples, discard: int = 0) -> Iterator[Block]:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "flt", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = _RATE, self._packets * _PACKET, Fraction(1, _RATE)
        for packet in self._encoder.encode(frame):
            start = (self._origin or 0) + self._packets * _PACKET
            time, lost = Fraction(start, _RATE) - self._delay, Fraction(discard, _RATE)
            yield Block(self._number, time, bytes(packet), duration=Fraction(_PACKET, _RATE), discard=lost)
            self._packets += 1

    def _new_resampler(self) -> av.AudioResampler:
        return av.AudioResampler(format="flt", layout=self._layout, rate=_RATE)


def _samples(frame: AudioFrame, channels: int) -> Samples:
    return frame.to_ndarray().astype(np.float32, copy=False).reshape(-1, channels)


def _can_be_copied(stream: AudioStream) -> bool:
    if stream.codec_context is None:
        return False
    name, private = stream.codec_context.codec.canonical_name, stream.codec_context.extradata or b""
    # Vorbis: the three headers laced together as Matroska wants them.
    return (name == "opus" and private.startswith(b"OpusHead")) or (name == "vorbis" and private.startswith(b"\x02"))


def _pre_skip(opus_head: bytes) -> Fraction:
    """RFC 7845 §5.1: samples at 48 kHz to be thrown away at the start."""
    return Fraction(struct.unpack_from("<H", opus_head, 10)[0], _RATE) if len(opus_head) >= 12 else Fraction(0)
