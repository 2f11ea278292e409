"""What is written, in Chromium: it plays from its start to its end, with sound, and shows the frame that is sought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from pipelines.encode.job import encode_file
from pipelines.encode.plan import Settings
from tests import browser
from tests.pipelines import clips
from tests.pipelines.test_subtitles import SRT

pytestmark = pytest.mark.skipif(browser.COMMAND is None, reason=browser.MISSING)

FRAMES, RATE = 100, 25

LOADED = """new Promise((done, fail) => {
  const film = document.querySelector("video");
  const told = () => done([film.duration, film.videoWidth, film.videoHeight, film.textTracks.length]);
  film.onerror = () => fail(new Error(film.error.message));
  film.readyState < 2 ? film.onloadeddata = told : told();
})"""

PLAYED = """new Promise((done, fail) => {
  const film = document.querySelector("video"), times = [];
  film.onerror = () => fail(new Error(film.error.message));
  film.ontimeupdate = () => times.push(film.currentTime);
  const frames = () => film.getVideoPlaybackQuality().totalVideoFrames;
  film.onended = () => done([film.currentTime, film.duration, film.ended, frames(), film.webkitAudioDecodedByteCount,
    times.every((time, i) => !i || time >= times[i - 1])]);
  film.playbackRate = 4;
  film.play().catch(fail);
})"""

# Where the video came to, and the number that the picture there carries (tests/pipelines/clips.py).
SOUGHT = """new Promise((done, fail) => {
  const film = document.querySelector("video"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
  film.onerror = () => fail(new Error(film.error.message));
  film.onseeked = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(film, 0, 0);
    const row = pen.getImageData(0, canvas.height >> 3, canvas.width, 1).data;
    let number = 0;
    for (let bit = 0; bit < %d; bit++) {
      if (row[4 * Math.round((bit + 0.5) * canvas.width / %d)] > 127) number |= 1 << bit;
    }
    done([film.currentTime, film.seeking, number]);
  }));
  film.currentTime = %f;
})"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine chunks in three chains, with sound and subtitles, and a page that shows them."""
    folder = tmp_path_factory.mktemp("film")
    source = clips.make(folder / "sound.mkv", frames=FRAMES, sound=[("libopus", 48000, "stereo")], options={"bf": "0"})
    (folder / "text.srt").write_text(SRT)
    with (
        av.open(str(source)) as one,
        av.open(str(folder / "text.srt")) as two,
        av.open(str(folder / "in.mkv"), "w") as out,
    ):
        streams = {stream: out.add_stream_from_template(stream) for stream in (*one.streams, *two.streams)}
        for packet in [*one.demux(), *two.demux()]:
            if packet.size:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    encode_file(str(folder / "in.mkv"), str(folder / "out.webm"), Settings(12, 3, 20, 5, scene_cuts=False), workers=2)
    page = folder / "page.html"
    page.write_text('<!doctype html><title>film</title><video src="out.webm" muted></video>')
    return page


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    with browser.Browser("--allow-file-access-from-files") as running:  # else a canvas with its picture cannot be read
        yield running


def test_it_plays_from_start_to_end(chromium: browser.Browser, film: Path) -> None:
    page = chromium.open(film)
    duration, width, height, text_tracks = page.run(LOADED)
    assert duration == pytest.approx(FRAMES / RATE, abs=0.005)
    assert (width, height) == (96, 64)
    assert text_tracks == 0, "if Chromium lists them now, docs/encode.md has to say so"
    time, duration, ended, frames, sound, forward = page.run(PLAYED)
    assert ended
    assert time == duration == pytest.approx(FRAMES / RATE, abs=0.02)
    assert frames == FRAMES
    assert sound > 10_000
    assert forward
    assert page.errors == []


def test_it_shows_what_is_sought(chromium: browser.Browser, film: Path) -> None:
    page = chromium.open(film)
    page.run(LOADED)
    for number in (75, 12, 55, 0, 99, 36, 35, 37, 71, 72, 73, 1, 98):
        wanted = (number + 0.5) / RATE
        time, seeking, shown = page.run(SOUGHT % (clips.BITS, clips.BITS, wanted))
        assert not seeking
        assert time == pytest.approx(wanted, abs=0.001)
        assert shown == number
    assert page.errors == []


def test_the_end_comes_after_seeking_near_it(chromium: browser.Browser, film: Path) -> None:
    page = chromium.open(film)
    page.run(LOADED)
    page.run(SOUGHT % (clips.BITS, clips.BITS, 3.5))
    time, duration, ended, *_ = page.run(PLAYED)
    assert ended
    assert time == duration
