"""What the service asks of AWS: objects, messages, and how many workers there may be. Every call blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from mu.errors import BackendError

__all__ = ["Cloud", "Message"]

T = TypeVar("T")
_WAIT_S = 20
"""For which a question for messages waits."""
_REASON = 1000
_DELETED_AT_ONCE = 1000
"""S3 takes no more."""


class Message(NamedTuple):
    """A message of the queue; `sent` is in seconds since 1970."""

    body: str
    receipt: str
    sent: float


class Cloud:
    """The bucket of results, the queues and the account. May be used by several threads. Raises BackendError.

    `client` makes a client of boto3 for a service; by default one for the environment's credentials and region.
    """

    def __init__(
        self, results_bucket: str, queue: str, refused_queue: str = "", client: Callable[[str], Any] | None = None
    ) -> None:
        client = client or _clients()
        self._s3, self._sqs, self._lambda = (client(service) for service in ("s3", "sqs", "lambda"))
        self._bucket, self._queue, self._refused = results_bucket, queue, refused_queue

    def url(self, key: str) -> str:
        """The address of an object, or of all whose keys begin so."""
        return f"s3://{self._bucket}/{key}"

    def read(self, key: str) -> bytes | None:
        """An object; None if there is none."""

        def ask() -> bytes | None:
            try:
                return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    return None
                raise

        return _asked(self.url(key), ask)

    def part(self, key: str, start: int, stop: int) -> bytes:
        """The bytes of an object that is there, from `start` up to `stop`."""
        reach = f"bytes={start}-{stop - 1}"
        return _asked(
            self.url(key),
            lambda: bytes(self._s3.get_object(Bucket=self._bucket, Key=key, Range=reach)["Body"].read()),
        )

    def write(self, key: str, body: bytes, kind: str = "application/octet-stream") -> None:
        """Make an object, or replace it."""
        _asked(
            self.url(key),
            lambda: self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=kind),
        )

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        _asked(self.url(key), lambda: self._s3.delete_object(Bucket=self._bucket, Key=key))

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete objects, those that are there."""

        def ask(some: Sequence[str]) -> None:
            wanted = {"Objects": [{"Key": key} for key in some], "Quiet": True}
            refused = self._s3.delete_objects(Bucket=self._bucket, Delete=wanted).get("Errors", [])
            if refused:
                raise ValueError(f"{len(refused)} were not deleted: {refused[0].get('Code')} {refused[0].get('Key')}")

        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = keys[start : start + _DELETED_AT_ONCE]
            _asked(self.url(some[0]), lambda some=some: ask(some))  # type: ignore[misc]

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, sorted."""

        def ask() -> list[str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return sorted(each["Key"] for page in pages for each in page.get("Contents", []))

        return _asked(self.url(prefix), ask)

    def folders(self, prefix: str) -> list[str]:
        """What comes next after a prefix in the keys that begin so, up to the next `/`."""

        def ask() -> list[str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            found = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
            return [each.removeprefix(prefix).rstrip("/") for each in found]

        return _asked(self.url(prefix), ask)

    def ask(self, body: str) -> None:
        """Put a message into the queue."""
        _asked(self._queue, lambda: self._sqs.send_message(QueueUrl=self._queue, MessageBody=body))

    def messages(self) -> list[Message]:
        """Messages, as soon as there are some; none after a while."""

        def ask() -> list[Message]:
            told = self._sqs.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=_WAIT_S,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            return [
                Message(each["Body"], each["ReceiptHandle"], int(each["Attributes"]["SentTimestamp"]) / 1000)
                for each in told.get("Messages", [])
            ]

        return _asked(self._queue, ask)

    def done(self, message: Message) -> None:
        """Take a message out of the queue for good."""
        _asked(self._queue, lambda: self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message.receipt))

    def refuse(self, message: Message, reason: str) -> None:
        """Lay a message aside, with the reason, for somebody to look at."""
        why = {"reason": {"DataType": "String", "StringValue": reason[:_REASON]}}
        _asked(
            self._refused,
            lambda: self._sqs.send_message(QueueUrl=self._refused, MessageBody=message.body, MessageAttributes=why),
        )
        self.done(message)

    def concurrency(self) -> int:
        """How many workers the account allows at a time, beside what is reserved for other functions."""

        def ask() -> int:
            return int(self._lambda.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"])

        return _asked("the account's limits", ask)


def _clients() -> Callable[[str], Any]:
    """Clients for what the environment names: its credentials, its region."""
    session = Session()
    config = Config(retries={"mode": "standard", "max_attempts": 4}, read_timeout=_WAIT_S + 10, connect_timeout=5)
    return lambda service: session.create_client(service, config=config)


def _asked(what: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (ClientError, BotoCoreError, KeyError, ValueError) as error:
        raise BackendError(f"{what}: {error}") from error
