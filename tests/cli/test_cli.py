"""The command as people use it: what it prints, its exit codes, signals, full disks, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import fastslow
from pipelines.encode.join import _names_files_later
from tests.pipelines import clips

ROOT = Path(__file__).resolve().parents[2]


def invoke(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(fastslow, [str(argument) for argument in arguments], prog_name="fastslow")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bitrate", "1500k", "--cq", "30"], "exclude one another"),
        (["--target-psnr", "40", "--target-ssim", "0.9"], "exclude one another"),
        (["--bitrate", "fast"], "write 1500k or 1.5M"),
        (["--bitrate", "1500x"], "write 1500k or 1.5M"),
        (["--bitrate", "100"], "bitrate must be 1 to 1e\\+06 kb/s, not 0.1"),
        (["--target-psnr", "400"], "psnr must be 10 to 70 dB"),
        (["--target-ssim", "2"], "ssim must be 0.1 to 0.9999"),
    ],
)
def test_one_aim_at_most_and_one_that_can_be_meant(options: list[str], says: str, tmp_path: Path) -> None:
    result = invoke("encode", tmp_path / "in.mp4", tmp_path / "out.webm", *options)
    assert result.exit_code == 2
    assert re.search(says, result.output)


@pytest.mark.parametrize("options", [["--local"], ["--stack", "other"], ["--max-cost", "2"], ["--yes"]])
def test_what_is_for_a_stack_is_not_passed_over_on_this_machine(options: list[str], tmp_path: Path) -> None:
    result = invoke("encode", tmp_path / "in.mp4", tmp_path / "out.webm", *options)
    assert result.exit_code == 2
    assert f"{options[0]} is for --backend aws" in result.output


def test_a_bit_rate_is_hit_and_said(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=20)
    result = invoke("encode", source, tmp_path / "out.webm", "--bitrate", "0.014M", "--json", "-q")
    assert result.exit_code == 0
    aim = json.loads(result.stdout)["aim"]
    assert (aim["kind"], aim["wanted"]) == ("bitrate", 14)
    assert abs(aim["error"]) <= 2


class Command:
    """`fastslow` as a process of its own, with all its children findable."""

    def __init__(self, folder: Path, *arguments: object, limit: int | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.scratch = folder / "tmp"
        self.scratch.mkdir(exist_ok=True)

        def prepare() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "FASTSLOW_TEST_MARK": self.mark, "TMPDIR": str(self.scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
        )

    def family(self) -> dict[int, str]:
        """What the processes of this command are called, by number."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "comm").read_text().strip()
            except (OSError, ValueError):
                continue
        return found

    def wait_for_workers(self) -> list[int]:
        """The numbers of the workers, once they are at work."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            workers = [pid for pid, name in self.family().items() if name.startswith("mu chunk/")]
            if len(workers) >= 2 and self.process.poll() is None:
                return workers
            time.sleep(0.02)
        raise AssertionError(f"no workers: {self.family()}, {self.process.communicate()}")

    def ends(self, code: int, within: float = 15) -> tuple[str, str]:
        """Wait for the end; then nothing of it may be left. Returns stdout and stderr."""
        out, err = self.process.communicate(timeout=within)
        assert self.process.returncode == code, err
        deadline = time.monotonic() + 5
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not self.family()
        assert not list(self.scratch.iterdir())
        return out, err


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip with sound."""
    folder = tmp_path_factory.mktemp("clip")
    return clips.make(folder / "in.mp4", frames=24, sound=[("aac", 44100, "stereo")])


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes many seconds at speed 0."""
    folder = tmp_path_factory.mktemp("long")
    return clips.make(folder / "in.mp4", frames=200, size=(640, 480), options={"preset": "ultrafast"})


@pytest.fixture
def slow(long_clip: Path, tmp_path: Path) -> Iterator[Command]:
    """An encoding that would take long, at work."""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "out.webm"
    command = Command(tmp_path, "encode", long_clip, target, "--speed", 0, "--workers", 2, "--chunk-frames", 12)
    yield command
    command.process.kill()
    command.process.communicate()


def test_encode_says_what_it_made(clip: Path, tmp_path: Path) -> None:
    result = invoke("encode", clip, tmp_path / "out.webm", "--chunk-frames", 6, "--chain", 2, "--speed", 5, "-q")
    assert result.exit_code == 0, result.stderr
    assert "96x64, 24 frames at 25 a second, 2 key frames" in result.stdout
    assert result.stderr == ""
    assert len(clips.decoded(tmp_path / "out.webm")) == 24


def test_encode_as_json(clip: Path, tmp_path: Path) -> None:
    arguments = ["encode", clip, tmp_path / "out.mkv", "--cq", 20, "--speed", 5, "--workers", 1, "--measure", "--json"]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["frames"], report["width"], report["height"], report["fps"]) == (24, 96, 64, 25.0)
    assert (report["key_frames"], report["chunks"], report["chains"]) == (1, 1, 1)
    assert report["bytes"] == (tmp_path / "out.mkv").stat().st_size
    assert set(report["cpu_s"]) == {"read", "encode", "decode", "rebase", "join"}
    assert report["wall_s"] > 0
    compared = json.loads(invoke("vp8", "compare", clip, tmp_path / "out.mkv", "--json").stdout)
    assert report["psnr_y"] == compared["psnr_y"] > 25
    assert report["ssim_y"] == compared["ssim_y"] > 0.8


def test_a_report_page(clip: Path, tmp_path: Path) -> None:
    page, target = tmp_path / "page.html", tmp_path / "out.webm"
    arguments = ["encode", clip, target, "--speed", 5, "-q", "--json", "--measure", "--report", page]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    assert page.read_bytes().startswith(b"<!doctype html>")
    beside = json.loads(result.stdout)["libvpx"]
    assert beside["key_frames"] == 1
    assert beside["psnr_y"] > 25
    before = page.read_bytes()
    for wrong, code in ((page, 1), (tmp_path / "page.txt", 2), (tmp_path / "none" / "page.html", 1)):
        result = invoke("encode", clip, tmp_path / "other.webm", "--report", wrong)
        assert result.exit_code == code
        assert not (tmp_path / "other.webm").exists(), "told before the work is done"
    assert page.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.webm", "page.html"]


def test_a_report_of_an_encoding_that_fails_is_not_left(tmp_path: Path) -> None:
    assert invoke("encode", tmp_path / "none.mp4", tmp_path / "o.webm", "--report", tmp_path / "p.html").exit_code == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Usage"),
        (["encode"], "Missing argument 'IN'"),
        (["encode", "in.mp4"], "Missing argument 'OUT'"),
        (["encode", "in.mp4", "out.webm", "--cq", "64"], "64 is not in the range"),
        (["encode", "in.mp4", "out.webm", "--chunk-frames", "0"], "0 is not in the range"),
        (["encode", "in.mp4", "out.webm", "--workers", "none"], "not a valid integer"),
        (["encode", "in.mp4", "out.webm", "--quality", "3"], "No such option"),
        (["encode", "in.mp4", "out.mp4"], "must end in .webm, .mkv, .ivf"),
        (["encode", "in.mp4", "out"], "must end in .webm, .mkv, .ivf"),
        (["vp8", "decode", "in.ivf", "-o", "out.png"], "must end in .y4m or .i420"),
        (["dance"], "No such command"),
    ],
)
def test_wrong_use_is_told_with_code_2(arguments: list[str], says: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def bad_inputs(folder: Path) -> dict[str, Path]:
    """Files that cannot be encoded."""
    whole = clips.make(folder / "whole.mkv", frames=30).read_bytes()
    contents = {"empty.mp4": b"", "text.mp4": b"dear diary " * 99, "cut.mkv": whole[:-999], "head.mkv": whole[:600]}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    clips.make(folder / "film.mp4", frames=5, sound=[("aac", 48000, "mono")])
    import av

    with av.open(str(folder / "film.mp4")) as source, av.open(str(folder / "sound.mp4"), "w") as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    return {path.stem: path for path in folder.iterdir()}


def test_bad_input_is_told_in_a_line_with_code_1(tmp_path: Path) -> None:
    files = bad_inputs(tmp_path)
    says = {"empty": "empty", "text": "not a video", "cut": "cut off", "head": "", "sound": "only sound"}
    for name, words in says.items():
        result = invoke("encode", files[name], tmp_path / "out.webm", "--speed", 5)
        assert result.exit_code == 1, name
        assert result.stdout == ""
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"fastslow: {files[name]}: ")
        assert words in lines[0]
    for arguments in (["encode", tmp_path / "none.mp4", tmp_path / "out.webm"], ["vp8", "info", tmp_path / "none.ivf"]):
        result = invoke(*arguments)
        assert result.exit_code == 1
        assert "No such file" in result.stderr
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "out.webm").exists()


def test_an_unreadable_input(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = clips.make(tmp_path / "in.mp4", frames=2)
    path.chmod(0)
    result = invoke("encode", path, tmp_path / "out.webm")
    assert result.exit_code == 1
    assert "Permission denied" in result.stderr


def test_an_output_is_kept_unless_told(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.webm"
    target.write_bytes(b"precious")
    result = invoke("encode", clip, target, "--speed", 5)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert target.read_bytes() == b"precious"
    assert invoke("encode", clip, target, "--speed", 5, "--overwrite", "-q").exit_code == 0
    assert target.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(number: int, slow: Command, tmp_path: Path) -> None:
    slow.wait_for_workers()
    time.sleep(0.3)
    slow.process.send_signal(number)
    out, err = slow.ends(128 + number)
    assert out == ""
    assert err.strip().splitlines()[-1] == "fastslow: interrupted"
    assert "Traceback" not in err
    assert not list((tmp_path / "out").iterdir())


def test_an_impatient_signal_is_no_harm(slow: Command, tmp_path: Path) -> None:
    slow.wait_for_workers()
    for _ in range(5):
        slow.process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    _, err = slow.ends(130)
    assert "Traceback" not in err
    assert not list((tmp_path / "out").iterdir())


def test_a_worker_that_is_killed_again_and_again_is_told(slow: Command, tmp_path: Path) -> None:
    while slow.process.poll() is None:
        for pid, name in slow.family().items():
            if name == "mu chunk/000001":
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    _, err = slow.ends(1)
    last = err.strip().splitlines()[-1]
    assert re.search(r"^fastslow: chunk 1 failed: worker \d+ \(process \d+\) was killed by SIGKILL", last)
    assert last.endswith("(tried 3 times)")
    assert not list((tmp_path / "out").iterdir())


def test_a_killed_reader_and_a_killed_worker_are_replaced(clip: Path, tmp_path: Path) -> None:
    targets = [tmp_path / "one.webm", tmp_path / "other.webm"]
    for target, kills in zip(targets, (0, 2), strict=True):
        command = Command(tmp_path, "encode", clip, target, "--speed", 0, "--chunk-frames", 4, "--workers", 1)
        killed: set[str] = set()
        while command.process.poll() is None and len(killed) < kills:
            for pid, name in command.family().items():
                if name in ("mu read", "mu chunk/000002") and name not in killed:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    killed.add(name)
        command.ends(0, within=60)
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_nothing_outlives_a_killed_command(slow: Command, tmp_path: Path) -> None:
    slow.wait_for_workers()
    slow.process.kill()
    slow.process.communicate()
    deadline = time.monotonic() + 5
    while slow.family() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not slow.family()
    if _names_files_later(tmp_path):
        assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_is_told(clip: Path, tmp_path: Path) -> None:
    """A file-size limit stands for it: writing fails in the middle."""
    target = tmp_path / "out" / "out.webm"
    target.parent.mkdir()
    command = Command(tmp_path, "encode", clip, target, "--speed", 5, "--cq", 4, limit=20_000)
    out, err = command.ends(1, within=30)
    assert out == ""
    assert err.strip() == f"fastslow: {target}: cannot be written: File too large; nothing was left behind"
    assert not list(target.parent.iterdir())


def test_a_full_disk_for_real(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        result = invoke("encode", clip, folder / "out.webm", "--speed", 5, "--cq", 4)
        assert result.exit_code == 1
        assert "cannot be written: No space left on device" in result.stderr
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_progress_is_quiet_where_nobody_looks(clip: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, "encode", clip, tmp_path / "out.webm", "--speed", 5, "--json")
    out, err = command.ends(0, within=30)
    assert err == ""
    assert json.loads(out)["frames"] == 24


def test_bars_in_a_terminal(clip: Path, tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cli", "encode", str(clip), str(tmp_path / "out.webm"), "--speed", "5"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=ROOT, stderr=follower, stdout=subprocess.PIPE, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate(timeout=30)
    os.close(leader)
    assert process.returncode == 0
    assert b"24 frames" in out
    for word in (b"read", b"encode (libvpx)", b"rebase", b"join", b"24 of 24", b"workers", b"time"):
        assert word in shown


def test_help_is_quick_and_imports_little() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "cli", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "encode" in result.stdout
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not loaded & {"av", "numpy", "rich", "codec", "msgspec"}


def test_md5_lines_are_those_of_the_vectors(shared: Path) -> None:
    for number in ("001", "003", "008", "014", "017"):
        vector = shared / "vectors" / f"vp80-00-comprehensive-{number}.ivf"
        result = invoke("vp8", "decode", vector, "--md5")
        assert result.exit_code == 0
        assert result.stdout == vector.with_name(vector.name + ".md5").read_text()


def test_decode_writes_what_ffmpeg_decodes(clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "out.webm"
    assert invoke("encode", clip, film, "--speed", 5, "--chunk-frames", 7, "-q").exit_code == 0
    for name in ("raw.y4m", "raw.i420"):
        result = invoke("vp8", "decode", film, "-o", tmp_path / name)
        assert result.exit_code == 0
        assert "24 frames" in result.stdout
        assert invoke("vp8", "decode", film, "-o", tmp_path / name).exit_code == 1, "not overwritten unasked"
    planes = clips.decoded(film)
    expected = b"".join(plane.tobytes() for frame in planes for plane in frame)
    assert (tmp_path / "raw.i420").read_bytes() == expected
    compared = json.loads(invoke("vp8", "compare", film, tmp_path / "raw.y4m", "--json").stdout)
    assert compared == {"frames": 24, "psnr_y": 100, "psnr_u": 100, "psnr_v": 100, "psnr_yuv": 100, "ssim_y": 1}
    with (tmp_path / "raw.y4m").open("rb") as file:
        assert file.readline() == b"YUV4MPEG2 W96 H64 F25:1 Ip A0:0 C420jpeg\n"
    lines = invoke("vp8", "decode", film, "--md5").stdout.splitlines()
    assert len(lines) == 24
    assert lines[0].endswith("  out-96x64-0001.i420")


def test_info_tells_of_every_frame(clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "out.ivf"
    assert invoke("encode", clip, film, "--speed", 5, "--chunk-frames", 6, "--chain", 2, "-q").exit_code == 0
    frames = json.loads(invoke("vp8", "info", film, "--json").stdout)
    assert [frame["number"] for frame in frames if frame["type"] == "key"] == [0, 12]
    sizes = [len(packet[3]) for packet in clips.packets(film)]
    assert [frame["bytes"] for frame in frames] == sizes
    for frame in frames:
        assert sum(frame["modes"].values()) == pytest.approx(1, abs=0.01)
        assert sum(frame["references"].values()) == pytest.approx(1, abs=0.01)
        assert (frame["width"], frame["height"], frame["shown"]) == (96, 64, True)
    assert frames[6]["refreshes"] == ["last", "golden", "altref"], "the first of a chunk is what the others start from"
    lines = invoke("vp8", "info", film).stdout.splitlines()
    assert len(lines) == 24
    assert re.match(r" +0 key +\d+ bytes 96x64 q +\d+ +filter", lines[0])


def test_damaged_streams_are_told_with_the_frame(clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "out.ivf"
    assert invoke("encode", clip, film, "--speed", 5, "-q").exit_code == 0
    data = film.read_bytes()
    film.write_bytes(data[:-7])
    result = invoke("vp8", "decode", film, "--md5")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 23
    assert "the IVF file ends within frame 23" in result.stderr
    damaged = bytearray(data)
    damaged[32 + 12 + 3] = 0  # the start code of the key frame
    film.write_bytes(damaged)
    for command in ("decode", "info"):
        result = invoke("vp8", command, film)
        assert result.exit_code == 1
        assert "frame 0 is corrupt at byte" in result.stderr
    assert "holds no VP8" in invoke("vp8", "info", clip).stderr


def test_compare_refuses_what_cannot_be_compared(clip: Path, tmp_path: Path) -> None:
    other = clips.make(tmp_path / "other.mp4", size=(64, 64), frames=3)
    result = invoke("vp8", "compare", clip, other)
    assert result.exit_code == 1
    assert "96x64" in result.stderr
    shorter = clips.make(tmp_path / "shorter.mp4", frames=3)
    result = invoke("vp8", "compare", clip, shorter)
    assert result.exit_code == 1
    assert result.stdout.startswith("3 frames: PSNR Y")
    assert "has 24 frames" in result.stderr


def test_a_closed_pipe_is_no_error_message(clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "out.ivf"
    assert invoke("encode", clip, film, "--speed", 5, "-q").exit_code == 0
    script = f"{sys.executable} -m cli vp8 info {film} | head -1"
    result = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == ""
