"""The live pages of jobs, served to people on this machine: a list, a page for each job, its facts as they come.

The server listens on the loopback address alone and answers GET only; whoever looks from elsewhere comes through a
tunnel (Session Manager's port forwarding on AWS).
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

from mu.errors import MuError
from mu.job import Job
from mu.page.page import Film, page, stage_rows, tile_entries
from mu.record import Record
from pages.document import document, head, listing, resource
from pages.words import count, took

__all__ = ["Board", "Pages", "View"]

MOST_FACTS = 50_000
"""In one answer."""
PIECE = 4 << 20
"""Bytes of a film that are read at a time."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class View(Protocol):
    """A job to look at."""

    job: Job
    record: Record

    def now(self) -> float:
        """The time on the record's clock."""

    def costs(self) -> float | None:
        """US dollars so far, if it costs anything."""

    def film(self) -> Film | None:
        """What it made, once that is there."""


Board = Mapping[str, View]
"""The jobs to look at, by their ids."""


class Pages:
    """The server: a context in which it runs in a thread of its own. `address` is where a browser finds it."""

    def __init__(self, board: Board, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.board = board
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="pages", daemon=True)

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT/."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    board: Board

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in _HOSTS:  # a foreign page whose name was made to lead here
            return self._answer(HTTPStatus.FORBIDDEN, b"only from this machine\n")
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        if parts == [""]:
            return self._answer(HTTPStatus.OK, _list(self.server.board), "text/html; charset=utf-8")
        view = self.server.board.get(parts[1]) if len(parts) in (2, 3) and parts[0] == "jobs" else None
        if view is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"no such job\n")
        match parts[2:]:
            case []:
                live = "" if view.record.outcome else f"/jobs/{quote(parts[1])}/facts"
                film = view.film()
                at = f"/jobs/{quote(parts[1])}/film"
                body = page(view.job, view.record, view.now(), live=live, costs=view.costs(), film=film, film_at=at)
                return self._answer(HTTPStatus.OK, body, "text/html; charset=utf-8")
            case ["film"]:
                return self._film(view.film())
            case ["facts"]:
                return self._facts(view, parse_qs(address.query).get("from", ["0"])[0])
            case _:
                return self._answer(HTTPStatus.NOT_FOUND, b"no such page\n")

    def _facts(self, view: View, since: str) -> None:
        if not since.isdecimal() or len(since) > 12:
            return self._answer(HTTPStatus.BAD_REQUEST, b"from must be a number\n")
        first = int(since)
        new = view.record.facts[first : first + MOST_FACTS]
        now, counts = view.now(), view.record.counts(view.now())
        told = {
            "facts": new,
            "now": 0 if counts.outcome else round((now - view.record.began) * 1000),
            "tiles": tile_entries(counts, view.costs()),
            "stages": stage_rows(counts),
            "over": bool(counts.outcome),
        }
        return self._answer(HTTPStatus.OK, json.dumps(told, separators=(",", ":")).encode(), "application/json")

    def _film(self, film: Film | None) -> None:
        """The film, or the part of it that a player asks for, a piece after the other as fast as it takes them."""
        if film is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"no film (yet)\n")
        asked = self.headers.get("Range")
        part = _part(asked, film.size) if asked else (0, film.size)
        if part is None:
            more = {"Content-Range": f"bytes */{film.size}"}
            return self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"no such part\n", more=more)
        start, stop = part
        try:
            piece = film.read(start, min(stop, start + PIECE))
        except MuError as error:
            return self._answer(HTTPStatus.BAD_GATEWAY, f"{error}\n".encode())
        more = {"Accept-Ranges": "bytes"}
        if asked:
            more["Content-Range"] = f"bytes {start}-{stop - 1}/{film.size}"
        self._head(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK, stop - start, film.kind, more)
        try:
            self.wfile.write(piece)
            for at in range(start + PIECE, stop, PIECE):
                self.wfile.write(film.read(at, min(stop, at + PIECE)))
        except (OSError, MuError):  # the player has enough, or there is no more: it asks again for what it wants
            self.close_connection = True

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        kind: str = "text/plain; charset=utf-8",
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._head(status, len(body), kind, more)
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, size: int, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_SECURITY, "Content-Type": kind, "Content-Length": str(size), **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Nobody asked."""


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """The one part that a Range header asks for (RFC 9110, 14.1.2): its start and the place after it."""
    found = _RANGE.fullmatch(asked.strip())
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, stop) if start < stop else None


def _list(board: Board) -> bytes:
    rows = []
    for name, view in board.items():
        counts = view.record.counts(view.now())
        done = f"{count(counts.committed)} of {count(counts.tasks)}"
        cost = view.costs()
        price = "\u2013" if cost is None else f"{cost:.4f} $"
        rows.append((f"/jobs/{quote(name)}", name, counts.outcome or "running", done, took(counts.elapsed_s), price))
    styles = [resource("pages", "page.css")]
    columns = ("job", "state", "tasks done", "time", "cost")
    return document("Jobs", [head("fastslow", "Jobs", f"{len(rows)} here"), listing(columns, rows)], {}, styles, [])
