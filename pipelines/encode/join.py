"""One file of a film's chunks, its sound and its subtitles: WebM or Matroska; IVF has the picture alone.

Timestamps are the input's. WebM and Matroska round them to milliseconds; IVF keeps them in the input's own unit.
Where the input begins before 0 (IVF and Matroska cannot), everything is moved by the same time.
"""

from __future__ import annotations

import io
import math
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from pipelines.encode.record import Record
from pipelines.encode.sink import Piece
from pipelines.errors import OutputError, SettingsError
from pipelines.media.matroska import VIDEO, Block, Writer
from pipelines.media.matroska_head import About, Video
from pipelines.media.source import Source

if TYPE_CHECKING:
    from pipelines.media.audio import SoundFile
    from pipelines.media.matroska_head import Kind, Sound, Subtitles
    from pipelines.media.others import Others, Steps
    from pipelines.media.subtitles import SubtitleFile

KINDS = {".webm": "webm", ".mkv": "matroska", ".ivf": "ivf"}


class OutputFile:
    """A file that appears under its name only when it is complete; until then it grows without a name.

    So nothing is left of it however this process ends. Where the folder's file system has no files without a name, it
    grows under a hidden one.

    Used as a context: what leaves it by an exception leaves no file behind. What the disk refuses is an OutputError.
    """

    def __init__(self, path: str, overwrite: bool) -> None:
        self.path = Path(os.path.realpath(path))
        self._overwrite = overwrite
        self._shown = path
        self._check()

    def __enter__(self) -> BinaryIO:
        self._part: Path | None = None
        try:
            if _names_files_later(self.path.parent):
                descriptor = os.open(self.path.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
            else:
                descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent)
                self._part = Path(name)
        except OSError as error:
            raise self._error(error) from error
        self._file = os.fdopen(descriptor, "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            with suppress(OSError):
                self._file.close()  # what is still buffered may not fit either
            self._forget()
            if isinstance(error, OSError) and not hasattr(error, "log"):  # PyAV's have a log: they are the input's
                raise self._error(error) from error
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(self._file.fileno(), 0o666 & ~mask)
            self._check()
            if self._part is None and not self._overwrite:
                with suppress(FileExistsError):  # which has come since; the check below says so
                    _name(self._file.fileno(), self.path)
                    self._file.close()
                    return
                self._check()
            if self._part is None:
                part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
                _name(self._file.fileno(), part)
                self._part = part
            self._file.close()
            self._part.replace(self.path)
        except BaseException as problem:
            with suppress(OSError):
                self._file.close()
            self._forget()
            if isinstance(problem, OSError):
                raise self._error(problem) from problem
            raise

    def _forget(self) -> None:
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _check(self) -> None:
        if self.path.is_dir():
            raise OutputError(f"{self._shown}: is a folder; name a file in it")
        if self.path.exists() and not self.path.is_file():
            raise OutputError(f"{self._shown}: is not a file that can be replaced")
        if self.path.exists() and not self._overwrite:
            raise OutputError(f"{self._shown}: exists already; --overwrite replaces it")

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{self._shown}: cannot be written: {error.strerror}; nothing was left behind")


def _names_files_later(folder: Path) -> bool:
    """Whether this folder takes files without a name and lets them have one later; tried with an empty one."""
    probe = folder / f".fastslow.{secrets.token_hex(8)}.part"
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError):  # AttributeError: not Linux
        return False
    try:
        _name(descriptor, probe)
        probe.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _name(descriptor: int, path: Path) -> None:
    """Give an open file without a name one."""
    os.link(f"/proc/self/fd/{descriptor}", path, follow_symlinks=True)


class Joiner:
    """Appends pieces to a file in the order of the film."""

    def __init__(
        self,
        file: BinaryIO,
        kind: str,
        open_others: Callable[[Source], Others],
        record: Record | None = None,
    ) -> None:
        self._record = record
        self._file, self._kind, self._open_others = file, kind, open_others
        self._others: Others | None = None
        self._writer: Writer | None = None
        self._source: Source | None = None
        self._shift = Fraction(0)
        self._due: tuple[bytes, int, int] | None = None
        self._last_duration = 0
        self.frames = self.key_frames = self.video_bytes = 0
        self.duration = Fraction(0)
        """From the start of the first frame to the end of the last, in seconds."""

    @property
    def damaged(self) -> tuple[int, int]:
        """How many packets of sound and of subtitles could not be used."""
        return self._others.damaged if self._others else (0, 0)

    def begin(self, source: Source) -> None:
        """Told once what the film is."""
        self._source = source
        if self._record is not None:
            self._record.source = source
        if self._kind != "ivf":
            self._others = self._open_others(source)

    def append(self, piece: Piece) -> None:
        """Write a piece; its last frame waits for the next, which tells its duration."""
        from codec.ivf import read_ivf  # here and below: what starts the other processes must not wait for the codec

        _, frames = read_ivf(io.BytesIO(piece.encoded))
        for (_, data), time, duration in zip(frames, piece.times, piece.durations, strict=True):
            if self._due is None:
                self._start(time)
            else:
                self._put(*self._due[:2], time - self._due[1])
            self._due = data, time, duration

    def finish(self) -> None:
        """Write what is left."""
        if self._due is not None:
            data, time, duration = self._due
            assert self._source is not None
            step = max(1, round(1 / (self._source.fps * self._source.seconds_a_tick)))
            self._put(data, time, duration or self._last_duration or step)
        if self._writer is not None:
            if self._others is not None:
                for block in self._others.rest():
                    self._writer.write(self._shifted(block))
            self._writer.finish()
        else:
            self._file.seek(0)
            self._ivf_header()

    def close(self) -> None:
        """Let go of the files of sound and subtitles."""
        if self._others is not None:
            self._others.close()

    def _start(self, first: int) -> None:
        source = self._source
        assert source is not None
        start = first * source.seconds_a_tick
        if self._kind == "ivf":
            self._shift = max(Fraction(0), -start)
            self._ivf_header()
            return
        if self._others is not None:
            start = min(start, self._others.start())
        self._shift = -start if start < -Fraction(1, 1000) else Fraction(0)
        rate = source.fps if source.constant_rate else None
        video = Video(source.width, source.height, Fraction(*source.aspect), source.colour, rate, source.label)
        chapters = tuple(chapter.moved(round(self._shift * 1_000_000_000)) for chapter in source.chapters)
        about = About(source.title, source.tags, chapters, source.created)
        others = self._others.tracks if self._others else []
        self._writer = Writer(self._file, "webm" if self._kind == "webm" else "matroska", video, others, about)

    def _put(self, data: bytes, ticks: int, duration: int) -> None:
        from codec.ivf import write_frame

        source = self._source
        assert source is not None
        time, seconds = ticks * source.seconds_a_tick, duration * source.seconds_a_tick
        key = bool(data) and not data[0] & 1
        if self._writer is None:
            write_frame(self._file, ticks + math.ceil(self._shift / source.seconds_a_tick), data)
        else:
            if self._others is not None:
                for block in self._others.until(time):
                    self._writer.write(self._shifted(block))
            self._writer.write(self._shifted(Block(VIDEO, time, data, key, seconds)))
        if self._record is not None:
            self._record.frames.add(time, data)
        self.frames += 1
        self.key_frames += key
        self.video_bytes += len(data)
        self.duration += seconds
        self._last_duration = duration

    def _shifted(self, block: Block) -> Block:
        if not self._shift:
            return block
        return Block(block.track, block.time + self._shift, block.data, block.key, block.duration, block.discard)

    def _ivf_header(self) -> None:
        from codec.ivf import IvfHeader, write_header

        assert self._source is not None
        scale, rate = self._source.time_base
        write_header(self._file, IvfHeader(self._source.width, self._source.height, rate, scale, self.frames))


def kind_of(path: str) -> str:
    """The container that a file's ending asks for. Raises SettingsError for one that VP8 cannot go into here."""
    ending = Path(path).suffix.lower()
    if ending not in KINDS:
        raise SettingsError(f"{path}: the output must end in {', '.join(KINDS)}")
    return KINDS[ending]


def open_others(source: Source, kind: str, sound: bool, subtitles: bool) -> Others:
    """What is joined besides the picture, out of the film's own file."""
    return put_in_order(*files_of(source, kind, sound, subtitles))


def put_in_order(heard: Steps[Sound] | None, shown: Steps[Subtitles] | None) -> Others:
    """What is joined besides the picture, out of what is read of sound and subtitles."""
    from pipelines.media.others import Others

    sound = subtitles = None
    if heard is not None:
        from pipelines.media.audio import SoundReader  # here and below, since it brings PyAV and numpy without need

        sound = SoundReader(heard)
    if shown is not None:
        from pipelines.media.subtitles import SubtitleReader

        subtitles = SubtitleReader(shown)
    return Others(sound, subtitles)


def files_of(source: Source, kind: str, sound: bool, subtitles: bool) -> tuple[SoundFile | None, SubtitleFile | None]:
    """The film's own file, opened for its sound and for those subtitles that the output can hold, if there are any."""
    heard = shown = None
    if sound and source.tracks:
        from pipelines.media.audio import SoundFile

        heard = SoundFile(source.path, source.tracks, source.version)
    if subtitles and source.subtitles:
        from pipelines.media.subtitles import SubtitleFile, kept

        container: Kind = "webm" if kind == "webm" else "matroska"
        tracks, _ = kept(source.subtitles, container)
        first = VIDEO + 1 + (len(source.tracks) if heard else 0)
        shown = SubtitleFile(source.path, tracks, container, first, source.version) if tracks else None
    return heard, shown


def warnings_of(source: Source, kind: str, sound: bool, subtitles: bool, damaged: tuple[int, int, int]) -> list[str]:
    """What to say of what is missing in the output; `damaged` counts frames, packets of sound, and subtitles."""
    names = ("frames were concealed or passed over", "packets of sound were left out", "subtitles were left out")
    warnings = [f"{source.path}: {count} damaged {name}" for count, name in zip(damaged, names, strict=True) if count]
    if source.dropped and kind != "ivf":
        warnings.append(f"{source.path}: {source.dropped} tags and chapters too many or too long were left out")
    subtitles = subtitles and bool(source.subtitles)
    if kind == "ivf":
        if sound and source.tracks:
            warnings.append("IVF holds no sound: it was left out; .webm and .mkv keep it")
        others = {"subtitles": subtitles, "chapters": source.chapters, "title and tags": source.title or source.tags}
        for name, there in others.items():
            if there:
                warnings.append(f"IVF holds no {name}: they were left out; .webm and .mkv keep them")
    elif subtitles:
        from pipelines.media.subtitles import kept

        _, complaints = kept(source.subtitles, "webm" if kind == "webm" else "matroska")
        warnings += [f"{source.path}: {complaint}" for complaint in complaints]
    return warnings
