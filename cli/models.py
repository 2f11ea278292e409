"""`fastslow models`: from a file to what the deployed functions run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import told_in_a_line

if TYPE_CHECKING:
    from vision.bucket import Bucket
    from vision.library import Library
    from vision.manifest import Manifest

_TASKS = click.Choice(["classify", "detect", "embed", "upscale"])
_library = click.option(
    "--library", type=click.Path(path_type=Path), envvar="FASTSLOW_MODELS", help="The folder of models on this machine."
)
_bucket = click.option(
    "--bucket", required=True, envvar="FASTSLOW_MODELS_BUCKET", metavar="NAME", help="The stack's bucket of models."
)


@click.group(short_help="Add, fetch, publish and switch models.")
def models() -> None:
    """Models of this machine, and which of them the deployed functions run.

    `add` and `fetch` bring a model here, `publish` copies it into the bucket, `activate` lets the functions that run
    switch to it without a deployment, `rollback` back again.
    """


@models.command(short_help="Bring a local ONNX file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Lower-case letters, digits, - . _")
@click.option("--version", required=True, help="A name and version never mean another file.")
@click.option("--licence", required=True, help="An SPDX identifier, or what is so.")
@click.option("--task", type=_TASKS, default="classify", show_default=True)
@click.option("--labels", type=click.Path(path_type=Path), help="A text file, one label a line.")
@click.option("--size", type=(int, int), default=(224, 224), metavar="W H", show_default=True, help="0 0: any.")
@click.option("--layout", type=click.Choice(["NCHW", "NHWC"]), default="NCHW", show_default=True)
@click.option("--colours", type=click.Choice(["RGB", "BGR", "Y"]), default="RGB", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "uint8"]), default="float32", show_default=True)
@click.option("--mean", type=float, multiple=True, help="Of samples 0..255; once, or once a channel.")
@click.option("--scale", type=float, multiple=True, help="What a sample is multiplied by once the mean is gone.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), default="crop", show_default=True)
@click.option("--keep", type=float, default=0.875, show_default=True, help="Of the shorter side, when cropped.")
@click.option("--logits", is_flag=True, help="The scores want a softmax.")
@click.option("--session", multiple=True, metavar="KEY=VALUE", help="A setting for onnxruntime's session.")
@click.option("--source", default="", help="Where it comes from.")
@_library
def add(file: Path, library: Path | None, session: tuple[str, ...], **given: Any) -> None:
    """Bring the ONNX model FILE into the library, after trying it out.

    Names of its tensors are read from the file: the first input, and all outputs.
    """
    from vision.library import hash_file, read_labels, tensors

    settings = dict(each.partition("=")[::2] for each in session)
    channels = 1 if given["colours"] == "Y" else 3
    with told_in_a_line():
        sha256, size = hash_file(file)
        inputs, outputs = tensors(file)
        first = "raw" if given["task"] != "classify" else "logits" if given["logits"] else "probabilities"
        manifest = _manifest(
            **{name: given[name] for name in ("name", "version", "licence", "task", "source")},
            file=file.name,
            sha256=sha256,
            bytes=size,
            labels=read_labels(given["labels"]) if given["labels"] else (),
            session=settings,
            input={
                "name": inputs[0],
                **{name: given[name] for name in ("layout", "colours", "fit", "keep")},
                "type": given["dtype"],
                "width": given["size"][0],
                "height": given["size"][1],
                "mean": _each(given["mean"] or (0.0,), channels),
                "scale": _each(given["scale"] or (1.0,), channels),
            },
            outputs=[{"name": name, "kind": "raw" if number else first} for number, name in enumerate(outputs)],
        )
        place = _here(library).add(manifest, file)
    click.echo(f"{manifest}: {place}")


@models.command(short_help="Bring a public model.")
@click.argument("name", required=False)
@click.option("--labels", type=click.Path(path_type=Path), help="One label a line, in place of the public ones.")
@click.option("--mirror", metavar="URL", help="Where another copy of the zoo is; hashes are checked all the same.")
@_library
def fetch(name: str | None, labels: Path | None, mirror: str | None, library: Path | None) -> None:
    """Bring the public model NAME into the library; without a NAME, list those that are known."""
    from vision.public import KNOWN

    if name is None:
        for each in KNOWN.values():
            click.echo(f"{each.name:20} {each.version:8} {each.task:9} {each.bytes / 1e6:5.1f} MB  {each.about}")
        return
    manifest, place = bring(name, _here(library), labels=labels, mirror=mirror)
    click.echo(f"{manifest}: {place}")


def bring(
    name: str, library: Library, *, labels: Path | None = None, mirror: str | None = None
) -> tuple[Manifest, Path]:
    """Fetch the public model `name` into the library; its manifest, and where its file lies."""
    import tempfile

    from cli.progress import display
    from vision.download import download
    from vision.library import read_labels, tensors
    from vision.public import BASE, KNOWN

    if name not in KNOWN:
        raise click.UsageError(f"no public model {name!r} is known; known are {', '.join(KNOWN)}")
    model = KNOWN[name]
    url = f"{(mirror or BASE).rstrip('/')}/{model.path}"
    with told_in_a_line(), tempfile.TemporaryDirectory() as folder, display(False) as shown:
        file = Path(folder, Path(model.path).name)
        download(url, model.sha256, model.bytes, file, lambda got: shown.count("bytes", got, model.bytes))
        names = [str(number) for number in range(model.classes)]
        if labels:
            names = list(read_labels(labels))
        elif known := model.labels:
            place = Path(folder, known.path)
            download(f"{(mirror or known.base).rstrip('/')}/{known.path}", known.sha256, known.bytes, place)
            names = list(read_labels(place))
        inputs, outputs = tensors(file)
        first = "logits" if model.task == "classify" else "raw"
        width, height = model.size
        manifest = _manifest(
            name=model.name,
            version=model.version,
            task=model.task,
            file=file.name,
            sha256=model.sha256,
            bytes=model.bytes,
            licence=model.licence,
            source=f"{BASE}/{model.path}",
            labels=names,
            input={
                "name": inputs[0],
                "width": width,
                "height": height,
                "colours": model.colours,
                "mean": model.mean,
                "scale": model.scale,
            },
            outputs=[{"name": name, "kind": "raw" if number else first} for number, name in enumerate(outputs)],
        )
        return manifest, library.add(manifest, file)


@models.command("list", short_help="What is here, and in the bucket.")
@click.option("--bucket", envvar="FASTSLOW_MODELS_BUCKET", metavar="NAME", help="Tell of this bucket, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_library
def list_(bucket: str | None, as_json: bool, library: Path | None) -> None:
    """List the models of this machine; those in the bucket, and which of them run."""
    import msgspec

    from vision.manifest import TASKS
    from vision.store import active, published

    with told_in_a_line():
        here = [(manifest.name, manifest.version) for manifest, _ in _here(library).all()]
        there: list[tuple[str, str]] = []
        runs: dict[str, str] = {}
        if bucket:
            store = _store(bucket)
            there = published(store)
            states = {task: active(store, task) for task in TASKS}
            runs = {task: str(state.manifest) for task, state in states.items() if state}
    if as_json:
        click.echo(msgspec.json.encode({"here": here, "published": there, "active": runs}).decode())
        return
    for name, version in sorted({*here, *there}):
        places = [place for place, names in (("here", here), ("published", there)) if (name, version) in names]
        places += [f"active for {task}" for task, what in runs.items() if what == f"{name} {version}"]
        click.echo(f"{name} {version}  {', '.join(places)}")


@models.command(short_help="Copy a model into the bucket.")
@click.argument("name")
@click.argument("version", required=False)
@_bucket
@_library
def publish(name: str, version: str | None, bucket: str, library: Path | None) -> None:
    """Copy the model NAME (in VERSION, if there are several) into the bucket. Nothing runs it before `activate`."""
    from vision import store

    with told_in_a_line():
        manifest, path = _here(library).find(name, version)
        store.publish(_store(bucket), manifest, path)
    click.echo(f"{manifest}: published in s3://{bucket}")


@models.command(short_help="Let functions switch to a model.")
@click.argument("name")
@click.argument("version")
@_bucket
def activate(name: str, version: str, bucket: str) -> None:
    """Let the functions that run switch to a published model: no deployment, and no request fails.

    Each fetches and tries the new model beside the old one, then switches.
    """
    from vision import store

    with told_in_a_line():
        state = store.activate(_store(bucket), name, version)
    click.echo(f"{state.manifest}: active for {state.manifest.task}")


@models.command(short_help="Let functions switch back.")
@click.option("--task", type=_TASKS, default="classify", show_default=True)
@_bucket
def rollback(task: Any, bucket: str) -> None:
    """Let the functions that run switch back to the model that ran before."""
    from vision import store

    with told_in_a_line():
        state = store.rollback(_store(bucket), task)
    click.echo(f"{state.manifest}: active for {state.manifest.task}")


def _manifest(**fields: Any) -> Manifest:
    """A manifest of these fields, checked as one that comes from outside."""
    import msgspec

    from vision.manifest import parse

    return parse(msgspec.json.encode(fields))


def _each(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * channels if len(values) == 1 else values


def _here(library: Path | None) -> Library:
    from vision.library import Library, default_folder

    return Library(library or default_folder())


def _store(name: str) -> Bucket:
    from vision.bucket import Bucket

    return Bucket(name)
