"""Fetch a file whose hash is known: beside its place, bounded, checked, renamed."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from vision.errors import DownloadError

__all__ = ["download"]

_PIECE = 1 << 18
_PATIENCE = 30.0  # seconds without a byte


def download(url: str, sha256: str, size: int, path: Path, told: Callable[[int], object] = lambda _: None) -> None:
    """Fetch `url` to `path`; `told` hears how many bytes have come. Raises DownloadError, and leaves `path` alone."""
    if not url.startswith(("https://", "http://")):
        raise DownloadError(f"{url}: only http and https are fetched")
    digest = hashlib.sha256()
    length = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # checked above, and by its hash below
                while piece := answer.read(_PIECE):
                    length += len(piece)
                    if length > size:
                        raise DownloadError(f"{url}: more came than the {size:,} bytes it should have")
                    digest.update(piece)
                    part.write(piece)
                    told(length)
            if digest.hexdigest() != sha256:
                raise DownloadError(
                    f"{url}: {length:,} of {size:,} bytes came, and their SHA-256 is not {sha256}; "
                    f"what was there has changed, or the connection broke"
                )
            part.flush()
            Path(part.name).replace(path)
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise DownloadError(f"{url}: {error}") from error
        finally:
            Path(part.name).unlink(missing_ok=True)
