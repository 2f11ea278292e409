"""The subtitles of a file for a WebM or Matroska.

WebM holds WebVTT alone, so all text becomes that; pictures cannot. Matroska holds SubRip, ASS and the pictures of
Blu-ray, DVD and DVB as they are, and other text becomes SubRip. WebVTT is stored as WebM has it (D_WEBVTT: identifier,
settings and text, a line end between them) in both, since FFmpeg reads no other form.

The file is read once more, beside video and sound. Subtitles are rare in it, so the packets of the picture are looked
at too: they tell how far the file has been read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol, cast

import av
import av.error

from pipelines.media.cue_text import srt_text, vtt_text, without_blank_lines
from pipelines.media.matroska import Block
from pipelines.media.matroska_head import Kind, Subtitles
from pipelines.media.others import Step, Steps
from pipelines.media.read import demuxed, open_container, video_stream
from pipelines.media.source import Label, Track

if TYPE_CHECKING:
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream

_AS_THEY_ARE = {
    "subrip": "S_TEXT/UTF8",
    "ass": "S_TEXT/ASS",
    "hdmv_pgs_subtitle": "S_HDMV/PGS",
    "dvd_subtitle": "S_VOBSUB",
    "dvb_subtitle": "S_DVBSUB",
}
_AHEAD = Fraction(1)
"""Seconds: a file may store a picture that much before its subtitle."""
_MOST_WAITING = 32 << 20
"""Bytes: from so many on nothing more is read until some of them are due."""
_MOST_TEXT = 64 << 10
"""Bytes of one subtitle; nobody reads a longer one."""
_LONGEST = Fraction(10)
"""Seconds that a subtitle stays which does not say how long, when no other follows."""
_PACKET_COSTS = 200


def kept(tracks: tuple[Track, ...], kind: Kind) -> tuple[tuple[Track, ...], list[str]]:
    """Which tracks an output of this kind can hold, and a line of complaint for each of the others."""
    found, complaints = [], []
    for number, track in enumerate(tracks, 1):
        if complaint := _complaint(track.codec, kind):
            named = ", ".join(filter(None, (track.codec, track.label.language, track.label.title)))
            complaints.append(f"subtitle track {number} ({named or 'of unknown kind'}) was left out: {complaint}")
        else:
            found.append(track)
    return tuple(found), complaints


def _complaint(codec: str, kind: Kind) -> str:
    if kind == "matroska" and codec in _AS_THEY_ARE:
        return ""
    try:
        decoder = av.Codec(codec, "r")
    except ValueError:
        return "this FFmpeg has no decoder for it"
    if not decoder.text_sub:
        keeps = "; .mkv keeps it" if codec in _AS_THEY_ARE else ""
        return f"it is made of pictures, which {'WebM' if kind == 'webm' else 'Matroska'} cannot hold{keeps}"
    return ""


class _Way(Protocol):
    """A track on its way from the file to the output."""

    track: Subtitles
    damaged: int

    def take(self, packet: Packet[SubtitleStream]) -> Iterator[Block]:
        """What becomes of a packet of the file; an empty packet ends the track."""


class SubtitleFile:
    """The subtitle tracks of a file, all of which an output of this `kind` can hold, numbered from `first` on: `Steps`.

    Damaged packets are left out and counted. Raises InputError when the file cannot be read on.
    """

    def __init__(self, path: str, tracks: tuple[Track, ...], kind: Kind, first: int, version: str = "") -> None:
        self._container = open_container(path, version)
        streams = {stream.index: stream for stream in self._container.streams.subtitles}
        self._ways: dict[int, _Way] = {}
        for number, track in enumerate(tracks, first):
            stream = streams[track.index]
            if track.codec == "webvtt":
                self._ways[track.index] = _WebVtt(number, track.label)
            elif kind == "matroska" and track.codec in _AS_THEY_ARE:
                self._ways[track.index] = _Copied(number, track, stream)
            else:
                self._ways[track.index] = _Decoded(number, track.label, kind, stream)
        clock = video_stream(self._container, path)
        wanted = [clock, *(streams[track.index] for track in tracks)]
        self._packets = demuxed(self._container, wanted, path)

    @property
    def tracks(self) -> list[Subtitles]:
        """What to tell of the tracks in the output's header."""
        return [way.track for way in self._ways.values()]

    @property
    def damaged(self) -> int:
        """How many packets were no subtitles so far."""
        return sum(way.damaged for way in self._ways.values())

    def next(self) -> Step | None:
        """The next packet of subtitles or of the picture; None at the end."""
        packet = next(self._packets, None)
        if packet is None:
            return None
        way = self._ways.get(packet.stream.index)
        if way is not None:
            return Step(list(way.take(cast("Packet[SubtitleStream]", packet))))
        time = packet.dts if packet.dts is not None else packet.pts
        return Step(reached=time * packet.time_base if time is not None and packet.time_base else None)

    def close(self) -> None:
        """Close the file."""
        self._container.close()


class SubtitleReader:
    """Puts what is read of subtitle tracks in order: `tracks` describes them, `until` gives them."""

    def __init__(self, file: Steps[Subtitles]) -> None:
        self._file = file
        self._waiting: list[Block] = []
        self._bytes = 0
        self._reached = Fraction(-1)
        self._over = False

    @property
    def tracks(self) -> Sequence[Subtitles]:
        """What to tell of the tracks in the output's header."""
        return self._file.tracks

    @property
    def damaged(self) -> int:
        """How many packets were no subtitles so far."""
        return self._file.damaged

    def until(self, time: Fraction) -> list[Block]:
        """The subtitles before `time`, in the order of their times; each is given once."""
        while not self._over and self._reached < time + _AHEAD and self._bytes < _MOST_WAITING:
            self._read()
        return self._give(time)

    def rest(self) -> Iterator[Block]:
        """All that is left."""
        while True:
            while not self._over and self._bytes < _MOST_WAITING:
                self._read()
            yield from self._give(None)
            if self._over:
                return

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _give(self, time: Fraction | None) -> list[Block]:
        self._waiting.sort(key=lambda block: (block.time, block.track))
        given = len(self._waiting)
        if time is not None:
            given = next((i for i, block in enumerate(self._waiting) if block.time >= time), given)
        blocks, self._waiting = self._waiting[:given], self._waiting[given:]
        self._bytes -= sum(len(block.data) + _PACKET_COSTS for block in blocks)
        return blocks

    def _read(self) -> None:
        step = self._file.next()
        if step is None:
            self._over = True
            return
        if step.reached is not None:
            self._reached = max(self._reached, step.reached)
        for block in step.blocks:
            self._waiting.append(block)
            self._bytes += len(block.data) + _PACKET_COSTS


class _Copied:
    """The packets as they are."""

    def __init__(self, number: int, track: Track, stream: SubtitleStream) -> None:
        self.damaged = 0
        self.track = Subtitles(_AS_THEY_ARE[track.codec], stream.codec_context.extradata or b"", track.label)
        self._number = number

    def take(self, packet: Packet[SubtitleStream]) -> Iterator[Block]:
        if packet.size and packet.pts is not None:
            duration = (packet.duration or 0) * packet.time_base
            yield Block(self._number, packet.pts * packet.time_base, bytes(packet), duration=duration)


class _WebVtt:
    """WebVTT: text, identifier and settings as they are."""

    def __init__(self, number: int, label: Label) -> None:
        self.damaged = 0
        self.track = Subtitles(_webvtt_codec(label), label=label)
        self._number = number

    def take(self, packet: Packet[SubtitleStream]) -> Iterator[Block]:
        if not packet.size or packet.pts is None:
            return
        if packet.size > _MOST_TEXT:
            self.damaged += 1
            return
        text = without_blank_lines(bytes(packet).decode("utf-8", "replace"))
        lines = [_line(packet, "webvtt_identifier"), _line(packet, "webvtt_settings")]
        duration = (packet.duration or 0) * packet.time_base
        if text:
            data = "\n".join([*lines, text]).encode()
            yield Block(self._number, packet.pts * packet.time_base, data, duration=duration)


class _Decoded:
    """Any other text: decoded by FFmpeg, which knows it all as ASS, and written as WebVTT or SubRip."""

    def __init__(self, number: int, label: Label, kind: Kind, stream: SubtitleStream) -> None:
        self.damaged = 0
        self._webm = kind == "webm"
        self.track = Subtitles(_webvtt_codec(label) if self._webm else "S_TEXT/UTF8", label=label)
        self._number, self._stream = number, stream
        self._open: Block | None = None  # does not say how long it stays

    def take(self, packet: Packet[SubtitleStream]) -> Iterator[Block]:
        if not packet.size or packet.pts is None:
            if not packet.size:
                yield from self._closed(None)
            return
        if packet.size > _MOST_TEXT:
            self.damaged += 1
            return
        try:
            shown = self._stream.codec_context.decode2(packet)
        except av.error.FFmpegError:
            self.damaged += 1
            return
        if shown is None:
            return
        start = packet.pts * packet.time_base + Fraction(shown.start_display_time, 1000)
        duration = (packet.duration or 0) * packet.time_base
        if not duration and shown.start_display_time < shown.end_display_time < (1 << 32) - 1:
            duration = Fraction(shown.end_display_time - shown.start_display_time, 1000)
        yield from self._closed(start)
        plain = vtt_text if self._webm else srt_text
        texts = [
            plain(rect.ass.decode("utf-8", "replace"))
            for rect in shown
            if isinstance(rect, av.subtitles.subtitle.AssSubtitle)
        ]
        if text := "\n".join(filter(None, texts)):
            data = ("\n\n" if self._webm else "") + text
            block = Block(self._number, start, data.encode(), duration=duration)
            if duration:
                yield block
            else:
                self._open = block

    def _closed(self, end: Fraction | None) -> Iterator[Block]:
        """The subtitle that waits to be told by the next one, or by the end, how long it stays."""
        block, self._open = self._open, None
        if block is not None:
            stays = _LONGEST if end is None else min(_LONGEST, max(Fraction(1, 1000), end - block.time))
            yield Block(block.track, block.time, block.data, duration=stays)


def _line(packet: Packet[SubtitleStream], name: Literal["webvtt_identifier", "webvtt_settings"]) -> str:
    if not packet.has_sidedata(name):
        return ""
    line = bytes(packet.get_sidedata(name)).decode("utf-8", "replace")
    return " ".join(line.split()) if len(line) <= _MOST_TEXT else ""


def _webvtt_codec(label: Label) -> str:
    kinds = {
        "captions": "CAPTIONS",
        "hearing_impaired": "CAPTIONS",
        "descriptions": "DESCRIPTIONS",
        "metadata": "METADATA",
    }
    return "D_WEBVTT/" + next((kinds[role] for role in label.roles if role in kinds), "SUBTITLES")
