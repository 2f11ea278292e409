"""The page of a job of the deployed stack as a file, with its film where the page finds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from cli.errors import Failure, InPart

if TYPE_CHECKING:
    from cli.desk import Desk
    from mu.service.status import Status


def page_of(desk: Desk, job: str, path: str, film: str = "", *, overwrite: bool = False) -> bytes:
    """A job's page as it is to be written to `path`; empty if it has none.

    A film that is too large to be part of it is played from the file `film`, or is written beside the page. Raises
    Failure if there is a file of that name, and it may not `overwrite` that.
    """
    from mu.page.page import film_beside, relinked

    made = desk.jobs.page(job)
    if made is None:
        return b""
    if not (beside := film_beside(made)):
        return made
    if not film:
        film = str(Path(path).with_suffix(Path(beside).suffix))
        if Path(film).exists() and not overwrite:
            raise Failure(f"{film}: exists, and the page's film would take its place (--overwrite replaces both)")
        click.echo(f"writing the film to {film}", err=True)
        desk.bring(f"jobs/{job}/{beside}", film)
    return relinked(made, quote(os.path.relpath(film, Path(path).absolute().parent)))


def write_page(desk: Desk, status: Status, path: str, overwrite: bool) -> None:
    """Write the page of a job. Raises Failure if it has none, InPart if its film cannot be had."""
    from pipelines.report.file import page_file

    with page_file(path, overwrite, ()) as file:
        made = page_of(desk, status.id, path, overwrite=overwrite)
        if not made:
            raise Failure(f"{status.id} is {status.state} and has no page (yet)")
        file.write(made)


def write_beside(desk: Desk, job: str, path: str, target: str, overwrite: bool) -> None:
    """Write the page of a job whose film was brought to `target`.

    Raises InPart if it has none, or its film may not take the place of a file.
    """
    from pipelines.report.file import page_file

    with page_file(path, overwrite, (target,)) as file:
        try:
            made = page_of(desk, job, path, "" if target.startswith("s3://") else target, overwrite=overwrite)
        except Failure as error:
            raise InPart(f"{target} is there, but {error.message}") from error
        if not made:
            raise InPart(f"{target} is there, but {job} has no page")
        file.write(made)
