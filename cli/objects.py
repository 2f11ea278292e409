"""Films and results where they are: files here, objects of S3 there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.errors import Failure

_READABLE_S = 12 * 3600


@contextmanager
def told(place: str) -> Iterator[None]:
    """What S3 refuses is told in a line. Raises Failure."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise Failure(f"{place}: {error}") from error


def taken(s3: Any, bucket: str, key: str, target: str) -> None:
    """Bring a result to where it is wanted; a file appears when it is complete. Raises Failure."""
    with told(f"s3://{bucket}/{key} to {target}"):
        if target.startswith("s3://"):
            to, name = place_of(target)
            s3.copy({"Bucket": bucket, "Key": key}, to, name)
            return
        folder = Path(target).absolute().parent
        handle, beside = tempfile.mkstemp(prefix=".fastslow-", dir=folder)
        os.close(handle)
        try:
            s3.download_file(bucket, key, beside)
            os.chmod(beside, 0o666 & ~_umask())
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise


def is_there(s3: Any, place: str) -> bool:
    """Whether a file or an object is there. Raises Failure if its folder or bucket is not, or that cannot be said."""
    from botocore.exceptions import ClientError

    if not place.startswith("s3://"):
        if not Path(place).absolute().parent.is_dir():
            raise Failure(f"{place}: there is no such folder")
        return Path(place).exists()
    bucket, key = place_of(place)
    with told(place):
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
        else:
            return True
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise Failure(f"{place}: there is no such bucket") from error
            raise
    return False


def place_of(url: str) -> tuple[str, str]:
    """Bucket and key of an object. Raises Failure for what is none."""
    parts = urlsplit(url)
    if not parts.netloc or not parts.path.strip("/"):
        raise Failure(f"{url} is no object: s3://bucket/key")
    return parts.netloc, parts.path.lstrip("/")


def readable(s3: Any, place: str) -> str:
    """How a film can be read from here: a file as it is, an object by an address that is good for half a day."""
    if not place.startswith("s3://"):
        return place
    bucket, key = place_of(place)
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=_READABLE_S))


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
