"""`fastslow encode`: a film in, a VP8 film out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

import click
from click.core import ParameterSource

from cli.processors import processors

if TYPE_CHECKING:
    from cli.progress import Display
    from mu import Job
    from mu.record import Record
    from pipelines.encode.aim import Aim
    from pipelines.encode.job import Report
    from pipelines.encode.plan import Settings


class BitRate(click.ParamType[float]):
    """Bits a second with a unit: 1500k, 1.5M, 1500000. Kilobits are 1000 bits; gives kilobits."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        text = str(value).strip()
        number, unit = (text[:-1], text[-1]) if text[-1:] in "kKmM" else (text, "")
        try:
            return float(number) * {"": 0.001, "k": 1, "m": 1000}[unit.lower()]
        except ValueError:
            self.fail(f"{text!r} is no bit rate; write 1500k or 1.5M", param, ctx)


@click.command(short_help="Encode any video to VP8 in WebM, Matroska or IVF.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--chunk-frames", metavar="N", type=click.IntRange(1, 10_000), default=24, show_default=True, help="Frames a chunk."
)
@click.option(
    "--chain",
    metavar="X",
    type=click.IntRange(1, 10_000),
    default=16,
    show_default=True,
    help="Chunks a chain. A chain begins with a key frame; 1 gives plain chunks.",
)
@click.option(
    "--cq",
    metavar="Q",
    type=click.IntRange(0, 63),
    help="Quality: 0 best, 63 smallest.  [default: 30, if no aim is given]",
)
@click.option(
    "--bitrate",
    metavar="RATE",
    type=BitRate(),
    help="Aim: the picture's bits a second, such as 1500k or 1.5M, spent for the same quality everywhere.",
)
@click.option(
    "--target-psnr", metavar="DB", type=float, help="Aim: the smallest file whose luma has this PSNR, such as 40."
)
@click.option(
    "--target-ssim", metavar="S", type=float, help="Aim: the smallest file whose luma has this mean SSIM, such as 0.98."
)
@click.option(
    "--speed",
    metavar="S",
    type=click.IntRange(0, 5),
    default=2,
    show_default=True,
    help="libvpx's cpu-used: 0 slow and small, 5 fast and large.",
)
@click.option(
    "--first-frame",
    type=click.Choice(["lead", "reencode"]),
    default="reencode",
    show_default=True,
    help="A chunk's key frame: encode it anew, or spend it on a frame before the chunk.",
)
@click.option("--no-scene-cuts", is_flag=True, help="Begin no chain, and so no key frame, where a scene begins.")
@click.option(
    "--workers",
    metavar="W",
    type=click.IntRange(1, 1024),
    default=processors,
    show_default="the processors here",
    help="Chunks computed at a time; memory grows with it.",
)
@click.option(
    "--backend",
    type=click.Choice(["here", "aws"]),
    default="here",
    show_default=True,
    help="Who encodes: this machine, or the workers of the deployed stack.",
)
@click.option(
    "--stack",
    default="fastslow",
    show_default=True,
    envvar="FASTSLOW_STACK",
    metavar="NAME",
    help="With aws: which stack.",
)
@click.option("--local", is_flag=True, help="With aws: the stack of `fastslow local up`.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    metavar="DOLLARS",
    help="With aws: ask above.",
)
@click.option("--yes", is_flag=True, help="With aws: do not ask.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--no-audio", is_flag=True, help="Leave the sound out.")
@click.option("--no-subtitles", is_flag=True, help="Leave the subtitles out.")
@click.option("--measure", is_flag=True, help="Compare OUT with IN afterwards: PSNR and SSIM of the luma.")
@click.option(
    "--report",
    "page",
    metavar="PAGE",
    help="Write an .html page that shows how it went; with --measure here beside plain libvpx, which takes its time.",
)
@click.option("--live", is_flag=True, help="Serve a page that follows the work, at an address of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--events", "as_events", is_flag=True, help="Print a line of JSON for all that happens, the result too.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def encode(
    source: str,
    target: str,
    chunk_frames: int,
    chain: int,
    cq: int | None,
    bitrate: float | None,
    target_psnr: float | None,
    target_ssim: float | None,
    speed: int,
    first_frame: Literal["lead", "reencode"],
    no_scene_cuts: bool,
    workers: int,
    backend: str,
    stack: str,
    local: bool,
    max_cost: float,
    yes: bool,
    overwrite: bool,
    no_audio: bool,
    no_subtitles: bool,
    measure: bool,
    page: str | None,
    live: bool,
    as_json: bool,
    as_events: bool,
    quiet: bool,
) -> None:
    """Encode the video IN (anything that FFmpeg reads) to VP8, with all processors; OUT ends in .webm, .mkv or .ivf.

    The film is cut into chunks of N frames which libvpx encodes at the same time (two passes, deadline good). Then they
    are moved, one after the other along a chain of X chunks, onto the state at which the chunk before ended, so that
    only a chain begins with a key frame; a chunk's own key frame is encoded anew as an interframe.

    --bitrate, --target-psnr and --target-ssim read the film several times: once to survey it, once to encode it, and
    as often as it takes (at most 5 times) to rebase it a little finer or coarser.

    Timestamps, turned and mirrored pictures, pixel shapes, sound, subtitles, chapters and tags are kept: Opus and
    Vorbis as they are, other sound as Opus; subtitles as WebVTT in WebM. OUT appears when it is complete.

    With --backend aws, IN may be an object of the stack's media bucket and OUT any object, s3://bucket/key. The bytes
    are the same. What it may cost is said before, what it did cost after. --report writes the job's page, --live says
    where the coordinator shows it. Ctrl-C cancels the job, and the same command goes on with it.
    """
    from cli.errors import told_in_a_line
    from cli.events import Events
    from cli.progress import display
    from pipelines.encode.plan import Settings

    events = Events() if as_events else None
    with events.told() if events else nullcontext(), told_in_a_line():
        aim = _aim(cq, bitrate=bitrate, psnr=target_psnr, ssim=target_ssim)
        settings = Settings(
            chunk_frames,
            chain,
            30 if cq is None else cq,
            speed,
            scene_cuts=not no_scene_cuts,
            first_frame=first_frame,
        )
        if backend == "aws":
            if aim:
                raise click.UsageError("--backend aws takes --cq; an aim is for this machine")
            from cli.encode_away import MOST_WORKERS, Order, encode_away
            from cli.errors import told_when_deploying

            given = click.get_current_context().get_parameter_source("workers") is ParameterSource.COMMANDLINE
            order = Order(
                source=source,
                target=target,
                workers=workers if given else MOST_WORKERS,
                overwrite=overwrite,
                sound=not no_audio,
                subtitles=not no_subtitles,
                stack=stack,
                local=local,
                max_cost=max_cost,
                yes=yes,
                measure=measure,
                page=page,
                live=live,
                quiet=quiet or as_events,
            )
            with told_when_deploying():
                report = encode_away(order, settings, lambda: events or display(quiet), events)
        else:
            _only_for_aws()
            what = _Here(source, target, settings, aim, workers, overwrite, not no_audio, not no_subtitles)
            report = _encode_here(what, events or display(quiet), measure, page, live)
    if events:
        import msgspec

        events.tell("done", result=msgspec.to_builtins(report))
    else:
        _print(report, target, as_json)


def _only_for_aws() -> None:
    """Raise UsageError if something was asked for that this machine would pass over."""
    context = click.get_current_context()
    for name in ("local", "stack", "max_cost", "yes"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --backend aws")


@dataclass(frozen=True)
class _Here:
    """An encoding on this machine."""

    source: str
    target: str
    settings: Settings
    aim: Aim | None
    workers: int
    overwrite: bool
    sound: bool
    subtitles: bool


def _encode_here(what: _Here, shown: Display, measure: bool, page: str | None, live: bool) -> Report:
    from cli.progress import Looker
    from pipelines.encode.job import encode_file, measured
    from pipelines.encode.record import Record

    source, target, settings = what.source, what.target, what.settings
    record = Record() if page else None
    with (
        _page_file(page, what.overwrite, (source, target)) as file,
        _followed(live) as follow,
        shown as progress,
    ):
        look = Looker(progress, follow)
        report = encode_file(
            source,
            target,
            settings,
            workers=what.workers,
            overwrite=what.overwrite,
            sound=what.sound,
            subtitles=what.subtitles,
            watch=look.watch,
            record=record,
            follow=look.follow,
            aim=what.aim,
        )
        if measure:
            report = measured(report, source, target, lambda n: progress.count("measure", n, report.frames), record)
        if file is not None and record is not None:
            import msgspec

            from pipelines.report.page import Job, render
            from pipelines.report.peer import beside_libvpx

            peer = None
            if report.aim:
                settings = msgspec.structs.replace(settings, cq=report.aim.cq)
            if measure:
                total = 3 * report.frames
                peer = beside_libvpx(source, settings, report.frames, lambda n: progress.count("libvpx", n, total))
                report = peer.added_to(report)
            file.write(render(Job(source, target, settings, what.workers, report, record, peer)))
    return report


def _page_file(page: str | None, overwrite: bool, others: tuple[str, ...]) -> AbstractContextManager[BinaryIO | None]:
    if page is None:
        return nullcontext()
    from pipelines.report.file import page_file

    return page_file(page, overwrite, others)


@contextmanager
def _followed(live: bool) -> Iterator[Callable[[Job, str], Record] | None]:
    if not live:
        yield None
        return
    from pipelines.encode.live import Live

    with Live() as pages:
        click.echo(f"fastslow: follow it at {pages.address}", err=True)
        yield pages.begin


def _aim(cq: int | None, **wanted: float | None) -> Aim | None:
    """What the film shall have; None for a constant quality."""
    from pipelines.encode.aim import Aim
    from pipelines.errors import SettingsError

    given = [(kind, value) for kind, value in wanted.items() if value is not None]
    if len(given) + (cq is not None) > 1:
        raise SettingsError("--cq, --bitrate, --target-psnr and --target-ssim exclude one another: give one of them")
    return Aim(*given[0]) if given else None  # type: ignore[arg-type]


def _print(report: Report, target: str, as_json: bool) -> None:
    import msgspec

    for warning in report.warnings:
        click.echo(f"fastslow: {warning}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    keys = "1 key frame" if report.key_frames == 1 else f"{report.key_frames} key frames"
    click.echo(f"{target}: {report.width}x{report.height}, {report.frames} frames at {report.fps:g} a second, {keys}")
    click.echo(f"{report.kbps:.1f} kb/s ({report.bytes} bytes with container and sound) in {report.wall_s:.1f} s")
    click.echo("processor time: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.cpu_s.items()))
    if aim := report.aim:
        what, digits, unit = {
            "bitrate": ("bit rate", 1, " kb/s"),
            "psnr": ("PSNR-Y", 3, " dB"),
            "ssim": ("SSIM-Y", 5, ""),
        }[aim.kind]
        off = f"{aim.error:+.2f} %" if aim.kind == "bitrate" else f"{aim.error:+.{digits}f}{unit}"
        click.echo(
            f"aim: {what} {aim.wanted:g}{unit}, reached {aim.reached:.{digits}f}{unit} ({off}) by cq {aim.cq}, "
            f"quantizers times {aim.scale:g}, in {aim.attempts} attempts ({aim.searches} with libvpx)"
        )
    if report.psnr_y is not None and report.ssim_y is not None:
        click.echo(f"PSNR-Y {report.psnr_y:.3f} dB, SSIM-Y {report.ssim_y:.5f}")
