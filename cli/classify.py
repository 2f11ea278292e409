"""`fastslow classify`: pictures or a video in, what is in them out."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from cli.errors import Failure, InPart, told_when_deploying

if TYPE_CHECKING:
    from cli.progress import Display
    from pipelines.classify.answers import Ask, Outcome, Picture
    from pipelines.classify.results import Result

FRAMES = 150
"""Of a video, if not told otherwise."""
AT_ONCE = 16
"""Sent to an API at the same time, if not told otherwise."""


@dataclass(frozen=True, slots=True)
class _Whom:
    """Who is asked, in words, and how many pictures at once suit them."""

    ask: Ask
    name: str
    parallel: int
    close: Callable[[], None] = lambda: None


@click.command(short_help="Say what is in pictures, or in frames of a video.")
@click.argument("sources", nargs=-1, required=True, metavar="PICTURE... | VIDEO")
@click.option(
    "--frames",
    metavar="N",
    type=click.IntRange(1, 5000),
    help=f"Frames of a video, at most.  [default: {FRAMES}, all scenes]",
)
@click.option("--scenes", is_flag=True, help="One frame of each scene (the longest, if N are fewer), not evenly.")
@click.option("--api", metavar="URL", envvar="FASTSLOW_API", show_envvar=True, help="Ask the API of a deployed stack.")
@click.option("--api-key", metavar="KEY", envvar="FASTSLOW_API_KEY", show_envvar=True, help="The API's key.")
@click.option("--iam", is_flag=True, help="Sign requests with AWS credentials, for a stack with auth=iam.")
@click.option("--local", is_flag=True, help="Ask the stack that `fastslow local up` brought up.")
@click.option("--model", metavar="NAME[@VERSION]", default="", help="The model that shall answer, and no other.")
@click.option(
    "--library", type=click.Path(path_type=Path), envvar="FASTSLOW_MODELS", help="The folder of models on this machine."
)
@click.option("--top", type=click.IntRange(1, 100), default=5, show_default=True, help="Labels of each picture.")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 1000),
    help=f"Pictures at once.  [default: {AT_ONCE} at an API, the environments there are with --local, else processors]",
)
@click.option("--report", "page", metavar="PAGE", help="Write an .html page: labels over the film, with pictures.")
@click.option("--overwrite", is_flag=True, help="Replace PAGE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, a row a picture.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def classify(
    sources: tuple[str, ...],
    frames: int | None,
    scenes: bool,
    api: str | None,
    api_key: str | None,
    iam: bool,
    local: bool,
    model: str,
    library: Path | None,
    top: int,
    parallel: int | None,
    page: str | None,
    overwrite: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Say what is in each PICTURE (JPEG, PNG, WebP), or in frames of one VIDEO (anything that FFmpeg reads).

    Without --api or --local a classifier of the library (`fastslow models`) answers in this process. With --api the
    frame classifier of a deployed stack does: its address is the output FramesUrl, its key is best kept in the
    environment. With --local it is that of `fastslow local up`, whose address and key are found.

    What is throttled, or fails in a way that may pass, is tried again up to 8 times with growing, random waits.
    A picture that fails is listed with its reason, and the others are kept: the exit code is then 3. Ctrl-C keeps
    what is there.
    """
    from pipelines.errors import PipelineError

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude one another: give one of them")
    if local and (api_key or iam or _given("api")):
        raise click.UsageError("--local finds address and key by itself: leave --api, --api-key and --iam out")
    if library and (local or api) and _given("library"):
        raise click.UsageError("--library is for classifying in this process: leave it out, or --api and --local")
    with told_when_deploying():
        film = _film(sources, frames, scenes)
        if local:
            whom = _local(top, model, parallel)
        elif api:
            whom = _deployed(api, api_key or "", iam, top, model, parallel or AT_ONCE)
        else:
            whom = _here(library, top, model)
        at_once = parallel or whom.parallel
        with _page_file(page, overwrite, sources) as file:
            result, stopped = _run(sources, film, frames, scenes, whom, at_once, quiet, file is not None)
            if file is not None:
                from pipelines.classify.page import render

                file.write(render(result))
    _print(result, as_json, as_csv, quiet)
    if isinstance(stopped, PipelineError):
        raise InPart(f"{stopped}; {len(result.outcomes)} were done by then") from stopped
    if stopped is not None:
        raise stopped
    if result.failed:
        told = f"{len(result.failed)} of {len(result.outcomes)} failed: {result.failed[0].problem}"
        raise Failure(told) if len(result.failed) == len(result.outcomes) else InPart(told)


def _given(name: str) -> bool:
    """Whether an option stood on the command line, rather than in the environment."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _here(folder: Path | None, top: int, model: str) -> _Whom:
    from cli.processors import processors
    from pipelines.classify.here import Here, choose
    from vision.library import Library, default_folder

    manifest, path = choose(Library(folder or default_folder()), model)
    return _Whom(Here(manifest, path, top=top), "here", processors())


def _deployed(url: str, key: str, iam: bool, top: int, model: str, parallel: int) -> _Whom:
    from pipelines.classify.api import Api
    from pipelines.classify.sign import signer

    if key and iam:
        raise click.UsageError("--api-key and --iam exclude one another: a deployment wants one of them")
    api = Api(url, key=key, sign=signer(url) if iam else None, top=top, model=model, parallel=parallel)
    return _Whom(api, url, parallel, api.close)


def _local(top: int, model: str, parallel: int | None) -> _Whom:
    from cli.processors import processors
    from deploy import local as stack
    from pipelines.classify.api import Api
    from pipelines.classify.sign import signer

    state = stack.running()
    if not state or not state.alive or not state.outputs:
        raise Failure("the local stack is not up; `fastslow local up` brings it up")
    url, key = stack.frames_url(state), stack.api_key(state)
    if parallel is None:
        there = [sum(counts.values()) for name, counts in stack.environments(state).items() if "classify" in name]
        parallel = min(AT_ONCE, max([processors(), *there]))
    sign = None if key else signer(url, stack.credentials(state.cloud_url))
    api = Api(url, key=key, sign=sign, trusted=state.trusted, top=top, model=model, parallel=parallel)
    return _Whom(api, url, parallel, api.close)


def _run(
    sources: tuple[str, ...],
    film: str,
    frames: int | None,
    scenes: bool,
    whom: _Whom,
    parallel: int,
    quiet: bool,
    thumbnails: bool,
) -> tuple[Result, BaseException | None]:
    """The job, and what ended it early; raises that if nothing was done by then."""
    from cli.progress import display
    from pipelines.classify.frames import length
    from pipelines.classify.job import classify as work
    from pipelines.classify.results import Result

    began = time.monotonic()
    done: list[Outcome] = []
    stopped: BaseException | None = None
    with display(quiet) as progress:
        try:
            pictures, total = _pictures(sources, film, frames, scenes, progress, thumbnails)
            outcomes = work(pictures, whom.ask, parallel=parallel)
            try:
                for outcome in outcomes:
                    done.append(outcome)
                    progress.count("classify", len(done), total)
            finally:
                outcomes.close()
                whom.close()
        except BaseException as error:  # raised again, once what is there has been printed
            if not done:
                raise
            stopped = error
    result = Result(
        source=film,
        asked=whom.name,
        outcomes=tuple(sorted(done, key=lambda outcome: outcome.index)),
        wall_s=time.monotonic() - began,
        complete=stopped is None,
        parallel=parallel,
        picked="" if not film else "by scene" if scenes else "evenly",
        seconds=length(film) if film else 0.0,
    )
    return result, stopped


def _film(sources: tuple[str, ...], frames: int | None, scenes: bool) -> str:
    """The video among the arguments; empty if they are pictures."""
    from pipelines.classify.frames import is_picture

    if len(sources) == 1 and not is_picture(sources[0]):
        return sources[0]
    if frames or scenes:
        raise click.UsageError("--frames and --scenes are for one video, and these are pictures")
    return ""


def _pictures(
    sources: tuple[str, ...], film: str, frames: int | None, scenes: bool, progress: Display, thumbnails: bool
) -> tuple[Iterator[Picture], int]:
    """What to classify, and how much of it there will be at most."""
    from pipelines.classify import frames as choose

    if not film:
        return choose.files(sources, thumbnails=thumbnails), len(sources)
    if not scenes:
        count = frames or FRAMES
        return choose.even_frames(film, count, thumbnails=thumbnails), count
    found = choose.scenes(film, lambda seen, about: progress.count("find scenes", seen, about))
    count = min(len(found), frames or len(found))
    return choose.scene_frames(film, found, count, thumbnails=thumbnails), count


def _page_file(page: str | None, overwrite: bool, others: tuple[str, ...]) -> AbstractContextManager[BinaryIO | None]:
    if page is None:
        return nullcontext()
    from pipelines.report.file import page_file

    return page_file(page, overwrite, others)


def _print(result: Result, as_json: bool, as_csv: bool, quiet: bool) -> None:
    from pipelines.classify import results

    if as_json:
        click.echo(json.dumps(results.as_data(result)))
    elif as_csv:
        click.echo(results.as_csv(result.outcomes), nl=False)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        click.echo("\n".join(results.as_lines(result.outcomes, width)))
    if quiet:
        return
    model = ", ".join(map(str, result.models)) or "nobody"
    told = [f"{len(result.outcomes)} by {model} in {result.wall_s:.1f} s"]
    told += [f"{result.cold} from cold environments"] if result.cold else []
    told += [f"{result.retries} tried again"] if result.retries else []
    click.echo(f"fastslow: {', '.join(told)}", err=True)
