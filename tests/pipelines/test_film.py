"""The frame that is shown at a time: found by jumping, it is the one that decoding everything finds."""

from __future__ import annotations

import random
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.media.film import Film
from tests.pipelines import clips

FRAMES = 150
H264 = {"g": "30", "bf": "3"}


def shown(film: Film, seconds: Fraction) -> tuple[int, Fraction]:
    """The number in the frame that is shown, and when it appears."""
    found = film.at(seconds)
    assert found is not None
    at, frame = found
    luma = np.asarray(frame.reformat(format="gray").to_ndarray(), np.uint8)
    return clips.number_in(luma), at


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", H264),
        ("one-key.mp4", "libx264", {"g": "600", "bf": "2"}),
        ("one-key.mkv", "libx264", {"g": "600", "bf": "3"}),
        ("one-key.ts", "libx264", {"g": "600", "bf": "3"}),
        ("one-key.mpg", "mpeg2video", {"g": "600", "bf": "2"}),
        ("one-key.webm", "libvpx", {"g": "600", "deadline": "realtime", "cpu-used": "8"}),
        ("hevc.mp4", "libx265", {"x265-params": "keyint=150:min-keyint=150:bframes=4:log-level=none"}),
        ("open.mp4", "libx264", {**H264, "x264-params": "open-gop=1"}),
        ("a.mkv", "libx264", H264),
        ("a.ts", "libx264", H264),
        ("open.ts", "libx264", {**H264, "x264-params": "open-gop=1"}),
        ("a.avi", "libx264", H264),
        ("a.mpg", "mpeg2video", {"g": "15", "bf": "2"}),
        ("a.flv", "libx264", {"g": "30", "bf": "0"}),
        ("a.webm", "libvpx", {"g": "30", "deadline": "realtime", "cpu-used": "8"}),
        ("a.h264", "libx264", H264),
        ("a.y4m", "rawvideo", {}),
    ],
)
def test_frames_are_the_ones_asked_for(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = clips.make(tmp_path / name, codec=codec, options=options, frames=FRAMES)
    choose = random.Random(name)
    middles = [Fraction(2 * number + 1, 50) for number in sorted(choose.sample(range(FRAMES), 20))]
    with Film(str(path)) as film:
        for middle in [*middles, *choose.sample(middles, 8)]:
            number, at = shown(film, middle)
            assert number == int(middle * 25)
            assert abs(at - Fraction(number, 25)) < Fraction(2, 1000)


def test_frames_that_are_shown_for_long_are_found(tmp_path: Path) -> None:
    choose = random.Random(5)
    times = [0]
    for _ in range(79):
        times.append(times[-1] + choose.choice([1, 1, 1, 1, 40, 90]))
    path = clips.make(
        tmp_path / "a.mp4", frames=80, times=times, time_base=Fraction(1, 25), options={"g": "200", "bf": "3"}
    )
    wanted = [Fraction(2 * time + 1, 50) for time in range(times[-1])]
    with Film(str(path)) as film:
        for seconds in [*choose.sample(wanted, 25), *sorted(choose.sample(wanted, 25))]:
            expected = bisect_right(times, seconds * 25) - 1
            assert shown(film, seconds)[0] == expected


def test_a_jump_decodes_what_it_must_and_no_more(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=1500, size=(48, 32), options={"g": "50", "preset": "ultrafast"})
    with Film(str(path)) as film:
        for number in range(15, 1500, 500):
            assert shown(film, Fraction(2 * number + 1, 50))[0] == number
    assert film.decoded <= 3 * 55, "the second and the third begin anew at their key frame, 15 frames before"


def test_after_the_end_there_is_nothing(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=25)
    with Film(str(path)) as film:
        assert film.seconds == 1
        assert film.at(Fraction(100)) is None
        assert shown(film, Fraction(99, 100))[0] == 24
        assert film.at(Fraction(100)) is None
        assert shown(film, Fraction(0))[0] == 0


def test_a_film_that_was_cut_off_has_what_is_there(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=500, options={"g": "25"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Film(str(path)) as film:
        assert film.seconds == 20, "as its beginning says"
        assert shown(film, Fraction(1))[0] == 25
        assert film.at(Fraction(19)) is None
        assert shown(film, Fraction(2))[0] == 50


def test_sound_is_no_film(tmp_path: Path, shared: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Film(str(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match="not a video"):
        Film(str(tmp_path / "text.mp4"))
