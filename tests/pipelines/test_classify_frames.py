"""Which frames of a video are classified, and what is sent of them and of files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.classify.answers import Picture
from pipelines.classify.frames import (
    SENT_AS_IT_IS,
    SIDE,
    clock,
    even_frames,
    files,
    is_picture,
    scene_frames,
    scenes,
    thumbnail_width,
)
from pipelines.errors import InputError
from tests.pipelines import clips


def grey(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture.convert("L"), np.uint8)


def numbers(pictures: Sequence[Picture]) -> list[int]:
    return [clips.number_in(grey(picture.data)) for picture in pictures]


def test_frames_come_from_the_middle_of_equal_parts(tmp_path: Path) -> None:
    path = str(clips.make(tmp_path / "a.mp4", frames=100, options={"g": "20"}))
    found = list(even_frames(path, 5))
    assert numbers(found) == [10, 30, 50, 70, 90]
    assert [picture.seconds for picture in found] == [0.4, 1.2, 2.0, 2.8, 3.6]
    assert [picture.name for picture in found] == ["0:00.40", "0:01.20", "0:02.00", "0:02.80", "0:03.60"]
    assert {picture.kind for picture in found} == {"image/jpeg"}
    assert {picture.thumbnail for picture in found} == {b""}


def test_a_frame_comes_once_however_many_are_asked_for(tmp_path: Path) -> None:
    path = str(clips.make(tmp_path / "a.mp4", frames=30))
    assert numbers(list(even_frames(path, 150))) == list(range(30))


def test_a_file_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path: Path) -> None:
    path = str(clips.make(tmp_path / "a.h264", frames=100, options={"g": "20"}))
    assert numbers(list(even_frames(path, 5))) == [10, 30, 50, 70, 90]


def test_what_cannot_be_decoded_is_listed(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=500, options={"g": "25"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = list(even_frames(str(path), 10))
    assert len(found) == 10
    assert [bool(picture.problem) for picture in found] == sorted(bool(picture.problem) for picture in found)
    assert found[0].data
    assert "ends before" in found[-1].problem
    assert found[-1].name == "0:19.00"


@pytest.mark.parametrize("rotation", [(90, False, False), (180, False, False), (270, True, False), (0, False, True)])
def test_turned_and_mirrored_pictures_come_upright(tmp_path: Path, rotation: tuple[float, bool, bool]) -> None:
    from pipelines.media.read import Reader

    path = str(clips.make(tmp_path / "a.mp4", frames=8, rotation=rotation))
    with Reader(path) as reader:
        upright = [np.array(picture.planes[0]) for picture in reader]
    for number, picture in enumerate(even_frames(path, 8, thumbnails=True)):
        shown = grey(picture.data).astype(float)
        assert shown.shape == upright[number].shape
        # Full range beside limited range: the same picture up to the scale of its samples.
        assert np.corrcoef(shown.ravel(), upright[number].ravel())[0, 1] > 0.99
        assert (grey(picture.thumbnail).shape[0] > grey(picture.thumbnail).shape[1]) == (
            shown.shape[0] > shown.shape[1]
        )


def test_frames_are_made_smaller_in_square_pixels_and_never_larger(tmp_path: Path) -> None:
    wide = str(clips.make(tmp_path / "a.mp4", frames=2, size=(720, 576), aspect=Fraction(64, 45)))
    (first, *_) = even_frames(wide, 1)
    assert grey(first.data).shape == (SIDE, round(SIDE * 16 / 9))
    small = str(clips.make(tmp_path / "b.mp4", frames=2, size=(96, 64)))
    (first, *_) = even_frames(small, 1)
    assert grey(first.data).shape == (64, 96)


def test_thumbnails_of_many_are_smaller() -> None:
    assert thumbnail_width(5) == 320
    assert [thumbnail_width(count) for count in (150, 600, 5000)] == sorted(
        (thumbnail_width(count) for count in (150, 600, 5000)), reverse=True
    )
    # A pixel of a JPEG takes some 0.2 to 0.4 bytes at this quality.
    assert all(count * thumbnail_width(count) ** 2 * 9 / 16 < 30e6 for count in (1, 5, 150, 600, 5000))


def test_a_scene_gives_its_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    textures = np.random.default_rng(3).integers(0, 256, (4, 16, 24), np.uint8)

    def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
        scene = 0 if number < 20 else 1 if number < 60 else 2 if number < 75 else 3
        texture = np.kron(textures[scene], np.ones((height // 16, width // 24), np.uint8))
        return np.repeat(texture[:, :, None], 3, 2)

    monkeypatch.setattr(clips, "picture", picture)
    path = str(clips.make(tmp_path / "a.mp4", frames=100, size=(192, 128)))
    told: list[int] = []
    found = scenes(path, lambda seen, about: told.append(seen if about == 100 else 0))
    assert found == [(Fraction(a, 25), Fraction(b, 25)) for a, b in ((0, 20), (20, 60), (60, 75), (75, 100))]
    assert told == list(range(1, 101))
    assert [picture.seconds for picture in scene_frames(path, found, 9)] == [0.4, 1.6, 2.68, 3.48]
    assert [picture.seconds for picture in scene_frames(path, found, 2)] == [1.6, 3.48], "the two longest"


def test_small_files_are_sent_as_they_are(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        Image.linear_gradient("L").save(tmp_path / kind, kind)
    paths = [str(tmp_path / kind) for kind in ("JPEG", "PNG", "WEBP")]
    found = list(files(paths))
    assert [picture.kind for picture in found] == ["image/jpeg", "image/png", "image/webp"]
    assert [picture.data for picture in found] == [Path(path).read_bytes() for path in paths]
    assert all(is_picture(path) for path in paths)
    for picture in files(paths, thumbnails=True):
        assert grey(picture.thumbnail).shape == (240, 240)


def test_large_files_are_sent_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1600, 3), np.uint8)
    path = tmp_path / "large.png"
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > SENT_AS_IT_IS
    (found,) = files([str(path)])
    assert found.kind == "image/jpeg"
    assert grey(found.data).shape == (SIDE, round(SIDE * 4 / 3))


def test_files_that_are_no_pictures_are_listed(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(SENT_AS_IT_IS))
    paths = [str(tmp_path / name) for name in ("text", "none", "broken.jpg", "")]
    problems = [picture.problem for picture in files(paths)]
    assert problems[0].startswith("no JPEG, PNG or WebP")
    assert problems[1] == "cannot be read: No such file or directory"
    assert "broken" in problems[2]
    assert problems[3] == "cannot be read: Is a directory"
    assert not any(is_picture(path) for path in (paths[0], paths[1], paths[3]))


def test_a_file_that_is_no_video_says_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a video"):
        list(even_frames(str(tmp_path / "text"), 3))


def test_times_as_people_write_them() -> None:
    assert [clock(seconds) for seconds in (0, 59.994, 59.996, 3599.999, 3723.4)] == [
        "0:00.00",
        "0:59.99",
        "1:00.00",
        "1:00:00.00",
        "1:02:03.40",
    ]
