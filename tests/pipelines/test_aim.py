"""Bit rates and qualities are hit: by the search for them, on made films, whatever the number of workers."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import Policy
from codec.header import Context, read_header
from codec.quantization import AC_FACTORS
from pipelines import libvpx
from pipelines.encode.aim import MOST_ATTEMPTS, MOST_SEARCHES, PROBES, Aim, Attempt, Hunt, Kind, coarseness
from pipelines.encode.aimed import Shelf
from pipelines.encode.job import Report, encode_file, measured
from pipelines.encode.plan import Settings
from pipelines.encode.tally import Tally
from pipelines.errors import EncoderError, OutputError, SettingsError
from pipelines.media.packets import open_vp8
from tests.pipelines import clips

QUICK = Settings(chunk_frames=6, chain=3, speed=5)


def encode(source: Path, target: Path, aim: Aim, settings: Settings = QUICK, **more: Any) -> Report:
    return encode_file(str(source), str(target), settings, **{"workers": 2, **more}, aim=aim)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make(tmp_path_factory.mktemp("film") / "in.mkv", codec="ffv1", frames=40, size=(192, 128))


@pytest.mark.parametrize(
    ("aim", "within"),
    [(Aim("bitrate", 500), 0.02), (Aim("psnr", 36), 0.15), (Aim("ssim", 0.95), 0.002)],
)
def test_a_film_has_what_was_asked_for(aim: Aim, within: float, film: Path, tmp_path: Path) -> None:
    titles = set()
    report = encode(film, tmp_path / "out.webm", aim, watch=lambda progress: titles.add(progress.title))
    report = measured(report, str(film), str(tmp_path / "out.webm"))
    assert report.aim is not None
    reached = {"bitrate": report.kbps, "psnr": report.psnr_y, "ssim": report.ssim_y}[aim.kind]
    assert reached == pytest.approx(report.aim.reached, abs=0.001), "what was measured on the way is what came out"
    error = aim.error(report.aim.reached)
    assert abs(error) <= within
    assert aim.kind == "bitrate" or error >= 0
    assert report.warnings == []
    assert report.aim.searches <= MOST_SEARCHES
    assert len(titles) == report.aim.attempts + 1 <= MOST_ATTEMPTS + 1
    assert (report.frames, report.chunks, report.key_frames) == (40, 7, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.webm"]
    with open_vp8(str(tmp_path / "out.webm")) as stream:
        assert [clips.number_in(planes[0]) for planes in clips.decoded(tmp_path / "out.webm")] == list(range(40))
        assert sum(not data[0] & 1 for data in stream.frames) == 3


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=20, sound=[("aac", 44100, "stereo")])
    for workers in (1, 3):
        encode(source, tmp_path / f"{workers}.webm", Aim("bitrate", 40), workers=workers)
    assert (tmp_path / "1.webm").read_bytes() == (tmp_path / "3.webm").read_bytes()


def test_what_cannot_be_reached_is_said(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=12)
    low = encode(source, tmp_path / "low.webm", Aim("bitrate", 2))
    assert low.aim is not None
    assert low.aim.cq == 63
    assert "bit rate 2 kb/s was missed" in low.warnings[0]
    assert "scale the film down" in low.warnings[0]
    high = encode(source, tmp_path / "high.webm", Aim("psnr", 70))
    assert high.aim is not None
    assert high.aim.error < 0
    assert "was not reached" in high.warnings[0]


def test_a_film_of_one_frame(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=1)
    report = encode(source, tmp_path / "out.ivf", Aim("psnr", 35))
    assert report.frames == 1
    assert report.aim is not None


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=12)
    with pytest.raises(OutputError, match="exists already"):
        encode(source, source.with_name("in.mp4").with_suffix(".webm"), Aim("psnr", 35), watch=appear(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "in.webm"]


def appear(folder: Path) -> Any:
    return lambda progress: (folder / "in.webm").write_bytes(b"precious")


@pytest.mark.parametrize(
    "wrong", [("bitrate", 0.0), ("bitrate", 1e7), ("psnr", 5.0), ("psnr", 100.0), ("ssim", 1.0), ("ssim", -1.0)]
)
def test_aims_that_make_no_sense_are_refused(wrong: tuple[Kind, float]) -> None:
    with pytest.raises(SettingsError, match=wrong[0]):
        Aim(*wrong)


class Film:
    """A model: bits and quality over the quantizer, a survey that is off, and steps that make it uneven."""

    def __init__(self, slope: float, bend: float, off: float, rough: float) -> None:
        self.slope, self.bend, self.off, self.rough = slope, bend, off, rough

    def has(self, kind: Kind, where: float) -> float:
        x = where - 3.5
        line = -self.slope * x + self.bend * x * x + self.rough * math.sin(where * 400)
        if kind == "bitrate":
            return 1000 * math.exp(line)
        return 40 + 5 * line if kind == "psnr" else 1 - 10 ** -(1.4 + 0.35 * line)

    def survey(self, kind: Kind) -> list[tuple[float, float]]:
        places = [coarseness(level) for level in PROBES]
        return [(x, self.has(kind, x + self.off)) for x in places]


@given(
    kind=st.sampled_from(("bitrate", "psnr", "ssim")),
    slope=st.floats(0.8, 1.4),
    bend=st.floats(-0.08, 0.08),
    off=st.floats(-0.3, 0.3),
    rough=st.floats(0, 0.002),
    where=st.floats(2.2, 4.8),
)
def test_the_hunt_hits(kind: Kind, slope: float, bend: float, off: float, rough: float, where: float) -> None:
    film = Film(slope, bend, off, rough)
    hunt = Hunt(Aim(kind, film.has(kind, where)), film.survey(kind))
    while attempt := hunt.next():
        assert 0 <= attempt.cq <= 63
        if not attempt.search:
            assert attempt.cq == hunt.tried[-1][0].cq, "what libvpx made at another level is gone"
        hunt.tell(attempt, film.has(kind, attempt.coarseness))
    assert hunt.aim.is_hit(hunt.best[1])
    assert len(hunt.tried) <= MOST_ATTEMPTS
    assert sum(attempt.search for attempt, _ in hunt.tried) <= MOST_SEARCHES


@given(reached=st.lists(st.floats(1, 1e5), min_size=MOST_ATTEMPTS, max_size=MOST_ATTEMPTS))
def test_the_hunt_ends_whatever_comes(reached: list[float]) -> None:
    hunt = Hunt(Aim("bitrate", 500), [(coarseness(level), 300.0) for level in PROBES])
    for value in reached:
        if (attempt := hunt.next()) is None:
            break
        assert hunt.tell(attempt, value) == (hunt.best[0] is attempt)
    assert hunt.next() is None
    nearest = min((value for _, value in hunt.tried), key=lambda value: abs(value - 500))
    assert abs(hunt.best[1] - 500) == pytest.approx(abs(nearest - 500))


def test_a_quality_is_rather_exceeded_than_missed() -> None:
    hunt = Hunt(Aim("psnr", 40), [(3.0, 44.0), (4.0, 38.0)])
    hunt.tell(Attempt(30, 1.0, True), 39.99)
    hunt.tell(Attempt(30, 0.9, False), 41.0)
    assert hunt.best[1] == 41.0


def test_tallies_add_up() -> None:
    one, other = Tally(2, 100, 50, 1000, 1.9), Tally(1, 50, 0, 500, 1.0)
    assert one + other == Tally(3, 150, 50, 1500, 2.9)
    assert (one + other).ssim == pytest.approx(2.9 / 3)
    assert (one + other).psnr == pytest.approx(10 * math.log10(255**2 * 1500 / 50))
    assert other.psnr == 100
    assert Tally().ssim == 1


def test_a_shelf_keeps_what_was_put_last(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for number in range(50):
        shelf.put(f"a/{number % 7}", bytes([number]) * number)
    assert dict(shelf) == {f"a/{number % 7}": bytes([number]) * number for number in range(43, 50)}
    assert len(shelf) == 7
    assert not list(tmp_path.iterdir())
    shelf.close()


def test_libvpx_takes_the_statistics_of_its_first_pass_back() -> None:
    raw = [bytes((x * number) & 255 for x in range(64 * 48 * 3 // 2)) for number in range(1, 6)]
    settings = libvpx.Settings(64, 48, Fraction(25), 30, 5)
    stats = libvpx.first_pass(raw, libvpx.Settings(64, 48, Fraction(25), 7, 5))
    assert libvpx.encode(raw, settings, stats=stats) == libvpx.encode(raw, settings)
    frames = libvpx.statistics(stats)
    assert len(frames) == 5
    assert all(frame.coded_error <= frame.intra_error for frame in frames)
    with pytest.raises(EncoderError, match="statistics"):
        libvpx.statistics(stats[:-1])


def test_libvpx_means_these_quantizers() -> None:
    raw = [bytes(x * 7 & 255 for x in range(64 * 48 * 3 // 2))]
    for level in range(0, 64, 3):
        settings = libvpx.Settings(64, 48, Fraction(25), 0, 5, quantizer=level)
        header, _, _ = read_header(libvpx.encode(raw, settings)[0].data, Context())
        assert header.quantizer_index == libvpx.quantizer_index(level)


@pytest.mark.parametrize("factor", [0.7, 0.95, 1.0, 1.03, 1.3])
def test_a_coarser_policy_is_that_on_average(factor: float) -> None:
    raw = [bytes(64 * 48 * 3 // 2)] * 2
    packet = libvpx.encode(raw, libvpx.Settings(64, 48, Fraction(25), 30, 5))[1]
    read, _, _ = read_header(packet.data, Context())
    header = replace(read, quantizer_index=40, refresh_golden=False)
    policies = [Policy().coarser(factor, (turn + 0.5) / 16) for turn in range(16)]
    factors = [AC_FACTORS[policy.quantizers(header, last=False).quantizer_index] for policy in policies]
    assert sum(factors) / 16 == pytest.approx(AC_FACTORS[40] * factor, rel=0.005)
    assert max(factors) - min(factors) <= 1
