"""Subtitles, chapters and tags of the input as FFmpeg reads them from the output: times, text, languages, names."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli.main import fastslow
from pipelines.encode.job import Report, encode_file
from pipelines.encode.plan import Settings
from pipelines.errors import PipelineError
from pipelines.media.cue_text import srt_text, vtt_text, without_blank_lines
from pipelines.media.labels import tags_of
from pipelines.media.matroska import VIDEO, Block, Writer
from pipelines.media.matroska_head import About, Subtitles, Video
from pipelines.media.read import Reader
from pipelines.media.source import Chapter, Label
from pipelines.media.subtitles import SubtitleFile, SubtitleReader, kept
from tests.pipelines import clips

SRT = """1
00:00:00,200 --> 00:00:00,750
Hello <i>world</i> & <b>all</b>

2
00:00:00,800 --> 00:00:01,400
5 < 6
Straße, \u65e5\u672c
"""
ASS = r"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H00FFFFFF,0,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,{\pos(9,9)\fs30}One, {\i1}two{\i0}\Nthree
Dialogue: 0,0:00:00.60,0:00:01.20,Default,,0,0,0,,{\p1}m 0 0 l 9 9{\p0}{\b1}over{\i1}lap{\b0}ping{\r} end
Dialogue: 0,0:00:01.30,0:00:01.40,Default,,0,0,0,,{\p1}m 0 0 l 9 9
"""
VTT = """WEBVTT

first
00:00.200 --> 00:00.750 line:0 align:start
<v Ann>Hello &amp; <i>bye</i>

00:00.800 --> 00:01.400
plain
"""

SRT_CUES = [(0.2, 0.55, "Hello <i>world</i> & <b>all</b>"), (0.8, 0.6, "5 < 6\nStraße, \u65e5\u672c")]
SRT_AS_VTT = [(0.2, 0.55, "Hello <i>world</i> &amp; <b>all</b>"), (0.8, 0.6, "5 &lt; 6\nStraße, \u65e5\u672c")]
ASS_AS_VTT = [(0.2, 0.7, "One, <i>two</i>\nthree"), (0.6, 0.6, "<b>over<i>lap</i></b><i>ping</i> end")]
VTT_CUES = [(0.2, 0.55, "<v Ann>Hello &amp; <i>bye</i>"), (0.8, 0.6, "plain")]


def film(
    path: Path,
    texts: dict[str, str] | None = None,
    labels: tuple[dict[str, Any], ...] = (),
    chapters: list[Any] | None = None,
    **metadata: str,
) -> Path:
    """A film of 40 frames with these texts (by the ending that FFmpeg knows them by) as subtitle tracks."""
    picture = clips.make(path.with_name("picture.mkv"), frames=40, options={"bf": "0"})
    with av.open(str(picture)) as source, av.open(str(path), "w") as target:
        inputs = [(source, source.streams.video[0])]
        for ending, text in (texts or {}).items():
            file = path.with_name(f"text.{ending}")
            file.write_text(text)
            opened = av.open(str(file))
            inputs.append((opened, opened.streams.subtitles[0]))
        outputs = [target.add_stream_from_template(stream) for _, stream in inputs]
        for output, label in zip(outputs[1:], labels, strict=False):
            output.metadata.update(label.get("metadata", {}))
            output.disposition = label.get("disposition", 0)
        target.metadata.update(metadata)
        target.set_chapters(chapters or [])
        packets = []
        for (opened, stream), output in zip(inputs, outputs, strict=True):
            for packet in opened.demux(stream):
                if packet.size:
                    time = packet.dts if packet.dts is not None else packet.pts
                    packets.append((time * packet.time_base, output.index, packet, output))
        for _, _, packet, output in sorted(packets, key=lambda entry: entry[:2]):
            packet.stream = output
            target.mux(packet)
        for opened, _ in inputs[1:]:
            opened.close()
    return path


def encode(source: Path, target: Path, **more: Any) -> Report:
    return encode_file(str(source), str(target), Settings(12, 4, 50, 5), workers=1, **more)


def cues(path: Path, track: int = 0) -> list[tuple[float, float, str]]:
    """(start, duration, text) of every subtitle of a track, as FFmpeg's demuxer has them."""
    with av.open(str(path)) as container:
        return [
            (float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p).decode())
            for p in container.demux(container.streams.subtitles[track])
            if p.size
        ]


def close(found: list[tuple[float, float, str]], expected: list[tuple[float, float, str]]) -> bool:
    return [cue[2] for cue in found] == [cue[2] for cue in expected] and all(
        one == pytest.approx(other, abs=0.0011)
        for a, b in zip(found, expected, strict=True)
        for one, other in zip(a[:2], b[:2], strict=True)
    )


def tracks(path: Path) -> list[tuple[str, str, str, int]]:
    with av.open(str(path)) as container:
        return [
            (
                s.codec_context.codec.canonical_name,
                s.metadata.get("language", ""),
                s.metadata.get("title", ""),
                s.disposition,
            )
            for s in container.streams.subtitles
        ]


LABELS: tuple[dict[str, Any], ...] = (
    {"metadata": {"language": "ger", "title": "Deutsch"}, "disposition": Disposition.default},
    {"metadata": {"language": "fre", "title": "Signes <&>"}, "disposition": Disposition.forced},
    {"metadata": {"language": "eng"}, "disposition": Disposition.hearing_impaired},
)


def test_text_becomes_webvtt_in_webm(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", {"srt": SRT, "ass": ASS, "vtt": VTT}, LABELS)
    report = encode(source, tmp_path / "out.webm")
    assert report.warnings == []
    for track, expected in enumerate((SRT_AS_VTT, ASS_AS_VTT, VTT_CUES)):
        assert close(cues(tmp_path / "out.webm", track), expected)
    assert tracks(tmp_path / "out.webm") == [
        ("webvtt", "ger", "Deutsch", Disposition.default),
        ("webvtt", "fre", "Signes <&>", Disposition.forced),
        ("webvtt", "eng", "", Disposition.captions),
    ]
    with av.open(str(tmp_path / "out.webm")) as container:
        first = next(container.demux(container.streams.subtitles[2]))
        assert bytes(first.get_sidedata("webvtt_identifier")) == b"first"
        assert bytes(first.get_sidedata("webvtt_settings")) == b"line:0 align:start"
    assert [packet[0] for packet in clips.packets(tmp_path / "out.webm")] == [Fraction(n, 25) for n in range(40)]


def test_matroska_keeps_what_it_can_hold(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", {"srt": SRT, "ass": ASS, "vtt": VTT}, LABELS)
    assert encode(source, tmp_path / "out.mkv").warnings == []
    for track, expected in enumerate((SRT_CUES, cues(source, 1), VTT_CUES)):
        assert close(cues(tmp_path / "out.mkv", track), expected)
    assert [track[0] for track in tracks(tmp_path / "out.mkv")] == ["subrip", "ass", "webvtt"]
    assert tracks(tmp_path / "out.mkv")[2][3] & Disposition.hearing_impaired
    with av.open(str(source)) as one, av.open(str(tmp_path / "out.mkv")) as other:
        assert one.streams.subtitles[1].codec_context.extradata == other.streams.subtitles[1].codec_context.extradata


def test_subtitles_and_sound_side_by_side(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "sound.mkv", frames=40, sound=[("libopus", 48000, "mono")])
    (tmp_path / "text.srt").write_text(SRT)
    with (
        av.open(str(path)) as one,
        av.open(str(tmp_path / "text.srt")) as two,
        av.open(str(tmp_path / "in.mkv"), "w") as out,
    ):
        streams = {s: out.add_stream_from_template(s) for s in (*one.streams, *two.streams)}
        for packet in [*one.demux(), *two.demux()]:
            if packet.size:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    encode(tmp_path / "in.mkv", tmp_path / "out.webm")
    assert close(cues(tmp_path / "out.webm"), SRT_AS_VTT)
    assert clips.heard(tmp_path / "out.webm") == pytest.approx(clips.heard(path), abs=0.002)
    encode(tmp_path / "in.mkv", tmp_path / "silent.webm", sound=False)
    assert close(cues(tmp_path / "silent.webm"), SRT_AS_VTT)
    encode(tmp_path / "in.mkv", tmp_path / "bare.webm", sound=False, subtitles=False)
    with av.open(str(tmp_path / "bare.webm")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("flag", ["", "--no-subtitles"])
def test_the_command_leaves_them_out_when_told(flag: str, tmp_path: Path) -> None:
    source, target = film(tmp_path / "in.mkv", {"srt": SRT}), tmp_path / "out.webm"
    arguments = ["encode", str(source), str(target), "--speed", "5", "-q", *filter(None, [flag])]
    assert CliRunner().invoke(fastslow, arguments).exit_code == 0
    with av.open(str(target)) as container:
        assert len(container.streams.subtitles) == (not flag)


def mov_text(path: Path) -> Path:
    """An MP4 whose subtitles are its own kind of text."""
    picture = clips.make(path.with_name("picture.mp4"), frames=40)
    with av.open(str(picture)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        text = target.add_stream("mov_text")
        text.metadata["language"] = "swe"
        text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = ASS[: ASS.index("Dialogue")].encode()
        for number, (start, length, line) in enumerate(((200, 500, r"One {\i1}two{\i0}\N3 < 4"), (900, 400, "end"))):
            event = SubtitleSet.create(f"{number},0,Default,,0,0,0,,{line}".encode(), 0, length)
            packet = text.codec_context.encode_subtitle(event)
            packet.stream, packet.pts, packet.dts, packet.duration = text, start, start, length
            packet.time_base = Fraction(1, 1000)
            target.mux(packet)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                target.mux(packet)
    return path


def test_the_text_of_mp4(tmp_path: Path) -> None:
    source = mov_text(tmp_path / "in.mp4")
    encode(source, tmp_path / "out.webm")
    assert close(cues(tmp_path / "out.webm"), [(0.2, 0.5, "One <i>two</i>\n3 &lt; 4"), (0.9, 0.4, "end")])
    encode(source, tmp_path / "out.mkv")
    assert close(cues(tmp_path / "out.mkv"), [(0.2, 0.5, "One <i>two</i>\n3 < 4"), (0.9, 0.4, "end")])
    assert tracks(tmp_path / "out.mkv")[0][:2] == ("subrip", "swe")


def made(path: Path, others: list[Subtitles], blocks: list[Block], about: About | None = None) -> Path:
    """A Matroska file by our own muxer, which holds whatever it is told."""
    picture = clips.packets(clips.make(path.with_name("p.ivf"), codec="libvpx", frames=40))
    own = [Block(VIDEO, time, data, key, Fraction(1, 25)) for time, _, key, data in picture]
    with path.open("wb") as file:
        writer = Writer(file, "matroska", Video(96, 64, constant_rate=Fraction(25)), list(others), about)
        for block in sorted([*own, *blocks], key=lambda block: block.time):
            writer.write(block)
        writer.finish()
    return path


def test_pictures_are_kept_by_matroska_and_told_of_by_webm(tmp_path: Path) -> None:
    pgs = bytes.fromhex("16000b00600040100000000000000080000016")
    kinds = [
        Subtitles("S_HDMV/PGS", label=Label("eng")),
        Subtitles("S_VOBSUB", b"palette: 000000\n"),
        Subtitles("S_DVBSUB"),
    ]
    blocks = [Block(2 + track, Fraction(n, 3), pgs + bytes([n])) for n in range(4) for track in range(3)]
    source = made(tmp_path / "in.mkv", kinds, blocks)
    assert encode(source, tmp_path / "out.mkv").warnings == []
    for track in range(3):
        assert [c[2] for c in raw(tmp_path / "out.mkv", track)] == [c[2] for c in raw(source, track)]
        assert [c[0] for c in raw(tmp_path / "out.mkv", track)] == pytest.approx([n / 3 for n in range(4)], abs=0.001)
    names = ["hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"]
    assert [track[0] for track in tracks(tmp_path / "out.mkv")] == names
    warnings = encode(source, tmp_path / "out.webm").warnings
    told = [name + (", eng" if "pgs" in name else "") for name in names]
    why = "it is made of pictures, which WebM cannot hold; .mkv keeps it"
    assert warnings == [f"{source}: subtitle track {n} ({name}) was left out: {why}" for n, name in enumerate(told, 1)]
    with av.open(str(tmp_path / "out.webm")) as container:
        assert not container.streams.subtitles


def raw(path: Path, track: int) -> list[tuple[float, int, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[track]
        return [(float(p.pts * p.time_base), p.duration or 0, bytes(p)) for p in container.demux(stream) if p.size]


def test_a_subtitle_that_does_not_say_how_long_it_stays(tmp_path: Path) -> None:
    """It stays until the next one, or for ten seconds; and the film is not longer for it."""
    texts = [Block(2, Fraction(n), f"no {n}".encode()) for n in range(2)]
    source = made(tmp_path / "in.mkv", [Subtitles("S_TEXT/UTF8")], texts)
    encode(source, tmp_path / "out.webm")
    assert close(cues(tmp_path / "out.webm"), [(0, 1, "no 0"), (1, 10, "no 1")])
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.duration == 1_600_000


def test_hostile_subtitles(tmp_path: Path) -> None:
    texts = [b"x" * 100_000, b"\xff\xfe\x00\x01", b"<i><b>" * 1000 + b"deep", b"\n\n \n", b"a --> b\n\n\n<!--", b"ok"]
    blocks = [Block(2, Fraction(n, 4), text, duration=Fraction(1, 5)) for n, text in enumerate(texts)]
    source = made(tmp_path / "in.mkv", [Subtitles("S_TEXT/UTF8")], blocks)
    report = encode(source, tmp_path / "out.webm")
    assert report.warnings[0] == f"{source}: 2 damaged subtitles were left out"
    found = [cue[2] for cue in cues(tmp_path / "out.webm")]
    assert found[-1] == "ok"
    assert "a --&gt; b" in found[-2]
    assert not any("\n\n" in text or "-->" in text for text in found)


def test_chapters_title_and_tags_are_kept(tmp_path: Path) -> None:
    unit = Fraction(1, 1000)
    chapters: list[Any] = [
        {"id": 1, "start": 0, "end": 700, "time_base": unit, "metadata": {"title": "Début <1>"}},
        {"id": 2, "start": 700, "end": 1600, "time_base": unit, "metadata": {}},
    ]
    told = {"title": 'A "film" & more', "artist": "Ann", "date": "1999-12-31", "comment": "line\nline"}
    source = film(tmp_path / "in.mkv", chapters=chapters, **told)
    for name in ("out.webm", "out.mkv"):
        assert encode(source, tmp_path / name).warnings == []
        with av.open(str(tmp_path / name)) as container:
            found = {key.lower(): value for key, value in container.metadata.items()}
            assert found == {**told, "encoder": "fastslow"}
            again = [
                (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]) for c in container.chapters()
            ]
        assert again == [(0, Fraction(7, 10), {"title": "Début <1>"}), (Fraction(7, 10), Fraction(8, 5), {})]
    assert encode(source, tmp_path / "out.ivf").warnings == [
        "IVF holds no chapters: they were left out; .webm and .mkv keep them",
        "IVF holds no title and tags: they were left out; .webm and .mkv keep them",
    ]


def test_the_day_it_was_made_is_kept(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", creation_time="2020-02-29T12:34:56.789000Z")
    encode(source, tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.metadata["creation_time"] == "2020-02-29T12:34:56.789000Z"


def test_what_is_too_much_is_left_out_and_told(tmp_path: Path) -> None:
    chapters = tuple(Chapter(n * 1000, n * 1000 + 500, "t" * 1000) for n in range(2500))
    tags = tuple((f"TAG{n}", "v" * (20_000 if n == 7 else 10)) for n in range(300))
    source = made(tmp_path / "in.mkv", [], [], About("t" * 5000, tags, chapters))
    report = encode(source, tmp_path / "out.webm")
    assert report.warnings == [f"{source}: 600 tags and chapters too many or too long were left out"]
    with av.open(str(tmp_path / "out.webm")) as container:
        assert len(container.chapters()) == 2000
        assert len(container.metadata["title"]) == 200


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", {"srt": SRT, "vtt": VTT}, LABELS, title="x", artist="y")
    for name in ("a.webm", "b.webm"):
        encode(source, tmp_path / name)
    assert (tmp_path / "a.webm").read_bytes() == (tmp_path / "b.webm").read_bytes()


def test_many_subtitles_do_not_pile_up(tmp_path: Path) -> None:
    """They are read as the picture goes on, so that only those of the next second wait."""
    blocks = [Block(2, Fraction(n, 1000), b"text %d" % n, duration=Fraction(1, 1000)) for n in range(1600)]
    source = made(tmp_path / "in.mkv", [Subtitles("S_TEXT/UTF8")], blocks)
    with Reader(str(source)) as reader:
        found, complaints = kept(reader.source.subtitles, "webm")
    assert not complaints
    subtitles = SubtitleReader(SubtitleFile(str(source), found, "webm", 2))
    early = subtitles.until(Fraction(1, 10))
    assert [block.time for block in early] == [Fraction(n, 1000) for n in range(100)]
    assert len(subtitles._waiting) < 1200
    assert len(early) + len(list(subtitles.rest())) == 1600
    subtitles.close()


@given(st.text(alphabet=st.sampled_from(list("ab{}\\Nnhibupr01<>&,\n\r\0 ")), max_size=60))
def test_any_event_becomes_a_cue_that_is_whole(text: str) -> None:
    cue = vtt_text(f"0,0,Default,,0,0,0,,{text}")
    assert "\n\n" not in cue
    assert "\0" not in cue
    depth: list[str] = []
    for tag in re.findall(r"<[^>]*>", cue):
        if tag[1] == "/":
            assert depth.pop() == tag[2:-1]
        else:
            assert tag in ("<b>", "<i>", "<u>")
            depth.append(tag[1:-1])
    assert not depth
    assert not re.search(r"&(?!amp;|lt;|gt;)", cue)
    assert srt_text(f"0,0,Default,,0,0,0,,{text}").count("<b>") <= text.count("b") + text.count("<b>")


@given(st.text(max_size=80))
def test_no_line_of_a_cue_is_blank(text: str) -> None:
    assert all(line.strip() for line in without_blank_lines(text).split("\n")) or not without_blank_lines(text)


def test_names_of_the_file_itself_are_no_tags() -> None:
    told = {
        "title": "a\tb",
        "major_brand": "isom",
        "encoder": "x",
        "Artist": "me",
        "empty": " ",
        "_STATISTICS_TAGS": "x",
    }
    assert tags_of(told) == ("a b", (("ARTIST", "me"),), 0)


@given(data=st.binary(max_size=200), position=st.integers(0, 3000))
def test_damaged_files_are_refused_or_read(
    data: bytes, position: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the subtitles of a file say, it is one of our errors or a film."""
    path = tmp_path_factory.mktemp("damaged") / "in.mkv"
    about = About("t", (("A", "b"),), (Chapter(0, 10**9, "c"),))
    file = io.BytesIO()
    writer = Writer(file, "matroska", Video(96, 64), [Subtitles("S_TEXT/ASS", b"[Script Info]")], about)
    writer.write(Block(VIDEO, Fraction(0), KEY_FRAME))
    writer.write(Block(2, Fraction(0), b"0,0,Default,,0,0,0,,hello", duration=Fraction(1)))
    writer.finish()
    whole = bytearray(file.getvalue())
    position %= len(whole)
    whole[position : position + len(data)] = data
    path.write_bytes(whole)
    try:
        with Reader(str(path)) as reader:
            found, _ = kept(reader.source.subtitles, "webm")
        if found:
            subtitles = SubtitleReader(SubtitleFile(str(path), found, "webm", 2))
            list(subtitles.rest())
            subtitles.close()
    except PipelineError:
        pass


KEY_FRAME = b""


@pytest.fixture(autouse=True, scope="module")
def key_frame(tmp_path_factory: pytest.TempPathFactory) -> None:
    global KEY_FRAME
    path = clips.make(tmp_path_factory.mktemp("key") / "p.ivf", codec="libvpx", frames=1)
    KEY_FRAME = clips.packets(path)[0][3]
