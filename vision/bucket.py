"""An S3 bucket as the model store sees it: whole small objects, files, and writes on a condition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision.errors import StoreError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

__all__ = ["Bucket", "Conflict"]

_MISSING = ("404", "NoSuchKey", "NotFound")
_CONDITION = ("412", "PreconditionFailed", "ConditionalRequestConflict", "409")


class Conflict(StoreError):
    """Someone else wrote the object since it was read, or it is there already."""


class Bucket:
    """A bucket by its name, with the credentials and the endpoint that boto3 finds in the environment.

    Every method raises StoreError when S3 refuses or does not answer.
    """

    def __init__(self, name: str, client: Any = None) -> None:
        self.name = name
        if client is None:
            import boto3
            from botocore.exceptions import BotoCoreError

            try:
                client = boto3.client("s3")
            except BotoCoreError as error:
                raise StoreError(f"S3 cannot be asked: {error}") from error
        self._client = client

    def read(self, key: str, largest: int) -> tuple[bytes, str] | None:
        """An object of at most `largest` bytes and its ETag, or None if there is none."""
        answer = self._call("get_object", key, allow=_MISSING)
        if answer is None:
            return None
        with answer["Body"] as body:
            data: bytes = body.read(largest + 1)
        if len(data) > largest:
            raise StoreError(f"s3://{self.name}/{key} is larger than the {largest:,} bytes that are read")
        return data, answer["ETag"]

    def write(self, key: str, data: bytes, *, replaces: str | None) -> None:
        """Write an object that replaces the one with the ETag `replaces`, or (None) none; raises Conflict otherwise."""
        options = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        if self._call("put_object", key, allow=_CONDITION, Body=data, options=options) is None:
            raise Conflict(f"s3://{self.name}/{key} was written by someone else in the meantime; look, and try again")

    def upload(self, key: str, path: Path) -> None:
        """Write a file, in parts if it is large."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError

        try:
            self._client.upload_file(str(path), self.name, key)
        except (S3UploadFailedError, BotoCoreError, OSError) as error:
            raise StoreError(f"s3://{self.name}/{key} could not be written: {error}") from error

    def size(self, key: str) -> int | None:
        """The bytes of an object, or None if there is none."""
        answer = self._call("head_object", key, allow=_MISSING)
        return None if answer is None else int(answer["ContentLength"])

    def names(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, in order."""
        more: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", None, Prefix=prefix, options=more) or {}
            yield from (each["Key"] for each in answer.get("Contents", ()))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _call(
        self, operation: str, key: str | None, allow: tuple[str, ...] = (), options: Any = None, **more: Any
    ) -> Any:
        """Call S3; None if it answers with an error of `allow`."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = {"Bucket": self.name} | ({"Key": key} if key is not None else {}) | (options or {})
        try:
            return getattr(self._client, operation)(**where, **more)
        except ClientError as error:
            if _code(error) in allow:
                return None
            place = f"s3://{self.name}" + (f"/{key}" if key is not None else "")
            raise StoreError(f"{place}: S3 refuses: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"s3://{self.name}: S3 cannot be asked: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
